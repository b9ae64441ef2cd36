//! How an operation or a leg ended: codes, sub-codes, and what they mean in words.

use std::fmt;

use serde::Deserialize;

use crate::json::given;

/// Characters of Azure's that are kept of a sentence.
const LONGEST: usize = 500;

/// Who gave a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The telephone network or whoever was called there (sub-code 560xxx).
    Called,
    /// Whoever calls in (sub-code 540xxx).
    Caller,
    /// Azure itself (sub-codes 50xxxx, 51xxxx, 53xxxx, and those with four digits).
    Azure,
    /// It is not said.
    Unknown,
}

/// A status and its phrase, of SIP or of Q.850.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Details {
    /// The status of SIP (RFC 3261 §21), or the cause of ITU-T Q.850.
    #[serde(default, deserialize_with = "given")]
    pub code: u16,
    /// Its phrase.
    #[serde(default, deserialize_with = "given")]
    pub message: String,
}

/// What Azure says about how something ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResultInformation {
    /// Like a status of HTTP or SIP; 0 and 200 are success.
    #[serde(deserialize_with = "given")]
    pub code: u16,
    /// What exactly it was; 0 for nothing special.
    #[serde(deserialize_with = "given")]
    pub sub_code: u32,
    /// Azure's sentence about it.
    #[serde(deserialize_with = "given")]
    pub message: String,
    /// What SIP said about it, where SIP did.
    pub sip_details: Option<Details>,
    /// What ISUP said about it.
    pub q850_details: Option<Details>,
}

impl ResultInformation {
    /// Who gave it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.sub_code / 1000 {
            560 => Origin::Called,
            540 => Origin::Caller,
            500..=539 | 1..=9 => Origin::Azure,
            _ => Origin::Unknown,
        }
    }

    /// The status SIP would give for it, 300 to 699: SIP's own word first, then the sub-code,
    /// then the code. `None` for success.
    #[must_use]
    pub fn sip_status(&self) -> Option<u16> {
        let refusal = |status: &u16| (300..700).contains(status);
        let told = self.sip_details.as_ref().map(|details| details.code);
        let coded = match self.origin() {
            Origin::Called | Origin::Caller => u16::try_from(self.sub_code % 1000).ok(),
            Origin::Azure | Origin::Unknown => None,
        };
        let own = Some(self.code).filter(|code| *code >= 400);
        let mut statuses = [told, coded, own].into_iter().flatten();
        statuses.find(refusal)
    }
}

impl fmt::Display for ResultInformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = in_words(self.sub_code).unwrap_or(match self.origin() {
            Origin::Called => "the called side ended it",
            Origin::Caller => "the calling side ended it",
            Origin::Azure | Origin::Unknown => "no known cause",
        });
        write!(f, "{words} (code {}, sub-code {}", self.code, self.sub_code)?;
        if let Some(sip) = self.sip_details.as_ref().filter(|sip| sip.code != 0) {
            write!(f, ", SIP {} {}", sip.code, cut(&sip.message))?;
        }
        if let Some(cause) = self.q850_details.as_ref().filter(|cause| cause.code != 0) {
            write!(f, ", Q.850 {}", cause.code)?;
        }
        f.write_str(")")?;
        if !self.message.is_empty() {
            write!(f, ": {}", cut(&self.message))?;
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(LONGEST).collect()
}

/// What a sub-code of Call Automation means; `None` where that is not known.
#[must_use]
pub fn in_words(sub_code: u32) -> Option<&'static str> {
    Some(match sub_code {
        7507 => "the call belongs to another resource",
        7509 => "the signature is not accepted",
        8500 => "this call's media cannot do that",
        8501 => "the call is not established",
        8508 => "the operation was cancelled",
        8519 => "another operation is under way",
        8520 => "Azure does not support this here",
        8522 => "Azure has no such call",
        8523 => "an argument is not valid",
        8528 => "the call is over",
        8538 => "whoever was called declined",
        8539 => "whoever was called is busy",
        8541 => "whoever was called is not available",
        8544 => "whoever was called cannot be reached",
        8585 => "the call's state does not allow this",
        8586 => "the incoming call was not acknowledged in time",
        8587 => "the incoming call was not answered in time",
        500_001 => "Azure ran out of time",
        510_403 => "the caller id is missing or not one the resource may use",
        511_404 => "the number is not found",
        511_532 => "there is no SIP trunk for this number",
        531_004 => "no path for media",
        540_000 | 560_000 => "ended as usual",
        540_487 => "the caller gave up",
        560_403 => "the telephone network refuses the call",
        560_404 => "the number is not in service",
        560_408 => "the telephone network did not answer in time",
        560_480 => "nobody answers",
        560_486 => "the called number is busy",
        560_487 => "the call was taken back before it was answered",
        560_503 => "the telephone network has no way for the call",
        560_603 => "the call was declined, or the caller id has too many calls",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ResultInformation {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn a_result_becomes_a_status_of_sip() {
        for (text, status, origin) in [
            (
                r#"{"code":486,"subCode":560486,"sipDetails":{"code":486,"message":"Busy Here"}}"#,
                Some(486),
                Origin::Called,
            ),
            (
                r#"{"code":480,"subCode":560480,"message":null}"#,
                Some(480),
                Origin::Called,
            ),
            (r#"{"code":403,"subCode":510403}"#, Some(403), Origin::Azure),
            (
                r#"{"code":487,"subCode":540487}"#,
                Some(487),
                Origin::Caller,
            ),
            (
                r#"{"code":408,"subCode":8541,"sipDetails":{"code":200,"message":"OK"}}"#,
                Some(408),
                Origin::Azure,
            ),
            (r#"{"code":0,"subCode":560000}"#, None, Origin::Called),
            (r#"{"code":200,"subCode":0}"#, None, Origin::Unknown),
            ("{}", None, Origin::Unknown),
        ] {
            let result = read(text);
            assert_eq!(
                (result.sip_status(), result.origin()),
                (status, origin),
                "{text}"
            );
        }
    }

    #[test]
    fn a_result_is_said_in_words() {
        let busy = read(
            r#"{"code":486,"subCode":560486,"message":"Busy\r\n","sipDetails":{"code":486,
            "message":"Busy Here"},"q850Details":{"code":17,"message":"user busy"}}"#,
        );
        assert_eq!(
            busy.to_string(),
            "the called number is busy (code 486, sub-code 560486, SIP 486 Busy Here, Q.850 17): Busy"
        );
        assert_eq!(
            read(r#"{"code":499,"subCode":560499}"#).to_string(),
            "the called side ended it (code 499, sub-code 560499)"
        );
    }
}
