//! Listens on a media port, opens what comes, and keeps the account of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rtp_rs::RtpReader;

use crate::media::{Path, Shared};
use crate::payload::{self, Decoded};
use crate::rtcp;
use crate::sound::{Impression, impression};
use crate::tally::MediaCounts;
use crate::tap::Carrier;

/// The static payload type of RFC 3389.
const COMFORT_NOISE: u8 = 13;
/// RTCP packets whose time is kept.
const RTCP_TIMES: usize = 1000;
/// Largest datagram read.
const DATAGRAM: usize = 2048;

/// Which of the two ports of a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Rtp,
    Rtcp,
}

/// Listens until aborted.
pub(crate) async fn listen(shared: Arc<Shared>, port: Port) {
    let (socket, local) = match port {
        Port::Rtp => (&shared.rtp, shared.local_rtp),
        Port::Rtcp => (&shared.rtcp, shared.local_rtcp),
    };
    let mut ear = Ear::default();
    let mut buffer = [0; DATAGRAM];
    loop {
        let Ok((length, source)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let packet = &buffer[..length];
        shared.tap.record(Carrier::Udp, source, local, packet);
        if port == Port::Rtcp || rtcp::is_rtcp(packet) {
            hear_rtcp(&shared, packet);
        } else {
            ear.hear(&shared, packet, source);
        }
        shared.news.send_replace(());
    }
}

fn hear_rtcp(shared: &Shared, packet: &[u8]) {
    let opened = match &mut *shared.path() {
        Path {
            inbound: Some(crypto),
            ..
        } => crypto.unprotect_rtcp(packet).is_some(),
        path => path.outbound.is_none(),
    };
    let mut counts = shared.counts();
    match (rtcp::is_rtcp(packet), opened) {
        (false, _) => counts.malformed += 1,
        (true, true) => {
            counts.rtcp_received += 1;
            if counts.rtcp_times.len() < RTCP_TIMES {
                counts.rtcp_times.push(SystemTime::now());
            }
        }
        (true, false) => counts.undecryptable += 1,
    }
}

/// What the receiver of one stream remembers from packet to packet.
#[derive(Default)]
struct Ear {
    audio: u32,
    /// Timestamp of the telephone event last reported; its end is sent three times.
    event: Option<u32>,
    /// The key heard in the audio, and in how many packets in a row.
    key: (Option<char>, u32),
}

impl Ear {
    fn hear(&mut self, shared: &Shared, packet: &[u8], source: SocketAddr) {
        let (packet, path) = {
            let mut path = shared.path();
            let opened = match &mut *path {
                Path {
                    inbound: Some(crypto),
                    ..
                } => crypto.unprotect_rtp(packet),
                Path {
                    outbound: Some(_), ..
                } => None,
                _ => Some(packet.to_vec().into()),
            };
            let Some(opened) = opened else {
                shared.counts().undecryptable += 1;
                return;
            };
            (opened, Seen::of(&path))
        };
        let mut counts = shared.counts();
        let Ok(rtp) = RtpReader::new(&packet) else {
            counts.malformed += 1;
            return;
        };
        counts.ssrcs.insert(rtp.ssrc());
        if path.rtp.is_some_and(|known| known != source) {
            counts.stray += 1;
        }
        if Some(rtp.payload_type()) == path.telephone_event {
            if let Some(digit) = self.digit(&rtp) {
                counts.digits.push(digit);
            }
        } else if rtp.payload_type() == COMFORT_NOISE {
            counts.comfort_noise += 1;
        } else if rtp.payload_type() == path.payload_type {
            self.audio += 1;
            if shared
                .faults
                .drop_received
                .is_some_and(|n| self.audio.is_multiple_of(n))
            {
                return;
            }
            if !path.receive {
                counts.while_held += 1;
            }
            let decoded = payload::decode(rtp.payload());
            if decoded == Decoded::Foreign {
                self.listen(&mut counts, &rtp);
            }
            counts.note(decoded);
            drop(counts);
            shared.hand_on(rtp.payload());
        } else {
            counts.wrong_type += 1;
        }
    }

    /// What an uncoded packet sounds like.
    fn listen(&mut self, counts: &mut MediaCounts, rtp: &RtpReader<'_>) {
        let heard = impression(rtp.payload_type(), rtp.payload());
        let key = match heard {
            Some(Impression::Key(key)) => Some(key),
            _ => None,
        };
        match heard {
            Some(Impression::Silence) => counts.silence += 1,
            Some(Impression::Sound | Impression::Key(_)) => counts.sound += 1,
            None => {}
        }
        // Two packets alike are a key; one may be the edge of something else.
        match key {
            Some(key) if self.key.0 == Some(key) => {
                self.key.1 += 1;
                if self.key.1 == 2 {
                    counts.keys.push(key);
                }
            }
            key => self.key = (key, u32::from(key.is_some())),
        }
    }

    /// The digit a telephone event ends (RFC 4733 §2.5.1.3), the first time its end is seen.
    fn digit(&mut self, rtp: &RtpReader<'_>) -> Option<char> {
        let &[event, flags, ..] = rtp.payload() else {
            return None;
        };
        if flags & 0x80 == 0 || self.event == Some(rtp.timestamp()) {
            return None;
        }
        self.event = Some(rtp.timestamp());
        DIGITS.chars().nth(usize::from(event))
    }
}

/// The digits in the order of their event codes (RFC 4733 §3.2).
pub(crate) const DIGITS: &str = "0123456789*#ABCD";

/// The part of [`Path`] a packet is judged by.
struct Seen {
    rtp: Option<SocketAddr>,
    payload_type: u8,
    telephone_event: Option<u8>,
    receive: bool,
}

impl Seen {
    fn of(path: &Path) -> Self {
        Self {
            rtp: path.rtp,
            payload_type: path.payload_type,
            telephone_event: path.telephone_event,
            receive: path.receive,
        }
    }
}
