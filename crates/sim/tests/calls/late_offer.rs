//! INVITEs without an offer (M-03, CK-40, T04).

use std::time::Duration;

use sim::{Dial, Prack, Script, World};

use crate::ladders::check;
use crate::{APPLICATION, nothing_is_left};

const SECOND: Duration = Duration::from_secs(1);

fn late(headers: &[(&str, &str)]) -> Dial {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Dial {
        late_offer: true,
        headers: headers.iter().map(owned).collect(),
        ..Dial::default()
    }
}

#[test]
fn microsoft_is_always_made_an_offer() {
    let mut sim = World::new(231).without_pings().start();
    let caller = sim.call_with("carrier", APPLICATION, &late(&[]));
    sim.run_until_quiet();
    let called = sim.called("acs");
    assert!(
        sim.view(caller).is_up() && sim.view(called).is_up(),
        "{}",
        sim.ladder()
    );
    let offer = &sim.view(called).described[0];
    // What Microsoft takes is offered, each payload type once (F-13).
    let mut formats = offer.formats.clone();
    formats.sort_unstable();
    formats.dedup();
    assert_eq!(formats.len(), offer.formats.len(), "{offer:?}");
    assert!([0, 8].iter().all(|pt| formats.contains(pt)), "{offer:?}");
    check("late_offer", sim.ladder());
    sim.hang_up(called);
    nothing_is_left(&mut sim);
}

#[test]
fn an_offer_in_a_reliable_183_is_answered_in_the_prack() {
    let script = Script::new().progress().wait(SECOND * 4).answer();
    let mut sim = World::new(232)
        .without_pings()
        .party("acs", |party| party.script = script)
        .start();
    let dial = late(&[("Require", "100rel")]);
    let caller = sim.call_with("carrier", APPLICATION, &dial);
    sim.run_for(SECOND * 2);
    let called = sim.called("acs");
    // The caller hears the called party before the answer.
    sim.talk(called, 50);
    sim.run_for(SECOND * 2);
    assert_eq!(sim.heard(caller).numbers.len(), 50, "{}", sim.ladder());
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(sim.view(caller).described.len(), 1, "{}", sim.ladder());
    check("late_offer_reliable", sim.ladder());
    sim.talk(caller, 50);
    sim.run_for(SECOND * 2);
    assert_eq!(sim.heard(called).numbers.len(), 50, "{}", sim.ladder());
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn without_the_prack_that_answers_there_is_no_call() {
    let script = Script::new().progress().wait(SECOND).answer();
    let mut sim = World::new(233)
        .party("acs", |party| party.script = script)
        .start();
    let dial = Dial {
        prack: Prack::Never,
        ..late(&[("Require", "100rel")])
    };
    let caller = sim.call_with("carrier", APPLICATION, &dial);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(504),
        "{}",
        sim.ladder()
    );
    assert!(sim.view(sim.called("acs")).is_over(), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn an_ack_without_an_answer_ends_the_call() {
    let mut sim = World::new(234)
        .without_pings()
        .party("carrier", |party| party.answers_late = false)
        .start();
    let caller = sim.call_with("carrier", APPLICATION, &late(&[]));
    sim.run_until_quiet();
    assert!(sim.view(caller).is_over(), "{}", sim.ladder());
    assert!(sim.view(sim.called("acs")).is_over(), "{}", sim.ladder());
    assert_eq!(sim.ladder().count("carrier", "BYE"), 1, "{}", sim.ladder());
    assert_eq!(sim.ladder().count("acs", "BYE"), 1, "{}", sim.ladder());
    nothing_is_left(&mut sim);
}
