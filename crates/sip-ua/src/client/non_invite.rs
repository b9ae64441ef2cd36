//! The non-INVITE client transaction: RFC 3261 §17.1.2.

use ambient::Moment;
use bytes::Bytes;
use sip_msg::StatusCode;

use crate::timers::{Pace, Repeat, earliest};

/// One state a type; the terminated state is absence.
#[derive(Debug)]
pub(crate) enum NonInviteClient {
    Trying(Trying),
    Proceeding(Proceeding),
    Completed(Completed),
}

/// Sent, and nothing heard yet.
#[derive(Debug)]
pub(crate) struct Trying {
    wire: Bytes,
    /// Timer E.
    repeat: Option<Repeat>,
    /// Timer F.
    give_up: Moment,
}

/// A provisional response came; the request is still repeated, every T2.
#[derive(Debug)]
pub(crate) struct Proceeding {
    wire: Bytes,
    /// Timer E.
    repeat: Option<Repeat>,
    /// Timer F, running since the request was sent.
    give_up: Moment,
}

/// Answered; repetitions of the final response are absorbed until timer K.
#[derive(Debug)]
pub(crate) struct Completed {
    expires: Moment,
}

/// What a response means for whoever owns the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonInviteResponse {
    /// A repetition that changes nothing.
    Absorbed,
    /// For the transaction user.
    Deliver,
}

/// What an expired timer means.
#[derive(Debug)]
pub(crate) enum NonInviteExpiry {
    /// Not due yet, or timer K.
    Quiet,
    Retransmit(Bytes),
    /// Timer F.
    TimedOut,
}

impl NonInviteClient {
    /// `wire` was just sent.
    pub(crate) fn start(pace: &Pace<'_>, wire: Bytes) -> Self {
        Self::Trying(Trying {
            wire,
            repeat: Repeat::start_if_unreliable(pace),
            give_up: pace.now + pace.timers.sixty_four_t1(),
        })
    }

    pub(crate) fn deadline(&self) -> Moment {
        match self {
            Self::Trying(state) => earliest(state.repeat, state.give_up),
            Self::Proceeding(state) => earliest(state.repeat, state.give_up),
            Self::Completed(state) => state.expires,
        }
    }

    /// Whether nothing was heard from the peer yet.
    pub(crate) fn is_trying(&self) -> bool {
        matches!(self, Self::Trying(_))
    }

    pub(crate) fn on_response(
        self,
        pace: &Pace<'_>,
        status: StatusCode,
    ) -> (Option<Self>, NonInviteResponse) {
        let (wire, repeat, give_up) = match self {
            Self::Trying(state) => (state.wire, state.repeat, state.give_up),
            Self::Proceeding(state) => (state.wire, state.repeat, state.give_up),
            Self::Completed(state) => {
                return (Some(Self::Completed(state)), NonInviteResponse::Absorbed);
            }
        };
        let next = if status.is_provisional() {
            Some(Self::Proceeding(Proceeding {
                wire,
                repeat,
                give_up,
            }))
        } else {
            let linger = pace.timers.absorb(pace.transport);
            (!linger.is_zero()).then(|| {
                Self::Completed(Completed {
                    expires: pace.now + linger,
                })
            })
        };
        (next, NonInviteResponse::Deliver)
    }

    pub(crate) fn on_timer(self, pace: &Pace<'_>) -> (Option<Self>, NonInviteExpiry) {
        if self.deadline() > pace.now {
            return (Some(self), NonInviteExpiry::Quiet);
        }
        match self {
            Self::Trying(Trying { give_up, .. }) | Self::Proceeding(Proceeding { give_up, .. })
                if give_up <= pace.now =>
            {
                (None, NonInviteExpiry::TimedOut)
            }
            Self::Trying(mut state) => {
                state.repeat = state
                    .repeat
                    .map(|repeat| repeat.doubled_to(pace.now, pace.timers.t2));
                let wire = state.wire.clone();
                (Some(Self::Trying(state)), NonInviteExpiry::Retransmit(wire))
            }
            Self::Proceeding(mut state) => {
                state.repeat = state
                    .repeat
                    .map(|repeat| repeat.every(pace.now, pace.timers.t2));
                let wire = state.wire.clone();
                (
                    Some(Self::Proceeding(state)),
                    NonInviteExpiry::Retransmit(wire),
                )
            }
            Self::Completed(_) => (None, NonInviteExpiry::Quiet),
        }
    }
}
