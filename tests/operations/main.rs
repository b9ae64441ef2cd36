//! Random operations against the gateway's core, for as long as asked.
//!
//! ```text
//! operations [COUNT] [SEED]
//! ```
//!
//! COUNT operations (10,000,000 if not given) in runs of up to 64, one thread a core, one run in
//! four over links that lose 15 of 100 messages. Ends with 1 at the first violation, and prints
//! the seed and the operations that repeat it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports to whoever runs it"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ambient::TokenRng;
use sim::operations::{Operation, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| match arguments.next() {
        Some(text) => text.replace('_', "").parse().ok(),
        None => Some(default),
    };
    let (Some(count), Some(seed)) = (number(10_000_000), number(1)) else {
        eprintln!("usage: operations [COUNT] [SEED]");
        return ExitCode::from(2);
    };
    let started = Instant::now();
    let (next, done, runs) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < count && !failed.load(Ordering::Relaxed) {
                    let run_seed = seed.wrapping_add(next.fetch_add(1, Ordering::Relaxed));
                    let (loss, operations) = drawn(run_seed);
                    let so_far = done.fetch_add(operations.len() as u64, Ordering::Relaxed);
                    runs.fetch_add(1, Ordering::Relaxed);
                    if so_far / 1_000_000 != (so_far + operations.len() as u64) / 1_000_000 {
                        eprintln!("{so_far} operations, {:.0?}", started.elapsed());
                    }
                    if let Err(violation) = run(run_seed, loss, &operations) {
                        failed.store(true, Ordering::Relaxed);
                        println!("seed {run_seed}, loss {loss} %: {operations:?}\n{violation}");
                    }
                }
            });
        }
    });
    let verdict = if failed.load(Ordering::Relaxed) {
        "a violation"
    } else {
        "no violation"
    };
    println!(
        "{} operations in {} runs, {verdict}, {:.0?}",
        done.load(Ordering::Relaxed),
        runs.load(Ordering::Relaxed),
        started.elapsed()
    );
    ExitCode::from(u8::from(failed.load(Ordering::Relaxed)))
}

/// The losses and operations of the run with that seed.
fn drawn(seed: u64) -> (u8, Vec<Operation>) {
    let mut octets = [0x5e; 32];
    octets[..8].copy_from_slice(&seed.to_be_bytes());
    let mut chance = TokenRng::from_seed(octets);
    let loss = if chance.below(4) == 0 { 15 } else { 0 };
    let operations = (0..=chance.below(64)).map(|_| {
        let [a, b, c, ..] = chance.next_u64().to_be_bytes();
        Operation::read([a, b, c])
    });
    (loss, operations.collect())
}
