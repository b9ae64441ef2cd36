//! Digits: heard as events or in the sound, sent as either (RFC 4733, ITU-T Q.24).

mod hear;
mod send;

/// Units that the duration of an event can say (RFC 4733 §2.3.5); a longer one is sent in segments
/// (§2.5.1.3).
pub(crate) const SEGMENT: u32 = 0xffff;

/// Rewrites the duration of an event from one clock to another. What is then longer than a duration
/// can say becomes a segment; returned is how much later that begins, in units of `stream`.
pub(crate) fn rescale(payload: &mut [u8], (from, to): (u32, u32), stream: u32) -> Option<u32> {
    let [_, _, high, low, ..] = payload else {
        return None;
    };
    let duration = u64::from(u16::from_be_bytes([*high, *low]));
    let scaled = duration * u64::from(to) / u64::from(from.max(1));
    let scaled = u32::try_from(scaled).ok()?;
    let before = scaled.saturating_sub(1) / SEGMENT * SEGMENT;
    [*high, *low] = ((scaled - before) as u16).to_be_bytes();
    let later = u64::from(before) * u64::from(stream) / u64::from(to.max(1));
    u32::try_from(later).ok()
}

pub(crate) use hear::{Detector, Held};
pub(crate) use send::{Sender, Step};
