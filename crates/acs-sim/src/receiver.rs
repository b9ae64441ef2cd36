//! Listens on a media port, opens what comes, and keeps the account of it.

use std::net::SocketAddr;
use std::sync::Arc;

use rtp_rs::RtpReader;

use crate::media::{Path, Shared};
use crate::payload;
use crate::rtcp;
use crate::tap::Carrier;

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
        (true, true) => counts.rtcp_received += 1,
        (true, false) => counts.undecryptable += 1,
    }
}

/// What the receiver of one stream remembers from packet to packet.
#[derive(Default)]
struct Ear {
    audio: u32,
    /// Timestamp of the telephone event last reported; its end is sent three times.
    event: Option<u32>,
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
            counts.note(payload::decode(rtp.payload()));
        } else {
            counts.wrong_type += 1;
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
