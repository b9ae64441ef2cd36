//! Why a call ended, told to the other side (RFC 3326, U-08).

use std::time::Duration;

use sim::{Script, Sim, World};
use sip_msg::{HeaderName, Headers};

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left, up};

const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

fn says(sim: &mut Sim, name: &str, fields: &[(&str, &str)]) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    sim.party_mut(name).parting = fields.iter().map(owned).collect();
}

fn values<'a>(headers: &'a Headers, name: &str) -> Vec<&'a str> {
    let name = HeaderName::parse(name.as_bytes()).expect("a header name");
    let values = headers.get_all(&name);
    values
        .map(|value| std::str::from_utf8(value).expect("UTF-8"))
        .collect()
}

#[test]
fn a_refusal_crosses_with_its_phrase_and_its_reasons() {
    let refusal = Script::reject(486)
        .with_phrase("On the other line")
        .with_header("Reason", "Q.850;cause=34;text=\"no circuit\"")
        .with_header("Reason", "SIP;cause=486")
        .with_header("Reason", "X.int;cause=7")
        .with_header("Warning", "399 198.51.100.7 \"busy\"");
    let mut sim = World::new(71)
        .party("carrier", |party| party.script = refusal)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let refusal = sim.view(caller).refusal.clone().unwrap();
    assert_eq!(refusal.status.code(), 486);
    assert_eq!(refusal.reason, "On the other line");
    assert_eq!(
        values(&refusal.headers, "Reason"),
        ["Q.850;cause=34;text=\"no circuit\"", "SIP;cause=486"]
    );
    assert!(values(&refusal.headers, "Warning").is_empty());
    assert_eq!(sim.records()[0].cause, 34);
    nothing_is_left(&mut sim);
}

#[test]
fn a_refusal_that_is_not_shown_says_nothing() {
    let challenge = Script::reject(407)
        .with_phrase("Who are you")
        .with_header("Reason", "Q.850;cause=21");
    let mut sim = World::new(72)
        .party("carrier", |party| party.script = challenge)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let refusal = sim.view(caller).refusal.clone().unwrap();
    assert_eq!(refusal.status.code(), 503);
    assert_eq!(refusal.reason, "Service Unavailable");
    assert_eq!(values(&refusal.headers, "Reason"), ["Q.850;cause=41"]);
    nothing_is_left(&mut sim);
}

#[test]
fn a_phrase_that_could_hold_an_address_stays() {
    let refusal = Script::reject(480).with_phrase("see 198.51.100.7");
    let mut sim = World::new(73)
        .party("carrier", |party| party.script = refusal)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let refusal = sim.view(caller).refusal.clone().unwrap();
    assert_eq!(refusal.reason, "Temporarily Unavailable");
    nothing_is_left(&mut sim);
}

#[test]
fn a_bye_says_why_on_the_other_side() {
    let fields = [
        ("Reason", "Q.850;cause=31;text=\"bye\""),
        ("Reason", "SIP;cause=200"),
        ("X-MS-Custom-Case", "4711"),
        ("User-To-User", "56a3;encoding=hex"),
        ("X-Internal", "secret"),
    ];
    for (from, number, to, custom) in [
        ("pbx", APPLICATION, "acs", true),
        // Custom context is believed of nobody outside of the operator's own domain.
        ("carrier", APPLICATION, "acs", false),
        ("acs", SUBSCRIBER, "carrier", false),
    ] {
        let mut sim = World::new(74).start();
        let (caller, called) = up(&mut sim, from, number, to);
        says(&mut sim, from, &fields);
        sim.hang_up(caller);
        sim.run_until_quiet();
        let bye = sim.view(called).ending.clone().unwrap();
        let text = if to == "acs" { ";text=\"bye\"" } else { "" };
        assert_eq!(
            values(&bye, "Reason"),
            [&format!("Q.850;cause=31{text}"), "SIP;cause=200"]
        );
        let expected: &[&str] = if custom { &["4711"] } else { &[] };
        assert_eq!(values(&bye, "X-MS-Custom-Case"), expected);
        assert_eq!(values(&bye, "User-To-User").len(), expected.len());
        assert!(values(&bye, "X-Internal").is_empty());
        assert_eq!(sim.records()[0].cause, 31);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_bye_without_a_reason_is_normal_clearing() {
    let mut sim = World::new(75).start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.hang_up(called);
    sim.run_until_quiet();
    let bye = sim.view(caller).ending.clone().unwrap();
    assert_eq!(values(&bye, "Reason"), ["Q.850;cause=16"]);
    nothing_is_left(&mut sim);
}

#[test]
fn a_cancel_says_why_on_the_other_side() {
    let mut sim = World::new(76)
        .party("carrier", |party| party.script = Script::new().ring())
        .start();
    let caller = sim.call("pbx", SUBSCRIBER);
    sim.run_for(Duration::from_secs(2));
    says(
        &mut sim,
        "pbx",
        &[("Reason", ELSEWHERE), ("X-Internal", "secret")],
    );
    sim.cancel(caller);
    sim.run_until_quiet();
    let cancel = sim.view(sim.called("carrier")).ending.clone().unwrap();
    assert_eq!(values(&cancel, "Reason"), ["SIP;cause=200"]);
    assert!(values(&cancel, "X-Internal").is_empty());
    nothing_is_left(&mut sim);
}
