//! The INVITE client transaction: RFC 3261 §17.1.1 as amended by RFC 6026 §7.2.

use ambient::Moment;
use bytes::Bytes;
use sip_msg::{Class, StatusCode};

use crate::timers::{Pace, Repeat, earliest};

/// One state a type; the terminated state is absence.
#[derive(Debug)]
pub(crate) enum InviteClient {
    Calling(Calling),
    Proceeding(Proceeding),
    Completed(Completed),
    Accepted(Accepted),
}

/// Sent, and nothing heard yet.
#[derive(Debug)]
pub(crate) struct Calling {
    wire: Bytes,
    /// Timer A.
    repeat: Option<Repeat>,
    /// Timer B.
    give_up: Moment,
}

/// A provisional response came.
#[derive(Debug)]
pub(crate) struct Proceeding {
    patience: Patience,
}

/// What ends the wait for a final response.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// Timer C, started anew by every 101-199.
    TimerC(Moment),
    /// A CANCEL was sent: 64*T1 (RFC 3261 §9.1).
    Cancelled(Moment),
}

/// Refused; the ACK is repeated for each repetition of the refusal until timer D.
#[derive(Debug)]
pub(crate) struct Completed {
    ack: Bytes,
    expires: Moment,
}

/// A 2xx came; others may follow from other forks until timer M.
#[derive(Debug)]
pub(crate) struct Accepted {
    expires: Moment,
}

/// What a response means for whoever owns the transaction.
#[derive(Debug)]
pub(crate) enum InviteResponse {
    /// A repetition that changes nothing.
    Absorbed,
    /// For the transaction user.
    Deliver,
    /// A refusal: for the transaction user, after this ACK was sent.
    Refused(Bytes),
    /// The refusal was repeated, so is its ACK.
    AckAgain(Bytes),
}

/// What an expired timer means.
#[derive(Debug)]
pub(crate) enum InviteExpiry {
    /// Not due yet, or the end of a state that owed nothing to anyone.
    Quiet,
    Retransmit(Bytes),
    /// Timer C: send a CANCEL.
    Cancel,
    /// Timer B, or a CANCEL that led to nothing.
    TimedOut,
}

impl InviteClient {
    /// `wire` was just sent.
    pub(crate) fn start(pace: &Pace<'_>, wire: Bytes) -> Self {
        Self::Calling(Calling {
            wire,
            repeat: Repeat::start_if_unreliable(pace),
            give_up: pace.now + pace.timers.sixty_four_t1(),
        })
    }

    pub(crate) fn deadline(&self) -> Moment {
        match self {
            Self::Calling(state) => earliest(state.repeat, state.give_up),
            Self::Proceeding(state) => match state.patience {
                Patience::TimerC(at) | Patience::Cancelled(at) => at,
            },
            Self::Completed(state) => state.expires,
            Self::Accepted(state) => state.expires,
        }
    }

    /// `ack` makes the ACK of a refusal (RFC 3261 §17.1.1.3).
    pub(crate) fn on_response(
        self,
        pace: &Pace<'_>,
        status: StatusCode,
        ack: impl FnOnce() -> Bytes,
    ) -> (Option<Self>, InviteResponse) {
        match self {
            Self::Calling(_) => Self::on_first_final(pace, status, ack)
                .unwrap_or_else(|| (Some(Proceeding::enter(pace)), InviteResponse::Deliver)),
            Self::Proceeding(state) => {
                Self::on_first_final(pace, status, ack).unwrap_or_else(|| {
                    (
                        Some(Self::Proceeding(state.on_provisional(pace, status))),
                        InviteResponse::Deliver,
                    )
                })
            }
            Self::Completed(state) => {
                let answer = match status.class() {
                    Class::Provisional | Class::Success => InviteResponse::Absorbed,
                    Class::Redirection
                    | Class::ClientError
                    | Class::ServerError
                    | Class::GlobalFailure => InviteResponse::AckAgain(state.ack.clone()),
                };
                (Some(Self::Completed(state)), answer)
            }
            Self::Accepted(state) => {
                let answer = match status.is_success() {
                    true => InviteResponse::Deliver,
                    false => InviteResponse::Absorbed,
                };
                (Some(Self::Accepted(state)), answer)
            }
        }
    }

    /// Calling and Proceeding treat a final response alike; `None` for a provisional one.
    fn on_first_final(
        pace: &Pace<'_>,
        status: StatusCode,
        ack: impl FnOnce() -> Bytes,
    ) -> Option<(Option<Self>, InviteResponse)> {
        match status.class() {
            Class::Provisional => None,
            Class::Success => {
                let expires = pace.now + pace.timers.sixty_four_t1();
                Some((
                    Some(Self::Accepted(Accepted { expires })),
                    InviteResponse::Deliver,
                ))
            }
            Class::Redirection | Class::ClientError | Class::ServerError | Class::GlobalFailure => {
                let ack = ack();
                let linger = pace.timers.d(pace.transport);
                let next = (!linger.is_zero()).then(|| {
                    Self::Completed(Completed {
                        ack: ack.clone(),
                        expires: pace.now + linger,
                    })
                });
                Some((next, InviteResponse::Refused(ack)))
            }
        }
    }

    /// Whether a CANCEL may be sent now: only after a provisional and before a final response
    /// (RFC 3261 §9.1).
    pub(crate) fn can_cancel(&self) -> bool {
        matches!(
            self,
            Self::Proceeding(Proceeding {
                patience: Patience::TimerC(_)
            })
        )
    }

    /// Whether nothing was heard from the peer yet.
    pub(crate) fn is_calling(&self) -> bool {
        matches!(self, Self::Calling(_))
    }

    /// A CANCEL was sent.
    pub(crate) fn on_cancelled(self, pace: &Pace<'_>) -> Self {
        match self {
            Self::Proceeding(_) => Self::Proceeding(Proceeding {
                patience: Patience::Cancelled(pace.now + pace.timers.sixty_four_t1()),
            }),
            Self::Calling(_) | Self::Completed(_) | Self::Accepted(_) => self,
        }
    }

    pub(crate) fn on_timer(self, pace: &Pace<'_>) -> (Option<Self>, InviteExpiry) {
        if self.deadline() > pace.now {
            return (Some(self), InviteExpiry::Quiet);
        }
        match self {
            Self::Calling(state) if state.give_up <= pace.now => (None, InviteExpiry::TimedOut),
            Self::Calling(mut state) => {
                state.repeat = state.repeat.map(|repeat| repeat.doubled(pace.now));
                let wire = state.wire.clone();
                (Some(Self::Calling(state)), InviteExpiry::Retransmit(wire))
            }
            Self::Proceeding(Proceeding {
                patience: Patience::TimerC(_),
            }) => (Some(self), InviteExpiry::Cancel),
            Self::Proceeding(_) => (None, InviteExpiry::TimedOut),
            Self::Completed(_) | Self::Accepted(_) => (None, InviteExpiry::Quiet),
        }
    }
}

impl Proceeding {
    fn enter(pace: &Pace<'_>) -> InviteClient {
        let patience = Patience::TimerC(pace.now + pace.timers.timer_c);
        InviteClient::Proceeding(Self { patience })
    }

    fn on_provisional(self, pace: &Pace<'_>, status: StatusCode) -> Self {
        match self.patience {
            // §16.7 step 2: a 100 does not restart timer C.
            Patience::TimerC(_) if status != StatusCode::TRYING => Self {
                patience: Patience::TimerC(pace.now + pace.timers.timer_c),
            },
            Patience::TimerC(_) | Patience::Cancelled(_) => self,
        }
    }
}
