//! What the messages of a call look like to those who get them.

use sim::{Dial, World};
use sip_msg::HeaderName;

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left, up};

fn with(headers: &[(&str, &str)]) -> Dial {
    let pairs = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Dial {
        headers: pairs.collect(),
        ..Dial::default()
    }
}

#[test]
fn microsoft_is_told_numbers_names_and_hops_as_it_wants_them() {
    let mut sim = World::new(51).start();
    let (caller, called) = up(&mut sim, "carrier", APPLICATION, "acs");
    let invite = &sim.view(called).invite;
    assert_eq!(invite.headers.max_forwards().unwrap(), Some(69));
    let from = invite.headers.from().unwrap().uri;
    assert!(from.user().unwrap().starts_with('+') && from.host_str() == "sbc1.example.com");
    let [contact] = &invite.headers.contacts().unwrap()[..] else {
        panic!("one Contact")
    };
    assert_eq!(contact.uri.host_str(), "sbc1.example.com");
    assert_eq!(contact.uri.param("transport"), Some(Some("tls")));
    assert!(!invite.headers.contains(&HeaderName::RecordRoute));
    // S-09: in requests and in responses.
    let name = HeaderName::parse(b"X-MS-SBC").unwrap();
    assert!(invite.headers.contains(&name));
    sim.hang_up(caller);
    sim.run_until_quiet();
    assert!(sim.view(called).ending.as_ref().unwrap().contains(&name));
    nothing_is_left(&mut sim);
}

#[test]
fn a_session_timer_is_granted_to_a_caller_that_keeps_it_up() {
    let mut sim = World::new(52).start();
    let timer = [
        ("Supported", "timer"),
        ("Session-Expires", "1800;refresher=uac"),
    ];
    let caller = sim.call_with("acs", SUBSCRIBER, &with(&timer));
    sim.run_until_quiet();
    let granted = sim.trace().iter().filter(|entry| {
        let text = String::from_utf8_lossy(&entry.text);
        text.starts_with("SIP/2.0 200")
            && text.contains("Session-Expires: 1800;refresher=uac")
            && text.contains("Require: timer")
    });
    assert_eq!(granted.count(), 1, "{}", sim.ladder());
    // Nobody refreshes: the call ends before the interval does.
    sim.run_for(std::time::Duration::from_secs(1800));
    assert!(sim.view(caller).is_over(), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn what_is_not_done_here_is_refused_by_name() {
    let cases = [
        (("Require", "precondition"), 420),
        (("Session-Expires", "30"), 422),
    ];
    for ((name, value), status) in cases {
        let mut sim = World::new(53).start();
        let caller = sim.call_with("carrier", APPLICATION, &with(&[(name, value)]));
        sim.run_until_quiet();
        assert_eq!(
            sim.view(caller).failed_with(),
            Some(status),
            "{}",
            sim.ladder()
        );
        nothing_is_left(&mut sim);
    }
}

/// Every message is traced, none with a key in it.
#[test]
fn the_trace_shows_the_call_and_no_key() {
    let mut sim = World::new(54).start();
    let (caller, _) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.hang_up(caller);
    sim.run_until_quiet();
    let call = sim.records()[0].call;
    let lines: Vec<String> = sim
        .trace()
        .iter()
        .filter(|e| e.call == Some(call))
        .map(|e| e.first_line())
        .collect();
    for expected in [
        "INVITE",
        "SIP/2.0 100",
        "SIP/2.0 180",
        "SIP/2.0 200",
        "ACK",
        "BYE",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{expected}: {lines:#?}"
        );
    }
    let text: Vec<u8> = sim
        .trace()
        .iter()
        .flat_map(|entry| entry.text.to_vec())
        .collect();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("a=crypto"));
    for line in text.lines().filter(|line| line.starts_with("a=crypto")) {
        let key = line.split("inline:").nth(1).unwrap_or_default();
        assert!(key.len() < 40, "{line}");
    }
    nothing_is_left(&mut sim);
}
