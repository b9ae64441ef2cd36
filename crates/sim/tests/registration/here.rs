//! An exchange registers with the gateway, and is called where it registered from.

use std::collections::BTreeMap;
use std::sync::Arc;

use b2bua::profile::{Demand, Password, RegistrarPolicy};
use sim::{Account, Link, Sim, World};
use sip_msg::HeaderName;

use crate::{APPLICATION, PASSWORD, SUBSCRIBER, check, run};

/// The exchange is behind NAT: it calls itself what nobody can reach.
const INSIDE: &str = "sip:office@10.0.0.5:5070";

pub(crate) fn world(seed: u64) -> World {
    World::new(seed)
        .without_pings()
        .profile("pbx", |trunk| {
            let users = BTreeMap::from([("office".to_owned(), Password::new(PASSWORD))]);
            trunk.auth.demand = Some(Arc::new(Demand::new("sbc1.example.com", users)));
            trunk.registrar = Some(RegistrarPolicy::default());
            trunk.peers.clear();
            trunk.allow = vec!["0.0.0.0/0".parse().expect("everybody")];
        })
        .party("pbx", |party| {
            party.account = Some(Account::new("office", PASSWORD));
            party.style.contact = INSIDE.to_owned();
        })
        .route("to the office", &["carrier"], &["+1206555*"], &["pbx"])
}

fn answers(sim: &Sim) -> Vec<u16> {
    let account = sim.party("pbx").account.as_ref().expect("it has one");
    let codes = account.answers.iter().map(|answer| answer.status.code());
    codes.collect()
}

#[test]
fn an_exchange_registers_and_is_called_through_its_nat() {
    let mut sim = world(231).start();
    sim.register("pbx", 600);
    run(&mut sim, 1);
    assert_eq!(answers(&sim), [200], "{}", sim.ladder());
    let caller = sim.call("carrier", SUBSCRIBER);
    run(&mut sim, 5);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let called = sim.called("pbx");
    let target = sim.view(called).invite.uri.to_string();
    assert!(
        target.starts_with("sip:+12065550111@10.0.0.5:5070"),
        "{target}"
    );
    // Everything in the dialog goes the same way, also from a gateway that has just been started.
    sim.restore();
    sim.hold(caller);
    run(&mut sim, 2);
    sim.hang_up(caller);
    run(&mut sim, 2);
    check("exchange_registers_and_is_called", sim.ladder());
    run(&mut sim, 140);
    sim.assert_clean();
}

#[test]
fn a_call_of_the_exchange_is_challenged_once_and_nothing_in_its_dialog() {
    let mut sim = world(232).start();
    let caller = sim.call("pbx", APPLICATION);
    run(&mut sim, 5);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.hold(caller);
    run(&mut sim, 2);
    sim.resume(caller);
    run(&mut sim, 2);
    // The other side hangs up: the BYE must find the way through the NAT.
    let called = sim.called("acs");
    sim.hang_up(called);
    run(&mut sim, 2);
    check("exchange_calls", sim.ladder());
    assert_eq!(sim.ladder().count("pbx", "401 INVITE"), 1);
    run(&mut sim, 140);
    sim.assert_clean();
}

#[test]
fn all_that_works_on_a_network_that_loses_a_tenth() {
    for seed in 233..239 {
        let mut sim = world(seed).link("pbx", Link::lossy(10)).start();
        sim.register("pbx", 600);
        run(&mut sim, 40);
        assert_eq!(answers(&sim), [200], "{seed}: {}", sim.ladder());
        let caller = sim.call("carrier", SUBSCRIBER);
        run(&mut sim, 40);
        assert!(sim.view(caller).is_up(), "{seed}: {}", sim.ladder());
        sim.hang_up(caller);
        run(&mut sim, 180);
        sim.assert_clean();
    }
}

#[test]
fn nobody_is_there_before_a_registration_and_after_its_end() {
    let mut sim = world(239).start();
    let refused = |sim: &mut Sim| {
        let caller = sim.call("carrier", SUBSCRIBER);
        run(sim, 2);
        let call = sim.view(caller);
        assert_eq!(call.responses, [480], "{}", sim.ladder());
        let headers = &call.refusal.as_ref().unwrap().headers;
        let reason = headers.get_str(&HeaderName::Reason).unwrap().to_owned();
        assert!(reason.contains("cause=20"), "{reason}");
    };
    refused(&mut sim);
    sim.register("pbx", 60);
    run(&mut sim, 62);
    refused(&mut sim);
    sim.register("pbx", 600);
    run(&mut sim, 1);
    sim.register("pbx", 0);
    run(&mut sim, 1);
    refused(&mut sim);
    assert_eq!(answers(&sim), [200, 200, 200]);
}

#[test]
fn too_brief_an_interval_is_told_the_least() {
    let mut sim = world(240).start();
    sim.register("pbx", 10);
    run(&mut sim, 1);
    let account = sim.party("pbx").account.as_ref().unwrap();
    let answer = account.answers.last().unwrap();
    assert_eq!(answer.status.code(), 423, "{}", sim.ladder());
    assert_eq!(answer.headers.min_expires(), Ok(Some(60)));
}

#[test]
fn a_wrong_password_registers_nothing() {
    let mut sim = world(241)
        .party("pbx", |party| {
            party.account = Some(Account::new("office", "wrong"));
        })
        .start();
    sim.register("pbx", 600);
    let caller = sim.call("pbx", APPLICATION);
    run(&mut sim, 3);
    assert_eq!(answers(&sim), [401]);
    assert_eq!(sim.view(caller).responses, [401]);
    assert_eq!(sim.ladder().count("acs", "INVITE"), 0);
    let metrics = sim.core().metrics();
    assert_eq!(metrics.bindings.len(), 0);
    assert_eq!((metrics.auth.challenged, metrics.auth.wrong), (2, 2));
    assert_eq!(metrics.counts.calls, 0, "no call began");
    sim.assert_clean();
}

#[test]
fn a_user_registers_for_itself_alone() {
    let mut sim = world(242)
        .profile("pbx", |trunk| {
            let users = ["office", "other"].map(|user| (user.to_owned(), Password::new(PASSWORD)));
            let demand = Demand::new("sbc1.example.com", BTreeMap::from(users));
            trunk.auth.demand = Some(Arc::new(demand));
        })
        .party("pbx", |party| {
            party.account.as_mut().unwrap().alias = Some("other".to_owned());
        })
        .start();
    sim.register("pbx", 600);
    run(&mut sim, 1);
    assert_eq!(answers(&sim), [403], "{}", sim.ladder());
}
