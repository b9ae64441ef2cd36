//! The INVITE server transaction: RFC 3261 §17.2.1 as amended by RFC 6026 §7.1, with the
//! repetition of the 2xx that RFC 3261 §13.3.1.4 gives to the user agent core.

use ambient::Moment;
use bytes::Bytes;
use sip_msg::{Class, StatusCode};

use crate::timers::{Pace, Repeat, earliest};

/// One state a type; the terminated state is absence.
#[derive(Debug)]
pub(crate) enum InviteServer {
    Proceeding(Proceeding),
    Completed(Completed),
    Confirmed(Confirmed),
    Accepted(Accepted),
}

/// A provisional response was sent, a final one is awaited from the transaction user.
#[derive(Debug)]
pub(crate) struct Proceeding {
    provisional: Bytes,
    /// When a 101-199 is repeated to keep proxies from giving up (RFC 3261 §13.3.1.1).
    refresh: Option<Moment>,
    /// When the transaction user has had its time.
    abandoned: Moment,
    /// The reliable provisional response whose PRACK has not come.
    unpracked: Option<Unpracked>,
}

/// A reliable provisional response in flight; there is never a second one (RFC 3262 §3).
#[derive(Debug)]
struct Unpracked {
    response: Bytes,
    /// It has a session description: no 2xx may be sent before its PRACK.
    described: bool,
    repeat: Repeat,
    give_up: Moment,
}

/// Refused; the refusal is repeated until its ACK.
#[derive(Debug)]
pub(crate) struct Completed {
    response: Bytes,
    /// Timer G.
    repeat: Option<Repeat>,
    /// Timer H.
    give_up: Moment,
}

/// The refusal was acknowledged; repetitions of the ACK are absorbed until timer I.
#[derive(Debug)]
pub(crate) struct Confirmed {
    expires: Moment,
}

/// Accepted; repetitions of the INVITE are absorbed until timer L.
#[derive(Debug)]
pub(crate) struct Accepted {
    unacknowledged: Option<Unacknowledged>,
    expires: Moment,
}

/// The 2xx whose ACK has not come.
#[derive(Debug)]
struct Unacknowledged {
    response: Bytes,
    repeat: Repeat,
}

/// What an expired timer means.
#[derive(Debug)]
pub(crate) enum ServerExpiry {
    /// Not due yet, or the end of a state that owed nothing to anyone.
    Quiet,
    Retransmit(Bytes),
    /// The transaction user left the INVITE unanswered for too long.
    Abandoned,
    /// Timer H: the refusal was never acknowledged.
    RefusalUnacknowledged,
    /// 64*T1 passed without an ACK for the 2xx.
    AckTimeout,
    /// 64*T1 passed without a PRACK for the reliable provisional response.
    PrackTimeout,
}

impl InviteServer {
    /// `trying`, a 100, was just sent.
    pub(crate) fn start(pace: &Pace<'_>, trying: Bytes) -> Self {
        Self::Proceeding(Proceeding {
            provisional: trying,
            refresh: None,
            abandoned: pace.now + pace.timers.server_patience,
            unpracked: None,
        })
    }

    pub(crate) fn deadline(&self) -> Moment {
        match self {
            Self::Proceeding(state) => state.deadline(),
            Self::Completed(state) => earliest(state.repeat, state.give_up),
            Self::Confirmed(state) => state.expires,
            Self::Accepted(state) => earliest(
                state.unacknowledged.as_ref().map(|u| u.repeat),
                state.expires,
            ),
        }
    }

    /// Whether a final response was sent.
    pub(crate) fn is_answered(&self) -> bool {
        !matches!(self, Self::Proceeding(_))
    }

    /// Whether the final response was a refusal: then its ACK is the transaction's own.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Confirmed(_))
    }

    /// The INVITE came again: what to repeat, if anything. A 2xx is repeated by its own timer only
    /// (RFC 6026 §7.1).
    pub(crate) fn on_retransmission(&self) -> Option<Bytes> {
        match self {
            Self::Proceeding(state) => Some(state.provisional.clone()),
            Self::Completed(state) => Some(state.response.clone()),
            Self::Confirmed(_) | Self::Accepted(_) => None,
        }
    }

    /// `wire` is sent as a response; unchanged when a final response was sent before.
    pub(crate) fn on_respond(self, pace: &Pace<'_>, status: StatusCode, wire: Bytes) -> Self {
        let Self::Proceeding(state) = self else {
            return self;
        };
        match status.class() {
            Class::Provisional => Self::Proceeding(Proceeding {
                provisional: wire,
                refresh: (status != StatusCode::TRYING)
                    .then(|| pace.now + pace.timers.provisional_refresh),
                abandoned: state.abandoned,
                unpracked: state.unpracked,
            }),
            Class::Success => Self::Accepted(Accepted {
                unacknowledged: Some(Unacknowledged {
                    response: wire,
                    // Whatever the transport: the loss may be behind a proxy (§13.3.1.4).
                    repeat: Repeat::start(pace),
                }),
                expires: pace.now + pace.timers.sixty_four_t1(),
            }),
            Class::Redirection | Class::ClientError | Class::ServerError | Class::GlobalFailure => {
                Self::Completed(Completed {
                    response: wire,
                    repeat: Repeat::start_if_unreliable(pace),
                    give_up: pace.now + pace.timers.sixty_four_t1(),
                })
            }
        }
    }

    /// `response`, a provisional one, was just sent reliably: it is repeated until its PRACK,
    /// whatever the transport (RFC 3262 §3).
    pub(crate) fn await_prack(&mut self, pace: &Pace<'_>, response: Bytes, described: bool) {
        if let Self::Proceeding(state) = self {
            state.unpracked = Some(Unpracked {
                response,
                described,
                repeat: Repeat::start(pace),
                give_up: pace.now + pace.timers.sixty_four_t1(),
            });
        }
    }

    /// The PRACK came: the provisional response is not repeated any more.
    pub(crate) fn on_pracked(&mut self) {
        if let Self::Proceeding(state) = self {
            state.unpracked = None;
        }
    }

    /// Whether a reliable provisional response waits for its PRACK; `described` asks for one
    /// with a session description only.
    pub(crate) fn awaits_prack(&self, described: bool) -> bool {
        match self {
            Self::Proceeding(Proceeding {
                unpracked: Some(unpracked),
                ..
            }) => unpracked.described || !described,
            Self::Proceeding(_) | Self::Completed(_) | Self::Confirmed(_) | Self::Accepted(_) => {
                false
            }
        }
    }

    /// The ACK of a refusal.
    pub(crate) fn on_ack(self, pace: &Pace<'_>) -> Option<Self> {
        match self {
            Self::Completed(_) => {
                let linger = pace.timers.absorb(pace.transport);
                (!linger.is_zero()).then(|| {
                    Self::Confirmed(Confirmed {
                        expires: pace.now + linger,
                    })
                })
            }
            Self::Proceeding(_) | Self::Confirmed(_) | Self::Accepted(_) => Some(self),
        }
    }

    /// The ACK of the 2xx, or the end of its dialog: the 2xx is not repeated any more.
    pub(crate) fn on_acknowledged(&mut self) {
        if let Self::Accepted(state) = self {
            state.unacknowledged = None;
        }
    }

    pub(crate) fn on_timer(self, pace: &Pace<'_>) -> (Option<Self>, ServerExpiry) {
        if self.deadline() > pace.now {
            return (Some(self), ServerExpiry::Quiet);
        }
        match self {
            Self::Proceeding(state) if state.abandoned <= pace.now => {
                (Some(Self::Proceeding(state)), ServerExpiry::Abandoned)
            }
            Self::Proceeding(state) => state.on_timer(pace),
            Self::Completed(state) if state.give_up <= pace.now => {
                (None, ServerExpiry::RefusalUnacknowledged)
            }
            Self::Completed(mut state) => {
                let t2 = pace.timers.t2;
                state.repeat = state.repeat.map(|repeat| repeat.doubled_to(pace.now, t2));
                let wire = state.response.clone();
                (Some(Self::Completed(state)), ServerExpiry::Retransmit(wire))
            }
            Self::Confirmed(_) => (None, ServerExpiry::Quiet),
            Self::Accepted(state) => state.on_timer(pace),
        }
    }
}

impl Proceeding {
    fn deadline(&self) -> Moment {
        let unpracked = self.unpracked.as_ref();
        let unpracked = unpracked.map(|open| open.repeat.at.min(open.give_up));
        [self.refresh, unpracked]
            .into_iter()
            .flatten()
            .fold(self.abandoned, Moment::min)
    }

    /// Something other than the transaction user's time is due.
    fn on_timer(mut self, pace: &Pace<'_>) -> (Option<InviteServer>, ServerExpiry) {
        let expiry = match &mut self.unpracked {
            Some(open) if open.give_up <= pace.now => {
                self.unpracked = None;
                ServerExpiry::PrackTimeout
            }
            Some(open) if open.repeat.at <= pace.now => {
                open.repeat = open.repeat.doubled(pace.now);
                ServerExpiry::Retransmit(open.response.clone())
            }
            Some(_) | None => {
                self.refresh = Some(pace.now + pace.timers.provisional_refresh);
                ServerExpiry::Retransmit(self.provisional.clone())
            }
        };
        (Some(InviteServer::Proceeding(self)), expiry)
    }
}

impl Accepted {
    fn on_timer(mut self, pace: &Pace<'_>) -> (Option<InviteServer>, ServerExpiry) {
        if self.expires <= pace.now {
            let expiry = match self.unacknowledged {
                Some(_) => ServerExpiry::AckTimeout,
                None => ServerExpiry::Quiet,
            };
            return (None, expiry);
        }
        let Some(pending) = &mut self.unacknowledged else {
            return (Some(InviteServer::Accepted(self)), ServerExpiry::Quiet);
        };
        pending.repeat = pending.repeat.doubled_to(pace.now, pace.timers.t2);
        let wire = pending.response.clone();
        (
            Some(InviteServer::Accepted(self)),
            ServerExpiry::Retransmit(wire),
        )
    }
}
