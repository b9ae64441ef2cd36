//! What a called party does with an INVITE, as data.

use std::time::Duration;

/// One thing to do, after the ones before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait(Duration),
    Respond(Reply),
    HangUp,
    Hold,
    Resume,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Which early dialog it belongs to; each number has a To tag of its own.
    pub(crate) fork: u8,
    pub(crate) description: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) phrase: Option<String>,
    /// Repeated until its PRACK (RFC 3262).
    pub(crate) reliable: bool,
}

/// What a party does with each call that comes in. Steps are done in order.
///
/// ```
/// use std::time::Duration;
/// let script = sim::Script::new().ring().wait(Duration::from_secs(2)).answer();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub(crate) trying: bool,
    pub(crate) steps: Vec<Step>,
}

impl Default for Script {
    fn default() -> Self {
        Self::new().ring().wait(Duration::from_secs(1)).answer()
    }
}

impl Script {
    /// Answers 100 at once, and then nothing until steps are added.
    #[must_use]
    pub fn new() -> Self {
        Self {
            trying: true,
            steps: Vec::new(),
        }
    }

    /// Never answers anything.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            trying: false,
            steps: Vec::new(),
        }
    }

    /// Answers with this final response at once.
    #[must_use]
    pub fn reject(status: u16) -> Self {
        Self::new().respond(status)
    }

    /// Waits.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Self {
        self.steps.push(Step::Wait(time));
        self
    }

    /// Sends 180 without SDP.
    #[must_use]
    pub fn ring(self) -> Self {
        self.respond(180)
    }

    /// Sends 180 without SDP in an early dialog of its own; 0 is the one that `ring` is in.
    #[must_use]
    pub fn ring_as(self, fork: u8) -> Self {
        self.reply(180, fork, false)
    }

    /// Sends 183 with SDP.
    #[must_use]
    pub fn progress(self) -> Self {
        self.reply(183, 0, true)
    }

    /// Sends 183 with SDP in an early dialog of its own.
    #[must_use]
    pub fn progress_as(self, fork: u8) -> Self {
        self.reply(183, fork, true)
    }

    /// Sends 200 with SDP.
    #[must_use]
    pub fn answer(self) -> Self {
        self.reply(200, 0, true)
    }

    /// Sends 200 with SDP under the To tag of another early dialog, or of none so far.
    #[must_use]
    pub fn answer_as(self, fork: u8) -> Self {
        self.reply(200, fork, true)
    }

    /// Sends a response without SDP.
    #[must_use]
    pub fn respond(self, status: u16) -> Self {
        self.reply(status, 0, false)
    }

    /// Makes the response before a reliable one.
    #[must_use]
    pub fn reliably(mut self) -> Self {
        if let Some(Step::Respond(reply)) = self.steps.last_mut() {
            reply.reliable = true;
        }
        self
    }

    /// Sends a response with SDP in an early dialog.
    #[must_use]
    pub fn describe_as(self, status: u16, fork: u8) -> Self {
        self.reply(status, fork, true)
    }

    /// Adds a header field to the response before.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Some(Step::Respond(reply)) = self.steps.last_mut() {
            reply.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Gives the response before another reason phrase.
    #[must_use]
    pub fn with_phrase(mut self, phrase: &str) -> Self {
        if let Some(Step::Respond(reply)) = self.steps.last_mut() {
            reply.phrase = Some(phrase.to_owned());
        }
        self
    }

    /// Sends BYE.
    #[must_use]
    pub fn hang_up(mut self) -> Self {
        self.steps.push(Step::HangUp);
        self
    }

    /// Sends a re-INVITE that holds the other side, in the party's own dialect.
    #[must_use]
    pub fn hold(mut self) -> Self {
        self.steps.push(Step::Hold);
        self
    }

    /// Sends a re-INVITE that ends the hold.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.steps.push(Step::Resume);
        self
    }

    fn reply(mut self, status: u16, fork: u8, description: bool) -> Self {
        let headers = Vec::new();
        self.steps.push(Step::Respond(Reply {
            status,
            fork,
            description,
            headers,
            phrase: None,
            reliable: false,
        }));
        self
    }
}
