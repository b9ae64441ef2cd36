//! REFER with Replaces (RFC 5589 §7): a party that is in two calls joins the other two parties.
//!
//! Both calls are ours, so that it is done here, and nobody hears of REFER or Replaces but who
//! asked. The call in which it is asked goes on, with the party of the other one in the
//! place of who asked.

use ambient::Moment;
use sip_msg::{Method, Request, StatusCode};
use sip_ua::{DialogState, ServerKey};

use super::referral::Refusal;
use super::{Referral, done};
use crate::call::talking::Talking;
use crate::call::{Call, End, Ending, Head, Phase, Timer};
use crate::core::{Core, Due};
use crate::key::{CallKey, Side};
use crate::leg::Leg;
use crate::passlist::Taken;
use crate::record::{EndedBy, Number, TransferKind, TransferRecord};

/// A REFER that names another call of the same trunk.
#[derive(Debug)]
pub(crate) struct Consultation {
    pub(crate) server: ServerKey,
    /// The call in which it is asked, and the side of the party that asks.
    pub(crate) asked: (CallKey, Side),
    /// The other call, and the side that the same party has in it.
    pub(crate) named: (CallKey, Side),
    pub(crate) request: Request,
}

/// A party that leaves its call for another one.
#[derive(Debug)]
pub(crate) struct Moved {
    leg: Leg,
    /// When the session of the leg is over, and when it is to be refreshed.
    session: Option<Moment>,
    refresh: Option<Moment>,
    from: CallKey,
}

impl Consultation {
    /// The other call that a request names, if it is a REFER that names one of the trunk that it
    /// comes from. Another trunk's calls are nobody else's to know of.
    pub(crate) fn named(
        core: &Core,
        (call, side): (CallKey, Side),
        talking: &Talking,
        request: &Request,
    ) -> Option<(CallKey, Side)> {
        if request.method != Method::Refer {
            return None;
        }
        let named = Referral::read(request).ok()?.replaces?;
        let dialog = core
            .ua
            .find_dialog(&named.call_id, &named.to_tag, &named.from_tag)?;
        let known = core.ua.dialog(dialog)?;
        let ours = *known.trunk() == talking.leg(side).trunk.name;
        if !ours || known.state != DialogState::Confirmed {
            return None;
        }
        let place = core.index.dialogs.get(&dialog).copied()?;
        (place.0 != call).then_some(place)
    }

    /// Whether the call in which it is asked takes it, and the other one lets go.
    pub(crate) fn consider(&self, asked: &Call, named: &Call) -> Result<Referral, Refusal> {
        let pending = StatusCode::REQUEST_PENDING;
        let pending = Refusal::new(pending, pending.default_reason());
        let (Some(talking), Some(other)) = (asked.talking(), named.talking()) else {
            return Err(pending);
        };
        let referral = talking.may_refer(&asked.head, self.asked.1, &self.request)?;
        match other.transfer {
            Some(_) => Err(pending),
            None => Ok(referral),
        }
    }
}

impl Call {
    /// The call as one that is up.
    pub(crate) fn talking(&self) -> Option<&Talking> {
        match &self.phase {
            Phase::Talking(talking) => Some(talking),
            Phase::Setup(_) | Phase::Held(_) | Phase::Offered(_) | Phase::Ending(_) => None,
        }
    }

    /// Gives the party across from `named` away; the call ends.
    pub(crate) fn let_go(self, core: &mut Core, by: &Consultation) -> (Self, Option<Moved>) {
        let Self { mut head, phase } = self;
        let (phase, moved) = match phase {
            Phase::Talking(talking) => {
                let (phase, moved) = talking.let_go(core, &mut head, by);
                (phase, Some(moved))
            }
            other @ (Phase::Setup(_) | Phase::Held(_) | Phase::Offered(_) | Phase::Ending(_)) => {
                (other, None)
            }
        };
        (Self { head, phase }, moved)
    }

    /// Takes the party that another call gave away, in the place of who asked for it.
    pub(crate) fn take_in(
        self,
        core: &mut Core,
        by: &Consultation,
        referral: &Referral,
        moved: Moved,
    ) -> Self {
        let Self { mut head, phase } = self;
        let phase = match phase {
            Phase::Talking(talking) => talking.take_in(core, &mut head, (by, referral), moved),
            other @ (Phase::Setup(_) | Phase::Held(_) | Phase::Offered(_) | Phase::Ending(_)) => {
                other
            }
        };
        Self { head, phase }
    }
}

impl Talking {
    fn let_go(
        self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        by: &Consultation,
    ) -> (Phase, Moved) {
        let side = by.named.1;
        self.note_codecs(head);
        let Self { a, b, saved, .. } = *self;
        let (own, mut leg) = match side {
            Side::A => (a, b),
            Side::B => (b, a),
        };
        if leg.side == Side::A {
            // The place among calls is given back with this call.
            core.index.exchange_shares(leg.media.id, own.media.id);
        }
        let at = |timer| core.deadlines.deadline(&Due::Call(head.key, timer));
        let (session, refresh) = (at(Timer::Session(leg.side)), at(Timer::Refresh(leg.side)));
        leg.go_over(core, by.asked);
        head.record.transfers.push(TransferRecord {
            linked: Some(by.asked.0),
            ..done(core, head, TransferKind::Attended, side)
        });
        let end = End::transferred(side);
        let closing = own.media.id;
        own.end(core, Some(&end));
        if saved {
            core.forget_checkpoint(head.key);
        }
        let moved = Moved {
            leg,
            session,
            refresh,
            from: head.key,
        };
        (Ending::begin(core, head, end, [closing]), moved)
    }

    fn take_in(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        (by, referral): (&Consultation, &Referral),
        moved: Moved,
    ) -> Phase {
        let side = by.asked.1;
        let dialog = self.accepted_referral(core, by.server, (side, &by.request), referral);
        let Moved {
            leg: mut new,
            session,
            refresh,
            from,
        } = moved;
        for (timer, at) in [
            (Timer::Session(side), session),
            (Timer::Refresh(side), refresh),
        ] {
            core.disarm(head.key, timer);
            if let Some(at) = at {
                core.deadlines.set(Due::Call(head.key, timer), at);
            }
        }
        head.record.transfers.push(TransferRecord {
            target: referral.target.user().map(Number::new),
            linked: Some(from),
            ..done(core, head, TransferKind::Attended, side)
        });
        new.recode = new.outruns(self.leg(side.other()));
        let old = self.put_in_place(core, head, side, new);
        core.notify(dialog, StatusCode::OK, true);
        old.depart(core, head.key);
        self.settle(core, head);
        Phase::Talking(self)
    }
}

impl End {
    /// The party of one leg handed the other one over to another call of its own.
    fn transferred(side: Side) -> Self {
        let by = match side {
            Side::A => EndedBy::Caller,
            Side::B => EndedBy::Called,
        };
        Self {
            by,
            status: Some(StatusCode::OK),
            cause: crate::failure::Cause::NORMAL_CLEARING,
            failure: None,
            said: Taken::nothing(),
        }
    }
}
