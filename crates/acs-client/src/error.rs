//! What can go wrong between us and Azure, by who is at fault.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::call_automation::in_words;

/// What Azure answered instead of doing what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The error's code in Azure's words; empty where the body has none.
    pub code: String,
    /// The code of the innermost error that has one, where that is another: what exactly it was.
    pub inner: Option<String>,
    /// Azure's sentence about it.
    pub message: String,
    /// The name of the request in Azure's logs, to quote to its support.
    pub request: Option<String>,
}

/// Text of Azure's that ends up in an error is cut here.
const LONGEST: usize = 500;

impl Answer {
    pub(crate) fn read(status: u16, body: &[u8], request: Option<String>) -> Self {
        let error = serde_json::from_slice::<Envelope>(body).map(|envelope| envelope.error);
        let error = error.unwrap_or_default();
        let code = cut(&error.code);
        let inner = error.innermost().map(cut).filter(|inner| *inner != code);
        let mut message = cut(&error.message);
        // Which field is wrong stands in the inner error, if anywhere.
        if let Some(told) = error.inner_message().filter(|told| *told != error.message) {
            message = format!("{message} {}", cut(told)).trim().to_owned();
        }
        Self {
            status,
            code,
            inner,
            message,
            request,
        }
    }
}

impl Answer {
    /// The code as the number Call Automation gives, where it is one.
    #[must_use]
    pub fn sub_code(&self) -> Option<u32> {
        let mut codes = [self.inner.as_deref(), Some(self.code.as_str())].into_iter();
        codes.find_map(|code| code?.parse().ok())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if let Some(inner) = &self.inner {
            write!(f, " ({inner})")?;
        }
        if let Some(words) = self.sub_code().and_then(in_words) {
            write!(f, ", {words}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(LONGEST).collect()
}

#[derive(Default, Deserialize)]
struct Envelope {
    error: Inside,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Inside {
    code: String,
    message: String,
    innererror: Option<Box<Self>>,
}

impl Inside {
    fn innermost(&self) -> Option<&str> {
        let inner = self.innererror.as_deref()?;
        let own = Some(inner.code.as_str()).filter(|code| !code.is_empty());
        inner.innermost().or(own)
    }

    fn inner_message(&self) -> Option<&str> {
        let inner = self.innererror.as_deref()?;
        let own = Some(inner.message.as_str()).filter(|message| !message.is_empty());
        inner.inner_message().or(own)
    }
}

/// Who has to do something about an [`enum@Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was asked for, or with which key.
    Ours,
    /// Azure, or the resource's state there.
    Azure,
    /// What lies between.
    Network,
}

/// Why a request came to nothing. None of them holds a key or a signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// 401.
    #[error(
        "Azure does not accept the signature: the access key belongs to another resource or was \
         renewed, or this machine's clock is wrong ({0})"
    )]
    Unauthenticated(Answer),
    /// 403.
    #[error("Azure forbids this to the resource or its subscription ({0})")]
    Forbidden(Answer),
    /// 404.
    #[error("Azure has no such thing ({0})")]
    NotFound(Answer),
    /// 409, 412.
    #[error("what is there now contradicts the request: somebody else changed it ({0})")]
    Conflict(Answer),
    /// Any other 4xx.
    #[error("Azure finds the request wrong ({0})")]
    Invalid(Answer),
    /// 429, after every try.
    #[error("Azure asks to be left alone for a while{}: too many requests ({answer})", for_long(.wait))]
    Throttled {
        /// What it answered last.
        answer: Answer,
        /// How long it wants to be left alone, where it said so.
        wait: Option<Duration>,
    },
    /// 5xx, after every try.
    #[error("Azure failed, after {tries} tries ({answer})")]
    Failing {
        /// What it answered last.
        answer: Answer,
        /// How often it was asked.
        tries: u32,
    },
    /// No connection.
    #[error("no connection to {host}: {why}")]
    Unreachable {
        /// The endpoint's host.
        host: String,
        /// The cause.
        why: String,
    },
    /// A request that got no answer in its time. Whether it was carried out is not known.
    #[error(
        "no answer from {host} within {} s, after {tries} tries; {}", .within.as_secs_f32(),
        if *.changes { "whether the change was made is not known" } else { "nothing was changed" }
    )]
    Silent {
        /// The endpoint's host.
        host: String,
        /// The time an answer had.
        within: Duration,
        /// How often it was asked.
        tries: u32,
        /// Whether the request was one that changes something.
        changes: bool,
    },
    /// An answer that is none.
    #[error("the answer of {host} is not understood: {why}")]
    Garbled {
        /// The endpoint's host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// A long-running operation that Azure gave up.
    #[error("Azure gave up the operation {operation}: {code}: {message}")]
    GivenUp {
        /// Its id.
        operation: String,
        /// The error's code in Azure's words.
        code: String,
        /// Azure's sentence about it.
        message: String,
    },
    /// A long-running operation that took longer than it may; it goes on at Azure's.
    #[error("the operation {operation} still runs after {} s; ask for it again later", .after.as_secs())]
    Unfinished {
        /// Its id.
        operation: String,
        /// How long it was watched.
        after: Duration,
    },
}

fn for_long(wait: &Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!(" ({} s)", wait.as_secs()))
}

impl Error {
    /// Who has to do something about it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unauthenticated(_) | Self::Forbidden(_) | Self::NotFound(_) => Fault::Ours,
            Self::Invalid(_) => Fault::Ours,
            Self::Conflict(_) | Self::Throttled { .. } | Self::Failing { .. } => Fault::Azure,
            Self::GivenUp { .. } | Self::Unfinished { .. } | Self::Garbled { .. } => Fault::Azure,
            Self::Unreachable { .. } | Self::Silent { .. } => Fault::Network,
        }
    }

    /// Whether what was asked for may have been done all the same.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(
            self,
            Self::Silent { changes: true, .. } | Self::Unfinished { .. } | Self::Failing { .. }
        )
    }

    /// What Azure answered, where it did.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Unauthenticated(answer)
            | Self::Forbidden(answer)
            | Self::NotFound(answer)
            | Self::Conflict(answer)
            | Self::Invalid(answer)
            | Self::Throttled { answer, .. }
            | Self::Failing { answer, .. } => Some(answer),
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Garbled { .. }
            | Self::GivenUp { .. }
            | Self::Unfinished { .. } => None,
        }
    }
}
