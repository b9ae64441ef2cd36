//! Networks that lose, repeat and reorder.

use std::time::Duration;

use sim::{Link, World};

use crate::{SUBSCRIBER, nothing_is_left};

/// Three of ten datagrams are lost in each direction: a call either comes about at both ends or at
/// none, ends at both, and has one record.
#[test]
fn calls_over_a_link_that_loses_three_of_ten() {
    let mut answered = 0;
    for seed in 0..200 {
        let mut sim = World::new(seed)
            .link("carrier", Link::lossy(30))
            .link("pbx", Link::lossy(30))
            .profile("pbx", |trunk| {
                trunk.timers.setup_budget = Duration::from_secs(30)
            })
            .profile("carrier", |trunk| {
                trunk.timers.attempt_timeout = Duration::from_secs(20);
                trunk.timers.media_inactivity = None;
            })
            .profile("pbx", |trunk| trunk.timers.media_inactivity = None)
            .start();
        let caller = sim.call("pbx", SUBSCRIBER);
        sim.run_until_quiet();
        if sim.view(caller).is_up() {
            answered += 1;
            sim.hang_up(caller);
        }
        sim.run_until_quiet();
        sim.run_for(Duration::from_secs(70));
        assert!(sim.view(caller).is_over(), "seed {seed}\n{}", sim.ladder());
        assert_eq!(sim.records().len(), 1, "seed {seed}\n{}", sim.ladder());
        nothing_is_left(&mut sim);
    }
    assert!(answered > 150, "{answered} of 200");
}
