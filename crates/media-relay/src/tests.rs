//! The relay driven in virtual time by parties of another library.

mod attack;
mod captures;
mod carry;
mod convert;
mod digits;
mod latch;
mod link;
mod model;
mod networks;
mod reports;
mod restore;
mod sources;

use std::net::SocketAddr;
use std::time::Duration;

use ambient::{Moment, Now, WallTime};
use rtp::{Header, HeaderEdit, MasterKey};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::*;

pub(super) const A: LegId = LegId(1);
pub(super) const B: LegId = LegId(2);

/// Where the party of leg `n` hears RTP.
pub(super) fn party(n: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n as u8], 4000))
}

pub(super) fn party_rtcp(n: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n as u8], 4001))
}

pub(super) fn ports(n: u64) -> PortPair {
    PortPair {
        id: PortPairId(n as u32),
        shard: ShardId(0),
        interface: 0,
        address: [198, 51, 100, 1].into(),
        port: 20_000 + 2 * n as u16,
    }
}

pub(super) fn key(fill: u8) -> MasterKey {
    MasterKey::aes_cm_128_80(&std::array::from_fn(|n| {
        fill.wrapping_mul(31).wrapping_add(n as u8)
    }))
}

pub(super) fn srtp(fill: u8) -> SrtpParams {
    SrtpParams {
        key: key(fill),
        mki_len: 0,
    }
}

pub(super) fn context(fill: u8) -> Context {
    let key = key(fill);
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    Context::new(key.key(), key.salt(), profile, None, None).unwrap()
}

/// Parameters of a plain leg whose party is `party(n)`.
pub(super) fn plain(n: u64) -> LegParams {
    let remote = RemoteCandidate {
        rtp: party(n),
        rtcp: party_rtcp(n),
        inbound: None,
    };
    LegParams {
        remotes: vec![remote],
        ..LegParams::new(0x1000 + n as u32)
    }
}

/// Parameters of an SRTP leg: the party sends under `theirs`, we under `ours`.
pub(super) fn secure(n: u64, theirs: u8, ours: u8) -> LegParams {
    let mut params = plain(n);
    params.remotes[0].inbound = Some(srtp(theirs));
    params.outbound = Some(Box::new(srtp(ours)));
    params
}

/// A packet of `ssrc` whose payload says which one it is.
pub(super) fn packet(ssrc: u32, index: u64) -> Vec<u8> {
    let mut packet = vec![0; 12];
    let fields = HeaderEdit {
        marker: false,
        payload_type: 0,
        sequence: index as u16,
        timestamp: (index as u32).wrapping_mul(160),
        ssrc,
    };
    rtp::header::write(&mut packet, &fields).unwrap();
    packet.extend(index.to_be_bytes());
    packet.resize(172, ssrc as u8);
    packet
}

pub(super) fn with_payload_type(mut packet: Vec<u8>, payload_type: u8) -> Vec<u8> {
    packet[1] = payload_type;
    packet
}

pub(super) fn header(packet: &[u8]) -> Header {
    Header::read(packet).unwrap()
}

/// A relay and its clock.
pub(super) struct World {
    pub(super) relay: Relay,
    pub(super) converter: Converter,
    pub(super) now: Now,
}

impl World {
    pub(super) fn new() -> Self {
        let config = RelayConfig {
            max_legs: 16,
            ..RelayConfig::default()
        };
        let now = Now {
            moment: Moment::from_nanos(1_000_000_000),
            wall: WallTime::from_unix_micros(1_700_000_000_000_000),
        };
        Self {
            relay: Relay::new(config),
            converter: Converter::default(),
            now,
        }
    }

    /// Two joined legs.
    pub(super) fn joined(a: LegParams, b: LegParams) -> Self {
        let mut world = Self::new();
        world.open(A, a);
        world.open(B, b);
        world.command(MediaCommand::Join { a: A, b: B });
        assert_eq!(world.events(), []);
        world
    }

    pub(super) fn open(&mut self, leg: LegId, params: LegParams) {
        let params = Box::new(params);
        self.command(MediaCommand::OpenLeg {
            leg,
            ports: ports(leg.0),
            params,
        });
    }

    pub(super) fn update(&mut self, leg: LegId, params: LegParams) {
        self.command(MediaCommand::UpdateLeg {
            leg,
            params: Box::new(params),
        });
    }

    pub(super) fn command(&mut self, command: MediaCommand) {
        self.relay.handle_command(self.now, command);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now.moment = self.now.moment + time;
        let micros = self.now.wall.as_unix_micros() + time.as_micros() as u64;
        self.now.wall = WallTime::from_unix_micros(micros);
    }

    pub(super) fn pass_ms(&mut self, millis: u64) {
        self.pass(Duration::from_millis(millis));
    }

    /// Lets time pass, doing what is due on the way; returns what was sent and when.
    pub(super) fn run(&mut self, time: Duration) -> Vec<(Moment, Transmit, Vec<u8>)> {
        let end = self.now.moment + time;
        let mut sent = Vec::new();
        loop {
            let mut buf = [0; 2048];
            while let Some(transmit) = self.relay.poll_transmit(self.now, &mut buf) {
                sent.push((self.now.moment, transmit, buf[..transmit.len].to_vec()));
            }
            let next = self
                .relay
                .poll_timeout()
                .filter(|next| *next <= end)
                .unwrap_or(end);
            self.pass(next.saturating_since(self.now.moment));
            self.relay.handle_timeout(self.now);
            if next == end && self.relay.poll_timeout().is_none_or(|next| next > end) {
                while let Some(transmit) = self.relay.poll_transmit(self.now, &mut buf) {
                    sent.push((self.now.moment, transmit, buf[..transmit.len].to_vec()));
                }
                return sent;
            }
        }
    }

    pub(super) fn events(&mut self) -> Vec<MediaEvent> {
        std::iter::from_fn(|| self.relay.poll_event()).collect()
    }

    /// Hands the relay a datagram for leg `n` from `source`.
    pub(super) fn give(
        &mut self,
        n: u64,
        rtcp: bool,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Result<(Transmit, Vec<u8>), DropReason> {
        let mut buf = datagram.to_vec();
        buf.resize(datagram.len() + TAILROOM, 0xcc);
        let arrival = Arrival {
            ports: PortPairId(n as u32),
            rtcp,
            source,
        };
        match self
            .relay
            .forward(self.now, &arrival, &mut buf, datagram.len())
        {
            Verdict::Convert(ticket) => panic!("{ticket:?}"),
            Verdict::Drop(reason) => Err(reason),
            Verdict::Send(transmit) => {
                buf.truncate(transmit.len);
                Ok((transmit, buf))
            }
        }
    }

    /// The same for RTP from the signalled address; returns the datagram that goes out.
    pub(super) fn rtp(&mut self, n: u64, datagram: &[u8]) -> Result<Vec<u8>, DropReason> {
        self.give(n, false, party(n), datagram)
            .map(|(_, datagram)| datagram)
    }

    pub(super) fn stats(&self, leg: LegId) -> LegStats {
        self.relay.leg_stats(leg).unwrap()
    }
}
