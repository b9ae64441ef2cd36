//! What was sent and what was heard, and the comparison of the two.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::payload::{Decoded, StreamId};

/// One party's account of one call's media.
#[derive(Clone, Debug, Default)]
pub struct MediaCounts {
    /// The stream this party sends.
    pub stream: Option<StreamId>,
    /// The SSRC this party sends under.
    pub ssrc: Option<u32>,
    /// Audio packets sent, those withheld by a planted fault included.
    pub sent: u32,
    /// SHA-256 over the audio payloads sent, in the order sent.
    pub(crate) sent_digest: Sha256,
    /// What was heard, by stream.
    pub heard: BTreeMap<StreamId, Heard>,
    /// Packets whose payload was coded and is damaged.
    pub corrupt: u32,
    /// Packets whose payload was never coded: tones, silence.
    pub foreign: u32,
    /// Of these, G.711 too quiet to hear.
    pub silence: u32,
    /// Of these, G.711 that can be heard.
    pub sound: u32,
    /// Keys of the telephone keypad heard in the audio itself.
    pub keys: String,
    /// Comfort noise packets (RFC 3389).
    pub comfort_noise: u32,
    /// SRTP or SRTCP packets that failed authentication, or came before their key.
    pub undecryptable: u32,
    /// Packets of a payload type that was not negotiated.
    pub wrong_type: u32,
    /// Audio packets received while this side had been told or had asked for silence.
    pub while_held: u32,
    /// Packets from another address than the one signalled.
    pub stray: u32,
    /// Datagrams that are neither RTP nor RTCP.
    pub malformed: u32,
    /// RTCP compound packets sent.
    pub rtcp_sent: u32,
    /// RTCP compound packets received (and authenticated, when secure).
    pub rtcp_received: u32,
    /// When.
    pub rtcp_times: Vec<SystemTime>,
    /// Every SSRC heard.
    pub ssrcs: BTreeSet<u32>,
    /// Digits heard as telephone events (RFC 4733), each once.
    pub digits: String,
}

/// One stream as its receiver heard it.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    seen: BTreeSet<u32>,
    /// Packets that had been heard before.
    pub duplicated: u32,
    /// Packets that came after a later one.
    pub out_of_order: u32,
}

impl Heard {
    /// How many different packets of the stream arrived.
    pub fn received(&self) -> u32 {
        self.seen.len() as u32
    }
}

impl MediaCounts {
    /// SHA-256 over the audio payloads sent so far, in the order sent: what a capture of the plain
    /// side must give.
    pub fn sent_digest(&self) -> [u8; 32] {
        self.sent_digest.clone().finalize().into()
    }

    pub(crate) fn note(&mut self, decoded: Decoded) {
        match decoded {
            Decoded::Intact { stream, index } => {
                let heard = self.heard.entry(stream).or_default();
                let late = heard.seen.last().is_some_and(|last| index < *last);
                if !heard.seen.insert(index) {
                    heard.duplicated += 1;
                } else if late {
                    heard.out_of_order += 1;
                }
            }
            Decoded::Corrupt => self.corrupt += 1,
            Decoded::Foreign => self.foreign += 1,
        }
    }

    /// How many different packets of `stream` arrived.
    pub fn received_of(&self, stream: StreamId) -> u32 {
        self.heard.get(&stream).map_or(0, Heard::received)
    }
}

/// One direction of a call's audio: the sender's account held against the receiver's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audio {
    /// Packets the sender sent.
    pub sent: u32,
    /// Different packets of that stream which arrived undamaged.
    pub received: u32,
    /// `sent` less `received`.
    pub lost: u32,
    /// Packets which arrived damaged, or from the stream of another call.
    pub corrupt: u32,
    /// Packets which arrived more than once.
    pub duplicated: u32,
    /// Packets which arrived after a later one.
    pub out_of_order: u32,
}

impl Audio {
    /// Holds the sender's account against the receiver's.
    pub fn compare(sender: &MediaCounts, receiver: &MediaCounts) -> Self {
        let heard = sender.stream.and_then(|stream| receiver.heard.get(&stream));
        let received = heard.map_or(0, Heard::received);
        let cross_talk: u32 = receiver
            .heard
            .iter()
            .filter(|(stream, _)| Some(**stream) != sender.stream)
            .map(|(_, heard)| heard.received())
            .sum();
        Self {
            sent: sender.sent,
            received,
            lost: sender.sent.saturating_sub(received),
            corrupt: receiver.corrupt + cross_talk,
            duplicated: heard.map_or(0, |heard| heard.duplicated),
            out_of_order: heard.map_or(0, |heard| heard.out_of_order),
        }
    }

    /// Whether at least `packets` were sent and every one arrived, once, whole and in order.
    pub fn exact(&self, packets: u32) -> bool {
        self.sent >= packets
            && self.lost == 0
            && self.corrupt == 0
            && self.duplicated == 0
            && self.out_of_order == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: StreamId = StreamId(1);
    const OTHER: StreamId = StreamId(2);

    fn sender(sent: u32) -> MediaCounts {
        MediaCounts {
            stream: Some(MINE),
            sent,
            ..MediaCounts::default()
        }
    }

    fn heard(indices: &[(StreamId, u32)]) -> MediaCounts {
        let mut counts = MediaCounts::default();
        for &(stream, index) in indices {
            counts.note(Decoded::Intact { stream, index });
        }
        counts
    }

    #[test]
    fn each_fault_is_told_apart() {
        let exact = Audio::compare(&sender(3), &heard(&[(MINE, 0), (MINE, 1), (MINE, 2)]));
        assert!(exact.exact(3) && !exact.exact(4));

        let lost = Audio::compare(&sender(3), &heard(&[(MINE, 0), (MINE, 2)]));
        assert_eq!((lost.lost, lost.exact(3)), (1, false));

        let twice = Audio::compare(&sender(2), &heard(&[(MINE, 0), (MINE, 1), (MINE, 1)]));
        assert_eq!(
            (twice.duplicated, twice.out_of_order, twice.lost),
            (1, 0, 0)
        );

        let late = Audio::compare(&sender(2), &heard(&[(MINE, 1), (MINE, 0)]));
        assert_eq!((late.duplicated, late.out_of_order, late.lost), (0, 1, 0));

        let crossed = Audio::compare(&sender(1), &heard(&[(MINE, 0), (OTHER, 0)]));
        assert_eq!((crossed.corrupt, crossed.exact(1)), (1, false));
    }
}
