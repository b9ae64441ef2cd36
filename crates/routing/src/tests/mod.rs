use std::collections::BTreeMap;

use e164::NumberPlan;
use proptest::prelude::*;
use sip_msg::wire::TrunkName;
use sip_msg::{StatusCode, TransportKind};

use crate::*;

mod cloud;
mod policy;
mod properties;

fn peer(host: &str, port: u16, transport: TransportKind) -> PeerDoc {
    PeerDoc {
        host: host.to_owned(),
        port: Some(port),
        transport,
    }
}

fn trunks() -> Vec<TrunkDoc> {
    let acs = ["sip", "sip2", "sip3"]
        .map(|name| peer(&format!("{name}.proxy.example"), 5061, TransportKind::Tls));
    let pbx = vec![peer("192.0.2.20", 5060, TransportKind::Udp)];
    let us = || {
        NumberPlan::of_country("US")
            .unwrap()
            .with_area("425")
            .unwrap()
    };
    vec![
        TrunkDoc {
            user_phone: true,
            transport_param: true,
            ..TrunkDoc::new("acs", acs.to_vec())
        },
        TrunkDoc::new(
            "carrier",
            vec![peer("198.51.100.7", 5060, TransportKind::Udp)],
        ),
        TrunkDoc {
            numbers: us(),
            ..TrunkDoc::new("pbx", pbx)
        },
    ]
}

fn route(name: &str, from: &[&str], called: &[&str], to: &[&str]) -> RouteDoc {
    let names = |list: &[&str]| list.iter().map(|name| TrunkName::from(*name)).collect();
    RouteDoc {
        name: name.to_owned(),
        from: names(from),
        called: called.iter().map(|text| (*text).to_owned()).collect(),
        to: names(to),
        ..RouteDoc::default()
    }
}

fn compile(routes: Vec<RouteDoc>) -> Snapshot {
    Snapshot::compile(&Document {
        trunks: trunks(),
        routes,
        ..Document::default()
    })
    .unwrap()
}

fn ask(trunk: &str, called: &str) -> Question {
    Question {
        trunk: trunk.into(),
        called: called.to_owned(),
        calling: None,
        headers: Vec::new(),
    }
}

fn plan(decision: &Decision) -> Vec<(String, String)> {
    let Outcome::Route(plan) = &decision.outcome else {
        panic!("{decision:?}")
    };
    let written = |attempt: &Attempt| (attempt.trunk.to_string(), attempt.request_uri.to_string());
    plan.attempts.iter().map(written).collect()
}

fn status(decision: &Decision) -> u16 {
    let Outcome::Reject { status, .. } = &decision.outcome else {
        panic!("{decision:?}")
    };
    status.code()
}

fn text(decision: &Decision) -> String {
    decision
        .steps
        .iter()
        .map(|step| format!("{step}\n"))
        .collect()
}

#[test]
fn a_national_number_reaches_every_peer_in_e164() {
    let snapshot = compile(vec![
        route(
            "toll-free",
            &["pbx"],
            &["+1800*", "+1888*"],
            &["acs", "carrier"],
        ),
        route("rest", &["pbx"], &[], &["carrier"]),
    ]);
    let decision = decide(&snapshot, &Facts::default(), &ask("pbx", "18005550100"));
    let at =
        |host: &str| format!("sip:+18005550100@{host}.proxy.example:5061;user=phone;transport=tls");
    let expected = [
        ("acs".to_owned(), at("sip")),
        ("acs".to_owned(), at("sip2")),
        ("acs".to_owned(), at("sip3")),
        (
            "carrier".to_owned(),
            "sip:+18005550100@198.51.100.7:5060".to_owned(),
        ),
    ];
    assert_eq!(plan(&decision), expected);
    let steps = text(&decision);
    assert!(
        steps.contains("route `toll-free`: called +18005550100 matches `+1800*`"),
        "{steps}"
    );
}

#[test]
fn each_trunk_gets_the_numbers_as_it_writes_them() {
    let snapshot = compile(vec![route("in", &["carrier"], &["+1425555*"], &["pbx"])]);
    let question = Question {
        calling: Some("+442079460123".to_owned()),
        ..ask("carrier", "+14255550123")
    };
    let decision = decide(&snapshot, &Facts::default(), &question);
    let Outcome::Route(plan) = decision.outcome else {
        panic!("{decision:?}")
    };
    let attempt = &plan.attempts[0];
    assert_eq!(
        attempt.request_uri.to_string(),
        "sip:14255550123@192.0.2.20:5060"
    );
    assert_eq!(attempt.from_user.as_deref(), Some("011442079460123"));
}

#[test]
fn emergency_numbers_are_never_rewritten() {
    let snapshot = compile(vec![route("emergency", &[], &["911", "933"], &["carrier"])]);
    let decision = decide(&snapshot, &Facts::default(), &ask("pbx", "911"));
    assert_eq!(plan(&decision)[0].1, "sip:911@198.51.100.7:5060");
}

#[test]
fn peers_that_are_down_go_last() {
    let snapshot = compile(vec![route("out", &["pbx"], &[], &["acs", "carrier"])]);
    let up = BTreeMap::from([((TrunkName::from("acs"), 1), false)]);
    let facts = Facts {
        up,
        ..Facts::default()
    };
    let decision = decide(&snapshot, &facts, &ask("pbx", "+14255550123"));
    let hosts: Vec<_> = plan(&decision).into_iter().map(|(_, uri)| uri).collect();
    assert!(hosts[3].contains("@sip2."), "{hosts:?}");
    assert!(text(&decision).contains("trunk acs: peer sip2.proxy.example is down, tried last"));
}

#[test]
fn a_call_never_returns_to_its_origin_unless_the_route_says_so() {
    let mut docs = vec![route("all", &[], &[], &["carrier", "pbx"])];
    let decision = decide(
        &compile(docs.clone()),
        &Facts::default(),
        &ask("pbx", "+14255550123"),
    );
    assert_eq!(plan(&decision).len(), 1);
    docs[0].to = vec!["pbx".into()];
    let decision = decide(
        &compile(docs.clone()),
        &Facts::default(),
        &ask("pbx", "+14255550123"),
    );
    assert_eq!(status(&decision), 503);
    docs[0].hairpin = true;
    let decision = decide(
        &compile(docs),
        &Facts::default(),
        &ask("pbx", "+14255550123"),
    );
    assert_eq!(plan(&decision)[0].0, "pbx");
}

#[test]
fn refusals_have_a_status_and_a_reason() {
    let refuse = RouteDoc {
        reject: StatusCode::new(403),
        ..route("premium", &[], &["+1900*"], &[])
    };
    let snapshot = compile(vec![
        refuse,
        route("out", &["pbx"], &["+1425*"], &["carrier"]),
    ]);
    let facts = Facts {
        room: BTreeMap::from([(TrunkName::from("carrier"), 0)]),
        ..Facts::default()
    };
    let status_of = |facts: &Facts, from: &str, called: &str| {
        status(&decide(&snapshot, facts, &ask(from, called)))
    };
    assert_eq!(status_of(&facts, "pbx", "+19005550100"), 403);
    assert_eq!(status_of(&facts, "pbx", "+14255550100"), 503);
    assert_eq!(status_of(&facts, "pbx", "+12065550100"), 404);
    assert_eq!(status_of(&facts, "nobody", "+12065550100"), 403);
    assert_eq!(status_of(&facts, "pbx", &"1".repeat(100_000)), 404);
}

#[test]
fn explain_names_every_route_passed_over() {
    let snapshot = compile(vec![
        route("inbound", &["carrier"], &[], &["acs"]),
        route("toll-free", &[], &["+1800*"], &["acs"]),
        route("rest", &[], &[], &["carrier"]),
    ]);
    let question = ask("pbx", "+14255550123");
    let (short, long) = (
        decide(&snapshot, &Facts::default(), &question),
        explain(&snapshot, &Facts::default(), &question),
    );
    assert_eq!(short.outcome, long.outcome);
    let steps = text(&long);
    assert!(
        steps.contains("route `inbound`: from trunk pbx, which is not in [carrier]"),
        "{steps}"
    );
    assert!(
        steps.contains("route `toll-free`: the called number matches no pattern"),
        "{steps}"
    );
}

#[test]
fn mistakes_are_found_where_they_are() {
    let routes = vec![
        route("a", &["nobody"], &["+1 800"], &["carrier"]),
        route("a", &[], &["+14255550199-+14255550100"], &["nowhere"]),
        route("c", &[], &[], &[]),
    ];
    let document = Document {
        trunks: trunks(),
        routes,
        ..Document::default()
    };
    let errors = Snapshot::compile(&document).unwrap_err();
    let found: Vec<_> = errors.iter().map(|e| (e.place, e.field, e.rule)).collect();
    let expected = [
        (Place::Route(0), "from", Rule::UnknownTrunk),
        (
            Place::Route(0),
            "called",
            Rule::Pattern(PatternError::Character),
        ),
        (Place::Route(1), "name", Rule::Name),
        (Place::Route(1), "to", Rule::UnknownTrunk),
        (
            Place::Route(1),
            "called",
            Rule::Pattern(PatternError::Range),
        ),
        (Place::Route(2), "to", Rule::NoTarget),
    ];
    assert_eq!(found, expected);
}

#[test]
fn routes_that_cannot_match_are_warned_about() {
    let range = |name, first, last| {
        let pattern = format!("+142555501{first:02}-+142555501{last:02}");
        route(
            name,
            &["pbx"],
            &[&pattern],
            if name == "d" { &["acs"] } else { &["carrier"] },
        )
    };
    let snapshot = compile(vec![
        route("a", &[], &["+1800*"], &["carrier"]),
        route("b", &["pbx"], &["+18005550100", "+1800555*"], &["acs"]),
        range("c", 0, 50),
        range("d", 40, 90),
        range("e", 10, 20),
        route("f", &["carrier"], &[], &["carrier"]),
    ]);
    let kinds: Vec<_> = snapshot
        .warnings()
        .iter()
        .map(|w| (w.route, w.kind))
        .collect();
    let expected = [
        (1, WarningKind::Shadowed { by: 0 }),
        (3, WarningKind::Ambiguous { with: 2 }),
        (4, WarningKind::Shadowed { by: 2 }),
        (5, WarningKind::TargetIsOrigin { target: 0 }),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn the_hash_follows_the_content() {
    let one = compile(vec![route("a", &[], &["+1*"], &["acs"])]);
    let same = compile(vec![route("a", &[], &["+1*"], &["acs"])]);
    let other = compile(vec![route("a", &[], &["+1?*"], &["acs"])]);
    assert_eq!(one.hash(), same.hash());
    assert_ne!(one.hash(), other.hash());
}

#[test]
fn wildcards_match_as_written() {
    let matches = |pattern: &str, number: &str| Pattern::parse(pattern).unwrap().matches(number);
    assert!(matches("+1425555????", "+14255550123"));
    assert!(!matches("+1425555????", "+142555501234"));
    assert!(matches("+1*99", "+14255550199"));
    assert!(matches("*", "anonymous"));
    assert!(matches("+14255550100-+14255550199", "+14255550150"));
    assert!(!matches("+14255550100-+14255550199", "14255550150"));
    assert!(!matches("+14255550100-+14255550199", "+14255550200"));
    assert!(!matches("+1800*", "+180"));
}

/// Patterns and numbers over few digits, so that they meet often.
fn pattern() -> impl Strategy<Value = String> {
    let digits = "[12]{2,4}";
    prop_oneof![
        "\\+[12]{3}".prop_map(|text| text),
        digits.prop_map(|text| format!("+{text}*")),
        ("[12]{3}", "[12]{3}").prop_map(|(a, b)| {
            let (first, last) = if a <= b { (a, b) } else { (b, a) };
            format!("+{first}-+{last}")
        }),
        "\\+[12][?12][12*]",
        Just("*".to_owned()),
    ]
}

fn any_route(index: usize) -> impl Strategy<Value = RouteDoc> {
    let names =
        || prop::collection::btree_set(prop::sample::select(vec!["acs", "carrier", "pbx"]), 0..3);
    let targets =
        prop::collection::btree_set(prop::sample::select(vec!["acs", "carrier", "pbx"]), 1..3);
    let patterns = || prop::collection::vec(pattern(), 0..3);
    (names(), patterns(), patterns(), targets).prop_map(move |(from, called, calling, to)| {
        RouteDoc {
            name: format!("r{index}"),
            from: from.into_iter().map(TrunkName::from).collect(),
            called,
            calling,
            to: to.into_iter().map(TrunkName::from).collect(),
            ..RouteDoc::default()
        }
    })
}

/// The first route that matches, read off the document.
fn naive(routes: &[RouteDoc], question: &Question) -> Option<String> {
    let any = |patterns: &[String], number: &str| {
        patterns
            .iter()
            .any(|pattern| Pattern::parse(pattern).unwrap().matches(number))
    };
    // The one emergency number among those asked for; some write it with a plus.
    let called = match question.called.as_str() {
        "+112" => "112",
        called => called,
    };
    let matches = |route: &&RouteDoc| {
        (route.from.is_empty() || route.from.contains(&question.trunk))
            && (route.called.is_empty() || any(&route.called, called))
            && (route.calling.is_empty()
                || question
                    .calling
                    .as_ref()
                    .is_some_and(|number| any(&route.calling, number)))
    };
    routes.iter().find(matches).map(|route| route.name.clone())
}

proptest! {
    #[test]
    fn the_first_route_that_matches_wins(
        routes in (0..12_usize).prop_flat_map(|count| {
            (0..count).map(any_route).collect::<Vec<_>>()
        }),
        trunk in prop::sample::select(vec!["acs", "carrier"]),
        called in "\\+[12]{3,4}",
        calling in prop::option::of("\\+[12]{3,4}"),
    ) {
        let snapshot = compile(routes.clone());
        let question = Question { trunk: trunk.into(), called, calling, headers: Vec::new() };
        let facts = Facts::default();
        let decision = decide(&snapshot, &facts, &question);
        prop_assert_eq!(&decision, &decide(&snapshot, &facts, &question));
        let found = match &decision.outcome {
            Outcome::Route(plan) => {
                prop_assert!(!plan.attempts.is_empty());
                for attempt in &plan.attempts {
                    prop_assert!(snapshot.trunk(&attempt.trunk).is_some());
                    prop_assert_ne!(&attempt.trunk, &question.trunk);
                }
                Some(plan.route.to_string())
            }
            Outcome::Reject { reason: RejectReason::OnlyOrigin(route), .. } => {
                Some(route.to_string())
            }
            Outcome::Reject { .. } => None,
        };
        prop_assert_eq!(found, naive(&routes, &question));
        prop_assert_eq!(decision.outcome, explain(&snapshot, &facts, &question).outcome);
        for warning in snapshot.warnings() {
            if let WarningKind::Shadowed { by } = warning.kind {
                prop_assert_ne!(naive(&routes, &question), Some(format!("r{}", warning.route)), "shadowed by {}", by);
            }
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error(text in "\\PC{0,80}", number in "\\PC{0,40}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            let _ = pattern.matches(&number);
        }
    }
}

#[test]
fn facts_about_the_trunks_concerned_are_all_that_a_decision_takes() {
    let snapshot = compile(vec![
        route("toll-free", &["pbx"], &["+1800*"], &["acs", "carrier"]),
        route("rest", &["pbx"], &[], &["carrier"]),
    ]);
    for called in ["18005550100", "5550123", "911", "0"] {
        let question = ask("pbx", called);
        let concerned = concerned(&snapshot, &Facts::default(), &question).trunks;
        assert!(!concerned.is_empty(), "{called}");
        for down in ["acs", "carrier", "pbx"] {
            let all = Facts {
                up: BTreeMap::from([((TrunkName::from(down), 0), false)]),
                room: BTreeMap::from([(TrunkName::from(down), 0)]),
                ..Facts::default()
            };
            let mut few = all.clone();
            few.up
                .retain(|(trunk, _), _| concerned.iter().any(|name| name == trunk));
            few.room
                .retain(|trunk, _| concerned.iter().any(|name| name == trunk));
            let decisions = [&all, &few].map(|facts| decide(&snapshot, facts, &question));
            assert_eq!(decisions[0], decisions[1], "{called}, {down}");
        }
    }
}
