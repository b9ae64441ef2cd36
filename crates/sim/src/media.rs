//! A party's audio: numbered packets out, and the account of what came in.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rtp::{MasterKey, SrtpInbound, SrtpOutbound};

use crate::description::{Description, EVENTS};

/// Octets of a G.711 packet of 20 ms.
const PAYLOAD: usize = 160;
const HEADER: usize = 12;
/// What a party speaks where it may.
const PCMA: u8 = 8;
/// Room for what SRTP adds.
const TAIL: usize = 32;
/// The payload type that parties give to events.
const EVENT: u8 = 101;
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// One end of one call's audio.
pub struct MediaEnd {
    local: SocketAddr,
    remote: Option<SocketAddr>,
    key: Option<[u8; 30]>,
    outbound: Option<SrtpOutbound>,
    inbound: Option<(String, SrtpInbound)>,
    ssrc: u32,
    /// The payload types it may speak.
    speaks: Vec<u8>,
    payload_type: u8,
    sent: u32,
    /// The index of the next packet: rollover counter and sequence number (RFC 3711 §3.3.1).
    index: u64,
    /// The timestamp of the event that was heard to end last.
    ended: Option<[u8; 4]>,
    /// What was heard.
    pub heard: Heard,
}

/// What one end has heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The numbers of the packets that came whole.
    pub numbers: BTreeSet<u32>,
    /// Packets that came twice.
    pub repeated: u32,
    /// Packets of a tone that the gateway makes: G.711 that is never loud.
    pub tones: u32,
    /// The codes of RFC 4733 events, each once, when they ended.
    pub digits: Vec<u8>,
    /// Packets whose payload is not what any party sends, or that could not be authenticated.
    pub corrupt: u32,
    /// Packets that did not come from where the other side said it would send from.
    pub elsewhere: u32,
    /// The SSRCs they carried.
    pub sources: BTreeSet<u32>,
}

impl MediaEnd {
    pub(crate) fn new(local: SocketAddr, key: Option<[u8; 30]>, ssrc: u32) -> Self {
        let outbound = key.map(|key| SrtpOutbound::new(&MasterKey::aes_cm_128_80(&key)));
        Self {
            local,
            remote: None,
            key,
            outbound,
            inbound: None,
            ssrc,
            speaks: vec![PCMA],
            payload_type: PCMA,
            sent: 0,
            index: 1,
            ended: None,
            heard: Heard::default(),
        }
    }

    /// Lets it speak these payload types: G.711 A-law where that is agreed on, else the first.
    pub(crate) fn speaking(mut self, formats: &[u8]) -> Self {
        self.speaks = formats.to_vec();
        self
    }

    /// Where the party receives.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The sequence number of the first packet: 65500 makes a wrap happen soon.
    pub fn start_at(&mut self, sequence: u16) {
        self.index = sequence.into();
    }

    /// The crypto attribute of the party's own key.
    pub(crate) fn crypto(&self, tag: u32) -> Vec<(u32, String, String)> {
        let key = self
            .key
            .map(|key| (tag, SUITE.to_owned(), STANDARD.encode(key)));
        key.into_iter().collect()
    }

    /// Sends to, and decrypts by, what the other side described.
    pub(crate) fn follow(&mut self, description: &Description) {
        self.remote = (description.rtp.port() != 0).then_some(description.rtp);
        let voice = description
            .formats
            .iter()
            .filter(|format| **format != EVENTS);
        let mut common = voice.filter(|format| self.speaks.contains(format));
        if !common.clone().any(|format| *format == PCMA) {
            self.payload_type = common.next().copied().unwrap_or(PCMA);
        }
        let Some((_, _, key)) = description.crypto.first() else {
            return;
        };
        if self.inbound.as_ref().is_some_and(|(known, _)| known == key) {
            return;
        }
        let bytes: Option<[u8; 30]> = STANDARD
            .decode(key)
            .ok()
            .and_then(|key| key.try_into().ok());
        self.inbound = bytes.map(|bytes| {
            let master = MasterKey::aes_cm_128_80(&bytes);
            (key.clone(), SrtpInbound::new(&master, 0))
        });
    }

    /// The next packet of audio and where it goes; `None` while that is not known.
    pub(crate) fn next_packet(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let number = self.sent;
        self.sent += 1;
        self.packet(
            self.payload_type,
            number.wrapping_mul(160),
            &payload(number),
        )
    }

    /// The packets of one event (RFC 4733): 100 ms of it, and its end three times.
    pub(crate) fn event(&mut self, code: u8) -> Vec<(SocketAddr, Vec<u8>)> {
        let timestamp = self.sent.wrapping_mul(160);
        self.sent += 5;
        let lasts = [160_u16, 320, 480, 640, 800, 800, 800];
        let packets = lasts.iter().enumerate().map(|(at, units)| {
            let [high, low] = units.to_be_bytes();
            let end = u8::from(at > 3) << 7;
            self.packet(EVENT, timestamp, &[code, end | 10, high, low])
        });
        packets.flatten().collect()
    }

    /// Sends with another key from now on, and a rollover counter of zero.
    pub(crate) fn rekey(&mut self, key: [u8; 30]) {
        self.key = Some(key);
        self.outbound = Some(SrtpOutbound::new(&MasterKey::aes_cm_128_80(&key)));
        self.index &= 0xffff;
    }

    fn packet(
        &mut self,
        payload_type: u8,
        timestamp: u32,
        payload: &[u8],
    ) -> Option<(SocketAddr, Vec<u8>)> {
        let remote = self.remote?;
        let index = self.index;
        self.index += 1;
        let sequence = u16::try_from(index & 0xffff).ok()?;
        let mut packet = vec![0x80, payload_type];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        if let Some(outbound) = &mut self.outbound {
            let len = packet.len();
            packet.resize(len + TAIL, 0);
            let len = outbound.protect_rtp(&mut packet, len, index).ok()?;
            packet.truncate(len);
        }
        Some((remote, packet))
    }

    /// A packet came from the gateway.
    pub(crate) fn hear(&mut self, from: SocketAddr, mut packet: Vec<u8>) {
        if self.remote.is_some_and(|remote| remote != from) {
            self.heard.elsewhere += 1;
        }
        let len = match (&mut self.inbound, self.key) {
            (Some((_, context)), Some(_)) => match context.unprotect_rtp(&mut packet) {
                Ok(plain) => plain.len,
                Err(_) => {
                    self.heard.corrupt += 1;
                    return;
                }
            },
            (None, Some(_)) => {
                self.heard.corrupt += 1;
                return;
            }
            (_, None) => packet.len(),
        };
        packet.truncate(len);
        if let Some((timestamp, event)) = ended_event(&packet) {
            if event.is_some() && self.ended.replace(timestamp) != Some(timestamp) {
                self.heard.digits.extend(event);
            }
            return;
        }
        if is_tone(&packet) {
            self.heard.tones += 1;
            return;
        }
        let Some((ssrc, number)) = read(&packet) else {
            self.heard.corrupt += 1;
            return;
        };
        self.heard.sources.insert(ssrc);
        if !self.heard.numbers.insert(number) {
            self.heard.repeated += 1;
        }
    }
}

/// The timestamp of a packet of an event, and its code if it says that the event is over.
fn ended_event(packet: &[u8]) -> Option<([u8; 4], Option<u8>)> {
    let is_event = packet.len() == HEADER + 4 && packet[1] & 0x7f == EVENT;
    let timestamp = packet.get(4..8).filter(|_| is_event)?;
    let over = packet[HEADER + 1] & 0x80 != 0;
    Some((timestamp.try_into().ok()?, over.then_some(packet[HEADER])))
}

/// Audio that tells its own number and cannot be mistaken for anything else.
fn payload(number: u32) -> [u8; PAYLOAD] {
    let mut payload = [0; PAYLOAD];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    for (at, byte) in payload.iter_mut().enumerate().skip(4) {
        let mixed = number.wrapping_mul(31).wrapping_add(at as u32 * 7);
        *byte = mixed.to_le_bytes()[0];
    }
    payload
}

/// A quarter of full scale, in 16 bits: louder than any tone, and quieter than what parties say.
const TONE_MAX: i32 = 8_500;

/// Whether it is G.711 that is never loud.
fn is_tone(packet: &[u8]) -> bool {
    let law: fn(u8) -> i32 = match packet.get(1).map(|second| second & 0x7f) {
        Some(0) => ulaw,
        Some(8) => alaw,
        Some(_) | None => return false,
    };
    packet.len() == HEADER + PAYLOAD
        && packet[HEADER..]
            .iter()
            .all(|byte| law(*byte).abs() <= TONE_MAX)
}

/// ITU-T G.711 by the textbook.
fn ulaw(byte: u8) -> i32 {
    let byte = !byte;
    (((i32::from(byte & 0x0f) << 3) + 132) << (byte >> 4 & 7)) - 132
}

fn alaw(byte: u8) -> i32 {
    let byte = byte ^ 0x55;
    let value = (i32::from(byte & 0x0f) << 4) + 8;
    match byte >> 4 & 7 {
        0 => value,
        segment => (value + 256) << (segment - 1),
    }
}

fn read(packet: &[u8]) -> Option<(u32, u32)> {
    if packet.len() != HEADER + PAYLOAD || packet[0] != 0x80 {
        return None;
    }
    let word = |at: usize| packet[at..at + 4].try_into().map(u32::from_be_bytes).ok();
    let (ssrc, number) = (word(8)?, word(HEADER)?);
    (packet[HEADER..] == payload(number)).then_some((ssrc, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::Direction;

    fn end(port: u16, key: u8) -> MediaEnd {
        MediaEnd::new(
            ([192, 0, 2, 1], port).into(),
            Some([key; 30]),
            u32::from(port),
        )
    }

    fn described(end: &MediaEnd) -> Description {
        Description {
            version: 1,
            rtp: end.local(),
            savp: true,
            crypto: end.crypto(1),
            formats: vec![8],
            rtcp_mux: false,
            direction: Direction::SendRecv,
        }
    }

    #[test]
    fn numbered_packets_are_accounted_for() {
        let (mut one, mut other) = (end(4000, 1), end(4002, 2));
        one.start_at(65_534);
        one.follow(&described(&other));
        other.follow(&described(&one));
        for _ in 0..5 {
            let (to, packet) = one.next_packet().unwrap();
            assert_eq!(to, other.local());
            other.hear(one.local(), packet);
        }
        assert_eq!(other.heard.numbers.len(), 5);
        let (_, mut packet) = one.next_packet().unwrap();
        packet[20] ^= 1;
        other.hear(one.local(), packet);
        assert_eq!((other.heard.corrupt, other.heard.numbers.len()), (1, 5));
    }
}
