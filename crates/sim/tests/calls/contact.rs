//! Where the gateway is to be reached within a dialog: by what its first request came over.

use sim::World;
use sip_msg::TransportKind;

#[test]
fn a_dialog_begun_over_tcp_goes_on_there() {
    let world = World::new(1).without_pings();
    let world = world.profile("carrier", |trunk| {
        trunk.also_at = vec![(TransportKind::Tcp, 5060)];
    });
    let mut sim = world.over_tcp("carrier").start();
    let caller = sim.call("carrier", "+14255550123");
    sim.run_until_quiet();
    let contact = sim.view(caller).target().map(ToString::to_string);
    let here = "sip:+14255550123@192.0.2.1:5060;transport=tcp";
    assert_eq!(contact.as_deref(), Some(here), "{}", sim.ladder());
    sim.hold(caller);
    sim.run_until_quiet();
    let contact = sim.view(caller).target().map(ToString::to_string);
    assert_eq!(contact.as_deref(), Some(here), "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_until_quiet();
    sim.assert_clean();
}

#[test]
fn a_dialog_begun_over_udp_goes_on_there() {
    let world = World::new(2).without_pings();
    let world = world.profile("carrier", |trunk| {
        trunk.also_at = vec![(TransportKind::Tcp, 5060)];
    });
    let mut sim = world.start();
    let caller = sim.call("carrier", "+14255550123");
    sim.run_until_quiet();
    let contact = sim.view(caller).target().map(ToString::to_string);
    let here = "sip:+14255550123@192.0.2.1:5060;transport=udp";
    assert_eq!(contact.as_deref(), Some(here), "{}", sim.ladder());
    let out = sim.call("acs", "+12065550111");
    sim.run_until_quiet();
    let invite = &sim.view(sim.called("carrier")).invite;
    let contact = invite.headers.get_str(&sip_msg::HeaderName::Contact);
    assert!(
        contact.is_some_and(|contact| contact.contains(":5060;transport=udp>")),
        "{contact:?}"
    );
    sim.hang_up(out);
    sim.hang_up(caller);
    sim.run_until_quiet();
    sim.assert_clean();
}
