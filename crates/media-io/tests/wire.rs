//! The media plane on loopback: real sockets, real threads, parties of another library.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // a test may, outside `#[test]` too

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media_io::{Clock, Events, MediaInterface, MediaIo, MediaIoConfig};
use media_relay::{
    LegId, LegParams, LegStats, MasterKey, MediaCommand, MediaError, MediaEvent, Moment, Now,
    PLANTED_FAULT, PortPair, RelayConfig, RemoteCandidate, ShardId, SrtpParams, WallTime,
};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(10);

fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || Now {
        moment: Moment::from_nanos(start.elapsed().as_nanos() as u64),
        wall: WallTime::from_unix_micros(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_micros() as u64,
        ),
    })
}

/// The media plane and what the signalling side knows of it.
struct Plane {
    media: MediaIo,
    events: Events,
}

impl Plane {
    fn start(bind: IpAddr, ports: RangeInclusive<u16>) -> Self {
        let config = MediaIoConfig {
            shards: 2,
            interfaces: vec![MediaInterface { id: 3, bind, ports }],
            relay: RelayConfig::default(),
            dscp: 46,
            clock: clock(),
        };
        let (media, events) = MediaIo::start(config).unwrap();
        Self { media, events }
    }

    fn command(&mut self, command: MediaCommand) {
        self.media.command(command).unwrap();
    }

    /// The first event for which `find` finds something; others are passed over.
    fn event<T>(&self, find: impl Fn(&MediaEvent) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        while let Some(event) = self.events.recv_timeout(end - Instant::now()) {
            if let Some(found) = find(&event) {
                return found;
            }
        }
        panic!("the event did not come");
    }

    fn bind(&mut self, shard: u8, count: u16) -> Vec<PortPair> {
        let shard = ShardId(shard);
        self.command(MediaCommand::BindPorts {
            shard,
            interface: 3,
            count,
        });
        let pairs = self.event(|event| match event {
            MediaEvent::PortsBound { pairs } => Some(pairs.clone()),
            _ => None,
        });
        assert!(
            pairs
                .iter()
                .all(|pair| pair.shard == shard && pair.interface == 3)
        );
        pairs
    }

    fn open(&mut self, leg: u64, ports: PortPair, params: LegParams) {
        let params = Box::new(params);
        self.command(MediaCommand::OpenLeg {
            leg: LegId(leg),
            ports,
            params,
        });
    }

    fn join(&mut self, a: u64, b: u64) {
        self.command(MediaCommand::Join {
            a: LegId(a),
            b: LegId(b),
        });
    }

    fn close(&mut self, leg: u64) -> LegStats {
        self.command(MediaCommand::CloseLeg { leg: LegId(leg) });
        self.event(|event| match event {
            MediaEvent::Closed { leg: closed, stats } if closed.0 == leg => Some(*stats),
            _ => None,
        })
    }

    /// Waits until all commands so far were carried out.
    fn settle(&mut self, leg: u64) {
        self.command(MediaCommand::Checkpoint { leg: LegId(leg) });
        self.event(|event| match event {
            MediaEvent::LegState { leg: told, .. } if told.0 == leg => Some(()),
            _ => None,
        });
    }
}

/// A telephone: one socket, its own SRTP.
struct Party {
    socket: UdpSocket,
    ssrc: u32,
    next: u16,
    crypt: Option<(Context, Context)>,
}

fn key(fill: u8) -> MasterKey {
    MasterKey::aes_cm_128_80(&std::array::from_fn(|n| fill ^ n as u8))
}

fn srtp(fill: u8) -> SrtpParams {
    SrtpParams {
        key: key(fill),
        mki_len: 0,
    }
}

fn context(fill: u8) -> Context {
    let key = key(fill);
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    Context::new(key.key(), key.salt(), profile, None, None).unwrap()
}

impl Party {
    fn plain(bind: IpAddr, ssrc: u32) -> Self {
        let socket = UdpSocket::bind((bind, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            ssrc,
            next: 65_500,
            crypt: None,
        }
    }

    /// Sends under the key `ssrc`, receives under `ssrc + 100`.
    fn secure(bind: IpAddr, ssrc: u32) -> Self {
        let crypt = Some((context(ssrc as u8), context(ssrc as u8 + 100)));
        Self {
            crypt,
            ..Self::plain(bind, ssrc)
        }
    }

    fn params(&self) -> LegParams {
        let rtp = self.socket.local_addr().unwrap();
        let rtcp = SocketAddr::new(rtp.ip(), 9);
        let fill = self.ssrc as u8;
        let secure = self.crypt.is_some();
        let inbound = secure.then(|| srtp(fill));
        LegParams {
            remotes: vec![RemoteCandidate { rtp, rtcp, inbound }],
            outbound: secure.then(|| srtp(fill + 100)),
            ..LegParams::new(0x100 + self.ssrc)
        }
    }

    fn packet(&mut self) -> Vec<u8> {
        let mut packet = vec![0x80, 0];
        packet.extend(self.next.to_be_bytes());
        packet.extend((u32::from(self.next) * 160).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend((0..160u16).map(|n| (n ^ self.next ^ self.ssrc as u16) as u8));
        self.next = self.next.wrapping_add(1);
        packet
    }

    fn send(&mut self, to: SocketAddr) -> Vec<u8> {
        let packet = self.packet();
        let payload = packet[12..].to_vec();
        let datagram = match &mut self.crypt {
            Some((out, _)) => out.encrypt_rtp(&packet).unwrap().to_vec(),
            None => packet,
        };
        self.socket.send_to(&datagram, to).unwrap();
        payload
    }

    fn receive(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buf = [0; 2048];
        let (len, source) = self.socket.recv_from(&mut buf).ok()?;
        let packet = match &mut self.crypt {
            Some((_, inbound)) => inbound.decrypt_rtp(&buf[..len]).unwrap().to_vec(),
            None => buf[..len].to_vec(),
        };
        Some((packet, source))
    }
}

/// Sends `count` packets each way and sees every one of them arrive as it was.
fn talk(a: &mut Party, b: &mut Party, ports: [PortPair; 2], count: u32) {
    for _ in 0..count {
        let sent = a.send(ports[0].rtp);
        let (packet, source) = b.receive().expect("nothing may be lost on loopback");
        assert_eq!((&packet[12..], source), (&sent[..], ports[1].rtp));
        assert_eq!(packet[8..12], (0x100 + b.ssrc).to_be_bytes());
        let sent = b.send(ports[1].rtp);
        let (packet, source) = a.receive().expect("nothing may be lost on loopback");
        assert_eq!((&packet[12..], source), (&sent[..], ports[0].rtp));
    }
}

#[test]
fn audio_crosses_between_plain_and_srtp() {
    let mut plane = Plane::start(LOOPBACK, 41_000..=41_039);
    let pairs = plane.bind(0, 2);
    let (mut a, mut b) = (Party::plain(LOOPBACK, 1), Party::secure(LOOPBACK, 2));
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    plane.join(1, 2);
    plane.settle(1);
    talk(&mut a, &mut b, [pairs[0], pairs[1]], 200);
    for leg in [1, 2] {
        let stats = plane.close(leg);
        assert_eq!((stats.received, stats.sent, stats.lost), (200, 200, 0));
        assert_eq!(stats.dropped.total(), 0);
    }
    let total = plane.media.counters().total();
    assert_eq!(
        (total.received, total.dropped, total.legs, total.ports),
        (400, 0, 0, 2)
    );
}

#[test]
fn legs_of_two_shards_are_joined_again_and_again() {
    let mut plane = Plane::start(LOOPBACK, 41_040..=41_079);
    let pairs = [
        plane.bind(0, 1)[0],
        plane.bind(1, 1)[0],
        plane.bind(1, 1)[0],
    ];
    let mut parties = [
        Party::plain(LOOPBACK, 1),
        Party::secure(LOOPBACK, 2),
        Party::secure(LOOPBACK, 3),
    ];
    for (n, (party, pair)) in (1..).zip(parties.iter().zip(pairs)) {
        plane.open(n, pair, party.params());
    }
    let [a, b, c] = &mut parties;
    for _ in 0..10 {
        plane.join(1, 2);
        plane.settle(1);
        talk(a, b, [pairs[0], pairs[1]], 16);
        plane.join(3, 1);
        plane.settle(3);
        talk(c, a, [pairs[2], pairs[0]], 16);
        plane.join(2, 3);
        plane.join(1, 2);
        plane.join(2, 3);
        plane.settle(2);
        talk(b, c, [pairs[1], pairs[2]], 16);
    }
    for leg in 1..=3 {
        let stats = plane.close(leg);
        assert_eq!(
            (stats.received, stats.lost, stats.dropped.total()),
            (320, 0, 0),
            "leg {leg}"
        );
    }
    // The pairs can be used again wherever they are by now.
    for (n, (party, pair)) in (11..).zip(parties.iter().zip(pairs)) {
        plane.open(n, pair, party.params());
        plane.settle(n);
        plane.close(n);
    }
    plane.command(MediaCommand::ReleasePorts {
        pairs: pairs.map(|pair| pair.id).to_vec(),
    });
    let end = Instant::now() + PATIENCE;
    while plane.media.counters().total().ports > 0 {
        assert!(Instant::now() < end, "all ports are released");
        std::thread::yield_now();
    }
    for pair in pairs {
        UdpSocket::bind(pair.rtp).unwrap();
        UdpSocket::bind(pair.rtcp).unwrap();
    }
}

#[test]
fn a_port_that_moves_is_heard_again_within_300_ms() {
    let mut plane = Plane::start(LOOPBACK, 41_080..=41_119);
    let pairs = plane.bind(1, 2);
    let (mut a, mut b) = (Party::plain(LOOPBACK, 1), Party::secure(LOOPBACK, 2));
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    plane.join(1, 2);
    plane.settle(1);
    talk(&mut a, &mut b, [pairs[0], pairs[1]], 20);

    a.socket = Party::plain(LOOPBACK, 1).socket;
    b.socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    // One packet in 20 ms: fifteen of them are the 300 ms, on a busy machine too.
    let heard = (0..15).any(|_| {
        a.send(pairs[0].rtp);
        b.receive().is_some()
    });
    assert!(heard, "heard again in time");
    b.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    talk(&mut a, &mut b, [pairs[0], pairs[1]], 50);
    assert_eq!(plane.close(1).moves, 1);
}

#[test]
fn strangers_are_neither_carried_nor_answered() {
    let mut plane = Plane::start(LOOPBACK, 41_120..=41_159);
    let pairs = plane.bind(0, 2);
    let stranger = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let (mut a, mut b) = (Party::plain(LOOPBACK, 1), Party::secure(LOOPBACK, 2));
    let noise = |a: &Party| {
        let mut copy = Party {
            socket: stranger.try_clone().unwrap(),
            crypt: None,
            ..*a
        };
        for pair in &pairs {
            for _ in 0..10 {
                copy.send(pair.rtp);
                stranger
                    .send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], pair.rtcp)
                    .unwrap();
            }
        }
    };
    noise(&a);
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    plane.join(1, 2);
    plane.settle(1);
    for _ in 0..15 {
        noise(&a);
        talk(&mut a, &mut b, [pairs[0], pairs[1]], 10);
    }
    noise(&a);
    for leg in [1, 2] {
        let stats = plane.close(leg);
        assert_eq!((stats.received, stats.sent, stats.moves), (150, 150, 0));
        assert!(stats.dropped.total() >= 150 * 2, "{:?}", stats.dropped);
    }
    noise(&a);
    assert!(
        stranger.recv(&mut [0; 64]).is_err(),
        "a stranger hears nothing"
    );
}

#[test]
fn a_fault_ends_its_leg_and_no_other() {
    let mut plane = Plane::start(LOOPBACK, 41_160..=41_199);
    let pairs = plane.bind(0, 4);
    let mut parties: Vec<_> = (1..=4).map(|n| Party::plain(LOOPBACK, n)).collect();
    for (n, (party, pair)) in (1..).zip(parties.iter().zip(&pairs)) {
        plane.open(n, *pair, party.params());
    }
    plane.join(1, 2);
    plane.join(3, 4);
    plane.settle(3);
    parties[0]
        .socket
        .send_to(PLANTED_FAULT, pairs[0].rtp)
        .unwrap();
    let error = plane.event(|event| match event {
        MediaEvent::Failed {
            leg: LegId(1),
            error,
        } => Some(*error),
        _ => None,
    });
    assert_eq!(error, MediaError::Internal);
    let [_, _, c, d] = &mut parties[..] else {
        panic!()
    };
    talk(c, d, [pairs[2], pairs[3]], 150);
    plane.settle(2);
    let total = plane.media.counters().total();
    assert_eq!((total.faults, total.legs), (1, 3));
    // Its ports are free for the next call.
    plane.open(5, pairs[0], parties[0].params());
    plane.join(5, 2);
    plane.settle(5);
    let [a, b, ..] = &mut parties[..] else {
        panic!()
    };
    talk(a, b, [pairs[0], pairs[1]], 20);
}

#[test]
fn ports_run_out_and_wrong_commands_are_told() {
    let taken = UdpSocket::bind((LOOPBACK, 41_206)).unwrap();
    let mut plane = Plane::start(LOOPBACK, 41_201..=41_219);
    // Pairs from 41202 to 41218, of which 41218 has no second port; odd ones are shard 1's.
    let even = plane.bind(0, 10);
    let mut missing = plane.event(|event| match event {
        MediaEvent::PortsFailed { missing, .. } => Some(*missing),
        _ => None,
    });
    assert_eq!((even.len(), missing), (4, 6));
    assert!(
        even.iter()
            .all(|pair| pair.rtp.port() % 4 == 2 && pair.rtp.port() != 41_206)
    );
    assert!(
        even.iter()
            .all(|pair| pair.rtcp.port() == pair.rtp.port() + 1)
    );
    for (shard, interface) in [(0, 9), (7, 3)] {
        plane.command(MediaCommand::BindPorts {
            shard: ShardId(shard),
            interface,
            count: 1,
        });
        missing = plane.event(|event| match event {
            MediaEvent::PortsFailed { missing, .. } => Some(*missing),
            _ => None,
        });
        assert_eq!(missing, 1);
    }
    drop(taken);
    let failed = |plane: &Plane, leg: u64| {
        plane.event(|event| match event {
            MediaEvent::Failed { leg: failed, error } if failed.0 == leg => Some(*error),
            _ => None,
        })
    };
    plane.join(1, 2);
    assert_eq!(failed(&plane, 1), MediaError::NoLeg);
    let party = Party::plain(LOOPBACK, 1);
    let unknown = PortPair {
        id: media_relay::PortPairId(77),
        ..even[0]
    };
    plane.open(1, unknown, party.params());
    assert_eq!(failed(&plane, 1), MediaError::PortsUnknown);
    plane.open(2, even[0], party.params());
    plane.open(2, even[1], party.params());
    assert_eq!(failed(&plane, 2), MediaError::LegExists);
    plane.close(2);
    plane.command(MediaCommand::CloseLeg { leg: LegId(2) });
    assert_eq!(failed(&plane, 2), MediaError::NoLeg);
    let update = MediaCommand::UpdateLeg {
        leg: LegId(2),
        params: Box::new(party.params()),
    };
    plane.command(update);
    assert_eq!(failed(&plane, 2), MediaError::NoLeg);
}

#[test]
fn ipv6_is_served_alike() {
    let bind = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if UdpSocket::bind((bind, 0)).is_err() {
        return; // a machine without IPv6
    }
    let mut plane = Plane::start(bind, 41_220..=41_239);
    let pairs = plane.bind(0, 2);
    let (mut a, mut b) = (Party::plain(bind, 1), Party::secure(bind, 2));
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    plane.join(1, 2);
    plane.settle(1);
    talk(&mut a, &mut b, [pairs[0], pairs[1]], 50);
}

#[test]
fn stopping_says_goodbye_on_every_leg() {
    let mut plane = Plane::start(LOOPBACK, 41_240..=41_279);
    let pairs = [plane.bind(0, 1)[0], plane.bind(1, 1)[0]];
    let (mut a, mut b) = (Party::plain(LOOPBACK, 1), Party::plain(LOOPBACK, 2));
    let rtcp = [
        UdpSocket::bind((LOOPBACK, 0)).unwrap(),
        UdpSocket::bind((LOOPBACK, 0)).unwrap(),
    ];
    for (n, (party, pair)) in (1..).zip([&a, &b].into_iter().zip(pairs)) {
        let mut params = party.params();
        params.remotes[0].rtcp = rtcp[n as usize - 1].local_addr().unwrap();
        plane.open(n, pair, params);
    }
    plane.join(1, 2);
    plane.settle(1);
    talk(&mut a, &mut b, pairs, 5);
    let Plane { media, events } = plane;
    media.stop();
    let mut closed = Vec::new();
    while let Some(event) = events.recv() {
        if let MediaEvent::Closed { leg, .. } = event {
            closed.push(leg.0);
        }
    }
    closed.sort_unstable();
    assert_eq!(closed, [1, 2]);
    for socket in rtcp {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buf = [0; 256];
        let len = socket.recv(&mut buf).unwrap();
        assert_eq!(buf[len - 7], 203, "the compound ends in a BYE");
    }
}

#[test]
fn the_first_packet_after_a_join_is_carried() {
    let mut plane = Plane::start(LOOPBACK, 28_000..=28_099);
    let pairs = plane.bind(0, 2);
    let (mut a, b) = (Party::plain(LOOPBACK, 1), Party::plain(LOOPBACK, 2));
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    b.socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut buffer = [0; 2048];
    for round in 0..300 {
        plane.command(MediaCommand::Split { leg: LegId(1) });
        plane.settle(1);
        plane.join(1, 2);
        a.send(pairs[0].rtp);
        let heard = b.socket.recv(&mut buffer);
        assert!(heard.is_ok(), "round {round}: {heard:?}");
    }
}
