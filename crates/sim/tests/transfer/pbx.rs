//! Transfers that an exchange or a carrier asks for, carried out here.

use std::time::Duration;

use sim::{Handle, Sim, World};

use crate::{APPLICATION, SUBSCRIBER, both_hear, check, nothing_is_left, told, up};

#[test]
fn an_exchange_transfers_the_application_to_the_telephone_network() {
    let mut sim = World::new(41).without_pings().start();
    let (pbx, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    sim.clear_ladder();
    sim.refer_with(
        pbx,
        &[("Refer-To", &format!("<sip:{SUBSCRIBER}@192.0.2.1:5070>"))],
    );
    sim.run_until_quiet();
    check("exchange_refers", sim.ladder());
    assert_eq!(told(&sim, pbx), [100, 180, 200], "{}", sim.ladder());
    let new = sim.called("carrier");
    both_hear(&mut sim, [acs, new]);
    assert_eq!(sim.ladder().count("acs", "REFER"), 0);
    sim.hang_up(new);
    sim.run_until_quiet();
    assert!(sim.view(acs).is_over());
    nothing_is_left(&mut sim);
}

#[test]
fn a_carrier_transfers_nobody_unless_it_may() {
    let mut sim = World::new(42).without_pings().start();
    let (carrier, acs) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.refer_with(carrier, &[("Refer-To", "<sip:+12065550112@192.0.2.1>")]);
    sim.run_until_quiet();
    assert_eq!(sim.view(carrier).refers, [403], "{}", sim.ladder());
    both_hear(&mut sim, [carrier, acs]);
}

/// A call of the exchange to the application, in which the exchange asks for a transfer to the
/// telephone network after 100 seconds; each trunk has this limit, the carrier's first.
fn limited(seed: u64, limits: [Option<u64>; 3]) -> (Sim, [Handle; 2]) {
    let mut world = World::new(seed).without_pings();
    for (name, limit) in ["carrier", "pbx", "acs"].into_iter().zip(limits) {
        world = world.profile(name, |trunk| {
            trunk.timers.max_duration = limit.map(Duration::from_secs);
            trunk.timers.media_inactivity = None;
        });
    }
    let mut sim = world.start();
    let (pbx, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    sim.run_for(Duration::from_secs(100));
    let target = format!("<sip:{SUBSCRIBER}@192.0.2.1:5070>");
    sim.refer_with(pbx, &[("Refer-To", &target)]);
    sim.run_for(Duration::from_secs(5));
    let new = sim.called("carrier");
    assert!(sim.view(new).is_up(), "{}", sim.ladder());
    (sim, [acs, new])
}

/// Runs on, and expects both to be up at the one moment and gone at the other, in seconds.
fn ends_between(sim: &mut Sim, ends: [Handle; 2], up: u64, over: u64) {
    sim.run_for(Duration::from_secs(up));
    assert!(
        ends.iter().all(|end| sim.view(*end).is_up()),
        "{}",
        sim.ladder()
    );
    sim.run_for(Duration::from_secs(over - up));
    assert!(
        ends.iter().all(|end| sim.view(*end).is_over()),
        "{}",
        sim.ladder()
    );
    nothing_is_left(sim);
}

#[test]
fn the_limit_of_the_new_trunk_ends_a_transferred_call() {
    let (mut sim, ends) = limited(43, [Some(300), None, None]);
    ends_between(&mut sim, ends, 280, 310);
}

#[test]
fn the_limit_of_who_stays_counts_from_the_answer_through_every_transfer() {
    let (mut sim, ends) = limited(44, [Some(9_000), None, Some(400)]);
    ends_between(&mut sim, ends, 280, 310);
}

#[test]
fn the_limit_of_who_has_left_is_none_any_more() {
    let (mut sim, ends) = limited(45, [Some(600), Some(200), None]);
    ends_between(&mut sim, ends, 580, 610);
}
