//! The gateway is replaced at every quiescent point by one that knows only what was written down.

use std::time::Duration;

use sim::World;

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left, up};

#[test]
fn nobody_notices_that_the_gateway_was_replaced() {
    for (from, number, to) in [
        ("carrier", APPLICATION, "acs"),
        ("acs", SUBSCRIBER, "carrier"),
        ("pbx", SUBSCRIBER, "carrier"),
    ] {
        let mut sim = World::new(31).start();
        let (caller, called) = up(&mut sim, from, number, to);
        sim.restore_everywhere();
        sim.talk(caller, 100);
        sim.talk(called, 100);
        sim.run_for(Duration::from_secs(3));
        assert_eq!(sim.heard(called).numbers.len(), 100, "{}", sim.ladder());
        assert_eq!(sim.heard(caller).numbers.len(), 100, "{}", sim.ladder());
        assert_eq!(
            (sim.heard(caller).corrupt, sim.heard(called).corrupt),
            (0, 0)
        );
        for holder in [caller, called] {
            sim.hold(holder);
            sim.run_until_quiet();
            sim.resume(holder);
            sim.run_until_quiet();
        }
        let told = sim.view(caller).described.last().cloned();
        sim.refresh(caller);
        sim.run_until_quiet();
        assert_eq!(sim.view(caller).described.last().cloned(), told);
        sim.talk(caller, 50);
        sim.talk(called, 50);
        sim.run_for(Duration::from_secs(2));
        assert_eq!(sim.heard(called).numbers.len(), 150, "{}", sim.ladder());
        assert_eq!(sim.heard(caller).numbers.len(), 150, "{}", sim.ladder());
        sim.hang_up(called);
        sim.run_until_quiet();
        assert!(sim.view(caller).is_over() && sim.view(called).is_over());
        assert!(sim.restored() > 5, "{}", sim.restored());
        assert_eq!(sim.records().len(), 1);
        assert!(sim.records()[0].restored);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_time_limit_outlives_the_process() {
    let mut sim = World::new(32)
        .profile("carrier", |trunk| {
            trunk.timers.max_duration = Some(Duration::from_secs(600));
            trunk.timers.media_inactivity = None;
        })
        .profile("acs", |trunk| trunk.timers.media_inactivity = None)
        .start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.run_for(Duration::from_secs(500));
    sim.restore();
    sim.run_for(Duration::from_secs(90));
    assert!(sim.view(caller).is_up() && sim.view(called).is_up());
    sim.run_for(Duration::from_secs(20));
    assert!(
        sim.view(caller).is_over() && sim.view(called).is_over(),
        "{}",
        sim.ladder()
    );
    nothing_is_left(&mut sim);
}

#[test]
fn a_checkpoint_survives_being_written_and_read() {
    let mut sim = World::new(33).start();
    let (caller, _) = up(&mut sim, "carrier", APPLICATION, "acs");
    let key = sim.core().calls().next().unwrap().key;
    let checkpoint = sim.core().checkpoint(key).unwrap();
    let text = serde_json::to_string(&checkpoint).unwrap();
    let again: b2bua::Checkpoint = serde_json::from_str(&text).unwrap();
    assert!(again == checkpoint);
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}
