//! Named limits, prices, and routes that look at more than numbers.

use std::time::Duration;

use routing::{Currency, Document, LimitDoc, Money, RateTable};
use sim::{Script, Sim, World};
use sip_msg::StatusCode;

use crate::{APPLICATION, SUBSCRIBER, dial, end, shown};

fn usd(micros: u64) -> Money {
    let currency = Currency::parse("USD").expect("three letters");
    Money { micros, currency }
}

/// Calls to the carrier cost six cents a minute, and this limit holds for all calls.
fn limited(seed: u64, limit: LimitDoc) -> Sim {
    let policy = move |document: &mut Document| {
        let rates = "prefix,rate_per_minute,currency,initial,subsequent\n1,0.06,USD,60,60\n";
        let table = RateTable::read(rates).expect("a table");
        document.rates = vec![("carrier".to_owned(), table)];
        for trunk in &mut document.trunks {
            if trunk.name.as_str() == "carrier" {
                trunk.rates = Some("carrier".to_owned());
            }
        }
        let name = "few".to_owned();
        document.limits = vec![LimitDoc {
            name,
            ..limit.clone()
        }];
    };
    World::new(seed).policy(policy).start()
}

#[test]
fn a_call_beyond_a_limit_is_refused_by_its_name_until_one_has_ended() {
    let mut sim = limited(
        131,
        LimitDoc {
            calls: Some(1),
            ..LimitDoc::default()
        },
    );
    let first = dial(&mut sim, "pbx", SUBSCRIBER, None, &[]);
    assert!(sim.view(first).is_up(), "{}", sim.ladder());
    let second = dial(&mut sim, "acs", SUBSCRIBER, None, &[]);
    assert!(!sim.view(second).is_up(), "{}", sim.ladder());
    let refused = sim.records().last().expect("a record");
    assert_eq!(refused.status, Some(503));
    let reason = "limit `few`: as many calls at once as it may have";
    assert!(refused.why().any(|step| step == reason), "{refused:?}");
    assert_eq!(refused.facts.limits[0].1.calls, Some(0));
    // A call for help knows no limits.
    let help = dial(&mut sim, "pbx", "911", None, &[]);
    assert!(sim.view(help).is_up(), "{}", sim.ladder());
    sim.hang_up(help);
    sim.hang_up(first);
    sim.run_until_quiet();
    let third = dial(&mut sim, "acs", SUBSCRIBER, None, &[]);
    assert!(sim.view(third).is_up(), "{}", sim.ladder());
    end(&mut sim, third);
}

#[test]
fn what_calls_cost_is_recorded_and_runs_out() {
    let mut sim = limited(
        132,
        LimitDoc {
            spend_per_day: Some(usd(150_000)),
            ..LimitDoc::default()
        },
    );
    for (talk, cost) in [(30, 60_000), (45, 60_000), (0, 0)] {
        let call = dial(&mut sim, "pbx", SUBSCRIBER, None, &[]);
        if cost > 0 {
            assert!(sim.view(call).is_up(), "{}", sim.ladder());
            sim.run_for(Duration::from_secs(talk));
            sim.hang_up(call);
            sim.run_until_quiet();
            let record = sim.records().last().expect("a record");
            assert_eq!(record.price(), Some(usd(cost)));
            assert_eq!(record.attempts[0].limits, ["few"]);
        } else {
            // Three cents are left; a minute costs six.
            assert!(!sim.view(call).is_up(), "{}", sim.ladder());
            let record = sim.records().last().expect("a record");
            let step = "trunk carrier: limit `few`: the money of the day is spent, skipped";
            assert!(record.why().any(|found| found == step), "{record:?}");
            end(&mut sim, call);
        }
    }
}

#[test]
fn a_confirmed_call_counts_on_in_the_next_process() {
    let mut sim = limited(
        133,
        LimitDoc {
            calls: Some(1),
            ..LimitDoc::default()
        },
    );
    let first = dial(&mut sim, "pbx", SUBSCRIBER, None, &[]);
    sim.restore();
    sim.run_until_quiet();
    let second = dial(&mut sim, "acs", SUBSCRIBER, None, &[]);
    assert!(!sim.view(second).is_up(), "{}", sim.ladder());
    end(&mut sim, first);
}

#[test]
fn a_route_looks_at_header_fields_and_says_who_calls() {
    let policy = |document: &mut Document| {
        let mut sales = document.routes[1].clone();
        sales.name = "sales".to_owned();
        sales.headers = vec!["X-MS-Custom-Queue: sales*".to_owned()];
        sales.caller_id = Some("+18005550100".to_owned());
        document.routes.insert(0, sales);
    };
    let mut sim = World::new(134).policy(policy).start();
    let fields = [("X-MS-Custom-Queue", "sales-2")];
    let call = dial(&mut sim, "acs", SUBSCRIBER, Some(APPLICATION), &fields);
    assert!(sim.view(call).is_up(), "{}", sim.ladder());
    assert_eq!(shown(&sim, "carrier"), "+18005550100");
    end(&mut sim, call);
    let call = dial(&mut sim, "acs", SUBSCRIBER, Some(APPLICATION), &[]);
    assert_eq!(shown(&sim, "carrier"), APPLICATION);
    end(&mut sim, call);
    let routes: Vec<_> = sim
        .records()
        .iter()
        .map(|record| record.route.clone())
        .collect();
    let expected = ["sales", "to the telephone network"].map(|name| Some(name.into()));
    assert_eq!(routes, expected);
}

#[test]
fn a_trunk_says_which_responses_end_a_call() {
    for (status, advances) in [(486, true), (503, false)] {
        let code = StatusCode::new(status).expect("a status");
        let policy = |document: &mut Document| {
            document.routes[1].to = vec!["carrier".into(), "acs".into()];
        };
        let mut sim = World::new(135)
            .policy(policy)
            .profile("carrier", |carrier| {
                carrier.reasons.advances.insert(code, advances);
            })
            .party("carrier", |carrier| carrier.script = Script::reject(status))
            .start();
        let call = dial(&mut sim, "pbx", SUBSCRIBER, None, &[]);
        assert_eq!(sim.view(call).is_up(), advances, "{}", sim.ladder());
        end(&mut sim, call);
    }
}
