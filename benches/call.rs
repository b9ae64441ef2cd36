//! One whole call through the signalling core: nanoseconds and allocations, from the caller's
//! INVITE to the record.
//!
//! Both parties are plain trunks on UDP at literal addresses; their messages are built, and ours
//! read, outside of what is measured. Measured is all the rest: parsing each message that comes in,
//! transactions and dialogs, routing, session descriptions, ports, traces, checkpoints and the
//! record.
//!
//! `cargo bench -p trunkline-benches --bench call` prints both;
//! `… --bench call -- loop 1000 10000` makes 1000 calls while 10,000 others are up and prints
//! nothing, for `valgrind --tool=callgrind`; `… -- hold 1000` ends while 1000 calls are up, a minute
//! old, for `valgrind --tool=dhat`.
#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::time::Duration;

use trunkline_benches::gateway::{Gateway, Meter};

/// Octets that leave nothing of what was there in a core's own caches.
const COLD: usize = 4 << 20;

fn main() {
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if let [mode, calls, up] = arguments.as_slice()
        && mode == "loop"
    {
        let mut gateway = Gateway::new();
        for _ in 0..up.parse().expect("a number of calls") {
            gateway.set_up();
        }
        gateway.run(calls.parse().expect("a number of calls"));
        return;
    }
    if let [mode, up] = arguments.as_slice()
        && mode == "hold"
    {
        let mut gateway = Gateway::new();
        for _ in 0..up.parse().expect("a number of calls") {
            gateway.set_up();
        }
        gateway.wait(Duration::from_secs(60));
        // So that what the calls hold is still held when the process ends.
        std::process::exit(0);
    }
    for (up, in_the_way) in [(0, 0), (10_000, 0), (0, COLD)] {
        let mut gateway = Gateway::new();
        for _ in 0..up {
            gateway.set_up();
        }
        // Long enough for transactions that have ended to leave as fast as new ones come.
        gateway.run(2_000);
        gateway.in_the_way = vec![0; in_the_way];
        let rounds = (0..5).map(|_| {
            gateway.meter = Meter::default();
            gateway.run(1_000);
            let meter = &gateway.meter;
            let (calls, bytes) = (meter.allocated.calls / 1_000, meter.allocated.bytes / 1_000);
            (meter.time.as_nanos() / 1_000, calls, bytes)
        });
        let (time, allocations, bytes) = rounds.min().unwrap_or_default();
        println!(
            "a call, {up:>6} others up{}: {time} ns, {allocations} allocations of {bytes} octets",
            if in_the_way > 0 { ", caches cold" } else { "" }
        );
        assert_eq!(gateway.records, 7_000, "every call had its record");
    }
}
