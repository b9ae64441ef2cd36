//! The called party has answered, and the caller, whose INVITE brought no offer, owes the answer
//! to ours in its ACK (RFC 3261 §13.2.1, M-03).

use std::sync::Arc;

use bytes::Bytes;
use sdp::{PendingOffer, SessionDescription};
use sip_msg::{Method, StatusCode};
use sip_ua::DialogKey;

use super::ending::{End, Ending};
use super::talking::Talking;
use super::upkeep::Upkeep;
use super::{Event, Head, Phase};
use crate::core::{Core, Reply};
use crate::failure::{Cause, FailureClass};
use crate::key::Side;
use crate::leg::{Exchange, Heard, Leg, LegMedia, Session};
use crate::passlist;
use crate::profile::{HoldMusic, TrunkProfile};

/// The caller's side of a call that has been answered.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) dialog: DialogKey,
    pub(crate) media: LegMedia,
    pub(crate) upkeep: Upkeep,
}

impl Caller {
    /// The leg it is once its session is agreed on. Its ACK is still to come.
    pub(crate) fn agreed(self, trunk: &Arc<TrunkProfile>, session: Session) -> Leg {
        Leg {
            side: Side::A,
            trunk: Arc::clone(trunk),
            dialog: self.dialog,
            media: self.media,
            session,
            exchange: Exchange::AwaitAck { offer: None },
            recode: false,
            upkeep: self.upkeep,
            playing: HoldMusic::None,
            listening: false,
        }
    }
}

/// The phase in which the caller owes us an answer.
#[derive(Debug)]
pub(crate) struct Offered {
    caller: Caller,
    told: Bytes,
    offer: PendingOffer,
    callee: Leg,
}

impl Offered {
    pub(crate) fn begin(caller: Caller, told: Bytes, offer: PendingOffer, callee: Leg) -> Phase {
        Phase::Offered(Box::new(Self {
            caller,
            told,
            offer,
            callee,
        }))
    }

    pub(crate) fn on(self: Box<Self>, core: &mut Core, head: &mut Head, event: Event) -> Phase {
        match event {
            Event::Acked {
                side: Side::A, ack, ..
            } => self.answered(core, head, &ack.body),
            Event::AckTimeout => {
                let end = End::gateway(FailureClass::Timeout, Cause::TIMER_EXPIRY);
                self.hang_up(core, head, end, None)
            }
            Event::Request {
                server,
                side,
                request,
                ..
            } => {
                let trunk = match side {
                    Side::A => Arc::clone(&head.trunk),
                    Side::B => Arc::clone(&self.callee.trunk),
                };
                if request.method == Method::Bye {
                    core.reply(server, &trunk, Reply::new(StatusCode::OK));
                    let end = End::bye(side, &request.headers, &trunk);
                    return self.hang_up(core, head, end, Some(side));
                }
                core.answer_unwanted(server, &trunk, &request);
                Phase::Offered(self)
            }
            Event::Cloud { side, event } => match End::of_cloud(head, side, event) {
                Some(end) => self.hang_up(core, head, end, None),
                None => Phase::Offered(self),
            },
            Event::HangUp(end) => self.hang_up(core, head, end, None),
            Event::Provisional { .. }
            | Event::Final { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Acked { .. }
            | Event::PrackTimeout
            | Event::RetryInvite { .. }
            | Event::Timer(_)
            | Event::Media { .. } => Phase::Offered(self),
        }
    }

    fn answered(self: Box<Self>, core: &mut Core, head: &mut Head, body: &Bytes) -> Phase {
        let Self {
            caller,
            told,
            offer,
            callee,
        } = *self;
        let answer = SessionDescription::parse(body).ok();
        let offer_again = offer.fork();
        let negotiated = answer.and_then(|answer| offer.answered(&answer).ok());
        let Some(negotiated) = negotiated else {
            let end = End::gateway(FailureClass::Protocol, Cause::BEARER_NOT_IMPLEMENTED);
            let unanswered = Self {
                caller,
                told,
                offer: offer_again,
                callee,
            };
            return Box::new(unanswered).hang_up(core, head, end, None);
        };
        let intends = negotiated.remote.direction;
        let conveyed = callee.session.intends;
        let session = Session {
            told,
            heard: Heard::of(body),
            negotiated,
            intends,
            conveyed,
        };
        let mut leg = caller.agreed(&head.trunk, session);
        leg.exchange = Exchange::Idle;
        Talking::begin(core, head, leg, callee)
    }

    fn hang_up(
        self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        end: End,
        gone: Option<Side>,
    ) -> Phase {
        let Self { caller, callee, .. } = *self;
        if gone != Some(Side::A) {
            core.bye(
                caller.dialog,
                end.headers(passlist::Phase::Ending, &head.trunk),
            );
        }
        if gone != Some(Side::B) {
            core.bye(
                callee.dialog,
                end.headers(passlist::Phase::Ending, &callee.trunk),
            );
        }
        let legs = [caller.media.id, callee.media.id];
        caller.media.close(core);
        callee.media.close(core);
        Ending::begin(core, head, end, legs)
    }
}
