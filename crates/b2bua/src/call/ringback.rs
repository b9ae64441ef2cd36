//! The ringing tone that a caller hears while the called party's early media is silent (I-05).

use media_relay::{Cadence, MediaCommand, Source};
use sdp::{Audio, Format};

use super::Head;
use super::setup::Setup;
use crate::core::Core;
use crate::leg::LegMedia;
use crate::profile::{EarlyPolicy, TrunkProfile};

/// Whether the tone sounds. It goes one way only: what has fallen silent stays so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ringback {
    /// It has not sounded.
    #[default]
    Silent,
    /// The caller hears it.
    Sounding,
    /// The called party was heard, or has answered.
    Over,
}

impl Ringback {
    /// What of the caller's formats is answered where nobody else has answered yet: those that
    /// the tone can be made in, and events.
    pub(crate) fn formats(audio: &Audio) -> Vec<Format> {
        let made = |format: &&Format| {
            let law = ["PCMA", "PCMU"];
            law.iter()
                .any(|law| format.encoding.eq_ignore_ascii_case(law))
                || format.is_telephone_event()
        };
        audio.formats.iter().filter(made).cloned().collect()
    }

    /// The tone falls silent for good.
    pub(crate) fn end(&mut self, core: &mut Core, media: &LegMedia) {
        if *self == Self::Sounding {
            core.media(MediaCommand::Source {
                leg: media.id,
                source: Source::Off,
            });
        }
        *self = Self::Over;
    }
}

impl Setup {
    /// Lets the caller hear the tone, if it can be made in what was agreed with it.
    pub(super) fn ring(&mut self, core: &mut Core, head: &Head) {
        let answer = self.early.session.answer();
        let possible = answer.is_some_and(|answer| LegMedia::can_ring(&answer.negotiated));
        if self.early.ringback != Ringback::Silent || !possible {
            return;
        }
        self.early.ringback = Ringback::Sounding;
        let tone = Cadence::ringback_of(&head.trunk.early.tone_country);
        core.media(MediaCommand::Source {
            leg: self.media.id,
            source: Source::Tone(tone),
        });
    }

    /// Whether the first audio of the called party is waited for.
    pub(super) fn listens(&self, trunk: &TrunkProfile) -> bool {
        let may_ring = trunk.early.policy == EarlyPolicy::WaitForRtp || trunk.early.ring_here;
        may_ring && self.early.ringback != Ringback::Over
    }

    /// The called party was heard.
    pub(super) fn audio_began(&mut self, core: &mut Core) {
        self.early.ringback.end(core, &self.media);
    }
}
