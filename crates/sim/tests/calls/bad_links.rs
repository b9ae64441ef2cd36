//! Datagrams that are lost, repeated and reordered.

use std::time::Duration;

use sim::{Link, Toward, World};

use crate::{APPLICATION, SUBSCRIBER};

#[test]
fn a_lost_200_is_sent_again_until_it_is_acknowledged() {
    // 100, 180, then the 200 twice.
    let link = Link::good()
        .drop_nth(Toward::Party, 3)
        .drop_nth(Toward::Party, 4);
    let mut sim = World::new(51).without_pings().link("carrier", link).start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(
        sim.ladder().count("carrier", "200 INVITE"),
        3,
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.ladder().count("acs", "ACK"), 1, "{}", sim.ladder());
}

#[test]
fn calls_survive_a_link_that_loses_a_third() {
    for seed in 0..40 {
        let mut sim = World::new(seed).link("carrier", Link::lossy(33)).start();
        let inward = sim.call("carrier", APPLICATION);
        let outward = sim.call("acs", SUBSCRIBER);
        sim.run_until_quiet();
        for end in [inward, outward] {
            let call = sim.view(end);
            assert!(
                call.is_up() || call.is_over(),
                "seed {seed}\n{}",
                sim.ladder()
            );
            sim.hang_up(end);
        }
        sim.run_until_quiet();
        sim.run_for(Duration::from_secs(240));
        assert_eq!(sim.media_legs(), 0, "seed {seed}\n{}", sim.ladder());
        assert_eq!(sim.records().len(), 2, "seed {seed}\n{}", sim.ladder());
        let up = |name: &str| {
            sim.party(name)
                .calls()
                .filter(|(_, call)| call.is_up())
                .count()
        };
        let left: Vec<usize> = ["carrier", "acs", "acs2", "acs3"].map(up).to_vec();
        assert_eq!(left, [0, 0, 0, 0], "seed {seed}\n{}", sim.ladder());
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let mut sim = World::new(52).link("carrier", Link::lossy(20)).start();
        let caller = sim.call("carrier", APPLICATION);
        sim.run_for(Duration::from_secs(90));
        sim.hang_up(caller);
        sim.run_for(Duration::from_secs(90));
        let texts: Vec<_> = sim
            .trace()
            .iter()
            .map(|entry| (entry.at, entry.text.clone()))
            .collect();
        (sim.ladder().to_string(), texts)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_cancel_that_crosses_the_answer_leaves_nobody_connected() {
    for late in 0..60 {
        let mut sim = World::new(53).without_pings().start();
        let caller = sim.call("carrier", APPLICATION);
        sim.run_for(Duration::from_millis(990 + late));
        sim.cancel(caller);
        sim.run_until_quiet();
        sim.run_for(Duration::from_secs(64));
        assert!(sim.view(caller).is_over(), "{late} ms\n{}", sim.ladder());
        assert!(
            sim.view(sim.called("acs")).is_over(),
            "{late} ms\n{}",
            sim.ladder()
        );
        sim.assert_clean();
    }
}
