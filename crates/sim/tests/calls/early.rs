//! What the caller hears before the answer, by policy (I-05, F-17, CK-48).

use std::time::Duration;

use b2bua::profile::{EarlyPolicy, Trust};
use sim::{Dial, Handle, Script, Sim, World};

use crate::ladders::check;
use crate::{APPLICATION, SUBSCRIBER, nothing_is_left};

const SECOND: Duration = Duration::from_secs(1);

/// Rings, brings media, and answers eight seconds later.
fn slowly() -> Script {
    Script::new()
        .ring()
        .wait(SECOND)
        .progress_as(1)
        .wait(SECOND * 8)
        .answer_as(1)
}

fn world(policy: EarlyPolicy, script: Script) -> Sim {
    World::new(211)
        .without_pings()
        .profile("acs", |trunk| trunk.early.policy = policy)
        .party("acs", |party| party.script = script)
        .start()
}

fn call(sim: &mut Sim) -> Handle {
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(SECOND * 4);
    caller
}

#[test]
fn a_silent_183_rings_until_there_is_audio_and_never_again() {
    let mut sim = world(EarlyPolicy::WaitForRtp, slowly());
    let caller = call(&mut sim);
    // 183 came a second after the 180; the tone is two seconds in six, in packets of 20 ms.
    let rung = sim.heard(caller).tones;
    assert!(rung > 100, "{:?}\n{}", sim.heard(caller), sim.ladder());
    let called = sim.called("acs");
    sim.talk(called, 25);
    sim.run_for(SECOND * 2);
    let heard = sim.heard(caller);
    // The first packets are what it takes to be sure that there is sound.
    assert!(heard.numbers.len() >= 20, "{heard:?}");
    assert_eq!(heard.numbers.last(), Some(&24), "{heard:?}");
    let first = heard.numbers.len();
    assert!(heard.tones <= rung + 5, "{heard:?}");
    let rung = heard.tones;
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(sim.heard(caller).tones, rung);
    check("early_wait_for_rtp", sim.ladder());
    sim.talk(called, 50);
    sim.run_for(SECOND * 2);
    let heard = sim.heard(caller);
    assert_eq!(
        (heard.numbers.len(), heard.tones, heard.corrupt),
        (first + 50, rung, 0)
    );
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn an_answer_ends_the_tone() {
    let script = Script::new().progress().wait(SECOND * 3).answer();
    let mut sim = world(EarlyPolicy::WaitForRtp, script);
    let caller = call(&mut sim);
    sim.run_until_quiet();
    let rung = sim.heard(caller).tones;
    assert!(rung > 100, "{:?}", sim.heard(caller));
    sim.run_for(SECOND * 8);
    assert_eq!(sim.heard(caller).tones, rung, "{}", sim.ladder());
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn forwarded_media_gets_no_tone() {
    let mut sim = world(EarlyPolicy::Forward, slowly());
    let caller = call(&mut sim);
    assert_eq!(sim.view(caller).responses, [180, 183]);
    assert_eq!(sim.heard(caller).tones, 0);
    sim.run_until_quiet();
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn a_183_can_be_told_as_180_and_later_ones_kept() {
    for (policy, told) in [
        (EarlyPolicy::Ringing, vec![180, 180]),
        (EarlyPolicy::First, vec![180]),
    ] {
        let mut sim = world(policy, slowly());
        let caller = call(&mut sim);
        assert_eq!(sim.view(caller).responses, told, "{}", sim.ladder());
        assert!(sim.view(caller).described.is_empty());
        sim.run_until_quiet();
        assert!(sim.view(caller).is_up(), "{}", sim.ladder());
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_180_without_media_can_ring_here() {
    let script = Script::new().ring().wait(SECOND * 3).answer();
    let mut sim = World::new(212)
        .without_pings()
        .profile("carrier", |trunk| trunk.early.ring_here = true)
        .party("carrier", |party| party.script = script)
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    assert_eq!(sim.view(caller).responses, [183, 200], "{}", sim.ladder());
    assert!(sim.heard(caller).tones > 80, "{:?}", sim.heard(caller));
    // U-07: the same answer.
    let described = &sim.view(caller).described;
    assert!(described.windows(2).all(|pair| pair[0] == pair[1]));
    check("early_ring_here", sim.ladder());
    sim.hang_up(caller);
    nothing_is_left(&mut sim);
}

#[test]
fn a_trusted_trunk_vouches_for_its_early_media_or_against_it() {
    for (value, told, rings) in [
        ("sendrecv", 183, false),
        ("inactive", 180, false),
        ("recvonly", 180, false),
    ] {
        let script = Script::new().progress().with_header("P-Early-Media", value);
        let mut sim = world(EarlyPolicy::WaitForRtp, script.wait(SECOND * 5).answer());
        let caller = call(&mut sim);
        assert_eq!(
            sim.view(caller).responses,
            [told],
            "{value}\n{}",
            sim.ladder()
        );
        assert_eq!(sim.heard(caller).tones > 0, rings, "{value}");
        sim.run_until_quiet();
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_caller_that_asks_hears_who_vouches_for_the_tone() {
    for trust in [Trust::Trusted, Trust::Untrusted] {
        let script = Script::new().progress().wait(SECOND * 5).answer();
        let mut sim = World::new(213)
            .profile("carrier", |trunk| trunk.trust = trust)
            .party("acs", |party| party.script = script)
            .start();
        let dial = Dial {
            headers: vec![("P-Early-Media".to_owned(), "supported".to_owned())],
            ..Dial::default()
        };
        let caller = sim.call_with("carrier", APPLICATION, &dial);
        sim.run_until_quiet();
        let told = sim.trace().iter().any(|entry| {
            let text = String::from_utf8_lossy(&entry.text);
            text.starts_with("SIP/2.0 183") && text.contains("P-Early-Media: sendonly")
        });
        assert_eq!(told, trust == Trust::Trusted, "{}", sim.ladder());
        sim.hang_up(caller);
        nothing_is_left(&mut sim);
    }
}
