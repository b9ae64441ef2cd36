//! One 172-octet packet from RTP to SRTP and back, in memory, against webrtc-srtp in the same run.
//!
//! `cargo bench --bench srtp` prints nanoseconds a packet of both and their ratio; the ratio is the
//! claim, for it does not depend on the day. `… --bench srtp -- loop 100000` takes 100,000 packets
//! through ours and prints nothing, for callgrind (which cannot see SHA-NI).
#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::hint::black_box;
use std::time::Instant;

use rtp::{HeaderEdit, MasterKey, SrtpInbound, SrtpOutbound};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const PACKET: usize = 172;
const ROUNDS: usize = 25;
const PER_ROUND: u64 = 4000;

fn packet(buf: &mut [u8], index: u64) {
    let fields = HeaderEdit {
        marker: false,
        payload_type: 0,
        sequence: index as u16,
        timestamp: (index as u32).wrapping_mul(160),
        ssrc: 7,
    };
    rtp::header::write(buf, &fields).expect("the buffer holds a header");
}

fn key() -> MasterKey {
    MasterKey::aes_cm_128_80(&std::array::from_fn(|n| n as u8))
}

struct Ours {
    outbound: SrtpOutbound,
    inbound: SrtpInbound,
    index: u64,
}

impl Ours {
    fn new() -> Self {
        let outbound = SrtpOutbound::new(&key());
        Self {
            outbound,
            inbound: SrtpInbound::new(&key(), 0),
            index: 0,
        }
    }

    fn run(&mut self, packets: u64) {
        let mut buf = [0x55; PACKET + 10];
        for _ in 0..packets {
            packet(&mut buf, self.index);
            let sealed = self.outbound.protect_rtp(&mut buf, PACKET, self.index);
            let sealed = sealed.expect("the index is new");
            let opened = self.inbound.unprotect_rtp(black_box(&mut buf[..sealed]));
            black_box(opened.expect("the tag is right"));
            self.index += 1;
        }
    }
}

struct Theirs {
    outbound: Context,
    inbound: Context,
    index: u64,
}

impl Theirs {
    fn new() -> Self {
        let key = key();
        let context = || {
            let profile = ProtectionProfile::Aes128CmHmacSha1_80;
            let window = webrtc_srtp::option::srtp_replay_protection(128);
            Context::new(key.key(), key.salt(), profile, Some(window), None)
                .expect("the key is as long as it must be")
        };
        Self {
            outbound: context(),
            inbound: context(),
            index: 0,
        }
    }

    fn run(&mut self, packets: u64) {
        let mut buf = [0x55; PACKET];
        for _ in 0..packets {
            packet(&mut buf, self.index);
            let sealed = self
                .outbound
                .encrypt_rtp(&buf)
                .expect("the packet is sound");
            let opened = self.inbound.decrypt_rtp(black_box(&sealed));
            black_box(opened.expect("the tag is right"));
            self.index += 1;
        }
    }
}

fn nanos_each(run: impl FnOnce(u64)) -> f64 {
    let start = Instant::now();
    run(PER_ROUND);
    start.elapsed().as_nanos() as f64 / PER_ROUND as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, packets, ..] = &arguments[..]
        && mode == "loop"
    {
        return Ours::new().run(packets.parse().expect("loop takes a number of packets"));
    }
    let (mut ours, mut theirs) = (Ours::new(), Theirs::new());
    ours.run(PER_ROUND);
    theirs.run(PER_ROUND);
    // Turn by turn, so that whatever disturbs one disturbs the other.
    let rounds = (0..ROUNDS).map(|_| {
        (
            nanos_each(|packets| ours.run(packets)),
            nanos_each(|packets| theirs.run(packets)),
        )
    });
    let (ours, theirs): (Vec<_>, Vec<_>) = rounds.unzip();
    let (ours, theirs) = (median(ours), median(theirs));
    println!("RTP to SRTP and back, {PACKET} octets, AES_CM_128_HMAC_SHA1_80");
    println!("  trunkline    {ours:7.0} ns a packet");
    println!("  webrtc-srtp  {theirs:7.0} ns a packet");
    println!("  ratio        {:7.2}", theirs / ours);
}
