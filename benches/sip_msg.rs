//! Parsing and printing one carrier's INVITE of 1.4 KB: time, allocations, instructions.
//!
//! `cargo bench --bench sip_msg` prints nanoseconds and allocations of each step, the copy of the
//! input included. Instructions do not move with load; they are the difference of two runs:
//!
//! ```sh
//! cargo bench -p trunkline-benches --bench sip_msg --no-run
//! for n in 1000 2000; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!         target/release/deps/sip_msg-* --callgrind parse $n
//! done
//! ```
//!
//! Steps: `parse`, `typed` (parse, then read top Via, From, To, Call-ID, CSeq and Contact),
//! `print` (parse, then print).
#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use sip_msg::{Framing, Limits, Message, parse};
use trunkline_benches::alloc;

const INVITE: &str = "INVITE sip:+14255550123@sbc.example.com:5060;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK0a1b2c3d4e5f60718293a4b5c6d7e8f9;rport\r\n\
Via: SIP/2.0/UDP 192.0.2.77:5060;received=198.51.100.7;branch=z9hG4bK776asdhds\r\n\
Record-Route: <sip:192.0.2.10;lr;ftag=3f1a;did=b21.9c3e>\r\n\
From: \"Example Caller\" <sip:+14255550100@carrier.example.net;user=phone>;tag=gK0c8f3a21\r\n\
To: <sip:+14255550123@sbc.example.com;user=phone>\r\n\
Call-ID: 1746193721_98231123@192.0.2.77\r\n\
CSeq: 684213 INVITE\r\n\
Max-Forwards: 67\r\n\
Contact: <sip:+14255550100@192.0.2.77:5060;transport=udp>\r\n\
Allow: INVITE,ACK,CANCEL,BYE,REGISTER,REFER,INFO,SUBSCRIBE,NOTIFY,PRACK,UPDATE,OPTIONS\r\n\
Accept: application/sdp, application/isup, application/dtmf, multipart/mixed\r\n\
P-Asserted-Identity: \"Example Caller\" <sip:+14255550100@carrier.example.net;user=phone>\r\n\
Privacy: none\r\n\
P-Charging-Vector: icid-value=5a1f0e9b7c6d;icid-generated-at=192.0.2.77;orig-ioi=carrier\r\n\
Supported: timer,100rel,precondition,replaces\r\n\
Session-Expires: 1800;refresher=uac\r\n\
Min-SE: 90\r\n\
User-Agent: Carrier SBC 9.1.2\r\n\
X-Carrier-Trace: 7c1d-22ab-90fe\r\n\
Content-Disposition: session;handling=required\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 237\r\n\r\n\
v=0\r\n\
o=Carrier 20518 31423 IN IP4 192.0.2.77\r\n\
s=SIP Media Capabilities\r\n\
c=IN IP4 192.0.2.78\r\n\
t=0 0\r\n\
m=audio 20472 RTP/AVP 8 0 101\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=sendrecv\r\n\
a=maxptime:20\r\n";

fn parsed() -> Message {
    let input = Bytes::copy_from_slice(INVITE.as_bytes());
    parse(input, &Limits::default(), Framing::Datagram).expect("the INVITE is valid")
}

fn typed() {
    let message = parsed();
    let headers = message.headers();
    black_box((
        headers.top_via().is_ok(),
        headers.from().is_ok(),
        headers.to().is_ok(),
    ));
    black_box((
        headers.call_id().is_ok(),
        headers.cseq().is_ok(),
        headers.contacts().is_ok(),
    ));
}

const STEPS: [(&str, fn()); 3] = [
    ("parse", || drop(black_box(parsed()))),
    ("typed", typed),
    ("print", || drop(black_box(parsed().to_bytes()))),
];

/// The best of several rounds: what the machine can do when it is left alone.
fn nanoseconds(step: fn()) -> f64 {
    const ROUNDS: u32 = 15;
    const CALLS: u32 = 4_000;
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| step());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments
        .iter()
        .position(|argument| argument == "--callgrind")
    {
        let name = arguments.get(at + 1).map_or("parse", String::as_str);
        let calls = arguments
            .get(at + 2)
            .and_then(|calls| calls.parse().ok())
            .unwrap_or(1_000);
        let step = STEPS.iter().find(|(known, _)| *known == name);
        let (_, step) = step.expect("a step this bench has: parse, typed or print");
        (0..calls).for_each(|_: u32| step());
        return;
    }
    println!("INVITE of {} octets", INVITE.len());
    for (name, step) in STEPS {
        let time = nanoseconds(step);
        let ((), allocations) = alloc::count(step);
        println!(
            "{name:6} {time:8.0} ns {:3} allocations {:6} octets",
            allocations.calls, allocations.bytes
        );
    }
}
