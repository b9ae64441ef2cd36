//! Transfers with consultation (RFC 5589 §7): both calls are ours and become one here.

use std::time::Duration;

use b2bua::record::TransferKind;
use sim::{Handle, Link, Script, Sim, World};

use crate::{APPLICATION, SUBSCRIBER, both_hear, check, nothing_is_left, told, up};

/// The number of the exchange.
const DESK: &str = "+14255550177";

/// A world in which everybody can call the exchange.
fn world(seed: u64) -> World {
    let world = World::new(seed).without_pings().without_routes();
    world
        .route("to the desk", &["carrier", "acs"], &[DESK], &["pbx"])
        .route(
            "to the application",
            &["carrier", "pbx"],
            &["+1425555*"],
            &["acs"],
        )
        .route(
            "to the telephone network",
            &["acs", "pbx"],
            &[],
            &["carrier"],
        )
}

/// A Refer-To that names the dialog of that end.
fn naming(sim: &Sim, end: Handle) -> String {
    let escaped = sim.replaces(end).replace(';', "%3B").replace('=', "%3D");
    format!("<sip:{SUBSCRIBER}@192.0.2.1:5070?Replaces={escaped}>")
}

/// Makes the party of `asking` join the other ends of its two calls.
fn join(sim: &mut Sim, asking: Handle, consulted: Handle) {
    let target = naming(sim, consulted);
    sim.refer_with(asking, &[("Refer-To", &target)]);
    sim.run_until_quiet();
}

#[test]
fn an_exchange_joins_the_two_that_it_talks_to() {
    let mut sim = world(51).start();
    let (first, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    sim.hold(first);
    sim.run_until_quiet();
    let (second, carrier) = up(&mut sim, "pbx", SUBSCRIBER, "carrier");
    let ports = [acs, carrier].map(|end| sim.view(end).remote_media());
    sim.hold(second);
    sim.run_until_quiet();
    sim.clear_ladder();
    join(&mut sim, first, second);
    check("exchange_transfers_with_consultation", sim.ladder());
    assert_eq!(sim.view(first).refers, [202]);
    assert_eq!(told(&sim, first), [100, 200], "{}", sim.ladder());
    assert!(sim.view(first).is_over() && sim.view(second).is_over());
    for (end, port) in [acs, carrier].into_iter().zip(ports) {
        assert_eq!(sim.view(end).remote_media(), port, "G-03");
    }
    assert_eq!(sim.ladder().count("acs", "REFER"), 0);
    both_hear(&mut sim, [acs, carrier]);
    assert_eq!(sim.core().metrics().gateway.in_use, 1, "one call is left");
    sim.hang_up(acs);
    sim.run_until_quiet();
    assert!(sim.view(carrier).is_over(), "{}", sim.ladder());
    let [consulted, call] = sim.records() else {
        panic!("two records\n{}", sim.ladder())
    };
    for (one, other) in [(consulted, call), (call, consulted)] {
        let [transfer] = one.transfers.as_slice() else {
            panic!("{one:?}")
        };
        let outcome = (transfer.kind, transfer.status, transfer.linked);
        let expected = (TransferKind::Attended, Some(200), Some(other.call));
        assert_eq!(outcome, expected);
    }
    nothing_is_left(&mut sim);
}

/// A call between the exchange and somebody else: the exchange's end and the other one.
fn talk(sim: &mut Sim, with: &str, exchange_calls: bool) -> (Handle, Handle) {
    let number = if with == "acs" {
        APPLICATION
    } else {
        SUBSCRIBER
    };
    if exchange_calls {
        up(sim, "pbx", number, with)
    } else {
        let (other, pbx) = up(sim, with, DESK, "pbx");
        (pbx, other)
    }
}

#[test]
fn it_does_not_matter_who_called_whom() {
    for (seed, calls) in [[true, true], [true, false], [false, true], [false, false]]
        .into_iter()
        .enumerate()
    {
        let mut sim = world(60 + seed as u64).start();
        let (first, acs) = talk(&mut sim, "acs", calls[0]);
        let (second, carrier) = talk(&mut sim, "carrier", calls[1]);
        join(&mut sim, first, second);
        assert_eq!(told(&sim, first), [100, 200], "{}", sim.ladder());
        both_hear(&mut sim, [acs, carrier]);
        let metrics = sim.core().metrics();
        assert_eq!(metrics.gateway.in_use, 1, "{calls:?}");
        assert_eq!(sim.core().audit(), Ok(()), "{calls:?}");
        sim.hang_up(carrier);
        sim.run_until_quiet();
        assert!(sim.view(acs).is_over(), "{}", sim.ladder());
        nothing_is_left(&mut sim);
    }
}

#[test]
fn both_are_joined_although_each_is_being_told_of_a_hold() {
    let mut sim = world(52).start();
    let (first, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    let (second, carrier) = up(&mut sim, "pbx", SUBSCRIBER, "carrier");
    sim.party_mut("carrier").held_for = Duration::from_millis(700);
    sim.hold(first);
    sim.hold(second);
    sim.run_for(Duration::from_millis(30));
    join(&mut sim, first, second);
    assert_eq!(told(&sim, first), [100, 200], "{}", sim.ladder());
    both_hear(&mut sim, [acs, carrier]);
    sim.hang_up(carrier);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
}

#[test]
fn joined_parties_outlive_the_process() {
    let mut sim = world(53).start();
    sim.restore_everywhere();
    let (first, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    let (second, carrier) = up(&mut sim, "pbx", SUBSCRIBER, "carrier");
    join(&mut sim, first, second);
    both_hear(&mut sim, [acs, carrier]);
    assert_eq!(sim.checkpoints(), 1, "{}", sim.ladder());
    assert!(sim.restored() >= 3, "{}", sim.restored());
    sim.hang_up(carrier);
    sim.run_until_quiet();
    assert!(sim.view(acs).is_over(), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn the_session_of_who_is_moved_is_still_refreshed() {
    let world = world(54).profile("carrier", |trunk| {
        trunk.session.expires = Some(Duration::from_secs(600));
    });
    let mut sim = world.start();
    let (first, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    let (second, carrier) = up(&mut sim, "pbx", SUBSCRIBER, "carrier");
    let talk_on = |sim: &mut Sim, minutes: u64| {
        for _ in 0..minutes * 2 {
            for end in [first, second, acs, carrier] {
                sim.talk(end, 50);
            }
            sim.run_for(Duration::from_secs(30));
        }
    };
    talk_on(&mut sim, 4);
    join(&mut sim, first, second);
    let before = sim.view(carrier).reinvited;
    talk_on(&mut sim, 20);
    assert!(sim.view(carrier).is_up(), "{}", sim.ladder());
    assert!(sim.view(carrier).reinvited > before, "{}", sim.ladder());
    sim.hang_up(carrier);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
}

#[test]
fn what_names_no_call_of_the_party_is_refused() {
    let world = world(55).profile("carrier", |trunk| trunk.transfer.refer = true);
    let mut sim = world.start();
    let (first, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    let (strange, other) = up(&mut sim, "carrier", "+14255550124", "acs");
    let own = naming(&sim, first);
    let foreign = naming(&sim, strange);
    let unknown = "<sip:+12065550111@192.0.2.1?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>";
    for target in [own.as_str(), &foreign, unknown] {
        sim.refer_with(first, &[("Refer-To", target)]);
        sim.run_until_quiet();
    }
    assert_eq!(sim.view(first).refers, [603; 3], "{}", sim.ladder());
    // A call that only rings has no party to be joined to.
    sim.party_mut("carrier").script = Script::new().ring();
    let ringing = sim.call("pbx", SUBSCRIBER);
    sim.run_for(Duration::from_secs(1));
    sim.adopt_early_dialog(ringing);
    let target = naming(&sim, ringing);
    sim.refer_with(first, &[("Refer-To", &target)]);
    sim.run_for(Duration::from_secs(1));
    assert_eq!(
        sim.view(first).refers.last(),
        Some(&603),
        "{}",
        sim.ladder()
    );
    sim.cancel(ringing);
    sim.run_until_quiet();
    both_hear(&mut sim, [first, acs]);
    both_hear(&mut sim, [strange, other]);
}

#[test]
fn a_trunk_that_does_not_transfer_does_not_join_either() {
    let world = world(56).profile("pbx", |trunk| trunk.transfer.refer = false);
    let mut sim = world.start();
    let (first, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
    let (second, carrier) = up(&mut sim, "pbx", SUBSCRIBER, "carrier");
    join(&mut sim, first, second);
    assert_eq!(sim.view(first).refers, [403], "{}", sim.ladder());
    both_hear(&mut sim, [first, acs]);
    both_hear(&mut sim, [second, carrier]);
}

#[test]
fn a_call_that_is_transferred_already_is_not_joined() {
    let mut sim = world(57).start();
    let (first, _) = up(&mut sim, "pbx", APPLICATION, "acs");
    let (second, _) = up(&mut sim, "pbx", SUBSCRIBER, "carrier");
    sim.party_mut("acs").script = Script::new().ring();
    let away = format!("<sip:{APPLICATION}@192.0.2.1>");
    sim.refer_with(second, &[("Refer-To", &away)]);
    sim.run_for(Duration::from_secs(1));
    let target = naming(&sim, second);
    sim.refer_with(first, &[("Refer-To", &target)]);
    sim.run_for(Duration::from_secs(1));
    assert_eq!(sim.view(first).refers, [491], "{}", sim.ladder());
    assert!(sim.view(first).is_up() && sim.view(second).is_up());
}

#[test]
fn joining_survives_a_network_that_loses() {
    for seed in 0..40 {
        let lossy = || Link::lossy(20);
        let world = world(700 + seed);
        let mut sim = world.link("carrier", lossy()).link("pbx", lossy()).start();
        let (first, acs) = up(&mut sim, "pbx", APPLICATION, "acs");
        let (second, carrier) = up(&mut sim, "pbx", SUBSCRIBER, "carrier");
        sim.hold(first);
        sim.hold(second);
        sim.run_until_quiet();
        join(&mut sim, first, second);
        assert!(sim.view(acs).is_up(), "{seed}\n{}", sim.ladder());
        assert!(sim.view(carrier).is_up(), "{seed}\n{}", sim.ladder());
        sim.hang_up(carrier);
        sim.run_for(Duration::from_secs(200));
        assert_eq!(sim.core().audit(), Ok(()));
        assert_eq!(sim.core().entries(), 0, "{seed}\n{}", sim.ladder());
        assert_eq!(sim.media_legs(), 0, "{seed}");
    }
}
