//! Ladders that a SIP engineer can read, as RFC 3665 draws them. `UPDATE_EXPECT=1` rewrites them.

use std::path::PathBuf;
use std::time::Duration;

use sim::{Ladder, Reach, Script, World};

use crate::{APPLICATION, SUBSCRIBER};

pub(crate) fn check(name: &str, ladder: &Ladder) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/calls/ladders");
    let file = folder.join(format!("{name}.txt"));
    let drawn = ladder.to_string();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(&folder).expect("the folder is ours");
        std::fs::write(&file, &drawn).expect("the file is ours");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        drawn,
        expected,
        "{} differs from\n{expected}\nand is\n{drawn}",
        file.display()
    );
}

#[test]
fn successful_call() {
    let mut sim = World::new(61).without_pings().start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(Duration::from_secs(5));
    sim.hang_up(caller);
    sim.run_until_quiet();
    check("successful_call", sim.ladder());
}

#[test]
fn hold_by_microsoft() {
    let mut sim = World::new(62).without_pings().start();
    let caller = sim.call("acs", SUBSCRIBER);
    sim.run_for(Duration::from_secs(3));
    sim.hold(caller);
    sim.run_for(Duration::from_secs(3));
    sim.resume(caller);
    sim.run_until_quiet();
    check("hold_by_microsoft", sim.ladder());
}

#[test]
fn cancelled_while_ringing() {
    let mut sim = World::new(63).without_pings().start();
    sim.party_mut("acs").script = Script::new().ring();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(Duration::from_secs(3));
    sim.cancel(caller);
    sim.run_until_quiet();
    check("cancelled_while_ringing", sim.ladder());
}

#[test]
fn first_proxy_down_second_busy() {
    let mut sim = World::new(64).without_pings().start();
    sim.party_mut("acs").reach = Reach::Refuses;
    sim.party_mut("acs2").script = Script::reject(503).with_header("Retry-After", "1");
    sim.call("carrier", APPLICATION);
    sim.run_until_quiet();
    check("first_proxy_down_second_busy", sim.ladder());
}

#[test]
fn call_by_microsoft() {
    let mut sim = World::new(65).without_pings().start();
    sim.call("acs", SUBSCRIBER);
    sim.run_for(Duration::from_secs(5));
    sim.hang_up(sim.called("carrier"));
    sim.run_until_quiet();
    check("call_by_microsoft", sim.ladder());
}

#[test]
fn first_proxy_silent() {
    let mut sim = World::new(66).without_pings().start();
    sim.party_mut("acs").script = Script::silent();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(Duration::from_secs(8));
    sim.hang_up(caller);
    sim.run_until_quiet();
    check("first_proxy_silent", sim.ladder());
}

#[test]
fn hold_by_the_carrier() {
    let mut sim = World::new(67).without_pings().start();
    let caller = sim.call("carrier", APPLICATION);
    sim.run_for(Duration::from_secs(3));
    sim.hold(caller);
    sim.run_for(Duration::from_secs(3));
    sim.resume(caller);
    sim.run_until_quiet();
    check("hold_by_the_carrier", sim.ladder());
}

#[test]
fn busy() {
    let mut sim = World::new(68).without_pings().start();
    sim.party_mut("carrier").script = Script::new().ring().respond(486);
    sim.call("acs", SUBSCRIBER);
    sim.run_until_quiet();
    check("busy", sim.ladder());
}
