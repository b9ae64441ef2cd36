//! What a test wants to go wrong.

use std::time::Duration;

use super::answer::Answer;
use super::request::Request;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is refused and not carried out.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Azure's code of the error.
        code: String,
        /// Seconds in `Retry-After`.
        retry_after: Option<u32>,
    },
    /// It is carried out, and answered after this.
    Slow(Duration),
    /// It is not carried out, and never answered.
    Never,
    /// It is carried out, and never answered.
    AnswerLost,
    /// It is answered with this text, and not carried out.
    Garbled(String),
}

/// A number of requests that go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Their method; any where empty.
    pub method: String,
    /// What their path begins with.
    pub path: String,
    /// What happens to them.
    pub trouble: Trouble,
    /// How many of them.
    pub times: u32,
}

impl Fault {
    /// The next request is refused with a status and a code.
    #[must_use]
    pub fn refused(status: u16, code: &str) -> Self {
        Self::next(Trouble::Refused {
            status,
            code: code.to_owned(),
            retry_after: None,
        })
    }

    /// Trouble for the next request.
    #[must_use]
    pub fn next(trouble: Trouble) -> Self {
        Self {
            method: String::new(),
            path: "/".to_owned(),
            trouble,
            times: 1,
        }
    }

    /// The same for requests with this method only.
    #[must_use]
    pub fn on(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// The same for so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn concerns(&self, request: &Request) -> bool {
        (self.method.is_empty() || self.method == request.method)
            && request.path().starts_with(&self.path)
    }
}

/// Faults that wait for their request.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push(fault);
        }
    }

    pub(super) fn take(&mut self, request: &Request) -> Option<Trouble> {
        let at = self.0.iter().position(|fault| fault.concerns(request))?;
        let fault = &mut self.0[at];
        fault.times -= 1;
        let trouble = fault.trouble.clone();
        if fault.times == 0 {
            self.0.remove(at);
        }
        Some(trouble)
    }
}

/// The refusal a fault asks for.
pub(super) fn refusal(status: u16, code: &str, retry_after: Option<u32>) -> Answer {
    let answer = Answer::error(status, code, "A fault that was asked for.");
    match retry_after {
        Some(seconds) => answer.with("retry-after", seconds.to_string()),
        None => answer,
    }
}
