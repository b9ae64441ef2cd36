//! The caller waits: attempts are made one after the other until one is answered.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use media_relay::MediaCommand;
use routing::Attempt;
use sdp::{Negotiated, SessionDescription};
use sip_msg::{Request, StatusCode};
use sip_ua::{DialogKey, ServerKey};

use super::attempt::Trying;
use super::{Call, Event, Head, Phase, Timer};
use crate::core::Core;
use crate::failure::{self, AttemptFailure, Verdict};
use crate::key::Side;
use crate::leg::LegMedia;
use crate::profile::TrunkProfile;
use crate::record::EndCause;

/// The phase in which the caller's INVITE has no final response.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The caller's INVITE transaction.
    pub(crate) server: ServerKey,
    /// Its INVITE, from which each attempt is built.
    pub(crate) invite: Request,
    /// Exists once a provisional response of ours carried a tag.
    pub(crate) dialog: Option<DialogKey>,
    /// The caller's media; its ports and key stay for the whole call.
    pub(crate) media: LegMedia,
    /// What the caller offered; `None` asks us to offer (RFC 3261 §13.2.1, M-03).
    pub(crate) offer: Option<SessionDescription>,
    /// The answer the caller was given in a provisional response; it binds the final one.
    pub(crate) early: Option<EarlyAnswer>,
    /// Attempts not made yet.
    pub(crate) plan: VecDeque<Attempt>,
    /// The attempt under way.
    pub(crate) trying: Option<Trying>,
    /// How the attempts made so far ended.
    pub(crate) verdicts: Vec<Verdict>,
    /// The caller has heard an 18x, so that another attempt would confuse it.
    pub(crate) alerted: bool,
}

/// An answer given to the caller before the final response.
#[derive(Clone, Debug)]
pub(crate) struct EarlyAnswer {
    pub(crate) body: Bytes,
    pub(crate) negotiated: Negotiated,
}
