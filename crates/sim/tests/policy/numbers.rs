//! Numbers as each trunk writes them: plans, rules, portability, trunk groups, feature codes.

use e164::{NumberPlan, Rewrite};
use routing::{NumberOf, NumberRule, Portability, TrunkGroup, Way};
use sim::World;

use crate::{SUBSCRIBER, dial, end, shown};

fn rule(way: Way, of: NumberOf, pattern: &str, replacement: &str) -> NumberRule {
    NumberRule {
        way,
        of,
        rewrite: Rewrite::parse(pattern, replacement).expect("a rule"),
    }
}

/// The Request-URI that came to `trunk` last.
fn target(sim: &sim::Sim, trunk: &str) -> String {
    sim.view(sim.called(trunk)).invite.uri.to_string()
}

#[test]
fn both_numbers_are_written_both_ways_by_plan_and_by_rule() {
    let us = || {
        NumberPlan::of_country("US")
            .unwrap()
            .with_area("425")
            .unwrap()
    };
    for (dialled, calling, expected, caller) in [
        (
            "5550123",
            "4255550177",
            "sip:+14255550123@sbc1",
            "+14255550177",
        ),
        ("011442079460123", "5550177", "", "+14255550177"),
        ("94255550123", "7177", "", "+14255557177"),
    ] {
        let mut sim = World::new(101)
            .numbers("pbx", move |pbx| {
                pbx.numbers = us();
                pbx.rules = vec![
                    rule(Way::In, NumberOf::Called, "9*", "$1"),
                    rule(Way::In, NumberOf::Calling, "7???", "+14255557$1"),
                ];
            })
            .start();
        let call = dial(&mut sim, "pbx", dialled, Some(calling), &[]);
        let to = if dialled.starts_with("011") {
            "carrier"
        } else {
            "acs"
        };
        assert_eq!(shown(&sim, to), caller, "{dialled}\n{}", sim.ladder());
        let uri = target(&sim, to);
        match dialled {
            "011442079460123" => assert!(uri.starts_with("sip:+442079460123@"), "{uri}"),
            _ => assert!(
                uri.starts_with("sip:+14255550123@sip.pstnhub"),
                "{uri} {expected}"
            ),
        }
        end(&mut sim, call);
    }
}

#[test]
fn feature_and_short_codes_stay_as_dialled() {
    for (dialled, expected) in [
        ("*31#", "sip:*31%23@"),
        ("*31%23", "sip:*31%23@"),
        ("**77*4255550123#", "sip:**77*4255550123%23@"),
        ("411", "sip:411@"),
    ] {
        let mut sim = World::new(102).start();
        let call = dial(&mut sim, "acs", dialled, None, &[]);
        let uri = target(&sim, "carrier");
        assert!(uri.starts_with(expected), "{dialled}: {uri}");
        end(&mut sim, call);
        assert_eq!(
            sim.records()[0].called.reveal(),
            dialled.replace("%23", "#")
        );
    }
}

#[test]
fn a_ported_number_is_routed_and_told_as_configured() {
    let ported = "+12065550111;npdi;rn=+12065550000;cic=+1-0288";
    for (portability, by_rn, expected) in [
        (Portability::Strip, false, "sip:+12065550111@"),
        (
            Portability::Pass,
            false,
            "sip:+12065550111;npdi;rn=+12065550000;cic=+1-0288@",
        ),
        (Portability::Strip, true, ""),
    ] {
        let mut sim = World::new(103)
            .without_routes()
            .route("old carrier", &["acs"], &["+12065550111"], &["carrier"])
            .route("new carrier", &["acs"], &["+12065550000"], &["pbx"])
            .numbers("carrier", move |carrier| carrier.portability = portability)
            .numbers("acs", move |acs| acs.route_by_rn = by_rn)
            .start();
        let call = dial(&mut sim, "acs", ported, None, &[]);
        if by_rn {
            assert!(target(&sim, "pbx").starts_with("sip:+12065550111@"));
        } else {
            let uri = target(&sim, "carrier");
            assert!(uri.starts_with(expected), "{uri}");
        }
        end(&mut sim, call);
    }
}

#[test]
fn a_trunk_group_stays_is_passed_or_replaced() {
    let grouped = "+12065550111;tgrp=west;trunk-context=example.com";
    let own = TrunkGroup::Own {
        group: "ours".to_owned(),
        context: "+1206".to_owned(),
    };
    for (group, expected) in [
        (TrunkGroup::Strip, "sip:+12065550111@"),
        (
            TrunkGroup::Pass,
            "sip:+12065550111;tgrp=west;trunk-context=example.com@",
        ),
        (own, "sip:+12065550111;tgrp=ours;trunk-context=+1206@"),
    ] {
        let mut sim = World::new(104)
            .numbers("carrier", move |carrier| {
                carrier.trunk_group = group.clone()
            })
            .start();
        let call = dial(&mut sim, "acs", grouped, None, &[]);
        let uri = target(&sim, "carrier");
        assert!(uri.starts_with(expected), "{uri}");
        let to = sim.view(sim.called("carrier")).invite.headers.to().unwrap();
        assert_eq!(to.uri.user(), Some(SUBSCRIBER));
        end(&mut sim, call);
    }
}
