//! One INVITE that becomes several early dialogs: the caller sees one (I-04, CK-46, CK-47).

use std::time::Duration;

use sim::{Script, Sim, World};

use crate::ladders::check;
use crate::{APPLICATION, SUBSCRIBER, nothing_is_left};

const SECOND: Duration = Duration::from_secs(1);

/// Both ends of a call that is up say three seconds of speech, and hear each other.
fn talk(sim: &mut Sim, ends: [sim::Handle; 2]) {
    for end in ends {
        sim.talk(end, 100);
    }
    sim.run_for(Duration::from_secs(3));
    for end in ends {
        let heard = sim.heard(end);
        assert_eq!(heard.numbers.len(), 100, "{heard:?}\n{}", sim.ladder());
        assert_eq!((heard.corrupt, heard.elsewhere), (0, 0), "{heard:?}");
    }
}

#[test]
fn three_that_ring_one_with_media_and_a_fourth_that_answers() {
    let script = Script::new()
        .ring_as(1)
        .ring_as(2)
        .ring_as(3)
        .progress_as(4)
        .wait(SECOND)
        .answer_as(5);
    let mut sim = World::new(201)
        .without_pings()
        .party("acs", |party| party.script = script)
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    let described = &sim.view(caller).described;
    assert!(described.windows(2).all(|pair| pair[0] == pair[1]));
    let ends = [caller, sim.called("acs")];
    check("forks_ring_progress_answer", sim.ladder());
    talk(&mut sim, ends);
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn media_without_ringing_and_an_answer_without_either() {
    for script in [
        Script::new().progress().wait(SECOND).answer(),
        Script::new().progress_as(1).wait(SECOND).answer_as(1),
        Script::new().progress_as(1).wait(SECOND).answer_as(2),
        Script::new().answer(),
        Script::new().ring_as(1).wait(SECOND).answer_as(2),
        Script::new().describe_as(180, 0).wait(SECOND).answer(),
    ] {
        for (from, number, to) in [
            ("carrier", APPLICATION, "acs"),
            ("acs", SUBSCRIBER, "carrier"),
        ] {
            let mut sim = World::new(202).start();
            sim.party_mut(to).script = script.clone();
            let caller = sim.call(from, number);
            sim.run_until_quiet();
            assert!(sim.view(caller).is_up(), "{}", sim.ladder());
            let ends = [caller, sim.called(to)];
            talk(&mut sim, ends);
            sim.hang_up(caller);
            nothing_is_left(&mut sim);
        }
    }
}

#[test]
fn of_two_that_answer_the_second_is_acknowledged_and_hung_up() {
    let script = Script::new().ring().answer_as(1).answer_as(2);
    let mut sim = World::new(203)
        .without_pings()
        .party("carrier", |party| party.script = script)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_for(Duration::from_secs(3));
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let ladder = sim.ladder();
    assert_eq!(ladder.count("carrier", "ACK"), 2, "{ladder}");
    assert_eq!(ladder.count("carrier", "BYE"), 1, "{ladder}");
    check("forks_two_answer", ladder);
}

#[test]
fn being_forwarded_is_said_to_the_caller_in_both_directions() {
    for (from, number, to) in [
        ("carrier", APPLICATION, "acs"),
        ("acs", SUBSCRIBER, "carrier"),
    ] {
        let script = Script::new()
            .respond(181)
            .wait(SECOND)
            .ring()
            .wait(SECOND)
            .answer();
        let mut sim = World::new(204).start();
        sim.party_mut(to).script = script;
        let caller = sim.call(from, number);
        sim.run_until_quiet();
        let heard = &sim.view(caller).responses;
        assert_eq!(heard, &[181, 180, 200], "{}", sim.ladder());
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn forks_over_a_bad_link_end_in_one_call_or_none() {
    let script = Script::new()
        .ring_as(1)
        .progress_as(2)
        .wait(SECOND)
        .answer_as(3);
    for seed in 0..30 {
        let mut sim = World::new(seed)
            .link("carrier", sim::Link::lossy(25))
            .party("carrier", |party| party.script = script.clone())
            .start();
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_until_quiet();
        sim.hang_up(caller);
        sim.run_until_quiet();
        sim.run_for(Duration::from_secs(240));
        assert_eq!(sim.media_legs(), 0, "seed {seed}\n{}", sim.ladder());
        assert_eq!(sim.records().len(), 1, "seed {seed}\n{}", sim.ladder());
        assert_eq!(sim.core().audit(), Ok(()));
    }
}
