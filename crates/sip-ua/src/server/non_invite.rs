//! The non-INVITE server transaction: RFC 3261 §17.2.2.

use ambient::Moment;
use bytes::Bytes;
use sip_msg::StatusCode;

use crate::timers::Pace;

/// One state a type; the terminated state is absence.
#[derive(Debug)]
pub(crate) enum NonInviteServer {
    Trying(Trying),
    Proceeding(Proceeding),
    Completed(Completed),
}

/// Nothing was answered yet; repetitions of the request are absorbed.
#[derive(Debug)]
pub(crate) struct Trying {
    /// The client has stopped waiting by then (its timer F), so that an answer is of no use
    /// (RFC 4320 §4.2).
    abandoned: Moment,
}

/// A provisional response was sent; it is repeated on demand.
#[derive(Debug)]
pub(crate) struct Proceeding {
    provisional: Bytes,
    abandoned: Moment,
}

/// Answered; the response is repeated on demand until timer J.
#[derive(Debug)]
pub(crate) struct Completed {
    response: Bytes,
    expires: Moment,
}

impl NonInviteServer {
    pub(crate) fn start(pace: &Pace<'_>) -> Self {
        Self::Trying(Trying {
            abandoned: pace.now + pace.timers.sixty_four_t1(),
        })
    }

    pub(crate) fn deadline(&self) -> Moment {
        match self {
            Self::Trying(state) => state.abandoned,
            Self::Proceeding(state) => state.abandoned,
            Self::Completed(state) => state.expires,
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Self::Completed(_))
    }

    /// The request came again: what to repeat, if anything.
    pub(crate) fn on_retransmission(&self) -> Option<Bytes> {
        match self {
            Self::Trying(_) => None,
            Self::Proceeding(state) => Some(state.provisional.clone()),
            Self::Completed(state) => Some(state.response.clone()),
        }
    }

    /// `wire` is sent as a response; unchanged when the request was already answered.
    pub(crate) fn on_respond(
        self,
        pace: &Pace<'_>,
        status: StatusCode,
        wire: Bytes,
    ) -> Option<Self> {
        let abandoned = match self {
            Self::Trying(state) => state.abandoned,
            Self::Proceeding(state) => state.abandoned,
            Self::Completed(_) => return Some(self),
        };
        if status.is_provisional() {
            return Some(Self::Proceeding(Proceeding {
                provisional: wire,
                abandoned,
            }));
        }
        let linger = pace.timers.j(pace.transport);
        (!linger.is_zero()).then(|| {
            Self::Completed(Completed {
                response: wire,
                expires: pace.now + linger,
            })
        })
    }

    /// Every timer of this machine ends it.
    pub(crate) fn on_timer(self, pace: &Pace<'_>) -> Option<Self> {
        (self.deadline() > pace.now).then_some(self)
    }
}
