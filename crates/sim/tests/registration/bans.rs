//! Sources that guess are not heard for a while.

use std::time::Duration;

use b2bua::bans::BanPolicy;
use sim::Account;

use crate::here::world;
use crate::{APPLICATION, PASSWORD, run};

#[test]
fn who_guesses_is_not_heard_and_keeps_its_calls() {
    let policy = BanPolicy {
        failures: 5,
        duration: Duration::from_secs(300),
        ..BanPolicy::default()
    };
    let mut sim = world(251).bans(policy).start();
    let caller = sim.call("pbx", APPLICATION);
    run(&mut sim, 3);
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.party_mut("pbx").account = Some(Account::new("office", "guess"));
    for _ in 0..5 {
        sim.register("pbx", 600);
        run(&mut sim, 1);
    }
    let banned = sim.core().metrics().banned;
    assert_eq!(banned.len(), 1, "{banned:?}");
    assert!(banned[0].left > Duration::from_secs(290));
    // The right password is not even read.
    let mut account = Account::new("office", PASSWORD);
    account.seq = 1000;
    sim.party_mut("pbx").account = Some(account.clone());
    sim.clear_ladder();
    sim.register("pbx", 600);
    run(&mut sim, 40);
    assert_eq!(sim.ladder().labels("pbx").count(), 0, "{}", sim.ladder());
    assert!(sim.core().metrics().bans.unheard > 5);
    // What belongs to a call is.
    sim.hang_up(caller);
    run(&mut sim, 1);
    assert_eq!(sim.ladder().count("pbx", "200 BYE"), 1, "{}", sim.ladder());
    run(&mut sim, 270);
    account.seq = 2000;
    sim.party_mut("pbx").account = Some(account);
    sim.register("pbx", 600);
    run(&mut sim, 1);
    assert_eq!(sim.core().metrics().bindings.len(), 1, "{}", sim.ladder());
    sim.assert_clean();
}

#[test]
fn a_carrier_of_ours_is_not_banned_for_what_anybody_could_send_in_its_name() {
    let policy = BanPolicy {
        failures: 2,
        ..BanPolicy::default()
    };
    let mut sim = world(252)
        .bans(policy)
        .profile("carrier", |trunk| {
            // Heard, and a trunk of ours, yet not at that listener.
            trunk.listeners.clear();
        })
        .start();
    for _ in 0..10 {
        sim.call("carrier", APPLICATION);
        run(&mut sim, 1);
    }
    let metrics = sim.core().metrics();
    assert!(
        metrics
            .counts
            .unidentified
            .iter()
            .any(|(_, count)| count >= 10)
    );
    assert_eq!(metrics.bans.bans, 0);
}
