//! Reliable provisional responses (RFC 3262), both roles, on good links and on bad ones.

use std::time::Duration;

use sip_msg::{HeaderName, Message, Method, StatusCode};

use super::bench::{Bench, field, incoming, names, outgoing, settings, within};
use super::net::{ALICE, BOB, Link, Net};
use crate::{DialogError, DialogKey, RespondError, ServerKey, UaEvent};

const SUPPORTS: &str = "Supported: 100rel\n";

/// An INVITE of the peer, with the 100 out of the way.
fn invited(bench: &mut Bench, more: &str) -> ServerKey {
    bench.receive(&(incoming("INVITE", "z9hG4bKi") + more));
    let [UaEvent::Request { server, .. }] = &bench.events()[..] else {
        panic!("no INVITE")
    };
    bench.sent();
    *server
}

fn ring(bench: &mut Bench, server: ServerKey) -> Result<Option<DialogKey>, RespondError> {
    let now = bench.now();
    let mut response = bench.ua.respond_to(server, StatusCode::RINGING).unwrap();
    response
        .headers
        .push(HeaderName::Contact, "<sip:192.0.2.1:5060>");
    bench
        .ua
        .respond_reliably(now, server, response, Some(&settings()))
}

fn prack(bench: &mut Bench, seq: u32, ringing: &Message) {
    let to = field(ringing, "To");
    let tag = to.rsplit("tag=").next().unwrap();
    let rack = format!("RAck: {} 1 INVITE\n", field(ringing, "RSeq"));
    bench.receive(&(within("PRACK", seq, &format!("z9hG4bKp{seq}"), tag) + &rack));
}

#[test]
fn a_reliable_response_is_repeated_until_its_prack() {
    let mut bench = Bench::new().over(sip_msg::TransportKind::Tcp);
    let server = invited(&mut bench, SUPPORTS);
    ring(&mut bench, server).unwrap();
    let ringing = bench.sent().remove(0);
    assert_eq!(field(&ringing, "Require"), "100rel");
    let first: u32 = field(&ringing, "RSeq").parse().unwrap();
    assert!((1..1 << 31).contains(&first));
    assert_eq!(ring(&mut bench, server), Err(RespondError::Unacknowledged));
    let log: Vec<u64> = bench
        .run(Duration::from_millis(3_600))
        .into_iter()
        .map(|(at, _)| at)
        .collect();
    assert_eq!(log, [500, 1_500, 3_500], "T1, doubled");
    prack(&mut bench, 2, &ringing);
    assert_eq!(names(&bench.events()), ["Request PRACK"]);
    assert_eq!(bench.run(Duration::from_secs(20)), []);
    // A second PRACK of the same acknowledges nothing.
    prack(&mut bench, 3, &ringing);
    assert_eq!(bench.sent_lines(), ["481 PRACK"]);
    assert_eq!(names(&bench.events()), Vec::<String>::new());
    ring(&mut bench, server).unwrap();
    let again = bench.sent().remove(0);
    assert_eq!(field(&again, "RSeq"), (first + 1).to_string());
}

#[test]
fn without_a_prack_the_transaction_user_is_told_after_32_seconds() {
    let mut bench = Bench::new();
    let server = invited(&mut bench, SUPPORTS);
    ring(&mut bench, server).unwrap();
    let log = bench.run(Duration::from_secs(40));
    assert_eq!(log.last().unwrap().0, 31_500);
    assert_eq!(names(&bench.events()), ["PrackTimeout"]);
    assert_eq!(bench.ua.counters().pracks_missing, 1);
    let refusal = bench
        .ua
        .respond_to(server, StatusCode::SERVER_TIMEOUT)
        .unwrap();
    let now = bench.now();
    bench.ua.respond(now, server, refusal, None).unwrap();
    assert_eq!(bench.sent_lines(), ["504 INVITE"]);
}

#[test]
fn a_peer_that_does_not_know_100rel_gets_none() {
    let mut bench = Bench::new();
    let server = invited(&mut bench, "");
    assert_eq!(ring(&mut bench, server), Err(RespondError::NotReliable));
    assert_eq!(bench.sent_lines(), Vec::<String>::new());
}

#[test]
fn an_answer_waits_for_the_prack_of_a_description() {
    let mut bench = Bench::new();
    let server = invited(&mut bench, "Require: 100rel\n");
    let now = bench.now();
    let mut progress = bench
        .ua
        .respond_to(server, StatusCode::SESSION_PROGRESS)
        .unwrap();
    progress.set_body("application/sdp", "v=0");
    let sent = bench
        .ua
        .respond_reliably(now, server, progress, Some(&settings()));
    sent.unwrap();
    let progress = bench.sent().remove(0);
    let answer = |bench: &mut Bench| {
        let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
        let now = bench.now();
        bench.ua.respond(now, server, ok, None)
    };
    assert_eq!(answer(&mut bench), Err(RespondError::Unacknowledged));
    prack(&mut bench, 2, &progress);
    assert!(answer(&mut bench).is_ok());
}

/// A response to the INVITE of `bench`, reliable under this RSeq.
fn progress(bench: &mut Bench, invite: &Message, rseq: u32, tag: &str) {
    let more = format!("Contact: <sip:bob@192.0.2.2:5060>\nRequire: 100rel\nRSeq: {rseq}\n");
    bench.answer_with(invite, 183, tag, &more);
}

fn calling() -> (Bench, Message) {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    (bench, invite)
}

fn dialog_of(event: &UaEvent) -> DialogKey {
    let UaEvent::Provisional { dialog, .. } = event else {
        panic!("{event:?}")
    };
    dialog.unwrap()
}

#[test]
fn reliable_responses_come_once_and_in_order_within_each_dialog() {
    let (mut bench, invite) = calling();
    for (rseq, tag) in [(7, "a"), (7, "a"), (9, "a"), (1, "b"), (8, "a"), (6, "a")] {
        progress(&mut bench, &invite, rseq, tag);
    }
    let events = bench.events();
    let heard: Vec<_> = events
        .iter()
        .map(|event| {
            let UaEvent::Provisional { response, .. } = event else {
                panic!("{event:?}")
            };
            response.headers.rseq().unwrap().unwrap()
        })
        .collect();
    assert_eq!(heard, [7, 1, 8]);
    assert_eq!(bench.ua.counters().provisionals_early, 1);
    let [a, b, _] = [0, 1, 2].map(|at| dialog_of(&events[at]));
    let now = bench.now();
    for (dialog, rack) in [(b, "1 1 INVITE"), (a, "8 1 INVITE")] {
        assert!(bench.ua.owes_prack(dialog));
        bench.ua.prack(now, dialog, |_| {}).unwrap();
        let prack = bench.sent().remove(0);
        assert_eq!(field(&prack, "RAck"), rack);
        assert_eq!(field(&prack, "CSeq"), "2 PRACK");
        let again = bench.ua.prack(now, dialog, |_| {});
        assert_eq!(again, Err(DialogError::NothingToAcknowledge));
    }
}

/// One call over a bad link: rings reliably twice, then is answered.
fn call(seed: u64) -> Net {
    let link = Link {
        loss_percent: seed % 31,
        twice_percent: seed % 20,
        delay_ms: (1, 1 + seed * 7 % 300),
    };
    let mut net = Net::new(seed, link);
    let mut out = outgoing(
        Method::Invite,
        "sip:bob@192.0.2.2:5060",
        "sip:192.0.2.2:5060;transport=udp",
    );
    out.request.headers.push(HeaderName::Supported, "100rel");
    let now = net.now();
    net.parties[ALICE].ua.send(now, out);
    let UaEvent::Request { server, .. } = net.next_event(BOB) else {
        panic!("no INVITE")
    };
    for _ in 0..2 {
        let now = net.now();
        let bob = &mut net.parties[BOB].ua;
        let mut ringing = bob.respond_to(server, StatusCode::RINGING).unwrap();
        ringing
            .headers
            .push(HeaderName::Contact, "<sip:192.0.2.2:5060>");
        bob.respond_reliably(now, server, ringing, Some(&settings()))
            .unwrap();
        let UaEvent::Provisional { dialog, .. } = net.next_event(ALICE) else {
            panic!("no 180")
        };
        let now = net.now();
        net.parties[ALICE]
            .ua
            .prack(now, dialog.unwrap(), |_| {})
            .unwrap();
        let UaEvent::Request { server: prack, .. } = net.next_event(BOB) else {
            panic!("no PRACK: {:#?}", net.ladder)
        };
        net.answer(BOB, prack, StatusCode::OK);
        while !matches!(net.next_event(ALICE), UaEvent::ClientDone { .. }) {}
    }
    net.answer(BOB, server, StatusCode::OK);
    let UaEvent::Final { dialog, .. } = net.next_event(ALICE) else {
        panic!("no 200: {:#?}", net.ladder)
    };
    net.ack(ALICE, dialog.unwrap());
    let UaEvent::Acked { .. } = net.next_event(BOB) else {
        panic!("no ACK: {:#?}", net.ladder)
    };
    net.request(ALICE, dialog.unwrap(), Method::Bye);
    let UaEvent::Request { server, .. } = net.next_event(BOB) else {
        panic!("no BYE")
    };
    net.answer(BOB, server, StatusCode::OK);
    net.run_for(Duration::from_secs(120));
    net
}

#[test]
fn a_hundred_calls_that_ring_reliably_over_bad_links() {
    for seed in 0..100 {
        let net = call(seed);
        net.assert_empty();
        let told = |side: usize, name: &str| {
            let heard = &net.parties[side].heard;
            heard.iter().filter(|heard| *heard == name).count()
        };
        assert_eq!(told(ALICE, "Provisional 180"), 2, "{:#?}", net.ladder);
        assert_eq!(told(BOB, "Request PRACK"), 2, "{:#?}", net.ladder);
    }
}
