//! Whole calls through the gateway on a virtual clock, one module for each topic.

mod announce;
mod bad_links;
mod basic;
mod cloud;
mod contact;
mod early;
mod failover;
mod forks;
mod health;
mod in_call;
mod ladders;
mod late_offer;
mod networks;
mod random;
mod redirect;
mod reliable;
mod restore;
mod session_timer;
mod sessions;
mod setup;
mod transcode;
mod transport;

use std::time::Duration;

use sim::Sim;

/// Lets everything end that still waits, and looks for what is left.
fn nothing_is_left(sim: &mut Sim) {
    sim.run_until_quiet();
    sim.run_for(Duration::from_secs(140));
    sim.assert_clean();
    let metrics = sim.core().metrics();
    assert_eq!(metrics.stages, [0; 4], "{}", sim.ladder());
    assert_eq!(metrics.ports.leased, 0, "{metrics:?}");
    assert_eq!(metrics.load.dialogs, 0, "{metrics:?}\n{}", sim.ladder());
    assert_eq!(
        metrics.counts.unexpected,
        0,
        "{metrics:?}\n{}",
        sim.ladder()
    );
    assert_eq!(sim.core().audit(), Ok(()));
}

/// A number of the application behind Microsoft's side.
const APPLICATION: &str = "+14255550123";

/// A number on the telephone network.
const SUBSCRIBER: &str = "+12065550111";
