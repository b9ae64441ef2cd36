//! What happens when the first choice does not take the call.

use std::time::Duration;

use b2bua::limits::{GateLimits, TrunkLimits};
use sim::{Reach, Script, Sim, World};

use crate::{APPLICATION, SUBSCRIBER};

fn answered_by(sim: &Sim) -> Vec<&'static str> {
    ["acs", "acs2", "acs3"]
        .into_iter()
        .filter(|name| sim.party(name).calls().any(|(_, call)| call.is_up()))
        .collect()
}

#[test]
fn a_proxy_that_refuses_connections_is_passed_over() {
    let mut sim = World::new(11).without_pings().start();
    sim.party_mut("acs").reach = Reach::Refuses;
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(answered_by(&sim), ["acs2"], "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_until_quiet();
    assert_eq!(sim.records()[0].attempts.len(), 2);
}

#[test]
fn a_proxy_that_connects_and_keeps_silent_is_left_after_four_seconds() {
    let mut sim = World::new(12).without_pings().start();
    sim.party_mut("acs").script = Script::silent();
    let start = sim.now();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(answered_by(&sim), ["acs2"], "{}", sim.ladder());
    let took = sim.now().saturating_since(start);
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(6),
        "{took:?}"
    );
}

#[test]
fn a_busy_datacentre_sends_the_call_to_the_next_one() {
    let mut sim = World::new(13).without_pings().start();
    sim.party_mut("acs").script = Script::reject(503).with_header("Retry-After", "1");
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(answered_by(&sim), ["acs2"], "{}", sim.ladder());
    assert_eq!(sim.ladder().count("acs", "INVITE"), 1);
    sim.hang_up(caller);
    sim.run_until_quiet();
}

#[test]
fn a_decline_is_never_retried() {
    let mut sim = World::new(14).start();
    sim.party_mut("acs").script = Script::new().ring().respond(603);
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(603),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.ladder().count("acs2", "INVITE"), 0);
}

#[test]
fn microsoft_hears_503_or_504_within_ten_seconds_from_a_carrier_that_is_gone() {
    let mut sim = World::new(15).without_pings().start();
    sim.party_mut("carrier").reach = Reach::Gone;
    let start = sim.now();
    let caller = sim.call("acs", SUBSCRIBER);
    while !sim.view(caller).is_over() {
        sim.run_for(Duration::from_millis(100));
        assert!(
            sim.now().saturating_since(start) < Duration::from_secs(10),
            "{}",
            sim.ladder()
        );
    }
    let status = sim.view(caller).failed_with();
    assert!(
        matches!(status, Some(408 | 503 | 504)),
        "{status:?}\n{}",
        sim.ladder()
    );
}

#[test]
fn a_challenge_of_the_carrier_is_not_shown_to_the_caller() {
    let mut sim = World::new(16).start();
    sim.party_mut("carrier").script = Script::reject(407);
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
}

#[test]
fn a_full_trunk_is_503_and_takes_calls_again() {
    let one = TrunkLimits {
        calls: Some(1),
        calls_per_second: None,
    };
    let mut sim = World::new(17)
        .profile("carrier", |profile| profile.limits = one)
        .start();
    let first = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let second = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(second).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
    sim.hang_up(first);
    sim.run_until_quiet();
    let third = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert!(sim.view(third).is_up(), "{}", sim.ladder());
}

#[test]
fn a_full_gateway_is_503() {
    let none = GateLimits {
        calls: 0,
        calls_per_second: None,
    };
    let mut sim = World::new(18).limits(none).start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
}
