//! The new party takes the place of the old one: the legs of the call are paired anew.

use std::sync::Arc;

use media_relay::MediaCommand;
use sip_msg::{Response, StatusCode};
use sip_ua::DialogKey;

use super::{Transfer, Transferor, ring};
use crate::call::attempt::{Fork, Trying};
use crate::call::talking::Talking;
use crate::call::{Head, Phase, Timer, Upkeep};
use crate::core::Core;
use crate::key::Side;
use crate::leg::{Exchange, Leg, Session};
use crate::profile::HoldMusic;

/// The party that accepted.
pub(super) struct NewParty {
    pub(super) trying: Trying,
    pub(super) dialog: DialogKey,
    pub(super) fork: Fork,
}

impl NewParty {
    /// Its leg, told what the party across, which it is joined to, wants.
    fn leg(self, side: Side, across: &Leg, response: &Response) -> Leg {
        let Self {
            trying,
            dialog,
            fork,
        } = self;
        let mut media = trying.media;
        media.local.clone_from(&fork.negotiated.local);
        Leg {
            side,
            upkeep: Upkeep::of_answer(response, &trying.trunk.session),
            trunk: trying.trunk,
            dialog,
            media,
            session: Session {
                told: fork.told,
                heard: fork.heard,
                intends: fork.negotiated.remote.direction,
                negotiated: fork.negotiated,
                conveyed: across.session.intends,
            },
            exchange: Exchange::Idle,
            recode: false,
            playing: HoldMusic::None,
            listening: false,
        }
    }
}

impl Talking {
    /// The new party accepted.
    pub(super) fn joined(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        party: NewParty,
        response: &Response,
    ) -> Phase {
        let Some(transfer) = self.transfer.take() else {
            return Phase::Talking(self);
        };
        let side = transfer.side;
        core.own_dialog(party.dialog, head.key, side);
        let new = party.leg(side, self.leg(side.other()), response);
        self.pair_anew(core, head, *transfer, new);
        self.settle(core, head);
        Phase::Talking(self)
    }

    /// Puts a leg in the place of the transferor's, which is given back.
    pub(super) fn pair_anew(
        &mut self,
        core: &mut Core,
        head: &mut Head,
        transfer: Transfer,
        mut new: Leg,
    ) {
        core.disarm(head.key, Timer::Transfer);
        head.settle_transfer(core.now.wall, StatusCode::OK);
        if transfer.rings {
            ring(core, self.leg(transfer.side.other()), false);
        }
        new.upkeep.begin(core, head.key, transfer.side);
        let old = self.put_in_place(core, head, transfer.side, new);
        match transfer.transferor {
            Transferor::Waiting(dialog) => {
                core.notify(dialog, StatusCode::OK, true);
                old.depart(core, head.key);
            }
            Transferor::Gone => old.end(core, None),
        }
    }

    /// Joins a new leg, whose session timers run, to the one that stays; the leg whose place it
    /// takes is returned.
    pub(super) fn put_in_place(
        &mut self,
        core: &mut Core,
        head: &mut Head,
        side: Side,
        new: Leg,
    ) -> Leg {
        let old = std::mem::replace(self.leg_mut(side), new);
        let (new, stays) = self.pair(side);
        if side == Side::A {
            core.index.exchange_shares(old.media.id, new.media.id);
            head.trunk = Arc::clone(&new.trunk);
        }
        stays.recode = stays.outruns(new);
        let (a, b) = (stays.media.id, new.media.id);
        core.media(MediaCommand::Join { a, b });
        core.media(MediaCommand::Checkpoint { leg: b });
        self.limit_duration_anew(core, head, side);
        self.changed = true;
        self.note_codecs(head);
        self.update_media(core);
        old
    }
}
