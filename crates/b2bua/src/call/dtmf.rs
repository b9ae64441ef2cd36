//! Digits dialled during a call, told to the other side in its own way.

use std::time::Duration;

use media_relay::{Digit, MediaCommand};

use crate::core::Core;
use crate::leg::Leg;
use crate::profile::DtmfMode;

/// A digit that one party let go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialled {
    pub(crate) digit: Digit,
    pub(crate) duration_ms: u32,
    /// It was heard in the sound; else it was an event.
    pub(crate) in_band: bool,
}

/// Whether the relay has carried the digit over already: an event, towards a leg that has events.
pub(crate) fn is_carried(to: &Leg, dialled: Dialled) -> bool {
    let events = to.session.negotiated.telephone_event().is_some();
    !dialled.in_band && events && to.trunk.dtmf.mode == DtmfMode::Rfc4733
}

/// Lets `to` hear the digit as events or tones, unless it has heard it.
pub(crate) fn pass(core: &mut Core, to: &Leg, dialled: Dialled) {
    if is_carried(to, dialled) {
        return;
    }
    core.media(MediaCommand::SendDtmf {
        leg: to.media.id,
        digit: dialled.digit,
        duration: Duration::from_millis(dialled.duration_ms.into()),
    });
}
