//! Races: what crosses on the wire.

use std::time::Duration;

use sim::{Script, World};

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left, up};

/// A CANCEL at every millisecond around the answer: the caller and the called party always agree
/// in the end, and nobody is left alone in a call.
#[test]
fn a_cancel_that_crosses_the_answer_leaves_nobody_behind() {
    for (from, number, to) in [
        ("carrier", APPLICATION, "acs"),
        ("acs", SUBSCRIBER, "carrier"),
    ] {
        for delay in 0..=80 {
            let answer = Script::new()
                .ring()
                .wait(Duration::from_millis(20))
                .answer();
            let mut sim = World::new(11)
                .party(to, |party| party.script = answer)
                .start();
            let caller = sim.call(from, number);
            sim.run_for(Duration::from_millis(delay));
            sim.cancel(caller);
            sim.run_until_quiet();
            if sim.view(caller).is_up() {
                // The answer won, as the caller learnt too late: it hangs up (RFC 3261 §9.1).
                sim.hang_up(caller);
                sim.run_until_quiet();
            }
            assert!(sim.view(caller).is_over(), "{delay} ms\n{}", sim.ladder());
            assert!(
                sim.view(sim.called(to)).is_over(),
                "{delay} ms\n{}",
                sim.ladder()
            );
            assert_eq!(sim.records().len(), 1, "{delay} ms");
            nothing_is_left(&mut sim);
        }
    }
}

#[test]
fn two_byes_that_cross_end_one_call() {
    for delay in 0..=30 {
        let mut sim = World::new(12).start();
        let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
        sim.hang_up(caller);
        sim.run_for(Duration::from_millis(delay));
        if sim.view(called).is_up() {
            sim.hang_up(called);
        }
        sim.run_until_quiet();
        assert!(sim.view(caller).is_over() && sim.view(called).is_over());
        assert_eq!(sim.records().len(), 1);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_bye_that_crosses_a_reinvite_ends_the_call() {
    for delay in 0..=60 {
        let mut sim = World::new(13).start();
        let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
        sim.hold(caller);
        sim.run_for(Duration::from_millis(delay));
        sim.hang_up(called);
        sim.run_until_quiet();
        assert!(sim.view(caller).is_over(), "{delay} ms\n{}", sim.ladder());
        assert!(sim.view(called).is_over(), "{delay} ms\n{}", sim.ladder());
        nothing_is_left(&mut sim);
    }
}

/// Both ends hold at once: the re-INVITEs meet in the gateway, and both holds are in force.
#[test]
fn holds_that_cross_are_both_conveyed() {
    for delay in 0..=60 {
        let mut sim = World::new(14).start();
        let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
        sim.hold(caller);
        sim.run_for(Duration::from_millis(delay));
        sim.hold(called);
        sim.run_for(Duration::from_secs(10));
        sim.run_until_quiet();
        sim.resume(caller);
        sim.run_for(Duration::from_secs(10));
        sim.run_until_quiet();
        sim.resume(called);
        sim.run_for(Duration::from_secs(10));
        sim.run_until_quiet();
        sim.talk(caller, 50);
        sim.talk(called, 50);
        sim.run_for(Duration::from_secs(2));
        assert_eq!(
            sim.heard(called).numbers.len(),
            50,
            "{delay} ms\n{}",
            sim.ladder()
        );
        assert_eq!(
            sim.heard(caller).numbers.len(),
            50,
            "{delay} ms\n{}",
            sim.ladder()
        );
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}
