//! INVITE with Replaces (RFC 3891, M-04).

use sim::{Dial, Handle, Sim, World};

use crate::{APPLICATION, both_hear, check, nothing_is_left, up};

fn replace(sim: &mut Sim, from: &str, replaces: &str) -> Handle {
    let headers = vec![("Replaces".to_owned(), replaces.to_owned())];
    let headers = Dial {
        headers,
        ..Dial::default()
    };
    let new = sim.call_with(from, APPLICATION, &headers);
    sim.run_until_quiet();
    new
}

#[test]
fn a_new_leg_of_microsoft_takes_the_place_of_the_old_one() {
    let mut sim = World::new(31).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    let port = sim.view(carrier).remote_media();
    let replaces = sim.replaces(old);
    sim.clear_ladder();
    let new = replace(&mut sim, "acs2", &replaces);
    check("microsoft_replaces", sim.ladder());
    assert!(
        sim.view(new).is_up() && sim.view(old).is_over(),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.view(carrier).remote_media(), port, "G-03");
    both_hear(&mut sim, [carrier, new]);
    sim.hang_up(carrier);
    sim.run_until_quiet();
    assert!(sim.view(new).is_over());
    nothing_is_left(&mut sim);
}

#[test]
fn what_names_no_dialog_of_the_trunk_is_refused() {
    let mut sim = World::new(32).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    let named = sim.replaces(old);
    let failed = |sim: &mut Sim, from: &str, replaces: &str| {
        let end = replace(sim, from, replaces);
        sim.view(end).failed_with()
    };
    assert_eq!(
        failed(&mut sim, "pbx", &named),
        Some(481),
        "of another trunk"
    );
    assert_eq!(failed(&mut sim, "carrier", &named), Some(603), "by policy");
    assert_eq!(
        failed(&mut sim, "acs", "nobody;to-tag=a;from-tag=b"),
        Some(481)
    );
    assert_eq!(
        failed(&mut sim, "acs", &format!("{named};early-only")),
        Some(486)
    );
    both_hear(&mut sim, [carrier, old]);
    sim.hang_up(carrier);
    sim.run_until_quiet();
    assert_eq!(failed(&mut sim, "acs", &named), Some(603), "over already");
    nothing_is_left(&mut sim);
}

#[test]
fn an_exchange_takes_its_call_over_at_another_set() {
    let mut sim = World::new(33).without_pings().start();
    let (old, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    let port = sim.view(acs).remote_media();
    let named = sim.replaces(old);
    let new = replace(&mut sim, "pbx", &named);
    assert!(
        sim.view(new).is_up() && sim.view(old).is_over(),
        "{}",
        sim.ladder()
    );
    assert_eq!(sim.view(acs).remote_media(), port, "G-03");
    assert!(sim.faults().is_empty(), "{:?}", sim.faults());
    both_hear(&mut sim, [acs, new]);
    assert_eq!(sim.core().metrics().gateway.in_use, 1);
    sim.hang_up(acs);
    sim.run_until_quiet();
    assert!(sim.view(new).is_over(), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}
