//! OPTIONS in both directions.

use std::time::Duration;

use sim::{Pong, Reach, Script, Sim, World};

#[test]
fn each_proxy_is_asked_once_a_minute_and_answers() {
    let mut sim = World::new(41).start();
    sim.run_for(Duration::from_secs(600));
    for name in ["acs", "acs2", "acs3", "carrier", "pbx"] {
        let pings = sim.party(name).pings;
        assert!((9..=12).contains(&pings), "{pings} at {name}");
    }
    sim.assert_clean();
}

#[test]
fn options_of_a_trunk_are_answered_here_whatever_is_behind() {
    let mut sim = World::new(42).start();
    sim.run_for(Duration::from_secs(1));
    sim.party_mut("carrier").pong = Pong::Silence;
    let asked = sim.party("carrier").pings;
    sim.ping("acs");
    sim.run_for(Duration::from_secs(1));
    assert_eq!(sim.ladder().count("acs", "200 OPTIONS"), 1);
    assert_eq!(sim.party("carrier").pings, asked, "never relayed (P-04)");
}

#[test]
fn a_trunk_that_is_down_is_503_and_one_that_falls_silent_504() {
    let mut sim = World::new(44).start();
    sim.party_mut("carrier").reach = Reach::Gone;
    let fate = |sim: &mut Sim| {
        let caller = sim.call("acs", crate::SUBSCRIBER);
        sim.run_for(Duration::from_secs(9));
        sim.view(caller).failed_with()
    };
    assert_eq!(fate(&mut sim), Some(504), "{}", sim.ladder());
    sim.run_for(Duration::from_secs(300));
    assert_eq!(fate(&mut sim), Some(503), "{}", sim.ladder());
}

#[test]
fn a_trunk_that_stays_silent_is_tried_last() {
    let mut sim = World::new(43).start();
    sim.party_mut("acs").pong = Pong::Status(403);
    sim.run_for(Duration::from_secs(90));
    let caller = sim.call("carrier", crate::APPLICATION);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up());
    assert_eq!(sim.ladder().count("acs", "INVITE"), 0, "{}", sim.ladder());
    assert_eq!(sim.ladder().count("acs2", "INVITE"), 1, "{}", sim.ladder());
}

#[test]
fn a_trunk_that_was_down_before_and_stays_silent_is_503() {
    let mut sim = World::new(44).start();
    let carrier = sim.party_mut("carrier");
    carrier.pong = Pong::Silence;
    carrier.script = Script::silent();
    sim.run_for(Duration::from_secs(300));
    let caller = sim.call("acs", crate::SUBSCRIBER);
    sim.run_for(Duration::from_millis(9_990));
    assert_eq!(
        sim.view(caller).failed_with(),
        Some(503),
        "{}",
        sim.ladder()
    );
}
