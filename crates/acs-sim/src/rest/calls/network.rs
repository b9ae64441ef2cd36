//! The telephone network behind Microsoft: what becomes of a number that is called.

use std::time::Duration;

use serde_json::{Value, json};

use crate::script::same_number;

/// What the far end's side of the call is heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FarSound {
    /// Nothing, until a test has the leg talk.
    #[default]
    Silence,
    /// What is said to it.
    Echo,
    /// That many packets of coded audio.
    Talks(u32),
}

/// How an operation ended: `resultInformation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Like a status of SIP or HTTP.
    pub code: u16,
    /// What exactly.
    pub sub_code: u32,
    /// Azure's sentence.
    pub message: String,
    /// What SIP said: status and phrase.
    pub sip: Option<(u16, String)>,
    /// What ISUP said: cause and phrase.
    pub q850: Option<(u16, String)>,
}

impl Outcome {
    /// Everything went well.
    #[must_use]
    pub fn success(message: &str) -> Self {
        Self {
            code: 200,
            sub_code: 0,
            message: message.to_owned(),
            sip: None,
            q850: None,
        }
    }

    /// Azure itself gave this code and sub-code.
    #[must_use]
    pub fn azure(code: u16, sub_code: u32, message: &str) -> Self {
        Self {
            code,
            sub_code,
            ..Self::success(message)
        }
    }

    /// The telephone network gave this status: sub-code 560 and the status.
    #[must_use]
    pub fn network(status: u16, phrase: &str) -> Self {
        Self {
            code: status,
            sub_code: 560_000 + u32::from(status),
            message: format!("The call was ended by the telephone network: {phrase}."),
            sip: Some((status, phrase.to_owned())),
            q850: None,
        }
    }

    pub(super) fn json(&self) -> Value {
        let details = |pair: &Option<(u16, String)>| {
            pair.as_ref()
                .map(|(code, message)| json!({"code": code, "message": message}))
        };
        let mut value = json!({
            "code": self.code, "subCode": self.sub_code, "message": self.message,
        });
        if let Some(sip) = details(&self.sip) {
            value["sipDetails"] = sip;
        }
        if let Some(q850) = details(&self.q850) {
            value["q850Details"] = q850;
        }
        value
    }
}

/// What becomes of a call to a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FarEnd {
    /// It is answered.
    Answers {
        /// After ringing so long.
        after: Duration,
        /// The far end hangs up so long after that.
        hangs_up_after: Option<Duration>,
        /// What is heard of it.
        sound: FarSound,
    },
    /// It fails.
    Fails {
        /// After so long.
        after: Duration,
        /// How.
        outcome: Outcome,
    },
    /// It rings for ever: the invitation ends it.
    Never,
    /// The request itself is refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Azure's code of the error.
        code: String,
        /// Seconds in `Retry-After`.
        retry_after: Option<u32>,
    },
}

impl FarEnd {
    /// Answered after so long, silent until a test has the leg talk.
    #[must_use]
    pub fn answers_after(after: Duration) -> Self {
        Self::Answers {
            after,
            hangs_up_after: None,
            sound: FarSound::Silence,
        }
    }

    /// The same, and the far end hangs up so long after it answered.
    #[must_use]
    pub fn hanging_up_after(self, time: Duration) -> Self {
        match self {
            Self::Answers { after, sound, .. } => Self::Answers {
                after,
                hangs_up_after: Some(time),
                sound,
            },
            other @ (Self::Fails { .. } | Self::Never | Self::Refused { .. }) => other,
        }
    }

    /// The same, heard like this.
    #[must_use]
    pub fn sounding(self, sound: FarSound) -> Self {
        match self {
            Self::Answers {
                after,
                hangs_up_after,
                ..
            } => Self::Answers {
                after,
                hangs_up_after,
                sound,
            },
            other @ (Self::Fails { .. } | Self::Never | Self::Refused { .. }) => other,
        }
    }

    fn fails(outcome: Outcome) -> Self {
        Self::Fails {
            after: Duration::from_millis(50),
            outcome,
        }
    }

    /// 486, sub-code 560486.
    #[must_use]
    pub fn busy() -> Self {
        Self::fails(Outcome {
            q850: Some((17, "User busy".to_owned())),
            ..Outcome::network(486, "Busy Here")
        })
    }

    /// 480, sub-code 560480.
    #[must_use]
    pub fn no_answer() -> Self {
        Self::fails(Outcome {
            q850: Some((19, "No answer from user".to_owned())),
            ..Outcome::network(480, "Temporarily Unavailable")
        })
    }

    /// 404, sub-code 560404: no such number.
    #[must_use]
    pub fn no_such_number() -> Self {
        Self::fails(Outcome {
            q850: Some((1, "Unallocated number".to_owned())),
            ..Outcome::network(404, "Not Found")
        })
    }

    /// 403, sub-code 510403.
    #[must_use]
    pub fn refuses_caller_id() -> Self {
        Self::fails(refused_caller_id())
    }

    /// The request itself is refused with this status.
    #[must_use]
    pub fn refused(status: u16, code: &str) -> Self {
        Self::Refused {
            status,
            code: code.to_owned(),
            retry_after: None,
        }
    }
}

/// The caller id is not one the resource may use.
pub(super) fn refused_caller_id() -> Outcome {
    let message = "The caller id is not one of the resource's numbers with outbound calling.";
    Outcome::azure(403, 510_403, message)
}

/// What becomes of calls, by number.
#[derive(Clone, Debug)]
pub(super) struct Network {
    by_number: Vec<(String, FarEnd)>,
}

impl Network {
    pub(super) fn new() -> Self {
        Self {
            by_number: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, number: &str, far_end: FarEnd) {
        self.by_number
            .retain(|(known, _)| !same_number(known, number));
        self.by_number.push((number.to_owned(), far_end));
    }

    pub(super) fn of(&self, number: &str, otherwise: &FarEnd) -> FarEnd {
        let mut known = self.by_number.iter();
        known
            .find(|(known, _)| same_number(known, number))
            .map_or_else(|| otherwise.clone(), |(_, far_end)| far_end.clone())
    }
}
