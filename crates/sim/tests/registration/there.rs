//! The gateway registers with a carrier, and shows it a password.

use ambient::WallTime;
use b2bua::Input;
use b2bua::admin::Command;
use b2bua::profile::Registering;
use b2bua::registration::RegistrationState;
use sim::{Guard, Link, Reach, Sim, World};
use sip_msg::{HeaderName, StatusCode};

use crate::{PASSWORD, SUBSCRIBER, check, credentials, run};

/// When every run starts.
const START: WallTime = WallTime::from_unix_micros(1_767_225_600_000_000);

const AOR: &str = "sip:+14255550100@carrier.example";

/// The carrier asks for a password, and the gateway has this one.
fn world(seed: u64, password: &str) -> World {
    World::new(seed)
        .without_pings()
        .further_peers("carrier", 1)
        .profile("carrier", |trunk| {
            let registrars = trunk.peers.iter().map(|peer| peer.uri.clone());
            let registrars = registrars.collect();
            let aor = AOR.parse().expect("an address of record");
            trunk.register = Some(Registering::new(aor, registrars));
            trunk.auth.credentials = vec![credentials("acme", password)];
        })
        .party("carrier", |party| {
            party.guard = Some(Guard::new("carrier.example", "acme", PASSWORD));
        })
        .party("carrier2", |party| {
            party.guard = Some(Guard::new("carrier.example", "acme", PASSWORD));
        })
}

fn state(sim: &Sim) -> RegistrationState {
    sim.core().metrics().registrations[0].state
}

fn is_registered(sim: &Sim) -> bool {
    matches!(state(sim), RegistrationState::Registered { .. })
}

fn granted<'s>(sim: &'s Sim, party: &str) -> &'s [u32] {
    &sim.party(party)
        .guard
        .as_ref()
        .expect("it is guarded")
        .granted
}

fn wrong(sim: &Sim, party: &str) -> usize {
    sim.party(party)
        .guard
        .as_ref()
        .expect("it is guarded")
        .wrong
}

#[test]
fn registers_with_a_password_and_calls_with_the_same_nonce() {
    let mut sim = world(201, PASSWORD).start();
    run(&mut sim, 2);
    assert!(is_registered(&sim), "{}", sim.ladder());
    let caller = sim.call("acs", SUBSCRIBER);
    run(&mut sim, 5);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.hang_up(caller);
    run(&mut sim, 2);
    check("registers_and_calls", sim.ladder());
    assert_eq!(wrong(&sim, "carrier"), 0);
    run(&mut sim, 140);
    sim.assert_clean();
    assert_eq!(sim.core().metrics().counts.unexpected, 0);
    assert_eq!(sim.core().audit(), Ok(()));
}

#[test]
fn md5_and_a_nonce_that_wears_out_are_served() {
    let mut sim = world(202, PASSWORD)
        .party("carrier", |party| {
            let guard = party.guard.as_mut().unwrap();
            (guard.sha256, guard.uses, guard.max_expires) = (false, 2, 100);
        })
        .start();
    run(&mut sim, 900);
    let granted = granted(&sim, "carrier");
    assert!((9..=12).contains(&granted.len()), "{granted:?}");
    assert!(is_registered(&sim));
    assert_eq!(wrong(&sim, "carrier"), 0, "{}", sim.ladder());
}

#[test]
fn it_stays_registered_on_a_network_that_loses_a_fifth() {
    for seed in 203..208 {
        let mut sim = world(seed, PASSWORD)
            .link("carrier", Link::lossy(20))
            .party("carrier", |party| {
                party.guard.as_mut().unwrap().max_expires = 300;
            })
            .start();
        for _ in 0..20 {
            run(&mut sim, 90);
            assert!(is_registered(&sim), "{seed}: {}", sim.ladder());
        }
        assert_eq!(wrong(&sim, "carrier"), 0, "{seed}");
        sim.assert_clean();
    }
}

#[test]
fn it_is_refreshed_before_it_ends() {
    let mut sim = world(209, PASSWORD)
        .party("carrier", |party| {
            party.guard.as_mut().unwrap().max_expires = 120;
        })
        .start();
    let begun = sim.now();
    run(&mut sim, 1);
    for _ in 0..100 {
        run(&mut sim, 10);
        let RegistrationState::Registered { until } = state(&sim) else {
            panic!("{:?}\n{}", state(&sim), sim.ladder());
        };
        let since = sim.now().saturating_since(begun);
        assert!(START + since < until, "{}", sim.ladder());
    }
    assert!(granted(&sim, "carrier").len() >= 9);
}

#[test]
fn an_interval_that_is_too_brief_is_mended() {
    let mut sim = world(210, PASSWORD)
        .party("carrier", |party| {
            let guard = party.guard.as_mut().unwrap();
            (guard.min_expires, guard.max_expires) = (7200, 7200);
        })
        .start();
    run(&mut sim, 2);
    assert_eq!(granted(&sim, "carrier"), [7200], "{}", sim.ladder());
    check("interval_too_brief", sim.ladder());
}

#[test]
fn the_next_registrar_takes_over() {
    for reach in [Reach::Refuses, Reach::Gone] {
        let mut sim = world(211, PASSWORD)
            .party("carrier", |party| party.reach = reach)
            .start();
        run(&mut sim, 40);
        assert!(is_registered(&sim), "{reach:?}: {}", sim.ladder());
        assert_eq!(granted(&sim, "carrier2"), [3600]);
        // Refreshed where it is registered.
        sim.party_mut("carrier").reach = Reach::Here;
        run(&mut sim, 3300);
        assert_eq!(granted(&sim, "carrier2"), [3600, 3600]);
        assert_eq!(granted(&sim, "carrier"), [0; 0]);
    }
}

#[test]
fn a_wrong_password_is_shown_once_and_the_state_is_clear() {
    let mut sim = world(212, "wrong").start();
    run(&mut sim, 500);
    check("wrong_password", sim.ladder());
    assert_eq!(wrong(&sim, "carrier"), 1);
    assert_eq!(
        state(&sim),
        RegistrationState::Failed {
            status: Some(StatusCode::UNAUTHORIZED)
        }
    );
    // Ten minutes later it may have been put right over there.
    sim.party_mut("carrier").guard.as_mut().unwrap().password = "wrong".to_owned();
    run(&mut sim, 200);
    assert!(is_registered(&sim), "{}", sim.ladder());
}

#[test]
fn a_challenge_for_another_realm_is_not_answered() {
    let mut sim = world(213, PASSWORD)
        .party("carrier", |party| {
            party.guard.as_mut().unwrap().realm = "elsewhere.example".to_owned();
        })
        .start();
    run(&mut sim, 10);
    assert_eq!(sim.ladder().count("carrier", "REGISTER"), 1);
    assert!(!is_registered(&sim));
}

#[test]
fn a_drain_takes_it_back_and_a_resume_makes_it_anew() {
    let mut sim = world(214, PASSWORD).start();
    run(&mut sim, 2);
    sim.input(Input::Drain);
    run(&mut sim, 2);
    assert_eq!(granted(&sim, "carrier"), [3600, 0], "{}", sim.ladder());
    assert_eq!(state(&sim), RegistrationState::Withdrawn);
    run(&mut sim, 7200);
    assert_eq!(granted(&sim, "carrier"), [3600, 0]);
    sim.input(Input::Admin(Command::Resume));
    run(&mut sim, 2);
    assert_eq!(granted(&sim, "carrier"), [3600, 0, 3600]);
    assert!(is_registered(&sim));
}

#[test]
fn a_trunk_that_must_be_registered_takes_no_calls_before() {
    let mut sim = world(215, "wrong")
        .profile("carrier", |trunk| {
            trunk.register.as_mut().unwrap().required = true;
        })
        .start();
    run(&mut sim, 2);
    let caller = sim.call("acs", SUBSCRIBER);
    run(&mut sim, 2);
    assert_eq!(sim.view(caller).responses, [480], "{}", sim.ladder());
    assert_eq!(sim.ladder().count("carrier", "INVITE"), 0);
    let refusal = sim.view(caller).refusal.clone().unwrap();
    let reason = refusal.headers.get_str(&HeaderName::Reason).unwrap();
    assert!(reason.contains("cause=20"), "{reason}");
}

#[test]
fn a_carrier_that_challenges_a_call_gets_its_password_and_not_the_caller_the_challenge() {
    let mut sim = world(216, PASSWORD)
        .profile("carrier", |trunk| trunk.register = None)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    run(&mut sim, 5);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(sim.ladder().count("carrier", "INVITE"), 2);
    // Hold and resume, and the BYE, need no second challenge.
    sim.hold(caller);
    run(&mut sim, 2);
    sim.resume(caller);
    run(&mut sim, 2);
    sim.hang_up(caller);
    run(&mut sim, 140);
    sim.assert_clean();
    assert_eq!(wrong(&sim, "carrier"), 0);
}
