//! Conditions, the order of targets, prices and limits.

use std::sync::Arc;

use ambient::WallTime;

use super::*;

fn with(change: impl FnOnce(&mut Document)) -> Document {
    let mut document = Document {
        trunks: trunks(),
        ..Document::default()
    };
    document.trunks[2].customer = Some("contoso".to_owned());
    change(&mut document);
    document
}

fn snapshot(change: impl FnOnce(&mut Document)) -> Snapshot {
    Snapshot::compile(&with(change)).unwrap()
}

/// The route a call from the exchange takes.
fn taken(snapshot: &Snapshot, facts: &Facts, question: &Question) -> String {
    let decision = decide(snapshot, facts, question);
    assert_eq!(decision.outcome, explain(snapshot, facts, question).outcome);
    match decision.outcome {
        Outcome::Route(plan) => plan.route.to_string(),
        Outcome::Reject { reason, .. } => reason.to_string(),
    }
}

fn to_carrier(name: &str, change: impl FnOnce(&mut RouteDoc)) -> RouteDoc {
    let mut doc = route(name, &[], &[], &["carrier"]);
    change(&mut doc);
    doc
}

#[test]
fn routes_ask_for_type_country_and_owner() {
    let owners = "number,owner\n+14255550100-+14255550199,microsoft\n\
                  +14255550150,ported\n+1425*,carrier\n";
    let snapshot = snapshot(|document| {
        document.owners = NumberOwners::read(owners).unwrap();
        document.routes = vec![
            to_carrier("premium", |doc| {
                doc.called_is.types = vec![e164::NumberType::Premium]
            }),
            to_carrier("britain", |doc| {
                doc.called_is.countries = vec!["gb".to_owned()]
            }),
            to_carrier("ported", |doc| doc.called_is.owners = vec![Owner::Ported]),
            to_carrier("ours", |doc| doc.calling_is.owners = vec![Owner::Microsoft]),
            to_carrier("carrier's", |doc| {
                doc.called_is.owners = vec![Owner::Carrier]
            }),
            to_carrier("short", |doc| {
                doc.called_is.types = vec![e164::NumberType::ShortCode];
                doc.called_is.countries = vec!["US".to_owned()];
            }),
        ];
    });
    let facts = Facts::default();
    let taken = |called: &str, calling: Option<&str>| {
        let calling = calling.map(str::to_owned);
        taken(
            &snapshot,
            &facts,
            &Question {
                calling,
                ..ask("pbx", called)
            },
        )
    };
    assert_eq!(taken("+19005550100", None), "premium");
    assert_eq!(taken("011442079460123", None), "britain");
    assert_eq!(taken("+14255550150", None), "ported");
    assert_eq!(taken("+12065550100", Some("4255550199")), "ours");
    assert_eq!(taken("+14255550100", None), "no route matches");
    assert_eq!(taken("+14255551000", None), "carrier's");
    assert_eq!(taken("411", None), "short");
    let question = ask("pbx", "+14255550100");
    let steps = text(&explain(&snapshot, &facts, &question));
    for expected in [
        "route `premium`: the called number is of type geographic",
        "route `britain`: the called number is of US",
        "route `ported`: the called number is owned by microsoft",
        "route `ours`: wants a calling number, and there is none",
    ] {
        assert!(steps.contains(expected), "{steps}");
    }
}

#[test]
fn routes_ask_for_lists_customers_headers_and_the_time() {
    let vip = "+12065550100\n+1303*\n+44207946*\n";
    let snapshot = snapshot(|document| {
        document.lists = vec![("vip".to_owned(), NumberList::read(vip).unwrap())];
        document.schedules = vec![ScheduleDoc {
            name: "night".to_owned(),
            zone: "America/Los_Angeles".to_owned(),
            hours: vec!["20:00-08:00".to_owned()],
            ..ScheduleDoc::default()
        }];
        document.routes = vec![
            to_carrier("sales", |doc| {
                doc.headers = vec!["x-ms-custom-queue: sales*".to_owned()]
            }),
            to_carrier("vip", |doc| {
                doc.called = vec!["list:vip".to_owned(), "+1999*".to_owned()]
            }),
            to_carrier("from vip", |doc| doc.calling = vec!["list:vip".to_owned()]),
            to_carrier("night", |doc| doc.during = vec!["night".to_owned()]),
            to_carrier("contoso", |doc| doc.customers = vec!["contoso".to_owned()]),
            to_carrier("day", |doc| doc.outside = vec!["night".to_owned()]),
        ];
    });
    assert_eq!(snapshot.header_names(), ["x-ms-custom-queue"]);
    let at = |seconds: u64| Facts {
        wall: WallTime::from_unix_micros(seconds * 1_000_000),
        ..Facts::default()
    };
    // 2026-11-21, 18:00 and 06:00 in Los Angeles.
    let (day, night) = (at(1_795_226_400 + 86_400), at(1_795_226_400 + 43_200));
    let with_header = Question {
        headers: vec![("X-MS-Custom-Queue".to_owned(), "sales-2".to_owned())],
        ..ask("pbx", "+14255550100")
    };
    assert_eq!(taken(&snapshot, &day, &with_header), "sales");
    assert_eq!(taken(&snapshot, &day, &ask("pbx", "+13035550100")), "vip");
    assert_eq!(taken(&snapshot, &day, &ask("pbx", "+19995550100")), "vip");
    let from_vip = Question {
        calling: Some("+442079460123".to_owned()),
        ..ask("pbx", "+14255550100")
    };
    assert_eq!(taken(&snapshot, &day, &from_vip), "from vip");
    assert_eq!(
        taken(&snapshot, &day, &ask("pbx", "+14255550100")),
        "contoso"
    );
    assert_eq!(
        taken(&snapshot, &night, &ask("acs", "+14255550100")),
        "night"
    );
    assert_eq!(taken(&snapshot, &day, &ask("acs", "+14255550100")), "day");
    let steps = text(&explain(&snapshot, &day, &ask("acs", "+14255550100")));
    for expected in [
        "route `sales`: no x-ms-custom-queue says what it wants",
        "route `night`: not the time of night",
        "route `contoso`: from a trunk of no customer",
    ] {
        assert!(steps.contains(expected), "{steps}");
    }
}

#[test]
fn what_conditions_leave_is_not_shadowed() {
    let snapshot = snapshot(|document| {
        document.schedules = vec![ScheduleDoc {
            name: "night".to_owned(),
            zone: "UTC".to_owned(),
            ..ScheduleDoc::default()
        }];
        document.routes = vec![
            to_carrier("night", |doc| doc.during = vec!["night".to_owned()]),
            to_carrier("premium", |doc| {
                doc.called_is.types = vec![e164::NumberType::Premium]
            }),
            to_carrier("again", |doc| {
                doc.called_is.types = vec![e164::NumberType::Premium]
            }),
            to_carrier("rest", |_| {}),
            to_carrier("never", |doc| {
                doc.called_is.countries = vec!["US".to_owned()]
            }),
        ];
    });
    let found: Vec<_> = snapshot
        .warnings()
        .iter()
        .map(|w| (w.route, w.kind))
        .collect();
    let expected = [
        (2, WarningKind::Shadowed { by: 1 }),
        (4, WarningKind::Shadowed { by: 3 }),
    ];
    assert_eq!(found, expected);
}

fn rates(prices: &str) -> RateTable {
    let header = "prefix,rate_per_minute,currency,initial,subsequent\n";
    RateTable::read(&format!("{header}{prices}")).unwrap()
}

#[test]
fn the_cheapest_target_is_tried_first() {
    let snapshot = snapshot(|document| {
        document.rates = vec![
            ("a".to_owned(), rates("1,0.02,USD,1,1\n1900,1.5,USD,1,1\n")),
            ("b".to_owned(), rates("1,0.01,USD,60,60\n44,0.03,USD,1,1\n")),
        ];
        document.trunks[0].rates = Some("a".to_owned());
        document.trunks[1].rates = Some("b".to_owned());
        let seconds = |seconds| Pick::LeastCost { seconds };
        let mut short = route("short", &[], &["+1206*"], &["acs", "carrier"]);
        short.pick = seconds(10);
        let mut long = route("long", &[], &[], &["acs", "carrier"]);
        long.pick = seconds(180);
        document.routes = vec![short, long];
    });
    let first = |called: &str| {
        let decision = decide(&snapshot, &Facts::default(), &ask("pbx", called));
        let Outcome::Route(plan) = &decision.outcome else {
            panic!("{decision:?}")
        };
        let cost = plan.attempts[0]
            .tariff
            .map(|tariff| tariff.per_minute.to_string());
        (plan.attempts[0].trunk.to_string(), cost, text(&decision))
    };
    // Ten seconds: 0.0034 by the second, 0.01 by the minute.
    let (trunk, cost, _) = first("+12065550100");
    assert_eq!((&*trunk, cost.as_deref()), ("acs", Some("0.02 USD")));
    let (trunk, cost, steps) = first("+14255550100");
    assert_eq!((&*trunk, cost.as_deref()), ("carrier", Some("0.01 USD")));
    assert!(
        steps.contains("trunk carrier: 0.01 USD a minute, 60/60"),
        "{steps}"
    );
    let (trunk, _, steps) = first("011442079460123");
    assert_eq!(trunk, "carrier");
    assert!(
        steps.contains("trunk acs: no rate for the number"),
        "{steps}"
    );
}

#[test]
fn targets_are_drawn_by_their_weight() {
    let snapshot = snapshot(|document| {
        let mut doc = route("share", &[], &[], &["acs", "carrier"]);
        doc.pick = Pick::ByWeight(vec![30, 70]);
        let mut zero = route("zero", &["acs"], &[], &["pbx", "carrier"]);
        zero.pick = Pick::ByWeight(vec![0, 1]);
        document.routes = vec![zero, doc];
    });
    let draws = 10_000;
    let first = |from: &str, draw: u64| {
        let facts = Facts {
            draw: draw.wrapping_mul(0x9E37_79B9),
            ..Facts::default()
        };
        plan(&decide(&snapshot, &facts, &ask(from, "+14255550100")))
            .remove(0)
            .0
    };
    let carrier = (0..draws)
        .filter(|draw| first("pbx", *draw) == "carrier")
        .count();
    assert!((6_800..7_200).contains(&carrier), "{carrier} of {draws}");
    assert!((0..100).all(|draw| first("acs", draw) == "carrier"));
}

#[test]
fn a_route_says_who_calls() {
    let snapshot = snapshot(|document| {
        document.emergency.to = vec!["carrier".into()];
        document.routes = vec![to_carrier("out", |doc| {
            doc.caller_id = Some("+18005550100".to_owned());
        })];
    });
    let caller = |called: &str| {
        let question = Question {
            calling: Some("101".to_owned()),
            ..ask("pbx", called)
        };
        let decision = decide(&snapshot, &Facts::default(), &question);
        let Outcome::Route(plan) = decision.outcome else {
            panic!("{decision:?}")
        };
        let attempt = &plan.attempts[0];
        (
            attempt.from_user.clone(),
            attempt.presented,
            attempt.rewritten,
        )
    };
    let own = Some("+18005550100".to_owned());
    assert_eq!(caller("+14255550100"), (own, true, true));
    assert_eq!(caller("911"), (Some("101".to_owned()), false, false));
}

fn limit(name: &str, change: impl FnOnce(&mut LimitDoc)) -> LimitDoc {
    let mut doc = LimitDoc {
        name: name.to_owned(),
        ..LimitDoc::default()
    };
    change(&mut doc);
    doc
}

#[test]
fn a_limit_that_is_reached_is_named() {
    let usd = Currency::parse("USD").unwrap();
    let snapshot = snapshot(|document| {
        document.emergency.to = vec!["carrier".into()];
        document.rates = vec![("a".to_owned(), rates("1,0.60,USD,60,60\n"))];
        document.trunks[1].rates = Some("a".to_owned());
        document.routes = vec![route("out", &["pbx"], &[], &["carrier", "acs"])];
        document.limits = vec![
            limit("contoso", |doc| {
                doc.customers = vec!["contoso".to_owned()];
                doc.calls = Some(10);
            }),
            limit("money", |doc| {
                doc.to = vec!["carrier".into()];
                doc.spend_per_day = Some(Money {
                    micros: 5_000_000,
                    currency: usd,
                });
            }),
            limit("fraud", |doc| {
                doc.deny_types = vec![e164::NumberType::Premium];
                doc.deny = vec!["+1809*".to_owned()];
                doc.countries = vec!["US".to_owned(), "CA".to_owned(), "DO".to_owned()];
            }),
        ];
    });
    let decided = |limits: &[(&str, Remaining)], called: &str| {
        let limits = limits.iter().map(|(name, left)| (Arc::from(*name), *left));
        let facts = Facts {
            limits: limits.collect(),
            ..Facts::default()
        };
        let question = ask("pbx", called);
        let decision = decide(&snapshot, &facts, &question);
        match &decision.outcome {
            Outcome::Route(plan) => (200, plan.attempts[0].trunk.to_string()),
            Outcome::Reject { status, reason } => (status.code(), reason.to_string()),
        }
    };
    let local = "+14255550100";
    assert_eq!(decided(&[], local), (200, "carrier".to_owned()));
    let full = Remaining {
        calls: Some(0),
        ..Remaining::default()
    };
    let reason = "limit `contoso`: as many calls at once as it may have";
    assert_eq!(
        decided(&[("contoso", full)], local),
        (503, reason.to_owned())
    );
    assert_eq!(
        decided(&[("contoso", full)], "911"),
        (200, "carrier".to_owned())
    );
    let poor = Remaining {
        spend: Some(599_999),
        ..Remaining::default()
    };
    assert_eq!(decided(&[("money", poor)], local), (200, "acs".to_owned()));
    let reason = "limit `fraud`: the type of the called number is denied";
    assert_eq!(decided(&[], "+19005550100"), (403, reason.to_owned()));
    let reason = "limit `fraud`: the called number is in none of its countries";
    assert_eq!(decided(&[], "011442079460123"), (403, reason.to_owned()));
    assert_eq!(decided(&[], "*77"), (403, reason.to_owned()));
    let reason = "limit `fraud`: the called number is denied";
    assert_eq!(decided(&[], "+18095550100"), (403, reason.to_owned()));
    let facts = Facts::default();
    let question = ask("pbx", local);
    let concerned = concerned(&snapshot, &facts, &question);
    let names: Vec<_> = concerned.limits.iter().map(|name| &***name).collect();
    assert_eq!(names, ["contoso", "money"]);
    let counting = snapshot.counting(&"pbx".into(), "out", &"acs".into());
    assert_eq!(counting, [Arc::from("contoso")]);
}

#[test]
fn mistakes_of_policy_are_found_where_they_are() {
    let document = with(|document| {
        let mut doc = route("a", &[], &["list:nobody"], &["carrier", "acs"]);
        doc.customers = vec!["nobody".to_owned()];
        doc.called_is.countries = vec!["ZZ".to_owned()];
        doc.during = vec!["never".to_owned()];
        doc.headers = vec!["no colon".to_owned()];
        doc.caller_id = Some("101".to_owned());
        doc.pick = Pick::ByWeight(vec![1]);
        let mut cheap = route("b", &[], &[], &["acs"]);
        cheap.pick = Pick::LeastCost { seconds: 180 };
        document.routes = vec![doc, cheap];
        document.trunks[0].rates = Some("nowhere".to_owned());
        document.limits = vec![
            limit("l", |doc| doc.routes = vec!["nowhere".to_owned()]),
            limit("m", |doc| doc.deny = vec!["+1 2".to_owned()]),
        ];
    });
    let errors = Snapshot::compile(&document).unwrap_err();
    let found: Vec<_> = errors.iter().map(|e| (e.place, e.field, e.rule)).collect();
    let expected = [
        (Place::Trunk(0), "rates", Rule::UnknownRates),
        (Place::Route(0), "customers", Rule::UnknownCustomer),
        (Place::Route(0), "weights", Rule::Weights),
        (Place::Route(0), "called_countries", Rule::Country),
        (Place::Route(0), "called", Rule::UnknownList),
        (Place::Route(0), "during", Rule::UnknownSchedule),
        (Place::Route(0), "headers", Rule::Header),
        (Place::Route(0), "caller_id", Rule::CallerId),
        (Place::Route(1), "pick", Rule::NoRates),
        (Place::Limit(0), "name", Rule::NoLimit),
        (Place::Limit(0), "routes", Rule::UnknownRoute),
        (
            Place::Limit(1),
            "deny",
            Rule::Pattern(PatternError::Character),
        ),
    ];
    assert_eq!(found, expected);
}
