//! The packet path allocates nothing: counted by the allocator itself.
#![allow(unsafe_code)] // a global allocator can only be written so
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // a test may, outside `#[test]` too

#[path = "steer/namespace.rs"]
mod namespace;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media_io::{MediaInterface, MediaIo, MediaIoConfig, PathChoice, PathKind};
use media_relay::{
    Arrival, Cadence, Conversion, DropReason, Law, LegId, LegParams, MasterKey, MediaCommand,
    MediaEvent, Moment, Now, PortPair, PortPairId, PtMap, Relay, RelayConfig, RemoteCandidate,
    ShardId, Source, Speech, SrtpParams, TAILROOM, TelephoneEvent, ToneCodec, Verdict, WallTime,
};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

/// Counts what is asked of the system's allocator.
struct Counting;

static ALL: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HERE: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // The harness waits on the process's first thread, and takes memory when it begins to: at any
    // time, for all that the test knows.
    // SAFETY: neither call takes an argument or can fail.
    let harness = unsafe { libc::gettid() == libc::getpid() };
    if !harness {
        ALL.fetch_add(1, Ordering::Relaxed);
    }
    HERE.with(|here| here.set(here.get() + 1));
}

// SAFETY: every method hands its arguments unchanged to `System`, which keeps the contract; counting
// touches an atomic and a thread-local without destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `System` with this layout, for all of ours do.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; `size` is the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn key(fill: u8) -> MasterKey {
    MasterKey::aes_cm_128_80(&std::array::from_fn(|n| fill ^ n as u8))
}

fn context(fill: u8) -> Context {
    let key = key(fill);
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    Context::new(key.key(), key.salt(), profile, None, None).unwrap()
}

fn party(n: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n as u8], 4000))
}

fn ports(n: u64) -> PortPair {
    PortPair {
        id: PortPairId(n as u32),
        shard: ShardId(0),
        interface: 0,
        address: [198, 51, 100, 1].into(),
        port: 20_000 + 2 * n as u16,
    }
}

fn params(n: u64, secure: bool) -> LegParams {
    let srtp = |fill: u8| SrtpParams {
        key: key(fill),
        mki_len: 0,
    };
    let inbound = secure.then(|| srtp(n as u8));
    let rtcp = SocketAddr::new(party(n).ip(), 4001);
    LegParams {
        remotes: vec![RemoteCandidate {
            rtp: party(n),
            rtcp,
            inbound,
        }],
        outbound: secure.then(|| Box::new(srtp(n as u8 + 100))),
        telephone_event: Some(TelephoneEvent {
            heard: 101,
            sent: 96,
            clock: 8000,
        }),
        silence_after: Some(Duration::from_secs(2)),
        pt_map: PtMap::empty().with(0, 0).with(101, 96),
        tone: Some(ToneCodec {
            law: Law::Ulaw,
            payload_type: 0,
        }),
        ..LegParams::new(n as u32)
    }
}

fn rtp(ssrc: u32, index: u64, payload_type: u8) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend((index as u16).to_be_bytes());
    packet.extend((index as u32).wrapping_mul(160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([5, 0x80, 0, 160]);
    packet.resize(172, index as u8);
    packet
}

/// An SR of `ssrc`, or an RR where `sender` is not.
fn rtcp(ssrc: u32, sender: bool) -> Vec<u8> {
    let (kind, words, len) = if sender { (200, 6, 28) } else { (201, 1, 8) };
    let mut packet = vec![0x80, kind, 0, words];
    packet.extend(ssrc.to_be_bytes());
    packet.resize(len, 0);
    packet
}

#[derive(Clone)]
struct Input {
    arrival: Arrival,
    datagram: Vec<u8>,
}

/// What four parties and a stranger send in one round; two of the parties speak SRTP.
fn round(round: u64, contexts: &mut [Context; 2]) -> Vec<Input> {
    let mut inputs = Vec::new();
    // Every so often all sources change, and come back later.
    let epoch = (round / 700) % 20;
    for n in 1..=4u64 {
        let ssrc = (100 * n + epoch) as u32;
        let payload_type = match round % 50 {
            48 => 101,
            49 => 77, // was not negotiated
            _ => 0,
        };
        let mut datagrams = vec![(false, rtp(ssrc, round, payload_type))];
        if round.is_multiple_of(25) {
            datagrams.push((true, rtcp(ssrc, round.is_multiple_of(50))));
        }
        for (is_rtcp, datagram) in datagrams {
            let datagram = match (n as usize)
                .checked_sub(3)
                .and_then(|at| contexts.get_mut(at))
            {
                Some(context) if is_rtcp => context.encrypt_rtcp(&datagram).unwrap().to_vec(),
                Some(context) => context.encrypt_rtp(&datagram).unwrap().to_vec(),
                None => datagram,
            };
            let pair = PortPairId(n as u32);
            let mut source = party(n);
            source.set_port(if is_rtcp { 4001 } else { 4000 });
            let arrival = Arrival {
                ports: pair,
                rtcp: is_rtcp,
                source,
            };
            let input = Input { arrival, datagram };
            if round.is_multiple_of(7) {
                let mut forged = input.clone();
                *forged.datagram.last_mut().unwrap() ^= 1;
                forged.arrival.source.set_port(9);
                inputs.push(forged);
                let mut noise = input.clone();
                noise.datagram.truncate((round % 20) as usize);
                inputs.push(noise);
                let mut lost = input.clone();
                lost.arrival.ports = PortPairId(99);
                inputs.push(lost);
                inputs.push(input.clone()); // comes twice
            }
            inputs.push(input);
        }
    }
    inputs
}

#[test]
fn a_million_mixed_packets_allocate_nothing() {
    let mut relay = Relay::new(RelayConfig {
        max_legs: 8,
        ..RelayConfig::default()
    });
    let mut now = Now {
        moment: Moment::from_nanos(1),
        wall: WallTime::from_unix_micros(1_700_000_000_000_000),
    };
    // Leg 5 hears a tone all the time and speaks to nobody.
    for n in 1..=5 {
        let params = Box::new(params(n, n >= 3));
        let open = MediaCommand::OpenLeg {
            leg: LegId(n),
            ports: ports(n),
            params,
        };
        relay.handle_command(now, open);
    }
    for (a, b) in [(1, 3), (2, 4)] {
        relay.handle_command(
            now,
            MediaCommand::Join {
                a: LegId(a),
                b: LegId(b),
            },
        );
    }
    let source = Source::Tone(Cadence::RINGBACK);
    relay.handle_command(
        now,
        MediaCommand::Source {
            leg: LegId(5),
            source,
        },
    );

    let mut contexts = [context(3), context(4)];
    let mut buf = [0; 1024];
    let (mut packets, mut sent, mut made, mut events) = (0u64, 0u64, 0u64, 0u64);
    let mut dropped = [0u64; DropReason::COUNT];
    let mut number = 0;
    while packets < 1_000_000 {
        number += 1;
        let inputs = round(number, &mut contexts);
        let before = HERE.with(Cell::get);
        // A break now and then, for the timers of silence.
        let pause = if number.is_multiple_of(5000) {
            5000
        } else {
            20
        };
        now.moment = now.moment + Duration::from_millis(pause);
        now.wall = WallTime::from_unix_micros(now.wall.as_unix_micros() + 1000 * pause);
        if relay.poll_timeout().is_some_and(|next| next <= now.moment) {
            relay.handle_timeout(now);
        }
        while relay.poll_transmit(now, &mut buf).is_some() {
            made += 1;
        }
        for Input { arrival, datagram } in &inputs {
            packets += 1;
            let len = datagram.len();
            buf[..len].copy_from_slice(datagram);
            match relay.forward(now, arrival, &mut buf[..len + TAILROOM], len) {
                Verdict::Send(_) => sent += 1,
                Verdict::Convert(ticket) => panic!("{ticket:?}"),
                Verdict::Drop(reason) => dropped[reason as usize] += 1,
            }
        }
        while let Some(event) = relay.poll_event() {
            assert!(!matches!(event, MediaEvent::Failed { .. }), "{event:?}");
            events += 1;
        }
        assert_eq!(
            HERE.with(Cell::get) - before,
            0,
            "allocations in round {number}"
        );
    }
    assert!(sent > 500_000, "{sent} carried");
    assert!(
        made > 50_000 && events > 1000,
        "{made} made, {events} events"
    );
    for reason in [
        DropReason::BadTag,
        DropReason::Duplicate,
        DropReason::Malformed,
        DropReason::NoLeg,
        DropReason::PayloadType,
        DropReason::Replay,
        DropReason::RtcpAbsorbed,
        DropReason::Stranger,
    ] {
        assert!(
            dropped[reason as usize] > 100,
            "{} is among them",
            reason.name()
        );
    }
    assert!(relay.leg_stats(LegId(3)).unwrap().streams >= 20);
}

#[test]
fn the_shard_loop_on_sockets_allocates_nothing() {
    shard_loop(PathKind::Epoll, 41_300..=41_309, None);
}

#[test]
fn the_shard_loop_on_io_uring_allocates_nothing() {
    shard_loop(PathKind::Uring, 41_320..=41_329, None);
}

#[test]
fn the_steered_shard_loop_allocates_nothing() {
    namespace::alone(|| shard_loop(PathKind::Steered, 41_330..=41_339, None));
}

#[test]
fn converting_speech_allocates_nothing_either() {
    let conversion = Conversion {
        from: vec![(0, Speech::G711(Law::Ulaw))],
        to: Speech::G722,
        payload_type: 9,
    };
    shard_loop(PathKind::Epoll, 41_310..=41_319, Some(conversion));
}

/// Carries packets from one leg to the other, converted as the second one wants it.
fn shard_loop(
    path: PathKind,
    ports: std::ops::RangeInclusive<u16>,
    conversion: Option<Conversion>,
) {
    let bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (media, events) = MediaIo::start(MediaIoConfig {
        dscp: 46,
        path: PathChoice::Prefer(path),
        shards: 1,
        interfaces: vec![MediaInterface { id: 0, bind, ports }],
        relay: RelayConfig::default(),
        clock: {
            let start = std::time::Instant::now();
            Arc::new(move || Now {
                moment: Moment::from_nanos(start.elapsed().as_nanos() as u64),
                wall: WallTime::from_unix_micros(1_700_000_000_000_000),
            })
        },
    })
    .unwrap();
    let mut media = media;
    media
        .command(MediaCommand::BindPorts {
            shard: ShardId(0),
            interface: 0,
            count: 2,
        })
        .unwrap();
    let Some(MediaEvent::PortsBound { pairs }) = events.recv() else {
        panic!("no ports")
    };
    let sockets = [
        UdpSocket::bind((bind, 0)).unwrap(),
        UdpSocket::bind((bind, 0)).unwrap(),
    ];
    for (n, (socket, pair)) in (1..).zip(sockets.iter().zip(&pairs)) {
        let mut params = params(n, false);
        params.remotes[0].rtp = socket.local_addr().unwrap();
        if conversion.is_some() {
            params.pt_map = PtMap::empty();
            params.conversion = conversion.clone().map(Box::new);
        }
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let open = MediaCommand::OpenLeg {
            leg: LegId(n),
            ports: *pair,
            params: Box::new(params),
        };
        media.command(open).unwrap();
    }
    media
        .command(MediaCommand::Join {
            a: LegId(1),
            b: LegId(2),
        })
        .unwrap();
    media
        .command(MediaCommand::Checkpoint { leg: LegId(1) })
        .unwrap();
    while !matches!(events.recv(), Some(MediaEvent::LegState { .. })) {}

    let mut datagram = rtp(7, 0, 0);
    let mut heard = [0; 2048];
    let mut exchange = |packets: std::ops::Range<u16>| {
        for index in packets {
            datagram[2..4].copy_from_slice(&index.to_be_bytes());
            // Either way in turn: one port takes only so many datagrams a second.
            let (here, there) = (usize::from(index % 2), usize::from(1 - index % 2));
            sockets[here].send_to(&datagram, pairs[here].rtp()).unwrap();
            if index % 4 < 2 {
                sockets[here]
                    .send_to(&datagram[..3], pairs[here].rtp())
                    .unwrap();
                sockets[here]
                    .send_to(&datagram, pairs[here].rtcp())
                    .unwrap();
            }
            assert_eq!(sockets[there].recv(&mut heard).unwrap(), 172);
        }
    };
    // The first packets take the counters' and the threads' own memory.
    exchange(0..100);
    let before = ALL.load(Ordering::SeqCst);
    exchange(100..20_100);
    assert_eq!(ALL.load(Ordering::SeqCst) - before, 0);
}
