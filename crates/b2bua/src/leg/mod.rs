//! A leg: one dialog towards one party, with its media and its own offer/answer session.
//!
//! Each leg answers its party by itself and at once. What the party wants (its [`Session::intends`])
//! is conveyed to the other leg by comparing what that leg was told with what it should be told,
//! whenever its dialog is free: so holds that cross, glare, retries and a restart need no rules of
//! their own.

mod media;
mod session;

pub(crate) use media::{Flows, LegMedia};
pub(crate) use session::{Exchange, Session, agreed, default_codecs, policy};

use std::sync::Arc;

use sip_ua::DialogKey;

use crate::call::End;
use crate::core::Core;
use crate::index::Owner;
use crate::key::Side;
use crate::passlist;
use crate::profile::TrunkProfile;

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

    /// Whether nothing is under way that a checkpoint could not describe.
    pub(crate) fn is_stable(&self) -> bool {
        matches!(self.exchange, Exchange::Idle | Exchange::Refused { .. })
    }

    /// Whether the party should be told something new of the leg across: another direction, or
    /// other formats.
    pub(crate) fn needs(&self, across: &Self) -> bool {
        let hold = self.trunk.hold;
        let wanted = hold.express(across.session.intends);
        self.recode || wanted != hold.express(self.session.conveyed)
    }

    /// Whether the party may send speech that the one across does not take.
    pub(crate) fn outruns(&self, across: &Self) -> bool {
        let theirs = &across.session.negotiated.formats;
        let mut voices = self
            .session
            .negotiated
            .formats
            .iter()
            .filter(|common| common.format.is_voice());
        voices.any(|ours| {
            !theirs
                .iter()
                .any(|known| known.format.same_encoding(&ours.format))
        })
    }

    /// Gives the leg back; with BYE if there is a reason to tell its party.
    pub(crate) fn end(self, core: &mut Core, bye: Option<&End>) {
        if let Exchange::Offering { client, .. } = self.exchange {
            core.index.own_client(
                client,
                Owner::Nobody {
                    keep: Some(self.dialog),
                },
            );
        }
        if let Some(end) = bye {
            core.bye(
                self.dialog,
                end.headers(passlist::Phase::Ending, &self.trunk),
            );
        }
        self.media.close(core);
    }
}
