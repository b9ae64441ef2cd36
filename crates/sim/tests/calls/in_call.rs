//! Hold with music, digits in INFO, and offers of what is not carried.

use std::time::Duration;

use b2bua::profile::{DtmfMode, HoldMusic};
use sdp::HoldDialect;
use sim::{Direction, Handle, Sim, World};
use sip_msg::Method;

use crate::{APPLICATION, SUBSCRIBER, nothing_is_left};

fn last_direction(sim: &Sim, name: &str) -> Option<Direction> {
    let described = sim.view(sim.called(name)).described.last();
    described.map(|described| described.direction)
}

#[test]
fn a_party_that_microsoft_holds_hears_music_where_the_trunk_has_some() {
    for (music, told, hears) in [
        (HoldMusic::None, Direction::Inactive, false),
        (HoldMusic::Silence, Direction::SendOnly, true),
        (HoldMusic::Tone, Direction::SendOnly, true),
    ] {
        let mut sim = World::new(711)
            .without_pings()
            .profile("carrier", |profile| profile.hold.music = music)
            .start();
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_until_quiet();
        let called = sim.called("carrier");
        sim.hold(caller);
        sim.run_for(Duration::from_secs(5));
        assert_eq!(
            last_direction(&sim, "carrier"),
            Some(told),
            "{}",
            sim.ladder()
        );
        assert_eq!(sim.heard(called).tones > 100, hears, "{music:?}");
        sim.resume(caller);
        sim.run_for(Duration::from_secs(1));
        assert_eq!(last_direction(&sim, "carrier"), Some(Direction::SendRecv));
        let before = sim.heard(called).clone();
        sim.talk(caller, 50);
        sim.run_for(Duration::from_secs(2));
        let after = sim.heard(called);
        assert_eq!(after.numbers.len() - before.numbers.len(), 50, "{music:?}");
        assert_eq!(after.tones, before.tones, "the music has stopped");
        assert_eq!(after.corrupt, 0, "{music:?}");
    }
}

#[test]
fn each_carrier_is_held_in_its_dialect() {
    for (dialect, direction, null) in [
        (HoldDialect::Standard, Direction::Inactive, false),
        (HoldDialect::InactiveOnly, Direction::Inactive, false),
        (HoldDialect::SendOnly, Direction::SendOnly, false),
        (HoldDialect::NullAddress, Direction::SendOnly, true),
    ] {
        let mut sim = World::new(712)
            .without_pings()
            .profile("carrier", |profile| profile.hold.dialect = dialect)
            .start();
        let caller = sim.call("acs", SUBSCRIBER);
        sim.run_until_quiet();
        sim.hold(caller);
        sim.run_for(Duration::from_secs(2));
        let called = sim.called("carrier");
        let told = sim.view(called).described.last().expect("a description");
        assert_eq!(told.direction, direction, "{dialect:?}");
        assert_eq!(told.rtp.ip().is_unspecified(), null, "{dialect:?}");
        assert_eq!(sim.view(caller).reinvites, [200], "{}", sim.ladder());
        sim.resume(caller);
        sim.run_for(Duration::from_secs(2));
        let told = sim.view(called).described.last().expect("a description");
        assert_eq!(told.direction, Direction::SendRecv, "{dialect:?}");
        assert!(!told.rtp.ip().is_unspecified(), "{dialect:?}");
    }
}

#[test]
fn digits_in_info_become_events_and_other_info_ends_here() {
    let mut sim = World::new(713).without_pings().start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    let called = sim.called("acs");
    let digit = ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    sim.say(caller, Method::Info, &[], Some(digit));
    sim.run_for(Duration::from_secs(1));
    assert_eq!(sim.heard(called).digits, [5], "{}", sim.ladder());
    for (headers, body, status) in [
        (vec![], None, "200 INFO"),
        (
            vec![],
            Some(("application/dtmf-relay", "Signal=?")),
            "400 INFO",
        ),
        (vec![], Some(("application/x-other", "x")), "415 INFO"),
        (vec![("Info-Package", "foo")], None, "469 INFO"),
    ] {
        let before = sim.ladder().count("carrier", status);
        sim.say(caller, Method::Info, &headers, body);
        sim.run_for(Duration::from_secs(1));
        assert_eq!(
            sim.ladder().count("carrier", status),
            before + 1,
            "{status}"
        );
    }
    assert_eq!(sim.heard(called).digits, [5], "one digit, once");
    assert_eq!(sim.heard(called).corrupt, 0);
    assert_eq!(sim.ladder().count("acs", "INFO"), 0, "M-02");
    assert!(sim.view(caller).is_up());
}

/// Microsoft's end presses 7 and #, and the process is another in between; the carrier's trunk
/// takes digits in this manner.
fn pressed(mode: DtmfMode, formats: &[u8]) -> (Sim, Handle) {
    let mut sim = World::new(715)
        .without_pings()
        .profile("carrier", |profile| profile.dtmf.mode = mode)
        .party("carrier", |party| party.style.formats = formats.to_vec())
        .start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let told = sim.view(caller).described.last().expect("an answer");
    assert!(told.formats.contains(&101), "{mode:?}: {told:?}");
    for code in [7, 11] {
        sim.restore();
        sim.press(caller, code);
        sim.run_for(Duration::from_secs(1));
    }
    sim.restore();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    let called = sim.called("carrier");
    (sim, called)
}

#[test]
fn events_are_agreed_on_with_microsoft_where_the_carrier_has_none() {
    for (mode, speaks) in [
        (DtmfMode::Inband, vec![8]),
        (DtmfMode::Info, vec![8]),
        (DtmfMode::Info, vec![8, 101]),
    ] {
        for from in ["carrier", "acs"] {
            let formats = speaks.clone();
            let mut sim = World::new(715)
                .without_pings()
                .party("carrier", |party| party.style.formats = formats)
                .profile("carrier", |profile| profile.dtmf.mode = mode)
                .start();
            let to = if from == "acs" {
                SUBSCRIBER
            } else {
                APPLICATION
            };
            let caller = sim.call(from, to);
            sim.run_until_quiet();
            assert!(sim.view(caller).is_up(), "{}", sim.ladder());
            let told = |name: &str| {
                let described = sim.view(sim.ends(name)[0]).described.last();
                described.expect("a description").formats.contains(&101)
            };
            assert!(told("acs"), "{mode:?} {speaks:?} {}", sim.ladder());
            assert!(!told("carrier"), "{mode:?} {speaks:?} {}", sim.ladder());
        }
    }
}

#[test]
fn events_of_microsoft_reach_a_carrier_in_its_manner() {
    let (sim, called) = pressed(DtmfMode::Rfc4733, &[8, 0, 101]);
    assert_eq!(sim.heard(called).digits, [7, 11], "{}", sim.ladder());
    assert_eq!(sim.ladder().count("carrier", "INFO"), 0);

    let (sim, called) = pressed(DtmfMode::Info, &[8, 0, 101]);
    let offered = &sim.view(called).described[0];
    assert!(!offered.formats.contains(&101), "{offered:?}");
    assert_eq!(sim.heard(called).digits, [0; 0]);
    for (at, line) in [("carrier", "INFO"), ("trunkline", "200 INFO")] {
        assert_eq!(sim.ladder().count(at, line), 2, "{}", sim.ladder());
    }

    // Tones are loud, and no party's audio.
    let (sim, called) = pressed(DtmfMode::Inband, &[8, 0, 101]);
    assert!(sim.heard(called).corrupt > 5, "{:?}", sim.heard(called));
    assert_eq!(sim.heard(called).digits, [0; 0]);
}

#[test]
fn a_carrier_that_turns_out_to_know_no_events_hears_tones() {
    let (sim, called) = pressed(DtmfMode::Rfc4733, &[8, 0]);
    assert!(sim.heard(called).corrupt > 5, "{:?}", sim.heard(called));
    assert_eq!(sim.ladder().count("carrier", "INFO"), 0);
}

#[test]
fn a_caller_without_events_can_be_pressed_to() {
    let mut sim = World::new(716)
        .without_pings()
        .party("carrier", |party| party.style.formats = vec![8, 0])
        .start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    let called = sim.called("acs");
    let offered = &sim.view(called).described[0];
    assert!(offered.formats.contains(&101), "{offered:?}");
    let told = sim.view(caller).described.last().expect("an answer");
    assert!(!told.formats.contains(&101), "{told:?}");
    sim.press(called, 5);
    sim.run_for(Duration::from_secs(1));
    assert!(sim.heard(caller).corrupt > 2, "{:?}", sim.heard(caller));
    sim.hold(caller);
    sim.run_until_quiet();
    sim.resume(caller);
    sim.run_until_quiet();
    assert_eq!(sim.faults(), Vec::<String>::new(), "{}", sim.ladder());
}

#[test]
fn a_hold_of_any_dialect_ends_without_an_offer() {
    for direction in [
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ] {
        let mut sim = World::new(717)
            .without_pings()
            .party("carrier", |party| party.style.hold = direction)
            .start();
        sim.restore_everywhere();
        let caller = sim.call("carrier", APPLICATION);
        sim.run_until_quiet();
        let called = sim.called("acs");
        let media = sim.view(called).remote_media();
        sim.hold(caller);
        sim.run_until_quiet();
        // G-04: whatever the carrier's dialect, Microsoft knows one.
        assert_eq!(last_direction(&sim, "acs"), Some(Direction::Inactive));
        sim.resume_without_offer(caller);
        sim.run_until_quiet();
        assert_eq!(sim.view(caller).reinvites, [200, 200], "{}", sim.ladder());
        assert_eq!(last_direction(&sim, "acs"), Some(Direction::SendRecv));
        assert_eq!(sim.view(called).remote_media(), media, "G-03");
        for end in [caller, called] {
            sim.talk(end, 50);
        }
        sim.run_for(Duration::from_secs(2));
        for end in [caller, called] {
            assert_eq!(sim.heard(end).numbers.len(), 50, "{direction:?}");
        }
        sim.hang_up(called);
        nothing_is_left(&mut sim);
    }
}

#[test]
fn a_new_key_begins_a_new_rollover_counter_and_an_old_one_keeps_its_own() {
    let mut sim = World::new(718).without_pings().start();
    sim.restore_everywhere();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    let called = sim.called("carrier");
    let key = |sim: &Sim| sim.view(caller).described.last().map(|d| d.crypto.clone());
    let ours = key(&sim);
    sim.start_sequence_at(caller, 65_500);
    sim.start_sequence_at(called, 65_500);
    // Past the wrap, refreshed, held and resumed: the same key and its rollover counter (D-04).
    let mut expected = 0;
    for round in 0..5 {
        for end in [caller, called] {
            sim.talk(end, 100);
        }
        sim.run_for(Duration::from_secs(3));
        expected += 100;
        for end in [caller, called] {
            let heard = sim.heard(end);
            let whose = if end == caller { "caller" } else { "called" };
            assert_eq!(heard.corrupt, 0, "{round}: {whose}");
            assert_eq!(heard.numbers.len(), expected, "{round}: {whose}");
        }
        match round {
            0 => sim.refresh(caller),
            1 => sim.hold(caller),
            // The party's new key starts at zero, while ours goes on.
            2 => sim.rekey(caller),
            _ => sim.refresh(caller),
        }
        sim.run_until_quiet();
        if round == 1 {
            sim.resume(caller);
            sim.run_until_quiet();
        }
        assert_eq!(key(&sim), ours, "our key never changes");
    }
}

/// An offer of the carrier beside whose audio, if it has any, is something else.
fn offering(version: u32, media: &str) -> String {
    format!(
        "v=0\r\no=- 1 {version} IN IP4 198.51.100.8\r\ns=-\r\nc=IN IP4 198.51.100.8\r\nt=0 0\r\n{media}"
    )
}

const AUDIO: &str = "m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

#[test]
fn fax_and_video_offers_leave_the_call_as_it_was() {
    let fax = "m=image 4000 udptl t38\r\na=T38FaxVersion:0\r\n";
    let video = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    let t38_beside = "m=image 4004 udptl t38\r\na=T38FaxVersion:0\r\n";
    // ITU-T V.152 and what fax machines' gateways say of G.711.
    let pass_through =
        "a=gpmd:8 vbd=yes;ecan=off\r\na=silenceSupp:off - - - -\r\na=ecan:fb off -\r\n";
    let cases = [
        (fax.to_owned(), 488, 0),
        (format!("{AUDIO}{video}"), 200, 2),
        (format!("{AUDIO}{t38_beside}"), 200, 2),
        (format!("{AUDIO}{pass_through}"), 200, 1),
    ];
    for method in [Method::Update, Method::Invite] {
        let mut sim = World::new(714).without_pings().start();
        let caller = sim.call("carrier", APPLICATION);
        sim.run_until_quiet();
        let called = sim.called("acs");
        for ((media, status, lines), version) in cases.iter().zip(2..) {
            let body = offering(version, media);
            let sdp = Some(("application/sdp", body.as_str()));
            let line = format!("{status} {method}");
            let before = sim.ladder().count("carrier", &line);
            sim.say(caller, method.clone(), &[], sdp);
            sim.run_until_quiet();
            let after = sim.ladder().count("carrier", &line);
            assert_eq!(after, before + 1, "{media}\n{}", sim.ladder());
            let told = sim.view(caller).described.last().expect("an answer");
            assert!(*lines == 0 || told.rtp.port() != 0, "{told:?}");
            for end in [caller, called] {
                let before = sim.heard(end).numbers.len();
                sim.talk(if end == caller { called } else { caller }, 20);
                sim.run_for(Duration::from_secs(1));
                assert_eq!(sim.heard(end).numbers.len() - before, 20, "{media}");
            }
        }
        assert_eq!(sim.ladder().count("acs", "INVITE"), 1, "none of it goes on");
        assert_eq!(sim.faults(), Vec::<String>::new(), "{}", sim.ladder());
    }
}
