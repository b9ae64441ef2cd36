//! Speech and signalling tones as samples: what a gateway makes, hears and converts by itself.
//!
//! - [`digit`]: the digits of a telephone's keypad and their frequencies (ITU-T Q.23).
//! - [`dtmf`]: digits heard in sound (ITU-T Q.24).
//! - [`g711`]: A-law and µ-law (ITU-T G.711).
//! - [`g722`]: G.722 in the band of a telephone line.
//! - [`transcode`]: one of these codecs into another.
//! - [`tone`]: call progress tones with their cadences, digits, and prepared sound.
//!
//! Samples are linear, 16 bits, 8000 a second unless said otherwise. Nothing here allocates after
//! construction, and nothing knows a packet.
#![forbid(unsafe_code)]

pub mod digit;
pub mod dtmf;
pub mod g711;
pub mod g722;
pub mod tone;
pub mod transcode;

pub use digit::Digit;
pub use g711::Law;
pub use tone::{Cadence, Clip};
pub use transcode::{Speech, Transcoder};

/// Samples a second of everything here but wideband codecs.
pub const RATE: u32 = 8000;
