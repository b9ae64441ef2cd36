//! What holds for every document, every moment and every call.

use std::sync::Arc;

use ambient::WallTime;
use e164::NumberType;

use super::*;

const TRUNKS: [&str; 3] = ["acs", "carrier", "pbx"];
const LIMITS: [&str; 2] = ["one", "two"];

fn trunk_names(least: usize) -> impl Strategy<Value = Vec<TrunkName>> {
    prop::collection::btree_set(prop::sample::select(TRUNKS.to_vec()), least..3)
        .prop_map(|names| names.into_iter().map(TrunkName::from).collect())
}

fn conditions() -> impl Strategy<Value = NumberConditions> {
    let kinds = vec![
        NumberType::Geographic,
        NumberType::TollFree,
        NumberType::Unknown,
    ];
    let types = prop::collection::vec(prop::sample::select(kinds), 0..2);
    let countries = prop::collection::vec(prop::sample::select(vec!["US", "CA", "RU"]), 0..2);
    let owners = prop::collection::vec(prop::sample::select(Owner::ALL.to_vec()), 0..2);
    (types, countries, owners).prop_map(|(types, countries, owners)| NumberConditions {
        types,
        countries: countries.into_iter().map(str::to_owned).collect(),
        owners,
    })
}

fn policy_route(index: usize) -> impl Strategy<Value = RouteDoc> {
    let schedules = || prop::collection::vec(Just("night".to_owned()), 0..2);
    let pick = prop_oneof![
        Just(Pick::InOrder),
        Just(Pick::LeastCost { seconds: 180 }),
        prop::collection::vec(0..5_u32, 2).prop_map(Pick::ByWeight),
    ];
    let numbers = prop::collection::vec(
        prop_oneof![
            Just("list:some".to_owned()),
            Just("+1*".to_owned()),
            Just("+18*".to_owned())
        ],
        0..2,
    );
    let rest = (any::<bool>(), any::<bool>());
    (
        numbers,
        conditions(),
        trunk_names(1),
        schedules(),
        schedules(),
        pick,
        rest,
    )
        .prop_map(
            move |(called, called_is, to, during, outside, pick, (hairpin, own_caller))| {
                let pick = match pick {
                    Pick::ByWeight(mut weights) => {
                        weights.resize(to.len(), 1);
                        weights[0] = weights[0].max(1);
                        Pick::ByWeight(weights)
                    }
                    Pick::LeastCost { .. } if !to.contains(&"carrier".into()) => Pick::InOrder,
                    other @ (Pick::InOrder | Pick::LeastCost { .. }) => other,
                };
                RouteDoc {
                    name: format!("r{index}"),
                    called,
                    called_is,
                    to,
                    during,
                    outside,
                    pick,
                    hairpin,
                    caller_id: own_caller.then(|| "+18005550100".to_owned()),
                    ..RouteDoc::default()
                }
            },
        )
}

fn limit_doc(name: &'static str) -> impl Strategy<Value = LimitDoc> {
    let routes = prop::collection::vec(Just("r0".to_owned()), 0..2);
    (trunk_names(0), trunk_names(0), routes, any::<bool>()).prop_map(
        move |(from, to, routes, denies)| LimitDoc {
            name: name.to_owned(),
            routes,
            from,
            to,
            calls: Some(5),
            deny_types: denies.then_some(NumberType::TollFree).into_iter().collect(),
            ..LimitDoc::default()
        },
    )
}

fn document() -> impl Strategy<Value = Document> {
    let routes =
        (1..6_usize).prop_flat_map(|count| (0..count).map(policy_route).collect::<Vec<_>>());
    let limits = LIMITS.map(limit_doc);
    (routes, limits).prop_map(|(routes, limits)| {
        let mut document = Document {
            trunks: trunks(),
            routes,
            limits: limits.into(),
            ..Document::default()
        };
        let table = RateTable::read("prefix,rate_per_minute,currency\n1,0.01,USD\n").unwrap();
        document.rates = vec![("a".to_owned(), table)];
        document.trunks[1].rates = Some("a".to_owned());
        let list = NumberList::read("+18005550100\n+1425*\n").unwrap();
        document.lists = vec![("some".to_owned(), list)];
        let owners = "number,owner\n+1425*,microsoft\n+18*,carrier\n";
        document.owners = NumberOwners::read(owners).unwrap();
        document.schedules = vec![ScheduleDoc {
            name: "night".to_owned(),
            zone: "Europe/Berlin".to_owned(),
            hours: vec!["20:00-08:00".to_owned()],
            ..ScheduleDoc::default()
        }];
        document
    })
}

fn remaining() -> impl Strategy<Value = Remaining> {
    let left = || prop::option::of(0..2_u32);
    (left(), left(), left(), left()).prop_map(|(calls, starts, seconds, spend)| Remaining {
        calls,
        starts,
        seconds: seconds.map(u64::from),
        spend: spend.map(|spend| u64::from(spend) * 10_000),
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    let peer = (prop::sample::select(TRUNKS.to_vec()), 0..3_usize);
    let up = prop::collection::btree_map(peer, any::<bool>(), 0..8);
    let room = prop::collection::btree_map(prop::sample::select(TRUNKS.to_vec()), 0..2_u32, 0..3);
    let limits =
        prop::collection::btree_map(prop::sample::select(LIMITS.to_vec()), remaining(), 0..3);
    (up, room, limits, 0..2_000_000_000_000_000_u64, any::<u64>()).prop_map(
        |(up, room, limits, wall, draw)| Facts {
            up: up
                .into_iter()
                .map(|((trunk, peer), up)| ((trunk.into(), peer), up))
                .collect(),
            room: room
                .into_iter()
                .map(|(trunk, room)| (trunk.into(), room))
                .collect(),
            limits: limits
                .into_iter()
                .map(|(name, left)| (Arc::from(name), left))
                .collect(),
            wall: WallTime::from_unix_micros(wall),
            draw,
            ..Facts::default()
        },
    )
}

fn question() -> impl Strategy<Value = Question> {
    let called = prop_oneof![
        "\\+1(425|800|204)555[0-9]{4}",
        "\\+79[0-9]{9}",
        Just("112".to_owned()),
        "\\PC{0,12}",
    ];
    (
        prop::sample::select(TRUNKS.to_vec()),
        called,
        prop::option::of("\\PC{0,12}"),
    )
        .prop_map(|(trunk, called, calling)| Question {
            trunk: trunk.into(),
            called,
            calling,
            headers: Vec::new(),
        })
}

/// Whether nothing is left of a limit.
fn is_used_up(left: &Remaining) -> bool {
    left.calls == Some(0)
        || left.starts == Some(0)
        || left.seconds == Some(0)
        || left.spend == Some(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_decision_is_total_and_keeps_to_its_facts(
        document in document(),
        facts in facts(),
        question in question(),
    ) {
        let snapshot = Snapshot::compile(&document).unwrap();
        let decision = decide(&snapshot, &facts, &question);
        prop_assert_eq!(&decision, &decide(&snapshot, &facts, &question));
        prop_assert_eq!(&decision.outcome, &explain(&snapshot, &facts, &question).outcome);
        let emergency = snapshot.is_emergency(&question.trunk, &question.called);
        let Outcome::Route(plan) = &decision.outcome else { return Ok(()) };
        prop_assert!(!plan.attempts.is_empty());
        let is_down = |attempt: &Attempt| {
            facts.up.get(&(attempt.trunk.clone(), attempt.peer)) == Some(&false)
        };
        // Those that are down come last, so the first is down only where all are.
        let first_down = plan.attempts.iter().position(is_down).unwrap_or(plan.attempts.len());
        prop_assert!(plan.attempts[first_down..].iter().all(is_down));
        for attempt in &plan.attempts {
            prop_assert!(emergency || facts.room.get(&attempt.trunk) != Some(&0));
            for limit in snapshot.counting(&question.trunk, &plan.route, &attempt.trunk) {
                let used_up = facts.limits.get(&limit).is_some_and(is_used_up);
                prop_assert!(emergency || !used_up, "{}", limit);
            }
        }
    }

    #[test]
    fn the_facts_concerned_are_enough_and_can_be_written_down(
        document in document(),
        facts in facts(),
        question in question(),
    ) {
        let snapshot = Snapshot::compile(&document).unwrap();
        let decision = decide(&snapshot, &facts, &question);
        let concerned = concerned(&snapshot, &facts, &question);
        let mut few = facts.clone();
        few.up.retain(|(trunk, _), _| concerned.trunks.contains(trunk));
        few.room.retain(|trunk, _| concerned.trunks.contains(trunk));
        few.limits.retain(|name, _| concerned.limits.contains(&name));
        let few = serde_json::from_str(&serde_json::to_string(&few).unwrap()).unwrap();
        let asked = serde_json::from_str(&serde_json::to_string(&question).unwrap()).unwrap();
        prop_assert_eq!(&question, &asked);
        prop_assert_eq!(decision, decide(&snapshot, &few, &asked));
    }
}

#[test]
fn facts_of_another_version_are_refused() {
    let written = serde_json::to_string(&Facts::default()).unwrap();
    assert_eq!(written, r#"{"v":1,"wall_us":0,"draw":0}"#);
    let other = written.replace("\"v\":1", "\"v\":2");
    let error = serde_json::from_str::<Facts>(&other).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}
