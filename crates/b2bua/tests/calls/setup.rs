//! From the INVITE to its final response.

use std::time::Duration;

use b2bua::profile::DrainPolicy;
use b2bua::record::EndedBy;
use sim::{Dial, Reach, Script, Sim, World};

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left, up};

#[test]
fn what_the_called_party_answers_reaches_the_caller_unchanged() {
    for status in [404, 480, 484, 486, 600, 603] {
        let mut sim = World::new(3)
            .party("carrier", |p| p.script = Script::reject(status))
            .start();
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_until_quiet();
        assert_eq!(
            sim.view(caller).failed_with(),
            Some(status),
            "{}",
            sim.ladder()
        );
        let record = &sim.records()[0];
        assert_eq!(record.ended_by, EndedBy::Called);
        assert_eq!(record.attempts[0].status, Some(status));
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_decline_is_not_tried_elsewhere() {
    let mut sim = World::new(3)
        .party("acs", |p| p.script = Script::new().ring().respond(603))
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).failed_with(), Some(603));
    assert_eq!(
        sim.ladder().count("acs2", "INVITE") + sim.ladder().count("acs3", "INVITE"),
        0
    );
    nothing_is_left(&mut sim);
}

#[test]
fn a_first_proxy_that_is_down_costs_seconds_and_not_the_call() {
    for (reach, patience) in [(Reach::Gone, 5_000), (Reach::Refuses, 500)] {
        let mut sim = World::new(5)
            .party("acs", |party| party.reach = reach)
            .start();
        let started = sim.now();
        let caller = sim.call("carrier", APPLICATION);
        sim.run_until_quiet();
        let called = sim.called("acs2");
        assert!(
            sim.view(caller).is_up() && sim.view(called).is_up(),
            "{}",
            sim.ladder()
        );
        let ringing = sim.records().len();
        assert_eq!(ringing, 0);
        let took = sim.now().saturating_since(started);
        assert!(
            took < Duration::from_millis(patience + 2_000),
            "{took:?}\n{}",
            sim.ladder()
        );
        sim.hang_up(called);
        sim.run_until_quiet();
        assert_eq!(sim.records()[0].attempts.len(), 2, "{:?}", sim.records()[0]);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_silent_proxy_is_left_after_four_seconds() {
    let mut sim = World::new(5)
        .party("acs", |party| party.script = Script::silent())
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(Duration::from_secs(8));
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let called = sim.called("acs2");
    sim.hang_up(caller);
    sim.run_for(Duration::from_secs(2));
    assert!(sim.view(called).is_over());
    let record = &sim.records()[0];
    let waited = record.attempts[1]
        .started
        .saturating_since(record.attempts[0].started);
    assert_eq!(waited, Duration::from_secs(4));
    nothing_is_left(&mut sim);
}

#[test]
fn an_overloaded_proxy_is_left_and_put_aside() {
    let busy = Script::reject(503).with_header("Retry-After", "30");
    let mut sim = World::new(5)
        .party("acs", |party| party.script = busy)
        .profile("acs", |trunk| trunk.options.enabled = false)
        .start();
    let first = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    let second = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(
        sim.view(first).is_up() && sim.view(second).is_up(),
        "{}",
        sim.ladder()
    );
    sim.hang_up(second);
    sim.run_until_quiet();
    assert_eq!(
        sim.records()[0].attempts[0].trunk.as_str(),
        "acs",
        "{:?}",
        sim.records()[0]
    );
    assert_eq!(
        sim.records()[0].attempts[0].peer,
        1,
        "{:?}",
        sim.records()[0]
    );
    sim.hang_up(first);
    nothing_is_left(&mut sim);
}

#[test]
fn a_dead_trunk_is_503_or_504_within_ten_seconds() {
    for reach in [Reach::Gone, Reach::Refuses] {
        let mut sim = World::new(5)
            .party("carrier", |party| party.reach = reach)
            .start();
        let started = sim.now();
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_until_quiet();
        let status = sim.view(caller).failed_with();
        assert!(
            matches!(status, Some(408 | 503 | 504)),
            "{status:?}\n{}",
            sim.ladder()
        );
        assert!(sim.now().saturating_since(started) < Duration::from_secs(10));
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_target_that_never_rings_is_given_up_within_ten_seconds() {
    let trying = Script::new();
    let mut sim = World::new(5)
        .party("carrier", |party| party.script = trying)
        .start();
    let started = sim.now();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let status = sim.view(caller).failed_with();
    assert!(
        matches!(status, Some(408 | 504)),
        "{status:?}\n{}",
        sim.ladder()
    );
    assert!(sim.now().saturating_since(started) < Duration::from_secs(10));
    nothing_is_left(&mut sim);
}

#[test]
fn nobody_answers() {
    let ringing = Script::new().ring();
    let mut sim = World::new(5)
        .party("carrier", |party| party.script = ringing)
        .start();
    let started = sim.now();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(480),
        "{}",
        sim.ladder()
    );
    assert!(sim.now().saturating_since(started) >= Duration::from_secs(180));
    assert_eq!(sim.records()[0].cause, 19);
    assert!(sim.view(sim.called("carrier")).is_over());
    nothing_is_left(&mut sim);
}

#[test]
fn a_number_without_a_route_is_refused() {
    let mut sim = World::new(5).start();
    let caller = sim.call("carrier", "+99955500");
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(404),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.records().len(), 1);
    nothing_is_left(&mut sim);
}

#[test]
fn ringing_and_progress_reach_the_caller_under_one_tag() {
    let forks = Script::new()
        .ring_as(1)
        .ring_as(2)
        .ring_as(3)
        .progress_as(4)
        .wait(Duration::from_secs(1))
        .answer_as(5);
    let mut sim = World::new(5)
        .party("acs", |party| party.script = forks)
        .start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    assert_eq!(
        sim.view(caller).responses,
        [180, 180, 180, 183, 200],
        "{}",
        sim.ladder()
    );
    // Two descriptions came, of one answer.
    let [early, last] = &sim.view(caller).described[..] else {
        panic!("{}", sim.ladder())
    };
    assert_eq!(early, last);
    sim.talk(called, 50);
    sim.talk(caller, 50);
    sim.run_for(Duration::from_secs(2));
    assert_eq!(sim.heard(caller).numbers.len(), 50);
    assert_eq!(sim.heard(called).numbers.len(), 50);
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn an_invite_without_an_offer_becomes_one_with_an_offer() {
    let mut sim = World::new(5).start();
    let dial = Dial {
        late_offer: true,
        ..Dial::default()
    };
    let caller = sim.call_with("carrier", APPLICATION, &dial);
    sim.run_until_quiet();
    let called = sim.called("acs");
    assert!(
        sim.view(caller).is_up() && sim.view(called).is_up(),
        "{}",
        sim.ladder()
    );
    assert!(!sim.view(called).invite.body.is_empty());
    sim.talk(caller, 100);
    sim.talk(called, 100);
    sim.run_for(Duration::from_secs(3));
    assert_eq!(sim.heard(called).numbers.len(), 100, "{}", sim.ladder());
    assert_eq!(sim.heard(caller).numbers.len(), 100, "{}", sim.ladder());
    sim.hang_up(called);
    nothing_is_left(&mut sim);
}

#[test]
fn a_full_trunk_refuses_and_says_when_to_come_again() {
    let mut sim = World::new(5)
        .profile("carrier", |trunk| trunk.limits.calls = Some(1))
        .start();
    let (first, _) = up(&mut sim, "carrier", APPLICATION, "acs");
    let second = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(second).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
    sim.hang_up(first);
    nothing_is_left(&mut sim);
}

#[test]
fn a_draining_gateway_takes_no_call_and_keeps_those_it_has() {
    let policy = DrainPolicy { retry_after: 17 };
    let mut sim = World::new(5).draining(policy).start();
    let (first, _) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.input(b2bua::Input::Drain);
    let second = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(sim.view(second).failed_with(), Some(503));
    let told = sim.trace().iter().any(|entry| {
        entry.text.starts_with(b"SIP/2.0 503")
            && String::from_utf8_lossy(&entry.text).contains("\r\nRetry-After: 17\r\n")
    });
    assert!(told, "{}", sim.ladder());
    assert!(sim.view(first).is_up());
    sim.hang_up(first);
    nothing_is_left(&mut sim);
}

/// The codec that the caller was given in early media is not the one of the answer: the caller is
/// asked again.
#[test]
fn a_fork_that_answers_with_another_codec_reaches_the_caller_by_a_reinvite() {
    let forks = Script::new()
        .progress_as(1)
        .wait(Duration::from_secs(1))
        .answer_as(2);
    let mut sim = World::new(5)
        .party("acs", |party| party.script = forks)
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(Duration::from_millis(500));
    sim.party_mut("acs").style.formats = vec![0, 101];
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let told: Vec<_> = sim
        .view(caller)
        .described
        .iter()
        .map(|d| d.formats.clone())
        .collect();
    assert_eq!(told.first(), Some(&vec![8, 0, 101]));
    assert_eq!(told.last(), Some(&vec![0, 101]), "{}", sim.ladder());
    assert_eq!(sim.view(caller).reinvited, 1, "{}", sim.ladder());
    assert_eq!(sim.view(sim.called("acs")).reinvited, 0, "{}", sim.ladder());
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn an_answer_given_to_microsoft_early_is_the_one_in_the_200() {
    let script = Script::new()
        .progress()
        .wait(Duration::from_secs(1))
        .progress_as(2)
        .wait(Duration::from_secs(1))
        .answer_as(3);
    let mut sim = World::new(5)
        .party("carrier", |party| party.script = script)
        .start();
    let (caller, _) = up(&mut sim, "acs", SUBSCRIBER, "carrier");
    let answers: Vec<String> = sim
        .trace()
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.text).into_owned())
        .filter(|text| text.starts_with("SIP/2.0") && text.contains("CSeq: 1 INVITE"))
        .filter(|text| text.contains("RTP/SAVP"))
        .filter_map(|text| Some(text.split_once("\r\n\r\n")?.1.to_owned()))
        .collect();
    assert_eq!(answers.len(), 3, "{answers:?}\n{}", sim.ladder());
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let described = &sim.view(caller).described;
    assert!(described.iter().all(|told| *told == described[0]));
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

/// What a peer can do instead of ringing.
#[derive(Clone, Copy)]
enum Bad {
    Gone,
    Refuses,
    Silent,
    Trying,
    Busy,
}

const BAD: [Bad; 5] = [Bad::Gone, Bad::Refuses, Bad::Silent, Bad::Trying, Bad::Busy];

fn be(sim: &mut Sim, name: &str, bad: Bad) {
    let party = sim.party_mut(name);
    match bad {
        Bad::Gone => party.reach = Reach::Gone,
        Bad::Refuses => party.reach = Reach::Refuses,
        Bad::Silent => party.script = Script::silent(),
        Bad::Trying => party.script = Script::new(),
        Bad::Busy => party.script = Script::reject(503),
    }
}

#[test]
fn microsoft_hears_within_ten_seconds_whatever_is_down_behind() {
    let peers = ["carrier", "carrier2", "carrier3", "pbx", "pbx2", "pbx3"];
    let combinations = BAD.len().pow(3);
    for first in 0..combinations {
        let mut sim = World::new(first as u64)
            .without_pings()
            .further_peers("carrier", 2)
            .further_peers("pbx", 2)
            .without_routes()
            .route("out", &["acs"], &[], &["carrier", "pbx"])
            .start();
        // The second trunk runs through all combinations too, in another order.
        let both = [first, first * 37 % combinations];
        for (at, name) in peers.into_iter().enumerate() {
            let digit = u32::try_from(at % 3).unwrap();
            be(
                &mut sim,
                name,
                BAD[both[at / 3] / BAD.len().pow(digit) % BAD.len()],
            );
        }
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_for(Duration::from_millis(9_990));
        let status = sim.view(caller).failed_with();
        assert!(
            matches!(status, Some(408 | 503 | 504)),
            "{first}: {status:?}\n{}",
            sim.ladder()
        );
        nothing_is_left(&mut sim);
    }
}
