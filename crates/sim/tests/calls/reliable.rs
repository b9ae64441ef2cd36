//! 100rel, PRACK and UPDATE on a carrier's leg, ended here (M-01, CK-38, CK-39, T07, T08).

use std::time::Duration;

use b2bua::profile::Reliable;
use sim::{Dial, Link, Prack, Script, World};

use crate::ladders::check;
use crate::{APPLICATION, SUBSCRIBER, nothing_is_left};

const SECOND: Duration = Duration::from_secs(1);

fn requiring(prack: Prack) -> Dial {
    Dial {
        headers: vec![("Require".to_owned(), "100rel".to_owned())],
        prack,
        ..Dial::default()
    }
}

/// What must never be sent to Microsoft (M-01).
fn nothing_of_it_crosses(sim: &sim::Sim) {
    for (column, party) in [("acs", "carrier"), ("acs2", "carrier")] {
        for label in sim.ladder().labels(column) {
            for method in ["PRACK", "UPDATE", "INFO"] {
                assert!(!label.contains(method), "{party}\n{}", sim.ladder());
            }
        }
    }
}

#[test]
fn a_caller_that_requires_it_gets_every_provisional_response_reliably() {
    let script = Script::new()
        .ring()
        .progress_as(1)
        .wait(SECOND * 3)
        .answer_as(1);
    let mut sim = World::new(221)
        .without_pings()
        .party("acs", |party| party.script = script)
        .start();
    let caller = sim.call_with("carrier", APPLICATION, &requiring(Prack::Plain));
    sim.run_until_quiet();
    let call = sim.view(caller);
    assert!(call.is_up(), "{}", sim.ladder());
    assert_eq!(call.responses, [180, 183, 200], "{}", sim.ladder());
    assert_eq!(call.early_answers, [200, 200], "{}", sim.ladder());
    // The answer was given reliably: the 200 has none.
    assert_eq!(call.described.len(), 1, "{}", sim.ladder());
    check("reliable_towards_the_caller", sim.ladder());
    nothing_of_it_crosses(&sim);
    let called = sim.called("acs");
    sim.talk(caller, 50);
    sim.talk(called, 50);
    sim.run_for(SECOND * 2);
    assert_eq!(sim.heard(caller).numbers.len(), 50);
    assert_eq!(sim.heard(called).numbers.len(), 50);
    sim.refresh(caller);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).reinvites, [200], "{}", sim.ladder());
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn without_a_prack_the_call_ends_in_a_504_after_32_seconds() {
    let script = Script::new().progress().wait(SECOND * 5).answer();
    let mut sim = World::new(222)
        .without_pings()
        .party("acs", |party| party.script = script)
        .start();
    let started = sim.now();
    let caller = sim.call_with("carrier", APPLICATION, &requiring(Prack::Never));
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(504),
        "{}",
        sim.ladder()
    );
    let took = sim.now().saturating_since(started);
    assert!(took >= SECOND * 32 && took < SECOND * 34, "{took:?}");
    // It had accepted already.
    assert_eq!(sim.ladder().count("acs", "ACK"), 1, "{}", sim.ladder());
    assert_eq!(sim.ladder().count("acs", "BYE"), 1, "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_200() {
    let script = Script::new().progress().wait(SECOND * 3).answer();
    let mut sim = World::new(223)
        .without_pings()
        .party("acs", |party| party.script = script)
        .start();
    let caller = sim.call_with("carrier", APPLICATION, &requiring(Prack::Offering));
    sim.run_until_quiet();
    let call = sim.view(caller);
    assert!(call.is_up(), "{}", sim.ladder());
    assert_eq!(call.described.len(), 2, "{}", sim.ladder());
    nothing_of_it_crosses(&sim);
    check("reliable_offer_in_prack", sim.ladder());
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn a_trunk_without_it_refuses_what_requires_it() {
    let mut sim = World::new(224)
        .profile("carrier", |trunk| trunk.early.reliable = Reliable::Never)
        .start();
    let caller = sim.call_with("carrier", APPLICATION, &requiring(Prack::Plain));
    sim.run_until_quiet();
    let refusal = sim.view(caller).refusal.as_ref().unwrap();
    assert_eq!(refusal.status.code(), 420);
    assert_eq!(refusal.headers.unsupported(), ["100rel"]);
    let caller = sim.call_with("acs", SUBSCRIBER, &requiring(Prack::Plain));
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).failed_with(), Some(420));
    nothing_is_left(&mut sim);
}

#[test]
fn a_called_party_that_rings_reliably_is_acknowledged_here() {
    let script = Script::new()
        .ring()
        .reliably()
        .wait(SECOND)
        .progress()
        .reliably()
        .wait(SECOND)
        .answer();
    let mut sim = World::new(225)
        .without_pings()
        .party("carrier", |party| party.script = script)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let called = sim.called("carrier");
    assert_eq!(sim.view(called).pracks, ["1 1 INVITE", "2 1 INVITE"]);
    assert_eq!(sim.view(caller).responses, [180, 183, 200]);
    nothing_of_it_crosses(&sim);
    check("reliable_from_the_called", sim.ladder());
    sim.talk(caller, 50);
    sim.run_for(SECOND * 2);
    assert_eq!(sim.heard(called).numbers.len(), 50);
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn reliable_ringing_over_a_bad_link_is_rung_once() {
    for seed in 0..40 {
        let script = Script::new().ring().reliably().wait(SECOND * 10).answer();
        let mut sim = World::new(seed)
            .link("carrier", Link::lossy(20))
            .party("carrier", |party| party.script = script)
            .start();
        let outward = sim.call("acs", SUBSCRIBER);
        let inward = sim.call_with("carrier", APPLICATION, &requiring(Prack::Plain));
        sim.run_until_quiet();
        let rung = sim.view(outward).responses.iter().filter(|s| **s == 180);
        assert!(rung.count() <= 1, "seed {seed}\n{}", sim.ladder());
        nothing_of_it_crosses(&sim);
        for end in [outward, inward] {
            sim.hang_up(end);
        }
        sim.run_until_quiet();
        sim.run_for(Duration::from_secs(240));
        assert_eq!(sim.media_legs(), 0, "seed {seed}\n{}", sim.ladder());
        assert_eq!(sim.core().audit(), Ok(()), "seed {seed}");
    }
}

#[test]
fn an_update_before_the_answer_is_answered_here_by_the_rules_of_glare() {
    // Its offer has a binding answer, or none yet.
    for (dial, expected) in [(requiring(Prack::Plain), 200), (Dial::default(), 500)] {
        let script = Script::new().progress().wait(SECOND * 4).answer();
        let mut sim = World::new(226)
            .without_pings()
            .party("acs", |party| party.script = script)
            .start();
        let caller = sim.call_with("carrier", APPLICATION, &dial);
        sim.run_for(SECOND * 2);
        if expected == 500 {
            // A caller that was told nothing reliably knows the dialog all the same.
            sim.adopt_early_dialog(caller);
        }
        sim.update(caller);
        sim.run_until_quiet();
        let answers = &sim.view(caller).early_answers;
        assert_eq!(answers.last(), Some(&expected), "{}", sim.ladder());
        assert!(sim.view(caller).is_up(), "{}", sim.ladder());
        nothing_of_it_crosses(&sim);
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn an_update_of_the_called_party_before_its_answer() {
    for (reliably, expected) in [(true, 200), (false, 491)] {
        let progress = Script::new().progress();
        let progress = match reliably {
            true => progress.reliably(),
            false => progress,
        };
        let mut sim = World::new(227)
            .without_pings()
            .party("carrier", |party| {
                party.script = progress.wait(SECOND * 4).answer();
            })
            .start();
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_for(SECOND * 2);
        let called = sim.called("carrier");
        sim.update(called);
        sim.run_until_quiet();
        let answers = &sim.view(called).early_answers;
        assert_eq!(answers, &[expected], "{}", sim.ladder());
        assert!(sim.view(caller).is_up(), "{}", sim.ladder());
        nothing_of_it_crosses(&sim);
        sim.talk(caller, 50);
        sim.talk(called, 50);
        sim.run_for(SECOND * 2);
        assert_eq!(sim.heard(called).numbers.len(), 50, "{}", sim.ladder());
        assert_eq!(sim.heard(caller).numbers.len(), 50, "{}", sim.ladder());
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_trunk_that_balks_at_it_is_asked_once_more_without() {
    let script = Script::reject(420).with_header("Unsupported", "100rel");
    let mut sim = World::new(228)
        .without_pings()
        .party("carrier", |party| party.script = script)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
    let asked: Vec<_> = sim
        .ends("carrier")
        .into_iter()
        .map(|end| sim.view(end).invite.headers.supported())
        .collect();
    assert_eq!(asked.len(), 2, "{}", sim.ladder());
    assert!(asked[0].contains(&"100rel".to_owned()), "{asked:?}");
    assert!(!asked[1].contains(&"100rel".to_owned()), "{asked:?}");
    nothing_is_left(&mut sim);
}
