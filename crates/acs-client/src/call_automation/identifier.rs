//! Who takes part in a call, as Azure names it.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Octets of the longest name of a participant that is read.
const LONGEST: usize = 512;

/// A telephone number in E.164 with `+`. Shows only its last two digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// A number as it is written, in E.164 with `+`; Azure refuses anything else.
    #[must_use]
    pub fn new(number: impl Into<String>) -> Self {
        Self(number.into())
    }

    /// The number in full.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.chars().count();
        f.write_str("…")?;
        self.0
            .chars()
            .skip(count.saturating_sub(2))
            .try_for_each(|c| write!(f, "{c}"))
    }
}

#[derive(Serialize, Deserialize)]
struct Value<T> {
    value: T,
}

impl Serialize for PhoneNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0.as_str();
        Value { value }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value { value } = Value::<String>::deserialize(deserializer)?;
        if value.len() > LONGEST {
            return Err(D::Error::custom("a number is too long"));
        }
        Ok(Self(value))
    }
}

/// A participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// Somebody on the telephone network.
    Phone(PhoneNumber),
    /// Somebody on the telephone network who withholds the number.
    Anonymous,
    /// Somebody else: a user of Azure, of Teams, an application; as Azure writes it.
    Other(String),
}

impl Identifier {
    /// Somebody on the telephone network, in E.164 with `+`.
    #[must_use]
    pub fn phone(number: impl Into<String>) -> Self {
        Self::Phone(PhoneNumber::new(number))
    }

    /// The number, where it is one.
    #[must_use]
    pub fn number(&self) -> Option<&str> {
        match self {
            Self::Phone(number) => Some(number.as_str()),
            Self::Anonymous | Self::Other(_) => None,
        }
    }

    /// In one string, as `4:+14255550100`: what a participant is asked for by.
    #[must_use]
    pub fn raw_id(&self) -> String {
        match self {
            Self::Phone(number) => format!("4:{}", number.as_str()),
            Self::Anonymous => "4:anonymous".to_owned(),
            Self::Other(raw) => raw.clone(),
        }
    }

    fn of_raw_id(raw: &str) -> Self {
        match raw.strip_prefix("4:") {
            Some("anonymous") => Self::Anonymous,
            // After `_` stands who vouches for the number.
            Some(number) => Self::phone(number.split('_').next().unwrap_or(number)),
            None => Self::Other(raw.to_owned()),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    raw_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a PhoneNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    communication_user: Option<User<'a>>,
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let user = |raw: &str| {
            ["8:acs:", "8:spool:"]
                .iter()
                .any(|kind| raw.starts_with(kind))
        };
        let (phone_number, communication_user) = match self {
            Self::Phone(number) => (Some(number), None),
            Self::Other(raw) if user(raw) => (None, Some(User { id: raw })),
            Self::Anonymous | Self::Other(_) => (None, None),
        };
        Written {
            raw_id: self.raw_id(),
            phone_number,
            communication_user,
        }
        .serialize(serializer)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    #[serde(default)]
    raw_id: Option<String>,
    #[serde(default)]
    phone_number: Option<Number>,
    #[serde(default)]
    communication_user: Option<Owner>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Number {
    value: String,
    #[serde(default)]
    is_anonymous: Option<bool>,
}

#[derive(Deserialize)]
struct Owner {
    id: String,
}

impl<'de> Deserialize<'de> for Identifier {
    /// The part that says what it is comes before `rawId`; `kind` is written in more than one way
    /// and not needed.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let given = [
            read.raw_id.as_deref(),
            read.phone_number
                .as_ref()
                .map(|number| number.value.as_str()),
            read.communication_user
                .as_ref()
                .map(|user| user.id.as_str()),
        ];
        if given.iter().flatten().any(|text| text.len() > LONGEST) {
            return Err(D::Error::custom("a participant's name is too long"));
        }
        if let Some(number) = read.phone_number {
            if number.is_anonymous == Some(true) || number.value == "anonymous" {
                return Ok(Self::Anonymous);
            }
            return Ok(Self::phone(number.value));
        }
        if let Some(raw) = read.raw_id.filter(|raw| !raw.is_empty()) {
            return Ok(Self::of_raw_id(&raw));
        }
        match read.communication_user {
            Some(user) => Ok(Self::Other(user.id)),
            None => Err(D::Error::custom("a participant has no name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Identifier, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_participant_is_read_in_every_form() {
        let phone = Identifier::phone("+14255550100");
        for (text, wanted) in [
            (
                r#"{"kind":"phoneNumber","rawId":"4:+14255550100","phoneNumber":{"value":"+14255550100"}}"#,
                &phone,
            ),
            (r#"{"kind":"PhoneNumber","rawId":"4:+14255550100"}"#, &phone),
            (r#"{"rawId":"4:+14255550100_carrier"}"#, &phone),
            (
                r#"{"phoneNumber":{"value":"+14255550100","isAnonymous":false}}"#,
                &phone,
            ),
            (r#"{"rawId":"4:anonymous"}"#, &Identifier::Anonymous),
            (
                r#"{"rawId":"4:anonymous","phoneNumber":{"value":"anonymous","isAnonymous":true}}"#,
                &Identifier::Anonymous,
            ),
            (
                r#"{"kind":"communicationUser","communicationUser":{"id":"8:acs:a_b"}}"#,
                &Identifier::Other("8:acs:a_b".to_owned()),
            ),
        ] {
            assert_eq!(&read(text).expect(text), wanted, "{text}");
        }
        let long = format!(r#"{{"rawId":"8:{}"}}"#, "a".repeat(600));
        for text in ["{}", r#"{"rawId":""}"#, "[]", "\"4:+1\"", &long] {
            read(text).expect_err(text);
        }
    }

    #[test]
    fn a_number_is_shown_by_its_end_only() {
        let shown = format!("{:?}", Identifier::phone("+14255550142"));
        assert_eq!(shown, "Phone(…42)");
        assert_eq!(Identifier::phone("+14255550142").raw_id(), "4:+14255550142");
    }
}
