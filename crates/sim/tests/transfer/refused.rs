//! What Microsoft asks for that is refused, put off, or costs a conversion.

use std::time::Duration;

use sim::{Handle, Script, Sim, World};
use sip_msg::HeaderName;

use crate::microsoft::referred;
use crate::{APPLICATION, BACK, both_hear, nothing_is_left, told, up};

#[test]
fn what_is_no_transfer_leaves_the_call_alone() {
    let mut sim = World::new(13).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.refer_with(old, &[]);
    sim.refer_with(old, &[("Refer-To", BACK), ("Refer-To", BACK)]);
    sim.refer_with(old, &[("Refer-To", "<sip:sbc1.example.com;method=BYE>")]);
    sim.refer_with(old, &[("Refer-To", "<sip:sbc1.example.com>")]);
    sim.run_until_quiet();
    assert_eq!(
        sim.view(old).refers,
        [400, 400, 603, 404],
        "{}",
        sim.ladder()
    );
    assert!(sim.view(old).notified.is_empty());
    both_hear(&mut sim, [carrier, old]);
    assert!(sim.view(carrier).is_up());
}

#[test]
fn a_second_request_waits_for_the_first() {
    let mut sim = World::new(14).without_pings().start();
    let (_, old) = referred(&mut sim);
    sim.refer(old, BACK);
    sim.run_until_quiet();
    assert_eq!(sim.view(old).refers, [202, 491], "{}", sim.ladder());
    assert_eq!(told(&sim, old), [100, 180, 200], "{}", sim.ladder());
}

#[test]
fn who_does_not_want_to_be_told_is_not() {
    let mut sim = World::new(15).without_pings().start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.refer_with(old, &[("Refer-To", BACK), ("Refer-Sub", "false")]);
    sim.run_until_quiet();
    assert_eq!(sim.ladder().count("acs", "NOTIFY"), 0, "{}", sim.ladder());
    let new = sim.called("acs");
    both_hear(&mut sim, [carrier, new]);
}

#[test]
fn a_trunk_that_does_not_transfer_says_so() {
    let world = World::new(16).without_pings();
    let mut sim = world
        .profile("acs", |trunk| trunk.transfer.refer = false)
        .start();
    let (_, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    let allow = |sim: &Sim| {
        let invite = &sim.view(old).invite;
        invite
            .headers
            .get_str(&HeaderName::Allow)
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        !allow(&sim).contains("REFER") && allow(&sim).contains("NOTIFY"),
        "{}",
        allow(&sim)
    );
    sim.refer(old, BACK);
    sim.run_until_quiet();
    assert_eq!(sim.view(old).refers, [403], "{}", sim.ladder());
    assert!(sim.view(old).is_up());
}
#[test]
fn a_target_that_chatters_is_reported_in_few_words() {
    let mut sim = World::new(21).without_pings().start();
    let (_, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    let mut script = Script::new();
    for _ in 0..20 {
        script = script.respond(180).respond(183);
    }
    sim.party_mut("acs").script = script.wait(Duration::from_secs(1)).answer();
    sim.refer(old, BACK);
    sim.run_until_quiet();
    let told = told(&sim, old);
    assert!(told.len() <= 12, "{told:?}");
    assert_eq!((told.first(), told.last()), (Some(&100), Some(&200)));
}

#[test]
fn a_target_that_takes_none_of_the_codecs_is_offered_what_can_be_converted() {
    let mut sim = World::new(44)
        .without_pings()
        .party("carrier", |party| party.style.formats = vec![8, 101])
        .start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("acs").style.formats = vec![9, 101];
    sim.refer(old, BACK);
    sim.run_until_quiet();
    // It rings before it refuses, and again.
    assert_eq!(told(&sim, old), [100, 180, 180, 200], "{}", sim.ladder());
    let ends = sim.ends("acs");
    let offered = |end: &Handle| sim.view(*end).described[0].formats.clone();
    let offered: Vec<_> = ends[1..].iter().map(offered).collect();
    assert_eq!(offered, [vec![8, 101], vec![0, 9, 101]], "{}", sim.ladder());
    let new = sim.called("acs");
    for (end, other) in [(carrier, new), (new, carrier)] {
        // Speech that was converted is none that a party would know again.
        let strange = |sim: &Sim| sim.heard(other).corrupt + sim.heard(other).tones;
        let before = strange(&sim);
        sim.talk(end, 50);
        sim.run_for(Duration::from_secs(2));
        assert_eq!(strange(&sim), before + 50, "{}", sim.ladder());
    }
    sim.hang_up(carrier);
    sim.run_until_quiet();
    assert_eq!(sim.records()[0].attempts.len(), 3);
    nothing_is_left(&mut sim);
}

#[test]
fn a_target_whose_codecs_must_not_be_converted_gives_the_old_call_back() {
    let mut sim = World::new(45)
        .without_pings()
        .party("carrier", |party| party.style.formats = vec![8, 101])
        .profile("acs", |trunk| trunk.media.transcode = false)
        .start();
    let (carrier, old) = up(&mut sim, "carrier", APPLICATION, "acs");
    sim.party_mut("acs").style.formats = vec![9, 101];
    sim.refer(old, BACK);
    sim.run_until_quiet();
    assert_eq!(told(&sim, old).last(), Some(&488), "{}", sim.ladder());
    both_hear(&mut sim, [carrier, old]);
}
