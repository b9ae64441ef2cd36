//! One 20 ms packet of G.711 through the relay: RTP to SRTP and back, over many joined calls in
//! turn; over 5,000 calls also with their memory fetched ahead, as a shard does.
//!
//! `cargo bench -p trunkline-benches --bench forward` prints nanoseconds a packet, and octets a leg
//! of each kind keeps; `… --bench forward -- loop 1000 100000` takes 100,000 packets over 1,000
//! calls, every second one from the SRTP side, and prints nothing, for callgrind (which cannot see
//! SHA-NI).
#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ambient::{Moment, Now, WallTime};
use media_io::Prefetch;
use media_relay::{
    Arrival, LegId, LegParams, MasterKey, MediaCommand, PortPair, PortPairId, Relay, RelayConfig,
    RemoteCandidate, ShardId, SrtpParams, TAILROOM, Verdict,
};
use rtp::{HeaderEdit, SrtpOutbound};
use trunkline_benches::alloc::held;

const PACKET: usize = 172;
/// How many packets ahead the memory of a walk is named, step by step.
const AHEAD: [u64; 3] = [12, 8, 4];
const ROUNDS: usize = 25;
const PER_ROUND: u64 = 4000;

struct Calls {
    relay: Relay,
    now: Now,
    /// The parties behind the SRTP legs.
    senders: Vec<SrtpOutbound>,
    packets: u64,
}

fn party(leg: u64) -> SocketAddr {
    let port = 10_000 + (leg % 50_000) as u16;
    (Ipv4Addr::new(198, 51, 100, 1 + (leg / 50_000) as u8), port).into()
}

fn key(leg: u64, of: u8) -> MasterKey {
    MasterKey::aes_cm_128_80(&std::array::from_fn(|n| n as u8 ^ leg as u8 ^ of))
}

fn open(leg: u64, secure: bool) -> MediaCommand {
    let own = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 10_000));
    let srtp = |of| {
        secure.then(|| SrtpParams {
            key: key(leg, of),
            mki_len: 0,
        })
    };
    let remote = RemoteCandidate {
        rtp: party(leg),
        rtcp: party(leg),
        inbound: srtp(1),
    };
    MediaCommand::OpenLeg {
        leg: LegId(leg),
        ports: PortPair {
            id: PortPairId(leg as u32),
            shard: ShardId(0),
            interface: 0,
            address: own.ip(),
            port: own.port(),
        },
        params: Box::new(LegParams {
            remotes: vec![remote],
            outbound: srtp(2).map(Box::new),
            ..LegParams::new(leg as u32)
        }),
    }
}

impl Calls {
    fn new(calls: u64) -> Self {
        let config = RelayConfig {
            max_legs: 1 << 20,
            ..RelayConfig::default()
        };
        let mut relay = Relay::new(config);
        let now = Now {
            moment: Moment::from_nanos(1_000_000_000),
            wall: WallTime::from_unix_micros(1_767_225_600_000_000),
        };
        for call in 0..calls {
            let (a, b) = (2 * call, 2 * call + 1);
            relay.handle_command(now, open(a, false));
            relay.handle_command(now, open(b, true));
            let (a, b) = (LegId(a), LegId(b));
            relay.handle_command(now, MediaCommand::Join { a, b });
        }
        Self {
            relay,
            now,
            senders: (0..calls)
                .map(|call| SrtpOutbound::new(&key(2 * call + 1, 1)))
                .collect(),
            packets: 0,
        }
    }

    /// The turn and the leg of a packet: of every call in turn, of either side in turn.
    fn turn(&self, packet: u64) -> (u64, u64) {
        let calls = self.senders.len() as u64;
        let (turn, call) = (packet / calls, packet % calls);
        (turn, 2 * call + turn % 2)
    }

    /// Has the memory of the packets to come fetched.
    fn look_ahead(&self) {
        let [hearing, sending, sealing] = AHEAD.map(|ahead| {
            let (_, leg) = self.turn(self.packets + ahead);
            PortPairId(leg as u32)
        });
        self.relay.foresee_hearing(hearing, &mut Prefetch);
        self.relay.foresee_sending(sending, &mut Prefetch);
        let leaves_by = self.relay.foresee_sealing(sealing, &mut Prefetch);
        assert!(leaves_by.is_some());
    }

    /// The next packet.
    fn step(&mut self) {
        let (turn, leg) = self.turn(self.packets);
        let (index, secure, call) = (turn / 2, turn % 2 == 1, leg / 2);
        self.packets += 1;
        let mut buf = [0x55; PACKET + TAILROOM];
        let fields = HeaderEdit {
            marker: false,
            payload_type: 0,
            sequence: index as u16,
            timestamp: (index as u32).wrapping_mul(160),
            ssrc: 7,
        };
        rtp::header::write(&mut buf, &fields).expect("the buffer holds a header");
        let mut len = PACKET;
        if secure {
            let sender = &mut self.senders[call as usize];
            let sealed = sender.protect_rtp(&mut buf, PACKET, index);
            len = sealed.expect("the index is new");
        }
        let moment = self.now.moment + Duration::from_micros(10);
        self.now = Now {
            moment,
            wall: self.now.wall_at(moment),
        };
        let arrival = Arrival {
            ports: PortPairId(leg as u32),
            rtcp: false,
            source: party(leg),
        };
        let verdict = self
            .relay
            .forward(self.now, &arrival, black_box(&mut buf), len);
        assert!(matches!(verdict, Verdict::Send(_)), "{verdict:?}");
        while self.relay.poll_event().is_some() {}
    }

    fn run(&mut self, packets: u64, ahead: bool) {
        for _ in 0..packets {
            if ahead {
                self.look_ahead();
            }
            self.step();
        }
    }
}

fn octets_a_leg(secure: bool) -> i64 {
    const LEGS: u64 = 1 << 10;
    let (relay, octets) = held(|| {
        let calls = Calls::new(0);
        let (mut relay, now) = (calls.relay, calls.now);
        for leg in 0..LEGS {
            relay.handle_command(now, open(leg, secure));
        }
        relay
    });
    black_box(&relay);
    octets / LEGS as i64
}

fn main() {
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if let [mode, calls, packets] = arguments.as_slice()
        && mode == "loop"
    {
        let mut calls = Calls::new(calls.parse().expect("a number of calls"));
        return calls.run(packets.parse().expect("a number of packets"), false);
    }
    for (calls, ahead) in [(1, false), (5_000, false), (5_000, true)] {
        let mut calls = Calls::new(calls);
        calls.run(20_000, ahead);
        let rounds = (0..ROUNDS).map(|_| {
            let start = Instant::now();
            calls.run(PER_ROUND, ahead);
            start.elapsed().as_nanos() as u64 / PER_ROUND
        });
        let best = rounds.min().unwrap_or_default();
        let calls = calls.senders.len();
        let how = if ahead { ", fetched ahead" } else { "" };
        println!(
            "a packet, {calls:>5} calls{how}: {best} ns, with what the party does for its half"
        );
    }
    println!(
        "a leg keeps {} octets with RTP, {} with SRTP",
        octets_a_leg(false),
        octets_a_leg(true)
    );
}
