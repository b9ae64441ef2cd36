//! The basic call flows of RFC 3665, across two trunks.

use std::time::Duration;

use b2bua::record::EndedBy;
use sim::{Dial, Script, World};

use crate::{APPLICATION, SUBSCRIBER};

#[test]
fn carrier_calls_the_application_and_hangs_up() {
    let mut sim = World::new(1).start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let called = sim.called("acs");
    sim.talk(caller, 150);
    sim.talk(called, 150);
    sim.run_for(Duration::from_secs(4));
    for end in [caller, called] {
        let heard = sim.heard(end);
        assert_eq!(
            (heard.numbers.len(), heard.corrupt, heard.repeated),
            (150, 0, 0)
        );
    }
    sim.hang_up(caller);
    sim.run_until_quiet();
    assert!(sim.view(called).is_over());
    let [record] = sim.records() else {
        panic!("one record\n{}", sim.ladder())
    };
    assert_eq!(record.ended_by, EndedBy::Caller);
    assert_eq!(record.attempts.len(), 1);
    sim.run_for(Duration::from_secs(64));
    sim.assert_clean();
}

#[test]
fn the_application_calls_a_subscriber_who_hangs_up() {
    let mut sim = World::new(2).start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let called = sim.called("carrier");
    sim.talk(caller, 150);
    sim.talk(called, 150);
    sim.run_for(Duration::from_secs(4));
    for end in [caller, called] {
        assert_eq!(sim.heard(end).numbers.len(), 150, "{:?}", sim.heard(end));
    }
    sim.hang_up(called);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_over());
    assert_eq!(sim.records()[0].ended_by, EndedBy::Called);
    sim.run_for(Duration::from_secs(64));
    sim.assert_clean();
}

#[test]
fn a_busy_subscriber_is_busy_and_not_tried_again() {
    let mut sim = World::new(3).start();
    sim.party_mut("acs").script = Script::reject(486);
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(486),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.ladder().count("acs2", "INVITE"), 0);
    sim.run_for(Duration::from_secs(64));
    sim.assert_clean();
}

#[test]
fn a_caller_gives_up_while_it_rings() {
    let mut sim = World::new(4).start();
    sim.party_mut("acs").script = Script::new().ring();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(Duration::from_secs(3));
    sim.cancel(caller);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(487),
        "{}",
        sim.ladder()
    );
    assert!(sim.view(sim.called("acs")).is_over());
    assert_eq!(sim.records()[0].ended_by, EndedBy::Caller);
    sim.run_for(Duration::from_secs(64));
    sim.assert_clean();
}

#[test]
fn what_crosses_between_trunks_is_noticed() {
    let mut sim = World::new(5).start();
    let headers = vec![
        ("X-Internal".to_owned(), "198.51.100.7".to_owned()),
        (
            "P-Asserted-Identity".to_owned(),
            "<sip:+12065550100@198.51.100.7>".to_owned(),
        ),
    ];
    let dial = Dial {
        headers,
        ..Dial::default()
    };
    sim.call_with("carrier", APPLICATION, &dial);
    sim.run_until_quiet();
    assert_eq!(sim.faults(), Vec::<String>::new());
    // A Subject is passed on as it stands, so an address in it is what a leak looks like.
    let headers = vec![("Subject".to_owned(), "198.51.100.7".to_owned())];
    sim.call_with(
        "carrier",
        APPLICATION,
        &Dial {
            headers,
            ..Dial::default()
        },
    );
    sim.run_until_quiet();
    assert!(!sim.faults().is_empty());
}
