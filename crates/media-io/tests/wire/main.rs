//! The media plane on loopback: real sockets, real threads, parties of another library.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // a test may, outside `#[test]` too

/// Makes each of these functions a test of its own on every path.
macro_rules! on_every_path {
    ($($test:ident),+ $(,)?) => {
        mod epoll {
            $(#[test]
            fn $test() {
                super::$test(super::PathKind::Epoll);
            })+
        }

        mod io_uring {
            $(#[test]
            fn $test() {
                super::$test(super::PathKind::Uring);
            })+
        }

        mod steered {
            $(#[test]
            fn $test() {
                crate::namespace::alone(|| {
                    crate::take_frames_of_our_own();
                    super::$test(super::PathKind::Steered);
                });
            })+
        }
    };
}

mod burst;
mod carry;
mod commands;
mod convert;
mod forbidden;
mod hostile;
mod many;
#[path = "../steer/namespace.rs"]
mod namespace;
mod settled;
mod shards;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media_io::{Clock, Events, MediaInterface, MediaIo, MediaIoConfig, PathChoice, PathKind};
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

/// Tests of several paths run beside each other: each path has ports of its own.
fn shifted(path: PathKind, port: u16) -> u16 {
    port + match path {
        PathKind::Epoll => 0,
        PathKind::Uring => 400,
        PathKind::Steered => 0, // in a namespace of its own
    }
}

/// Has the namespace take frames from its own addresses, as from a peer on a cable.
fn take_frames_of_our_own() {
    for name in ["accept_local", "route_localnet"] {
        namespace::switch(&format!("ipv4/conf/lo/{name}"), "1");
    }
}

/// The media plane and what the signalling side knows of it.
struct Plane {
    media: MediaIo,
    events: Events,
}

impl Plane {
    /// On this path, and no other: the test would judge another one than its name says.
    fn start(path: PathKind, bind: IpAddr, ports: RangeInclusive<u16>) -> Self {
        let ports = shifted(path, *ports.start())..=shifted(path, *ports.end());
        let plane = Self::choosing(PathChoice::Prefer(path), bind, ports);
        let taken = plane.media.path();
        assert_eq!(taken.kind, path, "{}", taken.reason);
        plane
    }

    fn choosing(path: PathChoice, bind: IpAddr, ports: RangeInclusive<u16>) -> Self {
        let interfaces = vec![MediaInterface { id: 3, bind, ports }];
        Self::with(path, interfaces, RelayConfig::default())
    }

    fn with(path: PathChoice, interfaces: Vec<MediaInterface>, relay: RelayConfig) -> Self {
        let config = MediaIoConfig {
            shards: 2,
            interfaces,
            relay,
            dscp: 46,
            path,
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

    /// Legs 1 and 2 of this shard, joined: a plain and a secure party at `host`.
    fn call(&mut self, shard: u8, host: IpAddr) -> ([PortPair; 2], [Party; 2]) {
        let pairs: [PortPair; 2] = self.bind(shard, 2).try_into().unwrap();
        let (a, b) = (Party::plain(host, 1), Party::secure(host, 2));
        self.open(1, pairs[0], a.params());
        self.open(2, pairs[1], b.params());
        self.join(1, 2);
        self.settle(1);
        (pairs, [a, b])
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
            outbound: secure.then(|| Box::new(srtp(fill + 100))),
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
        let sent = a.send(ports[0].rtp());
        let (packet, source) = b.receive().expect("nothing may be lost on loopback");
        assert_eq!((&packet[12..], source), (&sent[..], ports[1].rtp()));
        assert_eq!(packet[8..12], (0x100 + b.ssrc).to_be_bytes());
        let sent = b.send(ports[1].rtp());
        let (packet, source) = a.receive().expect("nothing may be lost on loopback");
        assert_eq!((&packet[12..], source), (&sent[..], ports[0].rtp()));
    }
}
