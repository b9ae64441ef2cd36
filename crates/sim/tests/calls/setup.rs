//! The rules of call setup that Microsoft's side relies on.

use std::time::Duration;

use b2bua::record::EndedBy;
use sim::{Dial, Reach, Script, Sim, State, World};
use sip_msg::{HeaderName, StatusCode};

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left};

const SECOND: Duration = Duration::from_secs(1);

/// M-07, CK-44: the connection is left, the next proxy is called, and the busy one takes calls
/// again once its time is over.
#[test]
fn a_busy_proxy_has_its_connection_left_and_the_next_one_is_called() {
    let busy = Script::reject(503).with_header("Retry-After", "1");
    let mut sim = World::new(251)
        .without_pings()
        .party("acs", |party| party.script = busy)
        .start();
    let first = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(first).is_up(), "{}", sim.ladder());
    assert_eq!(sim.connections_left(), 1, "{}", sim.ladder());
    assert_eq!(sim.ladder().count("acs2", "INVITE"), 1, "{}", sim.ladder());
    assert!(sim.view(sim.called("acs2")).is_up(), "{}", sim.ladder());
    sim.hang_up(first);
    nothing_is_left(&mut sim);
}

#[test]
fn another_refusal_leaves_no_connection() {
    for script in [
        Script::reject(503),
        Script::reject(486).with_header("Retry-After", "1"),
    ] {
        let mut sim = World::new(252)
            .without_pings()
            .party("acs", |party| party.script = script)
            .start();
        sim.call("carrier", APPLICATION);
        sim.run_until_quiet();
        assert_eq!(sim.connections_left(), 0, "{}", sim.ladder());
    }
}

/// U-06, CK-57: Microsoft tries again from another datacentre while the first try still rings.
#[test]
fn the_same_call_from_a_second_address_is_a_call_of_its_own() {
    let mut sim = World::new(253)
        .without_pings()
        .party("carrier", |party| {
            party.script = Script::new().ring().wait(SECOND * 4).answer()
        })
        .start();
    let first = sim.call("acs", SUBSCRIBER);
    sim.run_for(SECOND);
    let second = sim.call("acs2", SUBSCRIBER);
    sim.run_for(SECOND);
    sim.cancel(first);
    sim.run_until_quiet();
    assert_eq!(sim.view(first).failed_with(), Some(487), "{}", sim.ladder());
    assert!(sim.view(second).is_up(), "{}", sim.ladder());
    let ends = sim.ends("carrier");
    let states: Vec<_> = ends.iter().map(|end| sim.view(*end).state).collect();
    assert_eq!(
        states,
        [State::Ended(Some(487)), State::Answered],
        "{}",
        sim.ladder()
    );
    sim.hang_up(second);
    nothing_is_left(&mut sim);
}

/// U-04, CK-55.
#[test]
fn a_caller_whose_patience_is_over_hears_what_its_trunk_says() {
    for (status, script) in [
        (StatusCode::REQUEST_TIMEOUT, Script::new()),
        (StatusCode::REQUEST_TIMEOUT, Script::silent()),
        (StatusCode::SERVER_TIMEOUT, Script::new()),
    ] {
        let mut sim = World::new(254)
            .without_pings()
            .profile("acs", |trunk| trunk.early.timeout_status = status)
            .party("carrier", |party| party.script = script)
            .start();
        let started = sim.now();
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_for(Duration::from_millis(9_900));
        assert_eq!(
            sim.view(caller).failed_with(),
            Some(status.code()),
            "{}",
            sim.ladder()
        );
        assert!(sim.now().saturating_since(started) < SECOND * 10);
        nothing_is_left(&mut sim);
    }
}

/// One call that nobody answered says little about the next.
#[test]
fn an_unanswered_call_does_not_take_the_trunk_from_the_next_one() {
    let mut sim = World::new(255)
        .without_pings()
        .party("carrier", |party| party.script = Script::silent())
        .start();
    let first = sim.call("acs", SUBSCRIBER);
    sim.run_for(SECOND * 10);
    assert!(sim.view(first).is_over(), "{}", sim.ladder());
    sim.party_mut("carrier").script = Script::default();
    let second = sim.call("acs", SUBSCRIBER);
    sim.run_for(SECOND * 5);
    assert!(sim.view(second).is_up(), "{}", sim.ladder());
    sim.hang_up(second);
    nothing_is_left(&mut sim);
}

/// I-08, CK-51, T05: at whatever moment the caller gives up, both ends are free in the end.
#[test]
fn a_cancel_at_any_moment_leaves_no_leg() {
    let given_up = |sim: &mut Sim, from: &str, number: &str, to: &str, at: Duration| {
        let caller = sim.call(from, number);
        sim.run_for(at);
        sim.cancel(caller);
        // It may be up by now.
        sim.hang_up(caller);
        sim.run_until_quiet();
        sim.run_for(SECOND * 64);
        assert!(sim.view(caller).is_over(), "{at:?}\n{}", sim.ladder());
        for end in sim.ends(to) {
            assert!(sim.view(end).is_over(), "{at:?}\n{}", sim.ladder());
        }
        let record = &sim.records()[0];
        assert_eq!(record.ended_by, EndedBy::Caller, "{at:?}\n{}", sim.ladder());
        sim.assert_clean();
    };
    for millis in 0..75 {
        let script = match millis % 3 {
            0 => Script::new()
                .ring()
                .wait(Duration::from_millis(20))
                .answer(),
            1 => Script::new().wait(Duration::from_millis(10)).answer(),
            _ => Script::new().ring().wait(SECOND).answer(),
        };
        let at = Duration::from_millis(millis);
        for (from, number, to) in [
            ("carrier", APPLICATION, "acs"),
            ("acs", SUBSCRIBER, "carrier"),
        ] {
            let mut sim = World::new(millis).without_pings().start();
            sim.party_mut(to).script = script.clone();
            given_up(&mut sim, from, number, to, at);
        }
    }
}

/// A called party that never answers the CANCEL keeps nobody.
#[test]
fn a_cancel_that_nobody_answers() {
    let mut sim = World::new(256)
        .without_pings()
        .party("carrier", |party| party.script = Script::new().ring())
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_for(SECOND);
    sim.party_mut("carrier").reach = Reach::Gone;
    sim.cancel(caller);
    sim.run_for(SECOND * 100);
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(487),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.media_legs(), 0);
    assert_eq!(sim.core().audit(), Ok(()));
}

/// CK-56: why is told with what is shown; when to call again is told of a party, not of a trunk.
#[test]
fn a_refusal_says_why_and_when() {
    for (status, reason, retry, told, again) in [
        (
            486,
            "Q.850;cause=19",
            "5 (in a meeting)",
            "Q.850;cause=19",
            Some(5),
        ),
        (480, "Q.850;cause=20", "60", "Q.850;cause=20", Some(60)),
        (603, "Q.850;cause=21", "7", "Q.850;cause=21", Some(7)),
        (503, "Q.850;cause=34", "30", "Q.850;cause=34", None),
        (420, "Q.850;cause=63", "30", "Q.850;cause=41", None),
    ] {
        for (from, number, to) in [
            ("acs", SUBSCRIBER, "carrier"),
            ("carrier", APPLICATION, "acs"),
        ] {
            let script = Script::reject(status)
                .with_header("Reason", reason)
                .with_header("Retry-After", retry);
            let mut world = World::new(257).without_pings();
            for name in [to, "acs2", "acs3"] {
                world = world.party(name, |party| party.script = script.clone());
            }
            let mut sim = world.start();
            let caller = sim.call(from, number);
            sim.run_until_quiet();
            let refusal = sim.view(caller).refusal.as_ref();
            let headers = &refusal
                .unwrap_or_else(|| panic!("{}", sim.ladder()))
                .headers;
            let reason = headers.get_str(&HeaderName::Reason).unwrap_or_default();
            assert_eq!(reason, told, "{status}\n{}", sim.ladder());
            assert_eq!(headers.retry_after(), again, "{status}\n{}", sim.ladder());
        }
    }
}

#[test]
fn a_trunk_that_finds_the_invite_too_large_is_asked_once_more_in_fewer_words() {
    let mut sim = World::new(371)
        .without_pings()
        .profile("carrier", |trunk| trunk.context.pass = Some(true))
        .party("carrier", |party| party.script = Script::reject(513))
        .start();
    let dial = Dial {
        headers: vec![("User-To-User".to_owned(), "00aa;encoding=hex".to_owned())],
        ..Dial::default()
    };
    let caller = sim.call_with("acs", SUBSCRIBER, &dial);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_over(), "{}", sim.ladder());
    let ends = sim.ends("carrier").into_iter();
    let context = ends.map(|end| {
        sim.view(end)
            .invite
            .headers
            .contains(&HeaderName::UserToUser)
    });
    assert_eq!(
        context.collect::<Vec<_>>(),
        [true, false],
        "{}",
        sim.ladder()
    );
    nothing_is_left(&mut sim);
}
