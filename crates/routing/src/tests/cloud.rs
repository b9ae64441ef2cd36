use e164::E164Number;

use super::*;

fn number(text: &str) -> E164Number {
    E164Number::parse(text).unwrap()
}

const OWNED: [&str; 3] = ["+18005550101", "+18005550102", "+18005550103"];

fn document(routes: Vec<RouteDoc>) -> Document {
    let table = "prefix,rate_per_minute,currency\n1,0.0130,USD\n";
    Document {
        trunks: trunks(),
        routes,
        rates: vec![("microsoft".to_owned(), RateTable::read(table).unwrap())],
        cloud: Some(CloudDoc {
            trunk: "acs".into(),
            marker: number("+14255550199"),
            caller_ids: OWNED.map(number).to_vec(),
            rates: Some("microsoft".to_owned()),
        }),
        ..Document::default()
    }
}

fn through_microsoft() -> Snapshot {
    let route = route("out", &["pbx", "acs"], &[], &["cloud-calling", "carrier"]);
    Snapshot::compile(&document(vec![route])).unwrap()
}

fn attempts(decision: &Decision) -> Vec<Attempt> {
    let Outcome::Route(plan) = &decision.outcome else {
        panic!("{decision:?}")
    };
    plan.attempts.clone()
}

fn chosen(snapshot: &Snapshot, facts: &Facts, calling: Option<&str>) -> Vec<E164Number> {
    let question = Question {
        calling: calling.map(str::to_owned),
        ..ask("pbx", "+14255550123")
    };
    let decision = decide(snapshot, facts, &question);
    let first = &attempts(&decision)[0];
    first.cloud.as_ref().unwrap().caller_ids.to_vec()
}

#[test]
fn microsoft_is_reached_over_its_trunk_by_the_marker() {
    let snapshot = through_microsoft();
    let decision = decide(&snapshot, &Facts::default(), &ask("pbx", "5550123"));
    let attempts = attempts(&decision);
    let uris: Vec<_> = plan(&decision);
    assert_eq!(uris.len(), 4);
    assert_eq!(
        uris[0],
        (
            "acs".to_owned(),
            "sip:+14255550199@sip.proxy.example:5061;user=phone;transport=tls".to_owned()
        )
    );
    let targets: Vec<_> = attempts.iter().map(Attempt::target).collect();
    assert_eq!(
        targets,
        ["cloud-calling", "cloud-calling", "cloud-calling", "carrier"]
    );
    let cloud = attempts[0].cloud.as_ref().unwrap();
    assert_eq!(cloud.to, number("+14255550123"));
    let tariff = attempts[0].tariff.unwrap();
    assert_eq!(decimal(tariff.per_minute.micros), "0.013");
    assert!(attempts[3].cloud.is_none());
    assert!(text(&decision).contains("cloud-calling: caller id +18005550101"));
}

#[test]
fn the_caller_id_is_owned_and_has_room() {
    let snapshot = through_microsoft();
    let mut facts = Facts::default();
    let all = OWNED.map(number);
    assert_eq!(chosen(&snapshot, &facts, None), all);
    // The caller's own number goes first, and a stranger's is never shown.
    let own = chosen(&snapshot, &facts, Some("+18005550103"));
    assert_eq!(own[0], all[2]);
    assert_eq!(chosen(&snapshot, &facts, Some("+14255550177")), all);
    // One without room is not used; one in use comes after those that are not.
    facts.caller_ids.insert(all[0], 1);
    facts.caller_ids.insert(all[1], 0);
    assert_eq!(chosen(&snapshot, &facts, None), [all[2], all[0]]);
    // What the route shows is used where it is owned.
    let mut by_route = route("out", &["pbx"], &[], &["cloud-calling"]);
    by_route.caller_id = Some(OWNED[2].to_owned());
    let snapshot = Snapshot::compile(&document(vec![by_route.clone()])).unwrap();
    assert_eq!(chosen(&snapshot, &Facts::default(), None)[0], all[2]);
    by_route.caller_id = Some("+14255550177".to_owned());
    let snapshot = Snapshot::compile(&document(vec![by_route])).unwrap();
    assert_eq!(chosen(&snapshot, &Facts::default(), None)[0], all[0]);
}

#[test]
fn without_a_caller_id_the_next_target_is_tried() {
    let snapshot = through_microsoft();
    let facts = Facts {
        caller_ids: OWNED.map(|owned| (number(owned), 0)).into(),
        ..Facts::default()
    };
    let decision = decide(&snapshot, &facts, &ask("pbx", "+14255550123"));
    let attempts = attempts(&decision);
    let targets: Vec<_> = attempts.iter().map(Attempt::target).collect();
    assert_eq!(targets, ["carrier"]);
    assert!(text(&decision).contains("every caller id has as many calls as it may"));
    let alone = route("out", &["pbx"], &[], &["cloud-calling"]);
    let snapshot = Snapshot::compile(&document(vec![alone])).unwrap();
    let decision = decide(&snapshot, &facts, &ask("pbx", "+14255550123"));
    assert_eq!(status(&decision), 503);
}

#[test]
fn calls_for_help_short_codes_and_calls_from_azure_do_not_go_there() {
    let snapshot = through_microsoft();
    for (origin, called, why) in [
        ("pbx", "911", "carries no emergency calls"),
        ("pbx", "4711", "dials numbers in E.164 only"),
        ("acs", "+14255550123", "the call comes from it"),
    ] {
        let decision = decide(&snapshot, &Facts::default(), &ask(origin, called));
        let attempts = attempts(&decision);
        assert!(attempts.iter().all(|attempt| attempt.cloud.is_none()));
        assert!(text(&decision).contains(why), "{}", text(&decision));
    }
}

#[test]
fn health_and_room_are_of_the_trunk_and_limits_of_both() {
    let mut document = document(vec![route(
        "out",
        &["pbx"],
        &[],
        &["cloud-calling", "carrier"],
    )]);
    for (name, to) in [("toll", "cloud-calling"), ("sip", "acs")] {
        document.limits.push(LimitDoc {
            name: name.to_owned(),
            to: vec![to.into()],
            calls: Some(1),
            ..LimitDoc::default()
        });
    }
    let snapshot = Snapshot::compile(&document).unwrap();
    let question = ask("pbx", "+14255550123");
    let concerned = concerned(&snapshot, &Facts::default(), &question);
    let trunks: Vec<_> = concerned.trunks.iter().map(TrunkName::as_str).collect();
    let limits: Vec<_> = concerned.limits.iter().map(|name| &***name).collect();
    assert_eq!(
        (trunks, limits),
        (vec!["acs", "carrier"], vec!["sip", "toll"])
    );
    assert!(concerned.cloud);
    let none = Remaining {
        calls: Some(0),
        ..Remaining::default()
    };
    for facts in [
        Facts {
            room: [("acs".into(), 0)].into(),
            ..Facts::default()
        },
        Facts {
            limits: [("toll".into(), none)].into(),
            ..Facts::default()
        },
        Facts {
            limits: [("sip".into(), none)].into(),
            ..Facts::default()
        },
    ] {
        let attempts = attempts(&decide(&snapshot, &facts, &question));
        let targets: Vec<_> = attempts.iter().map(Attempt::target).collect();
        assert_eq!(targets, ["carrier"]);
    }
    let down = Facts {
        up: (0..3).map(|peer| (("acs".into(), peer), false)).collect(),
        ..Facts::default()
    };
    let attempts = attempts(&decide(&snapshot, &down, &question));
    assert_eq!(attempts[0].target(), "carrier");
    assert_eq!(attempts.len(), 4);
}

#[test]
fn what_makes_no_sense_is_a_mistake() {
    let mut wrong = document(vec![route("in", &["cloud-calling"], &[], &["carrier"])]);
    wrong.emergency.to = vec!["cloud-calling".into()];
    wrong.cloud.as_mut().unwrap().caller_ids.clear();
    let errors = Snapshot::compile(&wrong).unwrap_err();
    let rules: Vec<_> = errors.iter().map(|error| error.rule).collect();
    assert_eq!(
        rules,
        [Rule::NoCallerId, Rule::CloudCalling, Rule::CloudCalling]
    );
    let mut nowhere = document(vec![route("out", &[], &[], &["cloud-calling"])]);
    nowhere.cloud.as_mut().unwrap().trunk = "elsewhere".into();
    let errors = Snapshot::compile(&nowhere).unwrap_err();
    assert_eq!(errors[0].place, Place::Cloud);
}

#[test]
fn facts_of_caller_ids_can_be_written_down() {
    let facts = Facts {
        caller_ids: [(number(OWNED[0]), 1)].into(),
        ..Facts::default()
    };
    let text = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
}
