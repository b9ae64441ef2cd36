//! Whole calls through the core, on a virtual clock, between parties that share no code with it.

mod established;
mod fates;
mod faults;
mod lossy;
mod manners;
mod plain;
mod reasons;
mod restored;
mod setup;

use std::time::Duration;

use sim::{Handle, Sim};

const APPLICATION: &str = "+14255550123";
const SUBSCRIBER: &str = "+12065550199";

/// A call that both ends have answered: the caller's end and the called one.
fn up(sim: &mut Sim, from: &str, number: &str, to: &str) -> (Handle, Handle) {
    let caller = sim.call(from, number);
    sim.run_until_quiet();
    let called = sim.called(to);
    assert!(
        sim.view(caller).is_up() && sim.view(called).is_up(),
        "{}",
        sim.ladder()
    );
    (caller, called)
}

/// Lets everything end that still waits, and looks for what is left in any table.
fn nothing_is_left(sim: &mut Sim) {
    sim.run_for(Duration::from_secs(140));
    sim.assert_clean();
    let metrics = sim.core().metrics();
    assert_eq!(metrics.stages, [0; 4], "{}", sim.ladder());
    assert_eq!(metrics.ports.leased, 0, "{metrics:?}");
    assert_eq!(metrics.gateway.in_use, 0, "{metrics:?}");
    assert_eq!(metrics.load.dialogs, 0, "{metrics:?}\n{}", sim.ladder());
    assert!(
        metrics.trunks.iter().all(|(_, usage)| usage.in_use == 0),
        "{metrics:?}"
    );
    assert_eq!(
        metrics.counts.unexpected,
        0,
        "{metrics:?}\n{}",
        sim.ladder()
    );
    assert_eq!(sim.core().audit(), Ok(()));
}
