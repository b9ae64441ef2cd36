//! Telephone numbers with parameters: `tel:` URIs and the user parts of SIP URIs that hold one.

use crate::{Scheme, Uri};

/// `telephone-subscriber` of RFC 3966 §3: a number and what is said about it, such as `rn`, `npdi`
/// and `cic` (RFC 4694), `tgrp` and `trunk-context` (RFC 4904), `verstat` (ATIS-1000074) and
/// `phone-context`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    number: String,
    params: Vec<(String, Option<String>)>,
}

/// Most parameters that are looked at.
const MOST_PARAMS: usize = 16;

impl Subscriber {
    /// What the user part `user` of a SIP URI says, its escapes decoded: `+14255550123;npdi`.
    #[must_use]
    pub fn parse(user: &str) -> Self {
        let mut parts = user.split(';');
        let number = decoded(parts.next().unwrap_or_default());
        let params = parts.filter(|part| !part.is_empty()).take(MOST_PARAMS);
        let params = params.map(|part| match part.split_once('=') {
            Some((name, value)) => (name.to_ascii_lowercase(), Some(decoded(value))),
            None => (part.to_ascii_lowercase(), None),
        });
        Self {
            number,
            params: params.collect(),
        }
    }

    /// The subscriber a SIP or `tel:` URI names; `None` if it names none.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Self> {
        let user = uri.user()?;
        match uri.scheme() {
            Scheme::Sip | Scheme::Sips => Some(Self::parse(user)),
            Scheme::Tel => {
                let behind = uri.as_str().get(uri.scheme_str().len() + 1..)?;
                Some(Self::parse(behind))
            }
            Scheme::Other => None,
        }
    }

    /// The number or name, without its parameters.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The first parameter `name` (in lower case): `Some(None)` if it has no value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_deref())
    }

    /// The value of the first parameter `name` (in lower case).
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.param(name).flatten()
    }
}

/// `text` with its escapes decoded. What is not UTF-8 then stays as it was.
fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |at| {
            let digit = bytes.get(at).map(|&digit| char::from(digit));
            digit.and_then(|digit| digit.to_digit(16))
        };
        if let (b'%', Some(high), Some(low)) = (byte, hex(at + 1), hex(at + 2)) {
            out.push(u8::try_from(high * 16 + low).unwrap_or_default());
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Subscriber {
        Subscriber::of(&uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_number_and_its_parameters_are_told_apart() {
        let ported = of("sip:+14255550123;npdi;rn=+14255550000;cic=+1-0288@sbc.example;user=phone");
        assert_eq!(ported.number(), "+14255550123");
        assert_eq!(ported.param("npdi"), Some(None));
        assert_eq!(ported.value("rn"), Some("+14255550000"));
        assert_eq!(ported.value("cic"), Some("+1-0288"));
        assert_eq!(ported.param("user"), None);
        let group = of("tel:+14255550123;TGRP=Tg1;trunk-context=example.com");
        assert_eq!(group.number(), "+14255550123");
        assert_eq!(group.value("tgrp"), Some("Tg1"));
        assert_eq!(group.value("trunk-context"), Some("example.com"));
    }

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        assert_eq!(of("sip:*31%23@sbc.example").number(), "*31#");
        assert_eq!(of("sip:*31#@sbc.example").number(), "*31#");
        assert_eq!(
            of("sip:%2b14255550123@sbc.example").number(),
            "+14255550123"
        );
        assert_eq!(Subscriber::parse("%FF%zz").number(), "%FF%zz");
        assert_eq!(Subscriber::parse("").number(), "");
    }
}
