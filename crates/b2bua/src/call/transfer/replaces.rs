//! INVITE with Replaces (RFC 3891): somebody takes the place of a party of the same trunk.

use std::sync::Arc;

use bytes::Bytes;
use sdp::{SessionDescription, answer_for};
use sip_msg::{HeaderName, Request, StatusCode};
use sip_ua::{DialogState, ServerKey};

use super::done;
use super::referral::Refusal;
use crate::call::begin::beyond;
use crate::call::refresh::SessionTimer;
use crate::call::talking::Talking;
use crate::call::{Call, End, Head, Phase, Upkeep};
use crate::core::{Core, Reply};
use crate::failure::{Cause, FailureClass};
use crate::key::{CallKey, Side};
use crate::leg::{Exchange, Heard, Leg, LegMedia, Session};
use crate::profile::{HoldMusic, TrunkProfile};
use crate::record::TransferKind;

/// An INVITE that names a dialog of ours.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) server: ServerKey,
    pub(crate) trunk: Arc<TrunkProfile>,
    pub(crate) invite: Request,
}

impl Replacement {
    /// The call and the side of it whose leg is to be replaced; `ended` says of a call whether it
    /// is over.
    pub(crate) fn target(
        &self,
        core: &Core,
        ended: impl Fn(CallKey) -> bool,
    ) -> Result<(CallKey, Side), Refusal> {
        let unknown = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        let unknown = Refusal::new(unknown, unknown.default_reason());
        let declined = Refusal::new(StatusCode::DECLINE, "Replacement Not Allowed");
        let bad = Refusal::new(StatusCode::BAD_REQUEST, "Exactly One Replaces Is Needed");
        let headers = &self.invite.headers;
        if !self.trunk.transfer.replaces {
            return Err(declined);
        }
        let several = headers.get_all(&HeaderName::Replaces).take(2).count() != 1;
        if several || headers.contains(&HeaderName::Join) {
            return Err(bad);
        }
        let named = headers.replaces().ok().flatten().ok_or(bad)?;
        let (ours, theirs) = (&named.to_tag, &named.from_tag);
        let dialog = core.ua.find_dialog(&named.call_id, ours, theirs);
        let Some(dialog) = dialog.filter(|dialog| !core.departures.contains_key(dialog)) else {
            let call = core.index.call_named(&named.call_id);
            let over = call.is_some_and(ended);
            return Err(if over { declined } else { unknown });
        };
        // Another trunk's calls are nobody else's to know of.
        let known = core
            .ua
            .dialog(dialog)
            .filter(|known| *known.trunk() == self.trunk.name);
        let confirmed = known.is_some_and(|known| known.state == DialogState::Confirmed);
        match core.index.dialogs.get(&dialog) {
            Some(_) if confirmed && named.early_only => {
                Err(Refusal::new(StatusCode::BUSY_HERE, "Answered Already"))
            }
            Some(&place) if confirmed => Ok(place),
            Some(_) | None => Err(unknown),
        }
    }

    /// Refuses the INVITE.
    pub(crate) fn refuse(&self, core: &mut Core, refusal: Refusal) {
        refusal.answer(core, self.server, &self.trunk);
    }
}

impl Call {
    /// The party on `side` is replaced, if the call is one that it can be in.
    pub(crate) fn replaced(self, core: &mut Core, side: Side, by: &Replacement) -> Self {
        let Self { mut head, phase } = self;
        let phase = match phase {
            Phase::Talking(talking) => talking.replaced(core, &mut head, side, by),
            other @ (Phase::Setup(_) | Phase::Held(_) | Phase::Offered(_) | Phase::Ending(_)) => {
                let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
                by.refuse(core, Refusal::new(status, status.default_reason()));
                other
            }
        };
        Self { head, phase }
    }
}

impl Talking {
    fn replaced(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        side: Side,
        by: &Replacement,
    ) -> Phase {
        let mut new = match self.accept(core, head, side, by) {
            Ok(new) => new,
            Err(refusal) => {
                by.refuse(core, refusal);
                return Phase::Talking(self);
            }
        };
        let replaced = done(core, head, TransferKind::Replaces, side);
        head.record.transfers.push(replaced);
        new.upkeep.begin(core, head.key, side);
        let old = self.put_in_place(core, head, side, new);
        let end = End::gateway(FailureClass::User, Cause::NORMAL_CLEARING);
        old.end(core, Some(&end));
        self.settle(core, head);
        Phase::Talking(self)
    }

    /// Answers the INVITE with the session of the leg that it replaces.
    fn accept(
        &self,
        core: &mut Core,
        head: &Head,
        side: Side,
        by: &Replacement,
    ) -> Result<Leg, Refusal> {
        let plain = |status: StatusCode| Refusal::new(status, status.default_reason());
        let (trunk, invite) = (&by.trunk, &by.invite);
        if self.transfer.is_some() {
            return Err(plain(StatusCode::REQUEST_PENDING));
        }
        if let Some((status, _)) = beyond(trunk, invite) {
            return Err(plain(status));
        }
        let timer = SessionTimer::answering(&invite.headers, &trunk.session);
        let timer = timer.map_err(|_| plain(StatusCode::SESSION_INTERVAL_TOO_SMALL))?;
        let unusable = plain(StatusCode::NOT_ACCEPTABLE_HERE);
        let offer = SessionDescription::parse(&invite.body).map_err(|_| unusable)?;
        let permit = core.gate.admit_leg(core.now.moment, &trunk.name);
        let permit = permit.map_err(|_| plain(StatusCode::SERVICE_UNAVAILABLE))?;
        let stays = self.leg(side.other());
        let prefer = Some(stays.media.pair.shard);
        let media = LegMedia::open(core, trunk, (head.key, side), prefer, permit);
        let mut media = media.ok_or(plain(StatusCode::SERVICE_UNAVAILABLE))?;
        let audio = stays.session.said(stays.session.intends);
        let answered = answer_for(&offer, &audio, &mut media.local, &trunk.sdp_policy());
        let Ok((answer, negotiated)) = answered else {
            media.close(core);
            return Err(unusable);
        };
        let told = Bytes::from(answer.to_bytes());
        let mut reply = Reply::new(StatusCode::OK).dialog(invite).body(told.clone());
        if let Some(timer) = timer {
            timer.write_answer(&mut reply.headers);
        }
        let Some(dialog) = core.reply(by.server, trunk, reply) else {
            media.close(core);
            return Err(plain(StatusCode::SERVER_INTERNAL_ERROR));
        };
        core.own_dialog(dialog, head.key, side);
        if let Ok(call_id) = invite.headers.call_id() {
            core.index.own_call_id(call_id, head.key);
        }
        Ok(Leg {
            side,
            trunk: Arc::clone(trunk),
            dialog,
            media,
            upkeep: Upkeep::of_request(&invite.headers, timer),
            session: Session {
                told,
                heard: Heard::of(&invite.body),
                intends: negotiated.remote.direction,
                negotiated,
                conveyed: stays.session.intends,
            },
            exchange: Exchange::AwaitAck { offer: None },
            recode: false,
            playing: HoldMusic::None,
            listening: false,
        })
    }
}
