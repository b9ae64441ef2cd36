//! Calls for help: their own trunks, no limits, the caller's number kept (V-09).

use b2bua::limits::{GateLimits, TrunkLimits};
use b2bua::profile::{Assertion, Caller};
use routing::Pattern;
use sim::World;

use crate::{APPLICATION, SUBSCRIBER, dial, end, shown};

fn full() -> TrunkLimits {
    TrunkLimits {
        calls: Some(0),
        calls_per_second: Some(1),
    }
}

#[test]
fn help_is_reached_by_its_own_order_whatever_is_full() {
    for dialled in ["911", "+911", "112", "+112", "1669"] {
        for from in ["acs", "pbx"] {
            let none = GateLimits {
                calls: 0,
                calls_per_second: None,
            };
            let mut sim = World::new(111)
                .without_routes()
                .limits(none)
                .emergency(&["1669"], &["carrier"])
                .profile("carrier", |carrier| {
                    carrier.limits = full();
                    carrier.identity.asserted = Assertion::Strip;
                    carrier.identity.from = Caller::Anonymise;
                })
                .profile("acs", |acs| acs.limits = full())
                .profile("pbx", |pbx| {
                    pbx.limits = full();
                    pbx.identity.screen = vec![Pattern::parse("+18005550100").unwrap()];
                })
                .start();
            let call = dial(&mut sim, from, dialled, Some("+14255550142"), &[]);
            assert!(sim.view(call).is_up(), "{dialled}\n{}", sim.ladder());
            assert_eq!(shown(&sim, "carrier"), "+14255550142");
            let uri = sim.view(sim.called("carrier")).invite.uri.clone();
            assert_eq!(uri.user(), Some(dialled.trim_start_matches('+')));
            end(&mut sim, call);
            let [record] = sim.records() else {
                panic!("one record")
            };
            assert!(record.emergency && record.route.as_deref() == Some("emergency"));
            assert!(
                sim.core()
                    .metrics()
                    .trunks
                    .iter()
                    .all(|(_, usage)| usage.in_use == 0)
            );
        }
    }
}

#[test]
fn the_next_trunk_is_tried_when_the_first_is_down() {
    let mut sim = World::new(112)
        .emergency(&[], &["pbx", "carrier"])
        .party("pbx", |pbx| pbx.script = sim::Script::reject(503))
        .start();
    let call = dial(&mut sim, "acs", "911", None, &[]);
    assert!(sim.view(call).is_up(), "{}", sim.ladder());
    assert_eq!(sim.ends("carrier").len(), 1);
    end(&mut sim, call);
}

#[test]
fn other_calls_are_limited_and_routed_as_ever() {
    let mut sim = World::new(113)
        .emergency(&[], &["pbx"])
        .profile("carrier", |carrier| carrier.limits = full())
        .start();
    let call = dial(&mut sim, "acs", SUBSCRIBER, None, &[]);
    assert_eq!(sim.view(call).failed_with(), Some(503), "{}", sim.ladder());
    end(&mut sim, call);
    assert!(!sim.records()[0].emergency);
    let mut sim = World::new(115).start();
    let call = dial(&mut sim, "carrier", APPLICATION, None, &[]);
    end(&mut sim, call);
    assert!(!sim.records()[0].emergency);
}
