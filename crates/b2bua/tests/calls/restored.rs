//! The gateway is replaced at every quiescent point by one that knows only what was written down.

use std::time::Duration;

use b2bua::{Checkpoint, Input};
use serde_json::Value;
use sim::{Handle, Sim, World};
use sip_msg::HeaderName;

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
    let again: Checkpoint = serde_json::from_str(&text).unwrap();
    assert!(again == checkpoint);
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

/// What is written down of every call.
fn written(sim: &Sim) -> Vec<Checkpoint> {
    let keys = sim.core().calls().map(|call| call.key);
    keys.filter_map(|key| sim.core().checkpoint(key)).collect()
}

fn was_hung_up(sim: &Sim, end: Handle) {
    let bye = sim.view(end).ending.as_ref();
    let reason = bye.and_then(|bye| bye.get_str(&HeaderName::Reason));
    assert_eq!(reason, Some("Q.850;cause=41"), "{}", sim.ladder());
}

#[test]
fn a_call_whose_trunk_is_gone_ends_for_both_parties() {
    for gone in ["carrier", "acs"] {
        let mut sim = World::new(34).start();
        let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
        let checkpoints = written(&sim);
        sim.restore_without(Some(gone), checkpoints);
        sim.run_until_quiet();
        was_hung_up(&sim, caller);
        was_hung_up(&sim, called);
        let [record] = sim.records() else {
            panic!("one record: {:?}", sim.records())
        };
        assert!(record.restored && record.answered.is_some());
        assert_eq!(record.cause, 41);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_call_whose_ports_are_taken_ends_and_leaves_them_to_the_other() {
    let mut sim = World::new(35).start();
    let (first, _) = up(&mut sim, "carrier", APPLICATION, "acs");
    let (second, other) = up(&mut sim, "carrier", APPLICATION, "acs");
    let [kept, lost] = &written(&sim)[..] else {
        panic!("two calls")
    };
    let ports = serde_json::to_value(kept).unwrap();
    let mut lost: Value = serde_json::to_value(lost).unwrap();
    for port in ["pair", "shard", "rtp", "rtcp"] {
        lost["b"]["media"][port] = ports["a"]["media"][port].clone();
    }
    let lost = serde_json::from_value(lost).unwrap();
    sim.restore_without(None, vec![kept.clone(), lost]);
    sim.run_until_quiet();
    let left: Vec<bool> = [first, second]
        .iter()
        .map(|end| sim.view(*end).is_up())
        .collect();
    assert_eq!(left.iter().filter(|up| **up).count(), 1, "{}", sim.ladder());
    assert_eq!(sim.records().len(), 1);
    assert_eq!(sim.media_legs(), 2);
    assert_eq!(sim.core().audit(), Ok(()));
    for end in [first, second] {
        match sim.view(end).is_up() {
            true => sim.hang_up(end),
            false => was_hung_up(&sim, end),
        }
    }
    assert!(sim.view(other).is_over() || sim.view(second).ending.is_none());
    nothing_is_left(&mut sim);
}

#[test]
fn a_checkpoint_of_a_running_call_under_another_name_changes_nothing() {
    let mut sim = World::new(36).start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    let mut twin = written(&sim).remove(0);
    twin.call.0 ^= 1;
    sim.input(Input::Restore(Box::new(twin)));
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up() && sim.view(called).is_up());
    assert_eq!(sim.core().audit(), Ok(()));
    assert_eq!(sim.core().call_count(), 1);
    sim.hang_up(caller);
    sim.run_until_quiet();
    assert!(sim.view(called).is_over());
    nothing_is_left(&mut sim);
}
