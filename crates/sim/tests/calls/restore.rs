//! A call outlives the process that carries it, and nobody notices.

use std::time::Duration;

use sim::{Handle, Sim, World};

use crate::{APPLICATION, SUBSCRIBER};

fn talk(sim: &mut Sim, ends: [Handle; 2]) {
    ends.into_iter().for_each(|end| sim.talk(end, 100));
    sim.run_for(Duration::from_secs(3));
}

/// What happens in a call, with every quiet moment being one where the gateway is replaced.
fn life_of_a_call(seed: u64, from: &str, to: &str, at: &str) {
    let mut sim = World::new(seed).start();
    sim.restore_everywhere();
    let caller = sim.call(from, to);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let called = sim.called(at);
    talk(&mut sim, [caller, called]);
    sim.refresh(called);
    sim.run_until_quiet();
    sim.restore();
    talk(&mut sim, [caller, called]);
    sim.hold(caller);
    sim.run_until_quiet();
    sim.resume(caller);
    sim.run_until_quiet();
    talk(&mut sim, [caller, called]);
    for end in [caller, called] {
        let heard = sim.heard(end);
        assert_eq!(heard.numbers.len(), 300, "{heard:?}\n{}", sim.ladder());
        assert_eq!((heard.corrupt, heard.repeated), (0, 0), "{heard:?}");
        assert_eq!(
            heard.sources.len(),
            1,
            "one SSRC for the whole call: {heard:?}"
        );
    }
    sim.hang_up(called);
    sim.run_until_quiet();
    assert!(
        sim.view(caller).is_over() && sim.view(called).is_over(),
        "{}",
        sim.ladder()
    );
    assert!(sim.restored() >= 4, "{} times only", sim.restored());
    let [record] = sim.records() else {
        panic!("one record: {:?}", sim.records())
    };
    assert!(record.restored && record.answered.is_some());
    sim.run_for(Duration::from_secs(64));
    sim.assert_clean();
}

#[test]
fn from_the_carrier_to_the_application() {
    life_of_a_call(31, "carrier", APPLICATION, "acs");
}

#[test]
fn from_the_application_to_the_carrier() {
    life_of_a_call(32, "acs", SUBSCRIBER, "carrier");
}

#[test]
fn from_the_exchange_to_the_carrier() {
    life_of_a_call(33, "pbx", SUBSCRIBER, "carrier");
}

#[test]
fn the_roc_survives_a_restart_after_the_sequence_numbers_wrapped() {
    let mut sim = World::new(34).start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let called = sim.called("carrier");
    sim.start_sequence_at(caller, 65_500);
    talk(&mut sim, [caller, called]);
    sim.restore();
    talk(&mut sim, [caller, called]);
    let heard = [caller, called].map(|end| sim.heard(end).numbers.len());
    assert_eq!(heard, [200, 200]);
}
