//! REFER from Microsoft.

use std::time::Duration;

use b2bua::record::TransferKind;
use sim::{Farewell, Handle, Link, Script, Sim, World};
use sip_msg::HeaderName;

use crate::{APPLICATION, BACK, SUBSCRIBER, both_hear, check, heard, nothing_is_left, told, up};

/// A call of the carrier to the application, whose end then asks for a transfer back to Microsoft.
pub(crate) fn referred(sim: &mut Sim) -> (Handle, Handle) {
    let (carrier, old) = up(sim, "carrier", APPLICATION, "acs");
    sim.clear_ladder();
    sim.refer(old, BACK);
    (carrier, old)
}

#[test]
fn the_new_party_is_called_at_microsoft_and_joined() {
    let mut sim = World::new(1).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    both_hear(&mut sim, [carrier, old]);
    let port = sim.view(carrier).remote_media();
    sim.clear_ladder();
    sim.refer(old, BACK);
    sim.run_until_quiet();
    check("microsoft_refers", sim.ladder());
    assert_eq!(sim.view(old).refers, [202]);
    assert_eq!(told(&sim, old), [100, 180, 200], "{}", sim.ladder());
    assert!(sim.view(old).is_over());
    let new = sim.called("acs");
    let invite = &sim.view(new).invite;
    assert_eq!(format!("<{}>", invite.uri), BACK);
    let text = |name| invite.headers.get_str(&name);
    assert_eq!(text(HeaderName::To), Some(BACK));
    assert_eq!(text(HeaderName::ReferredBy), Some(Sim::REFERRED_BY));
    let from = invite.headers.from().expect("a From");
    assert_eq!(
        from.uri.user(),
        Some("+12065550100"),
        "the party that stays"
    );
    let stays = sim.view(carrier);
    assert_eq!(
        stays.reinvited,
        0,
        "nothing changes for it\n{}",
        sim.ladder()
    );
    assert_eq!(stays.remote_media(), port, "G-03");
    both_hear(&mut sim, [carrier, new]);
    sim.hang_up(carrier);
    sim.run_until_quiet();
    assert!(sim.view(new).is_over());
    let [record] = sim.records() else {
        panic!("one record\n{}", sim.ladder())
    };
    let [transfer] = record.transfers.as_slice() else {
        panic!("{record:?}")
    };
    assert_eq!(
        (transfer.kind, transfer.status),
        (TransferKind::Blind, Some(200))
    );
    assert_eq!((record.attempts.len(), transfer.attempts_before), (2, 1));
    nothing_is_left(&mut sim);
}

#[test]
fn a_caller_is_replaced_as_well() {
    let mut sim = World::new(2).without_pings().start();
    let (old, carrier) = up(&mut sim, "acs", SUBSCRIBER, "carrier");
    sim.refer(old, BACK);
    sim.run_until_quiet();
    assert_eq!(told(&sim, old), [100, 180, 200], "{}", sim.ladder());
    let new = sim.called("acs");
    both_hear(&mut sim, [carrier, new]);
    assert_eq!(sim.core().metrics().gateway.in_use, 1);
    sim.hang_up(new);
    sim.run_until_quiet();
    assert!(sim.view(carrier).is_over());
    assert_eq!(
        sim.records()[0].to_trunk().map(|trunk| trunk.as_str()),
        Some("carrier")
    );
    nothing_is_left(&mut sim);
}

#[test]
fn who_stays_hears_ringing_also_where_it_was_held() {
    let mut sim = World::new(3).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.hold(old);
    sim.run_until_quiet();
    sim.party_mut("acs").script = Script::new().ring().wait(Duration::from_secs(8)).answer();
    sim.refer(old, BACK);
    sim.run_for(Duration::from_secs(6));
    let (_, tones) = heard(&sim, carrier);
    assert!(
        (200..=310).contains(&tones),
        "{tones} packets of ringing\n{}",
        sim.ladder()
    );
    sim.run_until_quiet();
    let new = sim.called("acs");
    both_hear(&mut sim, [carrier, new]);
    sim.hang_up(carrier);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
}

#[test]
fn a_busy_target_gives_the_old_call_back() {
    let mut sim = World::new(4).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("acs").script = Script::new()
        .ring()
        .wait(Duration::from_secs(1))
        .respond(486);
    sim.clear_ladder();
    sim.refer(old, BACK);
    sim.run_until_quiet();
    check("microsoft_refers_to_a_busy_party", sim.ladder());
    assert_eq!(told(&sim, old), [100, 180, 486], "{}", sim.ladder());
    both_hear(&mut sim, [carrier, old]);
    assert_eq!(sim.ladder().count("acs2", "INVITE"), 0, "busy is busy");
    sim.hang_up(old);
    sim.run_until_quiet();
    assert_eq!(sim.records()[0].transfers[0].status, Some(486));
    nothing_is_left(&mut sim);
}

#[test]
fn a_hold_that_failed_to_become_a_transfer_is_a_hold_again() {
    let mut sim = World::new(5).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.hold(old);
    sim.run_until_quiet();
    let held = sim
        .view(carrier)
        .described
        .last()
        .map(|description| description.direction);
    sim.party_mut("acs").script = Script::reject(603);
    sim.refer(old, BACK);
    sim.run_until_quiet();
    assert_eq!(told(&sim, old), [100, 603], "{}", sim.ladder());
    let now = sim
        .view(carrier)
        .described
        .last()
        .map(|description| description.direction);
    assert_eq!(now, held, "{}", sim.ladder());
    sim.resume(old);
    sim.run_until_quiet();
    both_hear(&mut sim, [carrier, old]);
}

#[test]
fn the_next_proxy_is_tried_where_one_does_not_answer() {
    let mut sim = World::new(6).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("acs").script = Script::silent();
    sim.refer(old, BACK);
    sim.run_for(Duration::from_secs(8));
    assert_eq!(told(&sim, old), [100, 180, 200], "{}", sim.ladder());
    let new = sim.called("acs2");
    both_hear(&mut sim, [carrier, new]);
}

#[test]
fn the_transferor_may_leave_before_the_outcome() {
    let mut sim = World::new(7).without_pings().start();
    let (carrier, old) = referred(&mut sim);
    sim.run_for(Duration::from_millis(280));
    sim.hang_up(old);
    sim.run_until_quiet();
    check("microsoft_leaves_early", sim.ladder());
    let new = sim.called("acs");
    assert!(
        sim.view(carrier).is_up() && sim.view(new).is_up(),
        "{}",
        sim.ladder()
    );
    both_hear(&mut sim, [carrier, new]);
    sim.hang_up(new);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
}

#[test]
fn without_the_transferor_a_failure_ends_the_call() {
    let mut sim = World::new(8).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("acs").script = Script::new()
        .ring()
        .wait(Duration::from_secs(2))
        .respond(486);
    sim.refer(old, BACK);
    sim.run_for(Duration::from_secs(1));
    sim.hang_up(old);
    sim.run_until_quiet();
    assert!(sim.view(carrier).is_over(), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn who_stays_may_leave_while_it_rings() {
    let mut sim = World::new(9).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("acs").script = Script::new().ring();
    sim.refer(old, BACK);
    sim.run_for(Duration::from_secs(3));
    sim.hang_up(carrier);
    sim.run_until_quiet();
    assert!(sim.view(old).is_over(), "{}", sim.ladder());
    assert!(sim.view(sim.called("acs")).is_over(), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn a_target_that_never_answers_gives_the_old_call_back_in_time() {
    let mut sim = World::new(10).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("acs").script = Script::new().ring();
    sim.refer(old, BACK);
    sim.run_for(Duration::from_secs(59));
    assert_eq!(told(&sim, old), [100, 180]);
    sim.run_for(Duration::from_secs(2));
    assert_eq!(told(&sim, old), [100, 180, 480], "{}", sim.ladder());
    both_hear(&mut sim, [carrier, old]);
    assert!(
        sim.view(sim.called("acs")).is_over(),
        "the new leg is cancelled"
    );
}

#[test]
fn who_was_told_and_says_no_bye_gets_one() {
    let mut sim = World::new(11).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("acs").farewell = Farewell::Silence;
    sim.refer(old, BACK);
    sim.run_for(Duration::from_secs(8));
    assert_eq!(told(&sim, old), [100, 180, 200]);
    assert!(
        sim.view(old).is_up(),
        "not at once (X-02)\n{}",
        sim.ladder()
    );
    sim.run_for(Duration::from_secs(6));
    assert!(sim.view(old).is_over(), "{}", sim.ladder());
    let new = sim.called("acs");
    both_hear(&mut sim, [carrier, new]);
    sim.hang_up(new);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
}

#[test]
fn a_target_that_names_the_gateway_is_called_on_the_telephone_network() {
    let mut sim = World::new(12).without_pings().start();
    let (pbx, old) = up(&mut sim, "pbx", APPLICATION, "acs");
    let here = format!("<sip:{SUBSCRIBER}@SBC1.example.com:5061;user=phone>");
    sim.clear_ladder();
    sim.refer(old, &here);
    sim.run_until_quiet();
    check("microsoft_refers_to_the_telephone_network", sim.ladder());
    assert_eq!(told(&sim, old), [100, 180, 200], "{}", sim.ladder());
    let new = sim.called("carrier");
    let invite = &sim.view(new).invite;
    assert_eq!(invite.uri.user(), Some(SUBSCRIBER));
    assert!(!invite.headers.contains(&HeaderName::ReferredBy));
    both_hear(&mut sim, [pbx, new]);
    sim.hang_up(new);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
}

#[test]
fn parties_may_be_replaced_one_after_the_other() {
    let mut sim = World::new(17).without_pings().start();
    let (carrier, mut last) = up(&mut sim, "carrier", APPLICATION, "acs");
    let port = sim.view(carrier).remote_media();
    for _ in 0..4 {
        sim.refer(last, BACK);
        sim.run_until_quiet();
        last = sim.called("acs");
        both_hear(&mut sim, [carrier, last]);
    }
    assert_eq!(sim.view(carrier).remote_media(), port);
    sim.hang_up(last);
    sim.run_until_quiet();
    assert_eq!(sim.records()[0].transfers.len(), 4);
    nothing_is_left(&mut sim);
}

#[test]
fn a_transferred_call_outlives_the_process() {
    let mut sim = World::new(18).without_pings().start();
    sim.party_mut("acs").farewell = Farewell::Silence;
    sim.restore_everywhere();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.refer(old, BACK);
    sim.run_until_quiet();
    let new = sim.called("acs");
    both_hear(&mut sim, [carrier, new]);
    assert!(sim.restored() >= 2, "{}", sim.restored());
    sim.run_for(Duration::from_secs(15));
    assert!(
        sim.view(old).is_over(),
        "its BYE is not forgotten\n{}",
        sim.ladder()
    );
    sim.hang_up(carrier);
    sim.run_until_quiet();
    assert!(sim.view(new).is_over(), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}

#[test]
fn a_transfer_that_the_process_did_not_outlive_has_failed() {
    let mut sim = World::new(19).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.run_for(Duration::from_secs(1));
    sim.party_mut("acs").script = Script::new().ring();
    sim.refer(old, BACK);
    sim.run_for(Duration::from_secs(2));
    sim.restore();
    sim.run_until_quiet();
    assert_eq!(told(&sim, old), [100, 180, 503], "{}", sim.ladder());
    both_hear(&mut sim, [carrier, old]);
}

#[test]
fn transfers_survive_a_network_that_loses() {
    for seed in 0..40 {
        let lossy = || Link::lossy(20);
        let world = World::new(900 + seed).without_pings();
        let mut sim = world.link("carrier", lossy()).link("pbx", lossy()).start();
        let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
        sim.hold(old);
        sim.refer(old, &format!("<sip:{SUBSCRIBER}@sbc1.example.com>"));
        sim.refer(old, BACK);
        sim.run_until_quiet();
        let ends = ["carrier", "acs"].map(|name| sim.ends(name)).concat();
        let up = ends.iter().filter(|end| sim.view(**end).is_up()).count();
        assert_eq!(up, 2, "{seed}\n{}", sim.ladder());
        sim.hang_up(carrier);
        sim.run_for(Duration::from_secs(200));
        assert_eq!(sim.core().audit(), Ok(()));
        assert_eq!(
            sim.core().metrics().stages,
            [0; 4],
            "{seed}\n{}",
            sim.ladder()
        );
        assert_eq!(sim.media_legs(), 0, "{seed}");
    }
}

#[test]
fn holds_that_cross_the_request_are_heard_of_afterwards() {
    let mut sim = World::new(20).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("carrier").held_for = Duration::from_millis(600);
    sim.hold(old);
    sim.refer(old, BACK);
    sim.run_for(Duration::from_millis(300));
    sim.hold(carrier);
    sim.run_until_quiet();
    assert_eq!(told(&sim, old), [100, 180, 200], "{}", sim.ladder());
    let new = sim.called("acs");
    assert!(sim.view(new).is_up(), "{}", sim.ladder());
    sim.resume(carrier);
    sim.run_until_quiet();
    both_hear(&mut sim, [carrier, new]);
    sim.hang_up(new);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
}
