//! What happens in a call.

use std::time::Duration;

use sim::{Direction, World};
use sip_msg::Method;

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left, up};

#[test]
fn the_carrier_holds_and_resumes_and_microsoft_sees_only_inactive() {
    let mut sim = World::new(21).start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    let address = sim.view(called).remote_media();
    sim.hold(caller);
    sim.run_until_quiet();
    let told = sim.view(called).described.last().unwrap();
    assert_eq!(told.direction, Direction::Inactive, "{}", sim.ladder());
    assert_eq!(
        sim.view(caller).described.last().unwrap().direction,
        Direction::RecvOnly
    );
    assert!(!told.rtp.ip().is_unspecified());
    sim.resume(caller);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(called).described.last().unwrap().direction,
        Direction::SendRecv
    );
    assert_eq!(sim.view(called).remote_media(), address);
    sim.talk(called, 50);
    sim.run_for(Duration::from_secs(2));
    assert_eq!(sim.heard(caller).numbers.len(), 50, "{}", sim.ladder());
    sim.hang_up(called);
    nothing_is_left(&mut sim);
}

#[test]
fn microsoft_holds_and_resumes_a_carrier() {
    let mut sim = World::new(22).start();
    let (caller, called) = up(&mut sim, "acs", SUBSCRIBER, "carrier");
    sim.hold(caller);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(called).described.last().unwrap().direction,
        Direction::Inactive
    );
    sim.talk(called, 20);
    sim.run_for(Duration::from_secs(1));
    assert_eq!(sim.heard(caller).numbers.len(), 0);
    sim.resume(caller);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(called).described.last().unwrap().direction,
        Direction::SendRecv
    );
    sim.talk(called, 20);
    sim.run_for(Duration::from_secs(1));
    assert_eq!(sim.heard(caller).numbers.len(), 20, "{}", sim.ladder());
    sim.hang_up(called);
    nothing_is_left(&mut sim);
}

#[test]
fn a_refresh_stays_on_its_leg_and_is_answered_with_the_same_words() {
    let mut sim = World::new(23).start();
    for (from, number, to) in [
        ("carrier", APPLICATION, "acs"),
        ("acs", SUBSCRIBER, "carrier"),
    ] {
        let (caller, called) = up(&mut sim, from, number, to);
        let before = sim.view(caller).described.last().cloned();
        for _ in 0..3 {
            sim.refresh(caller);
            sim.run_until_quiet();
        }
        assert_eq!(sim.view(caller).reinvites, [200, 200, 200]);
        assert_eq!(sim.view(caller).described.last().cloned(), before);
        assert_eq!(sim.view(called).reinvited, 0, "{}", sim.ladder());
        sim.hang_up(caller);
        sim.run_until_quiet();
    }
    nothing_is_left(&mut sim);
}

#[test]
fn requests_that_nobody_relays_are_answered_on_their_leg() {
    let mut sim = World::new(24).start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    let expected = [
        (Method::Options, "200"),
        (Method::Info, "200"),
        (Method::Update, "200"),
        (Method::Refer, "403"),
        (Method::Message, "405"),
        (Method::Notify, "481"),
        (Method::Prack, "481"),
        (Method::Other("FROB".into()), "501"),
    ];
    for (method, status) in expected {
        sim.clear_ladder();
        let name = method.as_str().to_owned();
        sim.send(caller, method);
        sim.run_until_quiet();
        let labels: Vec<&str> = sim.ladder().labels("carrier").collect();
        assert!(
            labels.iter().any(|label| label.starts_with(status)),
            "{name}: {labels:?}"
        );
        assert_eq!(
            sim.ladder().labels("acs").count(),
            0,
            "{name}\n{}",
            sim.ladder()
        );
    }
    assert!(sim.view(called).is_up());
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn a_call_lasts_no_longer_than_it_may() {
    let hour = Some(Duration::from_secs(3_600));
    let mut sim = World::new(25)
        .profile("carrier", |trunk| {
            trunk.timers.max_duration = hour;
            trunk.timers.media_inactivity = None;
        })
        .profile("acs", |trunk| trunk.timers.media_inactivity = None)
        .start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.run_for(Duration::from_secs(3_590));
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
fn a_call_without_media_ends_and_a_held_one_does_not() {
    let mut sim = World::new(26).start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.hold(called);
    sim.run_until_quiet();
    sim.run_for(Duration::from_secs(300));
    assert!(
        sim.view(caller).is_up() && sim.view(called).is_up(),
        "{}",
        sim.ladder()
    );
    sim.resume(called);
    sim.run_until_quiet();
    sim.run_for(Duration::from_secs(120));
    assert!(
        sim.view(caller).is_over() && sim.view(called).is_over(),
        "{}",
        sim.ladder()
    );
    nothing_is_left(&mut sim);
}

#[test]
fn an_operator_hangs_up() {
    let mut sim = World::new(27).start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    let key = sim.core().calls().next().unwrap().key;
    sim.input(b2bua::Input::Admin(b2bua::admin::Command::HangUp(key)));
    sim.run_until_quiet();
    assert!(sim.view(caller).is_over() && sim.view(called).is_over());
    assert_eq!(sim.records()[0].ended_by, b2bua::record::EndedBy::Operator);
    nothing_is_left(&mut sim);
}

#[test]
fn options_are_answered_here_whatever_is_down_behind() {
    let mut sim = World::new(28)
        .party("carrier", |party| party.reach = sim::Reach::Gone)
        .start();
    sim.ping("acs");
    sim.run_for(Duration::from_secs(2));
    assert!(
        sim.ladder()
            .labels("acs")
            .any(|label| label.starts_with("200")),
        "{}",
        sim.ladder()
    );
}
