//! Every table has a bound, and reaching it has a planned answer.

use std::time::Duration;

use sip_msg::{Method, StatusCode};

use super::bench::{Bench, field, incoming, names, settings, within};
use crate::{Limits, UaConfig, UaEvent};

fn small(transactions: usize, dialogs: usize) -> Bench {
    let limits = Limits {
        transactions,
        dialogs,
        ..Limits::default()
    };
    Bench::with(UaConfig {
        limits,
        ..UaConfig::default()
    })
}

fn nth(method: &str, n: usize) -> String {
    incoming(method, &format!("z9hG4bK{method}{n}")).replace("call-2", &format!("call-{n}"))
}

#[test]
fn at_the_bound_only_what_would_create_a_dialog_is_refused_with_503() {
    let mut bench = small(2, 100);
    bench.receive(&nth("INVITE", 1));
    bench.receive(&nth("INVITE", 2));
    bench.sent();
    bench.receive(&nth("INVITE", 3));
    let sent = bench.sent();
    assert_eq!(super::bench::brief(&sent[0]), "503 INVITE");
    assert_eq!(field(&sent[0], "Retry-After"), "5");
    assert_eq!(bench.ua.load().servers, 2, "refused without state");
    bench.receive(&nth("OPTIONS", 4));
    assert_eq!(
        names(&bench.events()),
        ["Request INVITE", "Request INVITE", "Request OPTIONS"]
    );
    assert_eq!(bench.ua.counters().refused_for_room, 1);
}

#[test]
fn at_the_bound_a_call_in_progress_can_still_end() {
    let mut bench = small(1, 1);
    bench.receive(&nth("INVITE", 1));
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    let tag = ok.headers.to_tag().unwrap();
    bench
        .ua
        .respond(bench.now(), server, ok, Some(&settings()))
        .unwrap();
    bench.receive(&within("ACK", 1, "z9hG4bKack", &tag).replace("call-2", "call-1"));
    bench.receive(&nth("INVITE", 2));
    bench.receive(&within("BYE", 2, "z9hG4bKbye", &tag).replace("call-2", "call-1"));
    assert_eq!(names(&bench.events()), ["Acked", "Request BYE"]);
}

#[test]
fn beyond_the_reserve_requests_are_dropped() {
    let mut bench = small(1, 100);
    for n in 0..5 {
        bench.receive(&nth("OPTIONS", n));
    }
    assert_eq!(bench.ua.load().servers, 2);
    assert_eq!(bench.ua.counters().dropped_for_room, 3);
    assert!(bench.sent_lines().is_empty());
    bench.run(Duration::from_secs(32));
    assert_eq!(
        bench.ua.load().servers,
        0,
        "unanswered requests do not stay"
    );
}

#[test]
fn what_is_remembered_for_repetitions_has_a_bound_of_its_own() {
    let limits = Limits {
        transactions: 1,
        remembered: 3,
        ..Limits::default()
    };
    let mut bench = Bench::with(UaConfig {
        limits,
        ..UaConfig::default()
    });
    let refuse = |bench: &mut Bench, n| {
        bench.receive(&nth("INVITE", n));
        let server = bench.events().into_iter().find_map(|event| match event {
            UaEvent::Request { server, .. } => Some(server),
            _ => None,
        })?;
        let busy = bench.ua.respond_to(server, StatusCode::BUSY_HERE)?;
        bench.ua.respond(bench.now(), server, busy, None).ok()?;
        assert!(bench.ua.respond_to(server, StatusCode::BUSY_HERE).is_none());
        Some(())
    };
    for n in 1..=3 {
        assert!(refuse(&mut bench, n).is_some(), "{n} is not one too many");
    }
    assert!(refuse(&mut bench, 4).is_none());
    assert_eq!(bench.ua.counters().refused_for_room, 1);
    bench.sent();
    bench.receive(&nth("INVITE", 1));
    assert_eq!(super::bench::brief(&bench.sent()[0]), "486 INVITE");
    bench.run(Duration::from_secs(33));
    bench.events();
    assert!(refuse(&mut bench, 5).is_some(), "they are forgotten");
}

#[test]
fn a_request_of_ours_beyond_the_bound_fails_as_too_many() {
    let mut bench = small(1, 100);
    bench.send(Method::Invite);
    bench.send(Method::Invite);
    assert_eq!(bench.sent_lines(), ["INVITE"]);
    assert_eq!(names(&bench.events()), ["Failed TooMany", "ClientDone"]);
}

#[test]
fn one_deadline_index_serves_all_transactions() {
    let mut bench = small(100_000, 100);
    for n in 0..10_000 {
        bench.receive(&nth("OPTIONS", n));
    }
    bench.events();
    let load = bench.ua.load();
    assert_eq!((load.servers, load.deadlines), (10_000, 10_000));
    bench.run(Duration::from_secs(33));
    assert_eq!(bench.ua.load().deadlines, 0);
}
