//! What the core keeps of a call that is up.
#![allow(
    clippy::print_stdout,
    reason = "the figures are what the test is run for"
)]

use std::time::Duration;

use trunkline_benches::alloc::held;
use trunkline_benches::gateway::Gateway;

const CALLS: i64 = 1_000;
/// Octets of a call a minute after it was set up, and as it was set up, with the transactions that
/// wait for retransmissions.
const HELD: i64 = 6_400;
const FRESH: i64 = 11_000;

#[test]
fn a_call_that_is_up_keeps_little() {
    let mut gateway = Gateway::new();
    // Tables and pools grow to what the calls need, and stay.
    let calls: Vec<_> = (0..CALLS).map(|_| gateway.set_up()).collect();
    calls.into_iter().for_each(|bye| gateway.hang_up(bye));
    gateway.wait(Duration::from_secs(60));

    let ((), fresh) = held(|| (0..CALLS).for_each(|_| drop(gateway.set_up())));
    let ((), gone) = held(|| gateway.wait(Duration::from_secs(60)));
    let (fresh, kept) = (fresh / CALLS, (fresh + gone) / CALLS);
    println!("a call keeps {fresh} octets as it was set up, {kept} a minute later");
    assert!(kept <= HELD, "{kept} octets a held call");
    assert!(fresh <= FRESH, "{fresh} octets a call just set up");
}
