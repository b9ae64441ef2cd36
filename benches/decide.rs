//! `decide` over few and over 10,000 routes, by order and by cost over few and over a million rate
//! prefixes: nanoseconds for one decision, and seconds to load.
//!
//! `cargo bench --bench decide` prints all; `… --bench decide -- loop 10000 1000000 1000` makes
//! 1000 decisions over 10,000 routes and a million rate prefixes and prints nothing, for callgrind;
//! with 0 prefixes targets are in the order written.
#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::hint::black_box;
use std::time::Instant;

use routing::{
    Document, Facts, PeerDoc, Pick, Question, RateTable, RouteDoc, Snapshot, TrunkDoc, decide,
};
use sip_msg::TransportKind;

/// Prefixes of all depths below North America, each with a price of its own.
fn rates(prefixes: u32) -> String {
    use std::fmt::Write as _;
    let mut text =
        "prefix,rate_per_minute,currency,initial,subsequent\n1,0.01,USD,60,60\n".to_owned();
    for index in 1..prefixes {
        // Spread over the numbers that are asked for and all others.
        let digits = u64::from(index) * 8_999_983 % 9_000_000;
        let _ = writeln!(
            text,
            "1{},0.0{:03},USD,1,1",
            1_000_000 + digits,
            index % 1_000
        );
    }
    text
}

/// A third exact numbers, a third prefixes, a third ranges, all from one trunk; a catch-all last.
/// With rates, the cheaper of two targets is tried first.
fn snapshot(routes: u32, rate_table: Option<&RateTable>) -> Snapshot {
    let peer = |host: &str| PeerDoc {
        host: host.to_owned(),
        port: Some(5060),
        transport: TransportKind::Udp,
    };
    let mut trunks = vec![
        TrunkDoc::new("carrier", vec![peer("198.51.100.7")]),
        TrunkDoc::new("other", vec![peer("198.51.100.8")]),
        TrunkDoc::new("pbx", vec![peer("192.0.2.20")]),
    ];
    let named = |table: &RateTable| ("rates".to_owned(), table.clone());
    let tables: Vec<(String, RateTable)> = rate_table.map(named).into_iter().collect();
    let mut to = vec!["carrier".into()];
    let mut pick = Pick::InOrder;
    if rate_table.is_some() {
        for trunk in &mut trunks[..2] {
            trunk.rates = Some("rates".to_owned());
        }
        to.push("other".into());
        pick = Pick::LeastCost { seconds: 180 };
    }
    let called = |index: u32| match index % 3 {
        0 => format!("+1425{index:07}"),
        1 => format!("+1206{index:06}*"),
        _ => format!("+1303{index:05}00-+1303{index:05}99"),
    };
    let route = |index: u32| RouteDoc {
        name: format!("route {index}"),
        from: vec!["pbx".into()],
        called: if index + 1 == routes {
            Vec::new()
        } else {
            vec![called(index)]
        },
        to: to.clone(),
        pick: pick.clone(),
        ..RouteDoc::default()
    };
    let document = Document {
        trunks,
        routes: (0..routes).map(route).collect(),
        rates: tables,
        ..Document::default()
    };
    Snapshot::compile(&document).expect("the document is sound")
}

fn questions(routes: u32) -> Vec<Question> {
    let picks = (0..64).map(|pick| pick * (routes / 64).max(1) % routes);
    let called = |index: u32| match index % 3 {
        0 => format!("+1425{index:07}"),
        1 => format!("+1206{index:06}5"),
        _ => format!("+1303{index:05}50"),
    };
    picks
        .map(|index| Question {
            trunk: "pbx".into(),
            called: called(index),
            calling: Some("+14255550123".to_owned()),
            headers: Vec::new(),
        })
        .collect()
}

fn run(snapshot: &Snapshot, questions: &[Question], decisions: usize) {
    let facts = Facts::default();
    for question in questions.iter().cycle().take(decisions) {
        black_box(decide(snapshot, &facts, black_box(question)));
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let table = |prefixes: u32| {
        let table = RateTable::read(&rates(prefixes)).expect("the table is sound");
        (prefixes > 0).then_some(table)
    };
    if let [mode, routes, prefixes, decisions] = arguments.as_slice()
        && mode == "loop"
    {
        let routes = routes.parse().expect("a number of routes");
        let prefixes = prefixes.parse().expect("a number of prefixes");
        let decisions = decisions.parse().expect("a number of decisions");
        let table = table(prefixes);
        run(
            &snapshot(routes, table.as_ref()),
            &questions(routes),
            decisions,
        );
        return;
    }
    for (routes, prefixes) in [(100, 0), (10_000, 0), (100, 1_000), (10_000, 1_000_000)] {
        let text = rates(prefixes);
        let start = Instant::now();
        let table = RateTable::read(&text).expect("the table is sound");
        let table = (prefixes > 0).then_some(table);
        let snapshot = snapshot(routes, table.as_ref());
        let loaded = start.elapsed().as_secs_f64();
        let questions = questions(routes);
        run(&snapshot, &questions, 10_000);
        let best = (0..5).map(|_| {
            let start = Instant::now();
            run(&snapshot, &questions, 100_000);
            start.elapsed().as_nanos() / 100_000
        });
        let best = best.min().unwrap_or_default();
        println!(
            "decide over {routes:>6} routes, {prefixes:>7} rate prefixes: {best} ns; \
             loaded in {loaded:.2} s"
        );
    }
}
