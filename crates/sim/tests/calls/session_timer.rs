//! Session timers (RFC 4028): each leg has its own, and none is relayed.

use std::time::Duration;

use b2bua::profile::{RefreshMethod, RefresherChoice, SessionPolicy};
use sim::{Dial, Script, World};
use sip_msg::Method;

use crate::{APPLICATION, SUBSCRIBER};

/// The carrier's trunk asks for a session of three minutes.
fn wanting(seed: u64, refresher: RefresherChoice, method: RefreshMethod) -> World {
    World::new(seed)
        .without_pings()
        .profile("carrier", |profile| {
            profile.session = SessionPolicy {
                expires: Some(Duration::from_secs(180)),
                refresher,
                method,
                ..SessionPolicy::default()
            };
            profile.timers.media_inactivity = None;
        })
}

#[test]
fn we_refresh_at_half_the_interval_with_the_same_description() {
    let mut sim = wanting(701, RefresherChoice::Us, RefreshMethod::Reinvite)
        .profile("acs", |profile| profile.timers.media_inactivity = None)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let called = sim.called("carrier");
    let asked = sim.view(called).invite.headers.session_expires();
    assert_eq!(asked.unwrap().unwrap().to_string(), "180;refresher=uac");
    let first = sim.view(called).described.last().cloned();
    sim.run_for(Duration::from_secs(600));
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(sim.view(called).reinvited, 6, "{}", sim.ladder());
    assert_eq!(sim.view(caller).reinvited, 0, "not relayed (G-02)");
    assert_eq!(sim.view(called).described.last().cloned(), first);
    sim.hang_up(caller);
    sim.run_until_quiet();
    sim.run_for(Duration::from_secs(64));
    sim.assert_clean();
}

#[test]
fn we_refresh_by_update_where_the_party_allows_it() {
    let mut sim = wanting(702, RefresherChoice::Us, RefreshMethod::Update)
        .profile("acs", |profile| profile.timers.media_inactivity = None)
        .start();
    let script = Script::new().ring().answer();
    sim.party_mut("carrier").script = script.with_header("Allow", "UPDATE");
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_for(Duration::from_secs(300));
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert!(
        sim.ladder().count("carrier", "UPDATE") >= 3,
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.view(sim.called("carrier")).reinvited, 0);
}

#[test]
fn a_422_is_answered_once_with_what_it_asks_for() {
    let mut sim = wanting(703, RefresherChoice::Auto, RefreshMethod::Reinvite).start();
    sim.party_mut("carrier").script = Script::reject(422).with_header("Min-SE", "900");
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_over(), "{}", sim.ladder());
    assert_eq!(
        sim.ladder().count("carrier", "INVITE"),
        2,
        "{}",
        sim.ladder()
    );
    let again = &sim.view(sim.called("carrier")).invite.headers;
    assert_eq!(
        again.get_str(&sip_msg::HeaderName::SessionExpires),
        Some("900")
    );
    assert_eq!(again.get_str(&sip_msg::HeaderName::MinSe), Some("900"));
    assert_eq!(again.cseq().unwrap().seq, 2);
}

/// What a caller that refreshes asks for.
fn refreshing(expires: &str) -> Dial {
    Dial {
        headers: vec![
            ("Supported".to_owned(), "timer".to_owned()),
            ("Session-Expires".to_owned(), expires.to_owned()),
        ],
        ..Dial::default()
    }
}

#[test]
fn a_caller_that_stops_refreshing_is_hung_up_on_both_sides() {
    let mut sim = World::new(704).without_pings().start();
    let caller = sim.call_with("acs", SUBSCRIBER, &refreshing("90;refresher=uac"));
    sim.run_until_quiet();
    let called = sim.called("carrier");
    for _ in 0..3 {
        sim.run_for(Duration::from_secs(45));
        sim.talk(caller, 5);
        sim.talk(called, 5);
        let headers = [
            ("Supported", "timer"),
            ("Session-Expires", "90;refresher=uac"),
        ];
        sim.say(caller, Method::Options, &headers, None);
        sim.run_until_quiet();
    }
    assert!(
        sim.view(caller).is_over(),
        "OPTIONS refreshes nothing\n{}",
        sim.ladder()
    );
    assert!(sim.view(called).is_over(), "{}", sim.ladder());
    let ending = sim.view(called).ending.as_ref().expect("a BYE");
    assert!(!ending.reason().is_empty(), "the BYE has a reason");
    sim.run_for(Duration::from_secs(64));
    sim.assert_clean();
}

#[test]
fn an_update_refreshes_the_session_of_a_carrier_and_goes_no_further() {
    let mut sim = World::new(705)
        .without_pings()
        .profile("carrier", |profile| profile.timers.media_inactivity = None)
        .profile("acs", |profile| profile.timers.media_inactivity = None)
        .start();
    sim.restore_everywhere();
    let caller = sim.call_with("carrier", APPLICATION, &refreshing("90;refresher=uac"));
    sim.run_until_quiet();
    let headers = [
        ("Supported", "timer"),
        ("Session-Expires", "90;refresher=uac"),
    ];
    for _ in 0..5 {
        sim.run_for(Duration::from_secs(45));
        sim.say(caller, Method::Update, &headers, None);
        sim.run_until_quiet();
    }
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(sim.ladder().count("acs", "UPDATE"), 0, "{}", sim.ladder());
    assert_eq!(sim.ladder().count("carrier", "200 UPDATE"), 5);
    let short = [("Supported", "timer"), ("Session-Expires", "60")];
    sim.say(caller, Method::Update, &short, None);
    sim.run_until_quiet();
    assert_eq!(sim.ladder().count("carrier", "422 UPDATE"), 1);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.run_for(Duration::from_secs(90));
    assert!(sim.view(caller).is_over(), "{}", sim.ladder());
}
