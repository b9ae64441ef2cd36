//! RFC 3261 Table 4 and RFC 6026, to the millisecond.

use std::time::Duration;

use sip_msg::{Method, StatusCode, TransportKind};

use super::bench::{Bench, incoming, names, settings, within};
use crate::UaEvent;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

fn lines(log: &[(u64, String)], line: &str) -> Vec<u64> {
    log.iter()
        .filter(|(_, sent)| sent == line)
        .map(|(at, _)| *at)
        .collect()
}

#[test]
fn timers_a_and_b_double_without_cap_and_end_at_64_t1() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    assert_eq!(bench.sent_lines(), ["INVITE"]);
    let log = bench.run(SECONDS(40));
    assert_eq!(lines(&log, "INVITE"), [500, 1500, 3500, 7500, 15500, 31500]);
    assert_eq!(names(&bench.events()), ["Failed TimedOut", "ClientDone"]);
}

#[test]
fn timer_b_ends_at_64_t1_exactly() {
    let mut bench = Bench::new().over(TransportKind::Tls);
    bench.send(Method::Invite);
    bench.run(Duration::from_millis(31_999));
    assert!(bench.events().is_empty());
    let log = bench.run(Duration::from_millis(1));
    assert!(
        log.is_empty(),
        "nothing is repeated over a reliable transport"
    );
    assert_eq!(names(&bench.events()), ["Failed TimedOut", "ClientDone"]);
}

#[test]
fn timer_e_doubles_to_t2_and_timer_f_ends_at_64_t1() {
    let mut bench = Bench::new();
    bench.send(Method::Options);
    let log = bench.run(SECONDS(40));
    assert_eq!(
        lines(&log, "OPTIONS"),
        [
            0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    assert_eq!(names(&bench.events()), ["Failed TimedOut", "ClientDone"]);
}

#[test]
fn timer_e_is_t2_once_a_provisional_response_came() {
    let mut bench = Bench::new();
    bench.send(Method::Options);
    let request = bench.sent().remove(0);
    bench.answer(&request, 100, "");
    let log = bench.run(SECONDS(10));
    assert_eq!(lines(&log, "OPTIONS"), [500, 4500, 8500]);
}

#[test]
fn timer_d_absorbs_a_repeated_refusal_with_an_ack_each_for_32_s() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let request = bench.sent().remove(0);
    bench.answer(&request, 486, "b");
    assert_eq!(bench.sent_lines(), ["ACK"]);
    assert_eq!(names(&bench.events()), ["Final 486"]);
    bench.run(Duration::from_millis(31_999));
    bench.answer(&request, 486, "b");
    assert_eq!(bench.sent_lines(), ["ACK"]);
    assert!(bench.events().is_empty(), "a repetition is absorbed");
    bench.run(Duration::from_millis(1));
    assert_eq!(names(&bench.events()), ["ClientDone"]);
    bench.answer(&request, 486, "b");
    assert!(bench.sent_lines().is_empty());
    assert_eq!(bench.ua.counters().stray_responses, 1);
}

#[test]
fn timers_d_i_j_and_k_are_zero_over_a_reliable_transport() {
    let mut bench = Bench::new().over(TransportKind::Tcp);
    bench.send(Method::Invite);
    let request = bench.sent().remove(0);
    bench.answer(&request, 486, "b");
    bench.send(Method::Options);
    let request = bench.sent().remove(1);
    bench.answer(&request, 200, "b");
    bench.receive(&incoming("OPTIONS", "z9hG4bK1"));
    answer_last(&mut bench, StatusCode::OK);
    bench.receive(&incoming("INVITE", "z9hG4bK2").replace("call-2", "call-3"));
    answer_last(&mut bench, StatusCode::BUSY_HERE);
    bench.receive(&within("ACK", 1, "z9hG4bK2", "x").replace("call-2", "call-3"));
    let load = bench.ua.load();
    assert_eq!((load.clients, load.servers, load.deadlines), (0, 0, 0));
}

#[test]
fn timer_k_absorbs_repeated_responses_for_t4() {
    let mut bench = Bench::new();
    bench.send(Method::Options);
    let request = bench.sent().remove(0);
    bench.answer(&request, 200, "b");
    assert_eq!(names(&bench.events()), ["Final 200"]);
    bench.run(Duration::from_millis(4_999));
    bench.answer(&request, 200, "b");
    assert_eq!(bench.ua.counters().responses_absorbed, 1);
    bench.run(Duration::from_millis(1));
    assert_eq!(names(&bench.events()), ["ClientDone"]);
}

#[test]
fn timer_j_repeats_the_response_on_demand_for_64_t1() {
    let mut bench = Bench::new();
    bench.receive(&incoming("OPTIONS", "z9hG4bK1"));
    answer_last(&mut bench, StatusCode::OK);
    assert_eq!(bench.sent_lines(), ["200 OPTIONS"]);
    bench.run(Duration::from_millis(31_999));
    bench.receive(&incoming("OPTIONS", "z9hG4bK1"));
    assert_eq!(bench.sent_lines(), ["200 OPTIONS"]);
    bench.run(Duration::from_millis(1));
    assert_eq!(bench.ua.load().servers, 0);
}

#[test]
fn timers_g_and_h_repeat_a_refusal_until_64_t1() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    assert_eq!(
        bench.sent_lines(),
        ["100 INVITE"],
        "at once, within the same millisecond"
    );
    answer_last(&mut bench, StatusCode::BUSY_HERE);
    let log = bench.run(SECONDS(40));
    assert_eq!(
        lines(&log, "486 INVITE"),
        [
            0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    assert_eq!(bench.ua.load().servers, 0);
    assert_eq!(bench.ua.counters().refusals_unacknowledged, 1);
}

#[test]
fn timer_i_absorbs_repeated_acks_for_t4() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    answer_last(&mut bench, StatusCode::BUSY_HERE);
    bench.sent();
    bench.receive(&within("ACK", 1, "z9hG4bK1", "x"));
    let log = bench.run(Duration::from_millis(4_999));
    assert!(log.is_empty(), "acknowledged, so not repeated");
    assert_eq!(bench.ua.load().servers, 1);
    bench.receive(&within("ACK", 1, "z9hG4bK1", "x"));
    bench.run(Duration::from_millis(1));
    assert_eq!(bench.ua.load().servers, 0);
    assert_eq!(bench.ua.counters().stray_acks, 0);
}

#[test]
fn a_2xx_is_repeated_t1_to_t2_until_64_t1_over_any_transport() {
    for transport in [TransportKind::Udp, TransportKind::Tls] {
        let mut bench = Bench::new().over(transport);
        bench.receive(&incoming("INVITE", "z9hG4bK1"));
        bench.sent();
        answer_last(&mut bench, StatusCode::OK);
        let log = bench.run(SECONDS(40));
        assert_eq!(
            lines(&log, "200 INVITE"),
            [
                0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
            ]
        );
        assert_eq!(names(&bench.events()), ["AckTimeout"]);
    }
}

#[test]
fn timer_l_absorbs_the_repeated_invite_after_its_2xx() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    let tag = answer_last(&mut bench, StatusCode::OK);
    bench.receive(&within("ACK", 1, "z9hG4bKack", &tag));
    assert_eq!(names(&bench.events()), ["Acked"]);
    bench.sent();
    let log = bench.run(Duration::from_millis(31_999));
    assert!(log.is_empty());
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    assert!(bench.sent_lines().is_empty() && bench.events().is_empty());
    bench.run(Duration::from_millis(1));
    assert_eq!(bench.ua.load().servers, 0);
}

#[test]
fn timer_m_takes_further_2xx_for_64_t1() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let request = bench.sent().remove(0);
    bench.answer(&request, 200, "b");
    bench.run(Duration::from_millis(31_999));
    bench.answer(&request, 200, "c");
    assert_eq!(names(&bench.events()), ["Final 200", "Final 200"]);
    bench.run(Duration::from_millis(1));
    assert_eq!(names(&bench.events()), ["ClientDone"]);
}

#[test]
fn timer_c_cancels_an_invite_that_only_rings_and_gives_it_up_64_t1_later() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let request = bench.sent().remove(0);
    bench.answer(&request, 180, "b");
    bench.run(SECONDS(100));
    bench.answer(&request, 180, "b");
    bench.run(Duration::from_millis(199_999));
    assert_eq!(
        names(&bench.events()),
        ["Provisional 180", "Provisional 180"]
    );
    let log = bench.run(Duration::from_millis(1));
    assert_eq!(log, [(1, "CANCEL".to_owned())]);
    bench.run(SECONDS(32));
    assert_eq!(names(&bench.events()), ["Failed TimedOut", "ClientDone"]);
    assert_eq!(bench.ua.load().dialogs, 0);
}

#[test]
fn a_provisional_response_is_repeated_every_minute_while_the_invite_waits() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    answer_last(&mut bench, StatusCode::RINGING);
    bench.sent();
    let log = bench.run(SECONDS(150));
    assert_eq!(lines(&log, "180 INVITE"), [60_000, 120_000]);
}

#[test]
fn an_invite_the_transaction_user_forgets_is_refused() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    bench.events();
    let log = bench.run(SECONDS(600));
    assert_eq!(lines(&log, "500 INVITE"), [600_000]);
    assert_eq!(names(&bench.events()), ["Cancelled"]);
}

/// Answers the request of the last event; the tag of the response.
fn answer_last(bench: &mut Bench, status: StatusCode) -> String {
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!("no request")
    };
    let response = bench.ua.respond_to(server, status).unwrap();
    let tag = response.headers.to_tag().unwrap();
    bench
        .ua
        .respond(bench.now(), server, response, Some(&settings()))
        .unwrap();
    tag
}
