//! Plain calls between every pair of trunks, on a virtual clock.

use std::time::Duration;

use sim::World;

use crate::nothing_is_left;

/// A call with audio both ways, hung up by the caller, leaves nothing behind.
fn talks(from: &str, number: &str, to: &str) {
    let mut sim = World::new(7).start();
    let caller = sim.call(from, number);
    sim.run_until_quiet();
    let called = sim.called(to);
    assert!(
        sim.view(caller).is_up() && sim.view(called).is_up(),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.checkpoints(), 1, "{}", sim.ladder());
    sim.talk(caller, 150);
    sim.talk(called, 150);
    sim.run_for(Duration::from_secs(4));
    assert_eq!(sim.heard(called).numbers.len(), 150, "{}", sim.ladder());
    assert_eq!(sim.heard(caller).numbers.len(), 150, "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_until_quiet();
    sim.run_for(Duration::from_secs(40));
    sim.assert_clean();
    let [record] = sim.records() else {
        panic!("one record: {:?}", sim.records())
    };
    assert_eq!((record.status, record.cause), (Some(200), 16));
    assert!(
        record
            .media_a
            .as_ref()
            .is_some_and(|media| media.received == 150),
        "{record:?}"
    );
    assert!(
        record
            .media_b
            .as_ref()
            .is_some_and(|media| media.sent == 150),
        "{record:?}"
    );
    nothing_is_left(&mut sim);
}

#[test]
fn the_carrier_calls_the_application() {
    talks("carrier", "+14255550123", "acs");
}

#[test]
fn the_application_calls_the_carrier() {
    talks("acs", "+12065550199", "carrier");
}

#[test]
fn the_pbx_calls_the_carrier() {
    talks("pbx", "+12065550199", "carrier");
}

#[test]
fn the_pbx_calls_the_application() {
    talks("pbx", "+14255550123", "acs");
}
