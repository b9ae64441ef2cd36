//! Transfers that an exchange or a carrier asks for, carried out here.

use sim::World;

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
