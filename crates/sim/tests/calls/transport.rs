//! What calls travel on: long messages, old proxies, IPv6, and carriers with TLS and SRTP.

use std::time::Duration;

use sim::{Handle, Link, Sim, World};

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left};

/// Both ends talk for two seconds, and hear every packet of the other.
fn both_hear(sim: &mut Sim, ends: [Handle; 2]) {
    let before = ends.map(|end| sim.heard(end).numbers.len());
    ends.into_iter().for_each(|end| sim.talk(end, 100));
    sim.run_for(Duration::from_secs(3));
    for (end, before) in ends.into_iter().zip(before) {
        let heard = sim.heard(end);
        assert_eq!(heard.numbers.len() - before, 100, "{}", sim.ladder());
        assert_eq!((heard.corrupt, heard.elsewhere), (0, 0), "{heard:?}");
    }
}

/// A call with a hold in the middle, ended by its caller.
fn whole_call(sim: &mut Sim, from: &str, number: &str, to: &str) {
    let caller = sim.call(from, number);
    sim.run_until_quiet();
    let called = sim.called(to);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    both_hear(sim, [caller, called]);
    let media = sim.view(caller).remote_media();
    sim.hold(called);
    sim.run_until_quiet();
    sim.resume(called);
    sim.run_until_quiet();
    assert_eq!(sim.view(called).reinvites, [200, 200], "{}", sim.ladder());
    assert_eq!(sim.view(caller).remote_media(), media, "G-03");
    both_hear(sim, [caller, called]);
    sim.hang_up(caller);
    sim.run_until_quiet();
    assert!(sim.view(called).is_over(), "{}", sim.ladder());
}

#[test]
fn a_long_invite_goes_over_tcp_to_a_carrier_that_takes_it() {
    let mut sim = World::new(731)
        .without_pings()
        .profile("carrier", |profile| profile.datagrams.longest = 600)
        .party("carrier", |party| party.takes_streams = true)
        .start();
    whole_call(&mut sim, "acs", SUBSCRIBER, "carrier");
    let via = sim.view(sim.called("carrier")).invite.headers.top_via();
    assert_eq!(via.expect("a Via").transport.as_str(), "TCP");
    let counts = sim.core().metrics().signalling;
    assert!(counts.long_by_stream >= 1, "{counts:?}");
    assert_eq!(counts.long_datagrams, 0, "{counts:?}");
    nothing_is_left(&mut sim);
}

#[test]
fn a_long_invite_goes_over_udp_to_a_carrier_that_knows_nothing_else() {
    let mut sim = World::new(732)
        .without_pings()
        .profile("carrier", |profile| profile.datagrams.longest = 600)
        .start();
    for call in 1..=3 {
        whole_call(&mut sim, "acs", SUBSCRIBER, "carrier");
        let via = sim.view(sim.called("carrier")).invite.headers.top_via();
        assert_eq!(via.expect("a Via").transport.as_str(), "UDP");
        let counts = sim.core().metrics().signalling;
        assert_eq!(counts.long_by_stream, 1, "tried once: {counts:?}");
        assert!(counts.long_datagrams >= call, "{counts:?}");
    }
    assert_eq!(
        sim.ladder().count("carrier", "INVITE"),
        3,
        "{}",
        sim.ladder()
    );
    nothing_is_left(&mut sim);
}

#[test]
fn one_message_that_cannot_be_sent_takes_nothing_from_the_next_call() {
    let mut sim = World::new(733).without_pings().start();
    // Longer than any datagram: the transport says so, as an operating system does.
    sim.limit_datagrams(400);
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_over(), "{}", sim.ladder());
    sim.limit_datagrams(65_535);
    let before = sim.ladder().count("carrier", "INVITE");
    whole_call(&mut sim, "acs", SUBSCRIBER, "carrier");
    assert_eq!(sim.ladder().count("carrier", "INVITE"), before + 1);
    nothing_is_left(&mut sim);
}

#[test]
fn a_carrier_behind_a_strict_router_is_routed_to_as_rfc_2543_did() {
    let mut sim = World::new(734)
        .without_pings()
        .party("carrier", |party| {
            let router = format!("sip:{}:5060", party.style.host);
            party.style.record_route = Some(router);
        })
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let called = sim.called("carrier");
    sim.hold(caller);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).reinvites, [200], "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_until_quiet();
    assert!(sim.view(called).is_over(), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn ipv6_and_ipv4_are_joined_in_signalling_and_media() {
    for (from, number, to) in [
        ("carrier", APPLICATION, "acs"),
        ("acs", SUBSCRIBER, "carrier"),
        ("pbx", SUBSCRIBER, "carrier"),
    ] {
        let mut sim = World::new(735).without_pings().on_ipv6("carrier").start();
        let caller = sim.call(from, number);
        sim.run_until_quiet();
        let called = sim.called(to);
        assert!(sim.view(caller).is_up(), "{from}\n{}", sim.ladder());
        for end in [caller, called] {
            let here = sim.view(end).media.local();
            let there = sim.view(end).remote_media().expect("described");
            assert_eq!(here.is_ipv6(), there.is_ipv6(), "{here} {there}");
        }
        both_hear(&mut sim, [caller, called]);
        sim.hang_up(called);
        sim.run_until_quiet();
        assert!(sim.view(caller).is_over(), "{}", sim.ladder());
        nothing_is_left(&mut sim);
    }
}

#[test]
fn two_trunks_on_ipv6_over_bad_links_outlive_the_process() {
    let mut sim = World::new(736)
        .without_pings()
        .on_ipv6("carrier")
        .link("carrier", Link::lossy(20))
        .start();
    sim.restore_everywhere();
    whole_call(&mut sim, "pbx", SUBSCRIBER, "carrier");
    assert!(sim.restored() > 2);
    nothing_is_left(&mut sim);
}

#[test]
fn a_carrier_with_tls_and_srtp_is_called_and_calls() {
    for (from, number, to) in [
        ("carrier", APPLICATION, "acs"),
        ("acs", SUBSCRIBER, "carrier"),
        ("pbx", SUBSCRIBER, "carrier"),
    ] {
        let mut sim = World::new(737).without_pings().secured("carrier").start();
        sim.restore_everywhere();
        whole_call(&mut sim, from, number, to);
        let carrier = if from == "carrier" { from } else { to };
        for described in &sim.view(sim.called(carrier)).described {
            assert!(described.savp, "{described:?}");
            assert!(!described.crypto.is_empty(), "{described:?}");
        }
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_carrier_that_must_use_srtp_is_refused_without_it() {
    let mut sim = World::new(738).without_pings().secured("carrier").start();
    sim.party_mut("carrier").style.srtp = false;
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(488),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.ladder().count("acs", "INVITE"), 0, "{}", sim.ladder());
    nothing_is_left(&mut sim);
}
