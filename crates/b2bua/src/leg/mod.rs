//! A leg: one dialog towards one party, with its media and its own offer/answer session.
//!
//! Each leg answers its party by itself and at once. What the party wants (its [`Session::intends`])
//! is conveyed to the other leg by comparing what that leg was told with what it should be told,
//! whenever its dialog is free: so holds that cross, glare, retries and a restart need no rules of
//! their own.

mod media;
mod session;

pub(crate) use media::{Flows, LegMedia};
pub(crate) use session::{Exchange, Session, policy};

use std::sync::Arc;

use sip_ua::DialogKey;

use crate::key::Side;
use crate::limits::Permit;
use crate::profile::TrunkProfile;

/// A leg whose dialog is confirmed, or is about to be by the caller's ACK.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) side: Side,
    pub(crate) trunk: Arc<TrunkProfile>,
    pub(crate) permit: Permit,
    pub(crate) dialog: DialogKey,
    pub(crate) media: LegMedia,
    pub(crate) session: Session,
    pub(crate) exchange: Exchange,
}
