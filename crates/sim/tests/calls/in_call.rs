//! Hold with music, digits in INFO, and offers of what is not carried.

use std::time::Duration;

use b2bua::profile::{DtmfMode, HoldMusic};
use sdp::HoldDialect;
use sim::{Direction, Sim, World};
use sip_msg::Method;

use crate::{APPLICATION, SUBSCRIBER};

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
        // What we play is not the numbered audio of a party.
        assert_eq!(sim.heard(called).corrupt > 100, hears, "{music:?}");
        sim.resume(caller);
        sim.run_for(Duration::from_secs(1));
        assert_eq!(last_direction(&sim, "carrier"), Some(Direction::SendRecv));
        let before = sim.heard(called).clone();
        sim.talk(caller, 50);
        sim.run_for(Duration::from_secs(2));
        let after = sim.heard(called);
        assert_eq!(after.numbers.len() - before.numbers.len(), 50, "{music:?}");
        assert_eq!(after.corrupt, before.corrupt, "the music has stopped");
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
    // Events are not the numbered audio of a party.
    assert!(sim.heard(called).corrupt > 3, "{:?}", sim.heard(called));
    let heard = sim.heard(called).corrupt;
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
    assert_eq!(sim.heard(called).corrupt, heard, "one digit, once");
    assert_eq!(sim.ladder().count("acs", "INFO"), 0, "M-02");
    assert!(sim.view(caller).is_up());
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
            let to = if from == "acs" { SUBSCRIBER } else { APPLICATION };
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
fn fax_and_video_offers_leave_the_call_as_it_was() {
    let fax = "v=0\r\no=- 1 2 IN IP4 198.51.100.8\r\ns=-\r\nc=IN IP4 198.51.100.8\r\nt=0 0\r\n\
               m=image 4000 udptl t38\r\na=T38FaxVersion:0\r\n";
    let video = "v=0\r\no=- 1 3 IN IP4 198.51.100.8\r\ns=-\r\nc=IN IP4 198.51.100.8\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 8\r\na=silenceSupp:off - - - -\r\n\
                 m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    let mut sim = World::new(714).without_pings().start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    for (offer, status) in [(fax, "488 UPDATE"), (video, "200 UPDATE")] {
        sim.say(
            caller,
            Method::Update,
            &[],
            Some(("application/sdp", offer)),
        );
        sim.run_until_quiet();
        assert_eq!(sim.ladder().count("carrier", status), 1, "{}", sim.ladder());
        assert!(sim.view(caller).is_up());
    }
    assert_eq!(sim.ladder().count("acs", "INVITE"), 1, "none of it goes on");
}
