//! What a caller hears when no target takes its call.

use std::time::Duration;

use b2bua::profile::Reliable;
use b2bua::record::Note;
use sim::{Dial, Script, Sim, World};

use crate::ladders::check;
use crate::{APPLICATION, SUBSCRIBER, nothing_is_left};

const SECOND: Duration = Duration::from_secs(1);

fn world(from: &str, to: &[&str]) -> World {
    World::new(511)
        .without_pings()
        .without_routes()
        .announced_route(from, to)
}

fn note(sim: &Sim) -> Vec<Note> {
    sim.records()[0].notes.clone()
}

fn announced() -> Vec<Note> {
    vec![Note::Announced("away".into())]
}

#[test]
fn microsoft_is_away_and_the_caller_is_told() {
    let mut sim = world("carrier", &["acs"])
        .party("acs", |acs| acs.script = Script::reject(503))
        .party("acs2", |acs| acs.script = Script::reject(503))
        .party("acs3", |acs| acs.script = Script::reject(503))
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).responses, [183, 503], "{}", sim.ladder());
    // A second of busy tone is 25 packets of 20 ms that sound and as many that do not.
    let tones = sim.heard(caller).tones;
    assert!((20..=80).contains(&tones), "{:?}", sim.heard(caller));
    check("announcement", sim.ladder());
    assert_eq!(note(&sim), announced());
    nothing_is_left(&mut sim);
}

#[test]
fn an_announcement_alone_is_a_target() {
    let mut sim = world("acs", &[]).start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).responses, [183, 503], "{}", sim.ladder());
    assert!(sim.heard(caller).tones > 20, "{:?}", sim.heard(caller));
    nothing_is_left(&mut sim);
}

#[test]
fn what_a_user_answered_is_not_announced() {
    for status in [404, 486, 603] {
        let mut sim = world("acs", &["carrier"])
            .party("carrier", |carrier| carrier.script = Script::reject(status))
            .start();
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_until_quiet();
        assert_eq!(sim.view(caller).responses, [status], "{}", sim.ladder());
        assert_eq!(note(&sim), []);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn who_made_no_offer_is_refused_at_once() {
    let mut sim = world("carrier", &[]).start();
    let late = Dial {
        late_offer: true,
        ..Dial::default()
    };
    let caller = sim.call_with("carrier", APPLICATION, &late);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).responses, [503], "{}", sim.ladder());
    assert_eq!(note(&sim), []);
    nothing_is_left(&mut sim);
}

#[test]
fn who_hangs_up_need_not_listen_to_the_end() {
    let mut sim = world("carrier", &[]).start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(SECOND / 2);
    assert_eq!(sim.view(caller).responses, [183], "{}", sim.ladder());
    sim.cancel(caller);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).responses, [183, 487], "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn it_is_told_reliably_to_who_wants_that() {
    let mut sim = world("carrier", &[])
        .profile("carrier", |carrier| {
            carrier.early.reliable = Reliable::Preferred;
        })
        .start();
    let reliably = Dial {
        headers: vec![("Supported".to_owned(), "100rel".to_owned())],
        ..Dial::default()
    };
    let caller = sim.call_with("carrier", APPLICATION, &reliably);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).responses, [183, 503], "{}", sim.ladder());
    let ladder = sim.ladder().to_string();
    assert!(ladder.contains("PRACK"), "{ladder}");
    nothing_is_left(&mut sim);
}
