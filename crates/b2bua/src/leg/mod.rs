//! A leg: one dialog towards one party, with its media and its own offer/answer session.
//!
//! Each leg answers its party by itself and at once. What the party wants (its [`Session::intends`])
//! is conveyed to the other leg by comparing what that leg was told with what it should be told,
//! whenever its dialog is free: so holds that cross, glare, retries and a restart need no rules of
//! their own.

mod media;
mod session;

pub(crate) use media::{Flows, LegMedia};
pub(crate) use session::{Exchange, Heard, Session, agreed, default_codecs, policy};

use std::sync::Arc;

use sdp::{Audio, Direction, to_convert};
use sip_ua::{ClientKey, DialogKey};

use crate::call::{End, Upkeep};
use crate::core::Core;
use crate::departure::Departure;
use crate::index::Owner;
use crate::key::{CallKey, Side};
use crate::passlist;
use crate::profile::{HoldMusic, TrunkProfile};

/// A leg whose dialog is confirmed, or is about to be by the caller's ACK.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) side: Side,
    pub(crate) trunk: Arc<TrunkProfile>,
    pub(crate) dialog: DialogKey,
    pub(crate) media: LegMedia,
    pub(crate) session: Session,
    pub(crate) exchange: Exchange,
    /// The party across took other formats than this one was told of; it is to be offered those,
    /// once.
    pub(crate) recode: bool,
    /// The session timer.
    pub(crate) upkeep: Upkeep,
    /// What the shard was last told to let the held party hear.
    pub(crate) playing: HoldMusic,
    /// Whether the shard was last told that the party may be heard.
    pub(crate) listening: bool,
}

impl Leg {
    /// Whether an offer of ours waits for its answer: an offer of the party must be refused with
    /// 491 then (RFC 3261 §14.2).
    pub(crate) fn is_offering(&self) -> bool {
        match &self.exchange {
            Exchange::Offering { .. } | Exchange::AwaitAck { offer: Some(_) } => true,
            Exchange::Idle
            | Exchange::AwaitAck { offer: None }
            | Exchange::Retrying
            | Exchange::Refused { .. } => false,
        }
    }

    /// Whether the party may be heard: by what was agreed, or by an offer of ours whose answer is
    /// still to come. What it sends may be here before its answer (RFC 3264 §5.1).
    pub(crate) fn listens(&self) -> bool {
        let offered = match &self.exchange {
            Exchange::Offering { offer, .. } | Exchange::AwaitAck { offer: Some(offer) } => {
                offer.1.direction().receives()
            }
            Exchange::Idle
            | Exchange::AwaitAck { offer: None }
            | Exchange::Retrying
            | Exchange::Refused { .. } => false,
        };
        offered || self.session.negotiated.direction.receives()
    }

    /// Whether nothing is under way that a checkpoint could not describe.
    pub(crate) fn is_stable(&self) -> bool {
        let free = matches!(self.exchange, Exchange::Idle | Exchange::Refused { .. });
        free && !self.upkeep.is_updating()
    }

    /// What a party that is held by the one across hears; `None` where nothing is to be sent, or
    /// its dialect of hold or its codecs leave no room for it.
    fn music(&self) -> HoldMusic {
        let hold = self.trunk.hold;
        let room = hold.dialect.express(Direction::SendOnly).sends()
            && LegMedia::can_ring(&self.session.negotiated);
        if room { hold.music } else { HoldMusic::None }
    }

    /// What the party is told that the one across wants: to be sent music is to be held by a party
    /// that sends.
    pub(crate) fn hears_of(&self, across: &Self) -> Direction {
        let wants = across.session.intends;
        if wants == Direction::Inactive && self.music() != HoldMusic::None {
            Direction::SendOnly
        } else {
            wants
        }
    }

    /// What the party across said, as this one is told it.
    pub(crate) fn told_of(&self, across: &Self) -> Audio {
        across.session.said(self.hears_of(across))
    }

    /// What the party should hear from us in the place of the one across.
    pub(crate) fn entertainment(&self, across: &Self) -> HoldMusic {
        let held = across.session.intends == Direction::Inactive;
        let listens = self.session.negotiated.direction.sends();
        if held && listens {
            self.music()
        } else {
            HoldMusic::None
        }
    }

    /// Whether the party should be told something new of the leg across: another direction, or
    /// other formats.
    pub(crate) fn needs(&self, across: &Self) -> bool {
        let hold = self.trunk.hold.dialect;
        let wanted = hold.express(self.hears_of(across));
        self.recode || wanted != hold.express(self.session.conveyed)
    }

    /// Whether the party refused to hear that this is wanted, and nothing has changed since.
    pub(crate) fn was_refused(&self, wanted: Direction) -> bool {
        matches!(self.exchange, Exchange::Refused { conveying } if conveying == wanted)
    }

    /// Whether the party may send speech that the one across does not take, and that is not
    /// converted for it either.
    pub(crate) fn outruns(&self, across: &Self) -> bool {
        let theirs = &across.session.negotiated.formats;
        let converted = to_convert(&self.session.negotiated, &across.session.negotiated);
        let mut voices = self
            .session
            .negotiated
            .formats
            .iter()
            .filter(|common| common.format.is_voice());
        voices.any(|ours| {
            let known = theirs
                .iter()
                .any(|known| known.format.same_encoding(&ours.format));
            !known && converted.iter().all(|(pt, _)| *pt != ours.our_pt)
        })
    }

    /// Gives the leg back; with BYE if there is a reason to tell its party.
    pub(crate) fn end(self, core: &mut Core, bye: Option<&End>) {
        self.drop_requests(core);
        core.unsubscribe(self.dialog);
        if let Some(end) = bye {
            core.bye(
                self.dialog,
                end.headers(passlist::Phase::Ending, &self.trunk),
            );
        }
        self.media.close(core);
    }

    /// Gives the leg back and leaves its dialog to its party, which knows that it is over.
    pub(crate) fn depart(self, core: &mut Core, call: CallKey) {
        self.drop_requests(core);
        let patience = self.trunk.transfer.departure;
        let trunk = self.trunk;
        core.depart(self.dialog, Departure { call, trunk }, patience);
        self.media.close(core);
    }

    /// Requests of ours that are under way in the dialog.
    fn requests(&self) -> impl Iterator<Item = ClientKey> {
        let reinvite = match self.exchange {
            Exchange::Offering { client, .. } => Some(client),
            Exchange::Idle
            | Exchange::AwaitAck { .. }
            | Exchange::Retrying
            | Exchange::Refused { .. } => None,
        };
        reinvite.into_iter().chain(self.upkeep.update_under_way())
    }

    /// What becomes of a request of ours in the dialog concerns nobody any more.
    fn drop_requests(&self, core: &mut Core) {
        let keep = Some(self.dialog);
        for client in self.requests() {
            core.index.own_client(client, Owner::Nobody { keep });
        }
    }

    /// The leg goes over to another call, with all that leads to it.
    pub(crate) fn go_over(&mut self, core: &mut Core, (call, side): (CallKey, Side)) {
        self.side = side;
        core.index.move_dialog(self.dialog, (call, side));
        core.index.move_leg(self.media.id, (call, side));
        for client in self.requests() {
            core.index.move_client(client, call);
        }
        let known = core.ua.dialog(self.dialog);
        if let Some(call_id) = known.map(|dialog| dialog.call_id.clone()) {
            core.index.own_call_id(&call_id, call);
        }
    }
}
