//! What a leg hears instead of the leg it is joined to.

use std::sync::Arc;

use voice::{Cadence, Clip, Law};

/// What a leg hears instead of the leg it is joined to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The joined leg again.
    Off,
    /// Packets of silence, so that the stream goes on.
    Silence,
    /// A tone in its rhythm: ringback, busy.
    Tone(Cadence),
    /// Sound prepared ahead: music, an announcement. The leg shares it with others.
    Clip(Arc<Clip>),
}

impl Source {
    /// Encodes the samples from `position` on into `out`.
    pub(crate) fn fill(&self, law: Law, position: u64, out: &mut [u8]) {
        match self {
            Self::Off | Self::Silence => out.fill(law.quiet()),
            Self::Tone(cadence) => fill(law, position, out, |at| cadence.sample(at)),
            Self::Clip(clip) => fill(law, position, out, |at| clip.sample(at)),
        }
    }
}

/// Encodes what `sample` gives from `position` on into `out`.
pub(crate) fn fill(law: Law, position: u64, out: &mut [u8], sample: impl Fn(u64) -> i16) {
    for (at, octet) in (position..).zip(out) {
        *octet = law.encode(sample(at));
    }
}

/// The codec and payload type of tones towards a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToneCodec {
    /// The companding law.
    pub law: Law,
    /// Its payload type on this leg.
    pub payload_type: u8,
}
