//! Audio payloads which say what they are: every packet carries the stream it belongs to, its
//! place in that stream and a hash over all of it, so that a receiver can tell loss, corruption,
//! duplicates and cross-talk apart whatever a gateway did to the RTP header on the way.

use std::fmt;

/// Length of one payload in bytes: 20 ms of G.711 (RFC 3551 §4.5.14).
pub(crate) const LEN: usize = 160;

const MAGIC: [u8; 4] = *b"\x9dTLk";
const TAIL: usize = LEN - 12;
const HASH: usize = LEN - 8;

/// Names one direction of one call's audio; drawn at random by its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a received payload turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// Every byte is as its sender wrote it.
    Intact { stream: StreamId, index: u32 },
    /// Ours once, and damaged since.
    Corrupt,
    /// Never ours: a tone, silence, or damage too great to tell.
    Foreign,
}

/// The payload at `index` of `stream`.
pub(crate) fn encode(stream: StreamId, index: u32) -> [u8; LEN] {
    let mut payload = [0; LEN];
    payload[..4].copy_from_slice(&MAGIC);
    payload[4..12].copy_from_slice(&stream.0.to_be_bytes());
    payload[12..16].copy_from_slice(&index.to_be_bytes());
    let mut state = stream.0 ^ (u64::from(index) << 17) | 1;
    for byte in &mut payload[16..TAIL] {
        // xorshift64: successive packets must differ in every byte, not in a counter only.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = (state >> 32) as u8;
    }
    payload[TAIL..HASH].copy_from_slice(&MAGIC);
    let hash = fnv1a(&payload[..HASH]);
    payload[HASH..].copy_from_slice(&hash.to_be_bytes());
    payload
}

/// Reads a payload back.
pub(crate) fn decode(payload: &[u8]) -> Decoded {
    let stream = payload
        .get(4..12)
        .and_then(|b| b.try_into().ok())
        .map(u64::from_be_bytes);
    let index = payload
        .get(12..16)
        .and_then(|b| b.try_into().ok())
        .map(u32::from_be_bytes);
    if let (Some(stream), Some(index)) = (stream, index)
        && payload == encode(StreamId(stream), index)
    {
        return Decoded::Intact {
            stream: StreamId(stream),
            index,
        };
    }
    let ours = payload.starts_with(&MAGIC) || payload.get(TAIL..HASH) == Some(&MAGIC[..]);
    if ours {
        Decoded::Corrupt
    } else {
        Decoded::Foreign
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote() {
        let stream = StreamId(0x0123_4567_89ab_cdef);
        for index in [0, 1, 65_535, u32::MAX] {
            assert_eq!(
                decode(&encode(stream, index)),
                Decoded::Intact { stream, index }
            );
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_corruption() {
        let payload = encode(StreamId(7), 42);
        for bit in 0..LEN * 8 {
            let mut damaged = payload;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), Decoded::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn truncation_is_corruption_and_silence_is_foreign() {
        assert_eq!(decode(&encode(StreamId(7), 42)[..100]), Decoded::Corrupt);
        assert_eq!(decode(&[0xff; LEN]), Decoded::Foreign);
        assert_eq!(decode(&[]), Decoded::Foreign);
    }
}
