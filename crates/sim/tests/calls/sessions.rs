//! Early dialogs, hold, refresh and late offers.

use std::time::Duration;

use sim::{Dial, Direction, Handle, Link, Script, Sim, World};

use crate::{APPLICATION, SUBSCRIBER};

/// Both ends talk for three seconds, and hear every packet of the other.
fn both_hear(sim: &mut Sim, ends: [Handle; 2]) {
    let before = ends.map(|end| sim.heard(end).numbers.len());
    ends.into_iter().for_each(|end| sim.talk(end, 150));
    sim.run_for(Duration::from_secs(4));
    for (end, before) in ends.into_iter().zip(before) {
        let heard = sim.heard(end);
        assert_eq!(
            heard.numbers.len() - before,
            150,
            "{heard:?}\n{}",
            sim.ladder()
        );
        assert_eq!((heard.corrupt, heard.elsewhere), (0, 0), "{heard:?}");
    }
}

#[test]
fn microsoft_rings_in_three_dialogs_and_answers_in_a_fourth() {
    let script = Script::new()
        .ring()
        .ring_as(1)
        .ring_as(2)
        .progress_as(3)
        .wait(Duration::from_secs(1))
        .answer_as(4);
    let mut sim = World::new(21).start();
    sim.party_mut("acs").script = script;
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let ends = [caller, sim.called("acs")];
    both_hear(&mut sim, ends);
    sim.hang_up(caller);
    sim.run_until_quiet();
    sim.run_for(Duration::from_secs(64));
    sim.assert_clean();
}

#[test]
fn an_answer_without_any_ringing_is_an_answer() {
    let mut sim = World::new(22).start();
    sim.party_mut("acs").script = Script::new().answer();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
}

#[test]
fn microsoft_is_always_made_an_offer() {
    let mut sim = World::new(23).start();
    let dial = Dial {
        late_offer: true,
        ..Dial::default()
    };
    let caller = sim.call_with("carrier", APPLICATION, &dial);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let ends = [caller, sim.called("acs")];
    both_hear(&mut sim, ends);
    assert_eq!(sim.faults(), Vec::<String>::new());
}

#[test]
fn microsoft_holds_and_resumes() {
    let mut sim = World::new(24).start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let called = sim.called("carrier");
    let port = sim.view(caller).remote_media();
    sim.hold(caller);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).reinvites, [200], "{}", sim.ladder());
    let answer = sim
        .view(caller)
        .described
        .last()
        .map(|described| described.direction);
    assert_eq!(answer, Some(Direction::Inactive), "{}", sim.ladder());
    sim.run_for(Duration::from_secs(120));
    assert!(
        sim.view(caller).is_up(),
        "a held call is not inactive\n{}",
        sim.ladder()
    );
    sim.resume(caller);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).reinvites, [200, 200], "{}", sim.ladder());
    assert_eq!(
        sim.view(caller).remote_media(),
        port,
        "media must not move (G-03)"
    );
    both_hear(&mut sim, [caller, called]);
    assert_eq!(sim.faults(), Vec::<String>::new());
}

/// RFC 3264 §5.1: who offers to hear is ready to, from then on.
#[test]
fn a_resumed_party_is_heard_before_its_answer_is_here() {
    let mut slow = Link::good();
    slow.toward_gateway.delay = Duration::from_millis(300);
    let mut sim = World::new(28).link("carrier", slow).start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let called = sim.called("carrier");
    sim.hold(caller);
    sim.run_until_quiet();
    sim.resume(caller);
    sim.run_for(Duration::from_millis(50));
    assert_eq!(sim.view(called).reinvited, 2, "{}", sim.ladder());
    sim.talk(called, 10);
    sim.run_for(Duration::from_millis(220));
    assert_eq!(sim.heard(caller).numbers.len(), 10, "{}", sim.ladder());
    sim.run_until_quiet();
    both_hear(&mut sim, [caller, called]);
    assert_eq!(sim.faults(), Vec::<String>::new());
}

/// What was agreed before the offer goes on (RFC 3261 §14.1), and nobody was to be heard by it.
#[test]
fn a_party_that_refuses_to_be_resumed_is_heard_no_longer() {
    let mut sim = World::new(29).start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let called = sim.called("carrier");
    sim.hold(caller);
    sim.run_until_quiet();
    let carrier = sim.party_mut("carrier");
    carrier.held_for = Duration::from_millis(500);
    carrier.refuses = Some(488);
    sim.resume(caller);
    sim.run_for(Duration::from_millis(100));
    sim.talk(called, 10);
    sim.run_for(Duration::from_millis(300));
    let offered = sim.heard(caller).numbers.len();
    assert_eq!(offered, 10, "{}", sim.ladder());
    sim.run_until_quiet();
    assert_eq!(sim.view(called).reinvited, 2, "{}", sim.ladder());
    sim.talk(called, 10);
    sim.run_for(Duration::from_secs(1));
    let refused = sim.heard(caller).numbers.len();
    assert_eq!(refused, offered, "{}", sim.ladder());
    assert_eq!(sim.faults(), Vec::<String>::new());
}

#[test]
fn a_carrier_that_holds_is_inactive_at_microsoft() {
    let mut sim = World::new(25).start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    let called = sim.called("acs");
    sim.hold(caller);
    sim.run_until_quiet();
    let seen: Vec<Direction> = sim
        .view(called)
        .described
        .iter()
        .map(|described| described.direction)
        .collect();
    let fits =
        |&direction: &Direction| matches!(direction, Direction::SendRecv | Direction::Inactive);
    assert!(seen.iter().all(fits), "{seen:?} (G-04)\n{}", sim.ladder());
    sim.resume(caller);
    sim.run_until_quiet();
    both_hear(&mut sim, [caller, called]);
    assert_eq!(sim.faults(), Vec::<String>::new());
}

#[test]
fn a_refresh_ends_at_the_gateway_and_is_answered_the_same() {
    let mut sim = World::new(26).start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let called = sim.called("carrier");
    let before = sim.view(caller).described.last().cloned();
    sim.refresh(caller);
    sim.run_until_quiet();
    sim.refresh(called);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).reinvites, [200], "{}", sim.ladder());
    assert_eq!(sim.view(called).reinvites, [200], "{}", sim.ladder());
    assert_eq!(
        sim.view(caller).reinvited,
        0,
        "not relayed (G-02)\n{}",
        sim.ladder()
    );
    assert_eq!(
        sim.view(called).reinvited,
        0,
        "not relayed (G-02)\n{}",
        sim.ladder()
    );
    assert_eq!(
        sim.view(caller).described.last().cloned(),
        before,
        "same version and key (G-01)"
    );
    both_hear(&mut sim, [caller, called]);
}

#[test]
fn re_invites_that_cross_end_in_one_session() {
    let mut sim = World::new(27).start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    let called = sim.called("acs");
    sim.party_mut("acs").held_for = Duration::from_millis(500);
    sim.hold(caller);
    sim.run_for(Duration::from_millis(100));
    sim.hold(called);
    sim.run_until_quiet();
    assert!(
        sim.view(caller).is_up() && sim.view(called).is_up(),
        "{}",
        sim.ladder()
    );
    sim.hang_up(caller);
    sim.run_until_quiet();
    sim.run_for(Duration::from_secs(64));
    assert_eq!(sim.media_legs(), 0);
}
