//! Several customers on one gateway: nothing leads from one to the other (W-01, W-05).

use sim::{Script, World};

use crate::{APPLICATION, SUBSCRIBER, dial, end};

/// Microsoft's side is Contoso's, the exchange Fabrikam's, and the carrier serves both.
fn world(seed: u64) -> World {
    World::new(seed)
        .without_routes()
        .profile("acs", |acs| acs.customer = Some("contoso".into()))
        .profile("pbx", |pbx| pbx.customer = Some("fabrikam".into()))
}

#[test]
fn no_route_leads_from_one_customer_to_another() {
    for (from, number, to) in [("pbx", APPLICATION, "acs"), ("acs", SUBSCRIBER, "pbx")] {
        let mut sim = world(121).route("all", &[], &[], &[to]).start();
        let call = dial(&mut sim, from, number, None, &[]);
        let view = sim.view(call);
        assert_eq!(view.failed_with(), Some(404), "{}", sim.ladder());
        assert!(sim.ends(to).is_empty(), "{}", sim.ladder());
        end(&mut sim, call);
    }
}

#[test]
fn a_target_of_another_customer_is_passed_over() {
    let mut sim = world(122)
        .route("all", &[], &[], &["pbx", "carrier"])
        .start();
    let call = dial(&mut sim, "acs", SUBSCRIBER, None, &[]);
    assert!(sim.view(call).is_up(), "{}", sim.ladder());
    assert_eq!((sim.ends("pbx").len(), sim.ends("carrier").len()), (0, 1));
    end(&mut sim, call);
}

#[test]
fn the_operators_carrier_serves_both() {
    for (from, number, to) in [
        ("carrier", APPLICATION, "acs"),
        ("carrier", SUBSCRIBER, "pbx"),
        ("acs", SUBSCRIBER, "carrier"),
        ("pbx", SUBSCRIBER, "carrier"),
    ] {
        let mut sim = world(123).route("all", &[], &[], &[to]).start();
        let call = dial(&mut sim, from, number, None, &[]);
        assert!(sim.view(call).is_up(), "{}", sim.ladder());
        end(&mut sim, call);
    }
}

#[test]
fn a_redirection_does_not_lead_there_either() {
    let mut sim = world(124)
        .route("all", &[], &[], &["carrier"])
        .party("carrier", |carrier| {
            carrier.script = Script::reject(302).with_header("Contact", "<sip:7@203.0.113.20>");
        })
        .start();
    let call = dial(&mut sim, "acs", SUBSCRIBER, None, &[]);
    assert_eq!(sim.view(call).failed_with(), Some(503), "{}", sim.ladder());
    assert!(sim.ends("pbx").is_empty(), "{}", sim.ladder());
    end(&mut sim, call);
}
