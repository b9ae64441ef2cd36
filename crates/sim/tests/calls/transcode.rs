//! Parties that share no codec: G.711 and G.722 are converted, and only then.

use std::time::Duration;

use sim::{Sim, World};

use crate::{APPLICATION, nothing_is_left};

/// A world in which each side speaks these payload types, and its trunk lists these codecs.
fn world(seed: u64, parties: [&[u8]; 2], trunks: [&[&str]; 2]) -> World {
    let mut world = World::new(seed).without_pings();
    for ((name, formats), codecs) in ["carrier", "acs"].into_iter().zip(parties).zip(trunks) {
        let formats = formats.to_vec();
        world = world
            .party(name, |party| party.style.formats = formats)
            .profile(name, |profile| {
                profile.codecs = codecs.iter().map(|name| (*name).into()).collect();
            });
    }
    world
}

/// What the carrier's offer became towards Microsoft, INVITE by INVITE.
fn offered(sim: &Sim) -> Vec<Vec<u8>> {
    let described = sim.ends("acs").into_iter().map(|end| sim.view(end));
    described
        .filter_map(|call| Some(call.described.first()?.formats.clone()))
        .collect()
}

/// Both talk; how many packets of it came as they were, and how many otherwise, at either end.
fn talk(sim: &mut Sim) -> [(usize, u32); 2] {
    let called = *sim.ends("acs").last().expect("a call");
    let ends = [sim.ends("carrier")[0], called];
    let before = ends.map(|end| sim.heard(end).clone());
    for end in ends {
        sim.talk(end, 50);
    }
    sim.run_for(Duration::from_secs(2));
    let mut heard = ends.into_iter().zip(before).map(|(end, before)| {
        let after = sim.heard(end);
        let whole = after.numbers.len() - before.numbers.len();
        (
            whole,
            after.corrupt + after.tones - before.corrupt - before.tones,
        )
    });
    [heard.next(), heard.next()].map(|heard| heard.expect("two ends"))
}

#[test]
fn trunks_without_a_common_codec_are_converted_from_the_first_offer() {
    for (listed, formats) in [("PCMU", 0), ("G722", 9)] {
        let parties: [&[u8]; 2] = [&[8, 101], &[0, 9, 101]];
        let mut sim = world(901, parties, [&["PCMA"], &[listed]]).start();
        let caller = sim.call("carrier", APPLICATION);
        sim.run_until_quiet();
        assert!(sim.view(caller).is_up(), "{}", sim.ladder());
        assert_eq!(offered(&sim), [vec![formats, 101]], "{listed}");
        assert_eq!(talk(&mut sim), [(0, 50), (0, 50)], "{listed}");
        // Nobody is asked to speak anything else.
        let ladder = sim.ladder();
        assert_eq!(ladder.count("carrier", "INVITE"), 0, "{ladder}");
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_party_that_refuses_every_codec_is_offered_what_can_be_converted() {
    let mut sim = world(902, [&[8, 101], &[9, 101]], [&[], &[]]).start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(offered(&sim), [vec![8, 101], vec![0, 9, 101]]);
    assert_eq!(talk(&mut sim), [(0, 50), (0, 50)], "{}", sim.ladder());
    // The session goes on under hold, refresh and restart.
    sim.hold(caller);
    sim.run_for(Duration::from_secs(2));
    sim.resume(caller);
    sim.run_for(Duration::from_secs(2));
    assert_eq!(talk(&mut sim), [(0, 50), (0, 50)], "{}", sim.ladder());
    sim.restore();
    sim.run_for(Duration::from_secs(1));
    assert_eq!(talk(&mut sim), [(0, 50), (0, 50)], "{}", sim.ladder());
    assert_eq!(sim.view(caller).reinvites, [200, 200], "{}", sim.ladder());
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn nothing_is_converted_where_a_codec_is_shared_or_the_trunk_does_not_want_it() {
    let mut sim = world(903, [&[8, 0, 101], &[0, 9, 101]], [&[], &[]]).start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(offered(&sim), [vec![8, 0, 101]]);
    assert_eq!(talk(&mut sim), [(50, 0), (50, 0)]);
    sim.hang_up(caller);
    nothing_is_left(&mut sim);

    let mut sim = world(904, [&[8, 101], &[9, 101]], [&[], &[]])
        .profile("acs", |profile| profile.media.transcode = false)
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    assert!(!sim.view(caller).is_up(), "{}", sim.ladder());
    let refused = sim.view(caller).responses.last();
    assert_eq!(refused, Some(&488), "{}", sim.ladder());
    nothing_is_left(&mut sim);
}
