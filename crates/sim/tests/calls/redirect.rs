//! 3xx responses, followed here and never relayed (U-12, CK-61, T16).

use b2bua::profile::RedirectTarget;
use sim::{Script, Sim, World};

use crate::ladders::check;
use crate::{APPLICATION, SUBSCRIBER, nothing_is_left};

fn moved(contact: &str) -> Script {
    Script::reject(302).with_header("Contact", contact)
}

fn world(contact: &str) -> World {
    World::new(241)
        .without_pings()
        .party("carrier", |party| party.script = moved(contact))
}

fn call(sim: &mut Sim) -> sim::Handle {
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    caller
}

#[test]
fn a_contact_at_another_trunk_is_called_there() {
    let mut sim = world("<sip:7001@203.0.113.20>").start();
    let caller = call(&mut sim);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let called = sim.called("pbx");
    assert_eq!(sim.view(called).invite.uri.user(), Some("7001"));
    assert!(
        !sim.view(caller).responses.contains(&302),
        "{}",
        sim.ladder()
    );
    check("redirected_to_the_pbx", sim.ladder());
    // The PBX is trusted to know whom the call was for (CK-58, I-09).
    let history: Vec<String> = sim
        .view(called)
        .invite
        .headers
        .history_info()
        .map(|entry| String::from_utf8_lossy(entry).into_owned())
        .collect();
    assert_eq!(history.len(), 2, "{history:?}");
    assert!(history[0].contains("+12065550111") && history[0].contains("cause%3D302"));
    assert!(
        history[1].contains("7001") && history[1].contains("cause=302"),
        "{history:?}"
    );
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
    let record = &sim.records()[0];
    assert_eq!(record.attempts.len(), 2, "{record:?}");
    assert_eq!(record.attempts[0].status, Some(302));
}

#[test]
fn contacts_are_tried_by_preference_until_one_answers() {
    let contacts = "<sip:7001@203.0.113.20>;q=0.5, <sip:7002@203.0.113.20>;q=0.9";
    let mut sim = world(contacts)
        .party("pbx", |party| party.script = Script::reject(503))
        .start();
    let caller = call(&mut sim);
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
    let asked: Vec<_> = sim
        .ends("pbx")
        .into_iter()
        .map(|end| {
            sim.view(end)
                .invite
                .uri
                .user()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(asked, ["7002", "7001"], "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn a_number_is_decided_anew() {
    for contact in ["<tel:+12065550122>", "<sip:+12065550122@192.0.2.1>"] {
        let mut sim = World::new(242)
            .without_pings()
            .without_routes()
            .route("new", &["acs"], &["+12065550122"], &["pbx"])
            .route("old", &["acs"], &[], &["carrier"])
            .party("carrier", |party| party.script = moved(contact))
            .start();
        let caller = call(&mut sim);
        assert!(sim.view(caller).is_up(), "{contact}\n{}", sim.ladder());
        assert_eq!(sim.ladder().count("pbx", "INVITE"), 1, "{}", sim.ladder());
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn what_is_not_on_the_list_is_not_called_and_the_record_says_so() {
    let mut sim = world("<sip:7001@203.0.113.99>").start();
    let caller = call(&mut sim);
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
    nothing_is_left(&mut sim);
    let steps: Vec<&str> = sim.records()[0].why().collect();
    let steps = steps.join("\n");
    assert!(
        steps.contains("203.0.113.99, which is not on its list"),
        "{steps}"
    );
}

#[test]
fn a_listed_host_is_called_in_the_manner_of_the_trunk() {
    // The carrier's second gateway, which is no peer of the trunk.
    let mut sim = world("<sip:+12065550122@198.51.100.71>")
        .further_peers("carrier", 1)
        .profile("carrier", |trunk| {
            trunk.peers.truncate(1);
            trunk.redirect.allow = RedirectTarget::parse("198.51.100.64/28")
                .into_iter()
                .collect();
        })
        .start();
    let caller = call(&mut sim);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(
        sim.ladder().count("carrier2", "INVITE"),
        1,
        "{}",
        sim.ladder()
    );
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn a_loop_ends_and_so_does_a_long_way() {
    // To itself, and from the PBX back.
    let mut sim = world("<sip:7001@203.0.113.20>")
        .party("pbx", |party| {
            party.script = moved("<sip:7001@203.0.113.20>")
        })
        .start();
    let caller = call(&mut sim);
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.ladder().count("pbx", "INVITE"), 1, "{}", sim.ladder());
    nothing_is_left(&mut sim);
    // Eight places, of which five are visited.
    let contacts: Vec<_> = (0..8)
        .map(|n| format!("<sip:700{n}@203.0.113.20>"))
        .collect();
    let mut sim = world(&contacts.join(", "))
        .party("pbx", |party| party.script = Script::reject(503))
        .start();
    call(&mut sim);
    assert_eq!(sim.ladder().count("pbx", "INVITE"), 5, "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn other_services_and_proxies_are_not_followed() {
    for status in [305, 380] {
        let script = Script::reject(status).with_header("Contact", "<sip:7001@203.0.113.20>");
        let mut sim = World::new(243)
            .party("carrier", |party| party.script = script)
            .start();
        let caller = call(&mut sim);
        assert_eq!(
            sim.view(caller).failed_with(),
            Some(503),
            "{}",
            sim.ladder()
        );
        assert_eq!(sim.ladder().count("pbx", "INVITE"), 0);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_party_that_rang_may_still_name_another() {
    let script = Script::new()
        .ring()
        .wait(std::time::Duration::from_secs(5))
        .respond(302)
        .with_header("Contact", "<sip:7001@203.0.113.20>");
    let mut sim = World::new(244)
        .without_pings()
        .party("carrier", |party| party.script = script)
        .profile("carrier", |trunk| trunk.redirect.announce = true)
        .start();
    let caller = call(&mut sim);
    assert_eq!(
        sim.view(caller).responses,
        [180, 181, 180, 200],
        "{}",
        sim.ladder()
    );
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn microsoft_never_sees_a_redirection_of_the_application() {
    let mut sim = World::new(245)
        .party("acs", |party| {
            party.script = moved("<sip:elsewhere@203.0.113.42>")
        })
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(
        !sim.view(caller).responses.contains(&302),
        "{}",
        sim.ladder()
    );
    sim.run_until_quiet();
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}
