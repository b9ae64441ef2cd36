//! The bodies of requests about calls, and what is said against them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rest::answer::Answer;
use crate::rest::request::Request;

/// Octets of the longest text of a request that is kept.
pub(super) const LONGEST: usize = 4096;
/// The longest an invitation may take, in seconds.
const LONGEST_INVITATION: u64 = 180;

pub(super) fn refuse(status: u16, sub_code: u32, message: &str) -> Answer {
    Answer::error(status, &sub_code.to_string(), message)
}

pub(super) fn no_call() -> Answer {
    refuse(404, 8522, "There is no such call.")
}

pub(super) fn invalid(message: &str) -> Answer {
    refuse(400, 8523, message)
}

/// The body of a request, read field by field.
pub(super) struct Body(pub(super) Value);

impl Body {
    pub(super) fn of(request: &Request) -> Result<Self, Answer> {
        match request.json() {
            Some(body @ Value::Object(_)) => Ok(Self(body)),
            Some(_) | None if request.body.is_empty() => Ok(Self(json!({}))),
            Some(_) | None => Err(invalid("The body is not a JSON object.")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = self.0[name].as_str()?;
        (text.len() <= LONGEST).then(|| text.to_owned())
    }

    pub(super) fn must(&self, name: &str) -> Result<String, Answer> {
        let text = self.text(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| invalid(&format!("The field {name} is required.")))
    }

    /// A telephone number in an object, by its part or by its raw id.
    pub(super) fn number(value: &Value) -> Result<String, Answer> {
        let part = value["phoneNumber"]["value"].as_str();
        let raw = value["rawId"]
            .as_str()
            .and_then(|raw| raw.strip_prefix("4:"));
        match part.or(raw) {
            Some(number) if is_number(number) => Ok(number.to_owned()),
            Some(_) => Err(invalid("A telephone number is + and up to 15 digits.")),
            None => Err(refuse(
                405,
                8520,
                "Only participants on the telephone network are supported here.",
            )),
        }
    }

    /// How long an invitation may take, where it says so.
    pub(super) fn timeout(given: &Value) -> Result<Option<Duration>, Answer> {
        if given.is_null() {
            return Ok(None);
        }
        let seconds = given.as_u64().filter(|time| *time <= LONGEST_INVITATION);
        let timeout = seconds.map(Duration::from_secs);
        timeout
            .map(Some)
            .ok_or_else(|| invalid("The field invitationTimeoutInSeconds is invalid."))
    }

    pub(super) fn caller_id(&self) -> Result<String, Answer> {
        let number = self.0["sourceCallerIdNumber"]["value"].as_str();
        match number {
            Some(number) if is_number(number) => Ok(number.to_owned()),
            Some(_) => Err(invalid("The field sourceCallerIdNumber is invalid.")),
            None => Err(invalid("The field sourceCallerIdNumber is required.")),
        }
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or("");
    (1..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
}
