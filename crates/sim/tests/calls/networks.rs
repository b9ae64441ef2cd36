//! Trunks whose media comes from some networks alone (N-08).

use b2bua::profile::network;
use sim::World;

use crate::{APPLICATION, SUBSCRIBER};

/// A world in which media of `trunk` is where its party is not.
fn elsewhere(trunk: &str) -> World {
    let network = network("192.0.2.0/28").expect("a network");
    World::new(7)
        .without_pings()
        .profile(trunk, |profile| profile.media.networks = [network].into())
}

#[test]
fn an_offer_that_names_an_address_elsewhere_is_refused_before_anybody_is_called() {
    let mut sim = elsewhere("acs").start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(488),
        "{}",
        sim.ladder()
    );
    assert!(sim.ends("carrier").is_empty(), "{}", sim.ladder());
    sim.run_for(std::time::Duration::from_secs(140));
    sim.assert_clean();
}

#[test]
fn an_answer_that_names_an_address_elsewhere_is_no_answer() {
    let mut sim = elsewhere("acs").start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(488),
        "{}",
        sim.ladder()
    );
    let called = sim.called("acs");
    assert!(sim.view(called).is_over(), "{}", sim.ladder());
    sim.run_for(std::time::Duration::from_secs(140));
    sim.assert_clean();
}

#[test]
fn media_within_the_networks_of_the_trunk_is_carried() {
    let within = network("203.0.113.0/24").expect("a network");
    let mut sim = World::new(7)
        .without_pings()
        .profile("acs", |profile| profile.media.networks = [within].into())
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    let called = sim.called("acs");
    sim.talk(caller, 50);
    sim.talk(called, 50);
    sim.run_until_quiet();
    assert_eq!(sim.heard(caller).numbers.len(), 50, "{}", sim.ladder());
    assert_eq!(sim.heard(called).numbers.len(), 50, "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_for(std::time::Duration::from_secs(140));
    sim.assert_clean();
}
