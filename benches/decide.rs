//! `decide` over 100 and over 10,000 routes: nanoseconds for one decision.
//!
//! `cargo bench --bench decide` prints both; `… --bench decide -- loop 10000 1000` makes 1000
//! decisions over 10,000 routes and prints nothing, for callgrind.
#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::hint::black_box;
use std::time::Instant;

use routing::{Document, Facts, PeerDoc, Question, RouteDoc, Snapshot, TrunkDoc, decide};
use sip_msg::TransportKind;

/// A third exact numbers, a third prefixes, a third ranges, all from one trunk; a catch-all last.
fn snapshot(routes: u32) -> Snapshot {
    let peer = |host: &str| PeerDoc {
        host: host.to_owned(),
        port: Some(5060),
        transport: TransportKind::Udp,
    };
    let trunks = vec![
        TrunkDoc::new("carrier", vec![peer("198.51.100.7")]),
        TrunkDoc::new("pbx", vec![peer("192.0.2.20")]),
    ];
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
        to: vec!["carrier".into()],
        ..RouteDoc::default()
    };
    let document = Document {
        emergency: routing::EmergencyDoc::default(),
        trunks,
        routes: (0..routes).map(route).collect(),
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
    if let [mode, routes, decisions] = arguments.as_slice()
        && mode == "loop"
    {
        let routes = routes.parse().expect("a number of routes");
        let decisions = decisions.parse().expect("a number of decisions");
        run(&snapshot(routes), &questions(routes), decisions);
        return;
    }
    for routes in [100, 10_000] {
        let (snapshot, questions) = (snapshot(routes), questions(routes));
        run(&snapshot, &questions, 10_000);
        let best = (0..5).map(|_| {
            let start = Instant::now();
            run(&snapshot, &questions, 100_000);
            start.elapsed().as_nanos() / 100_000
        });
        let best = best.min().unwrap_or_default();
        println!("decide over {routes:>6} routes: {best} ns");
    }
}
