//! CANCEL and its races: RFC 3261 §9.

use std::time::Duration;

use sip_msg::{HeaderName, Headers, Method, StatusCode};

use super::bench::{Bench, field, incoming, names, within};
use super::net::{ALICE, BOB, Link, Net};
use crate::{ClientFailure, UaEvent};

#[test]
fn rfc_3261_9_1_cancel_waits_for_a_provisional_response() {
    let mut bench = Bench::new();
    let call = bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    let mut reason = Headers::new();
    reason.push(HeaderName::Reason, "SIP;cause=200");
    bench.ua.cancel(bench.now(), call, reason);
    assert!(bench.sent_lines().is_empty());
    bench.answer(&invite, 100, "");
    let cancel = bench.sent().remove(0);
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(field(&cancel, name), field(&invite, name), "{name}");
    }
    assert_eq!(field(&cancel, "CSeq"), "1 CANCEL");
    assert_eq!(field(&cancel, "Reason"), "SIP;cause=200");
}

#[test]
fn rfc_3261_9_1_no_cancel_after_a_final_response() {
    let mut bench = Bench::new();
    let call = bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    bench.answer(&invite, 486, "b");
    bench.sent();
    bench.ua.cancel(bench.now(), call, Headers::new());
    assert!(bench.sent_lines().is_empty());
}

#[test]
fn an_invite_cancelled_before_it_was_sent_is_never_sent() {
    let mut bench = Bench::new();
    let call = bench.send_to(Method::Invite, "sip:carrier.example.net;transport=tcp");
    bench.ua.cancel(bench.now(), call, Headers::new());
    assert!(bench.sent_lines().is_empty());
    assert_eq!(names(&bench.events()), ["Failed Cancelled", "ClientDone"]);
    assert_eq!(bench.ua.load().lookups, 0);
}

#[test]
fn a_cancelled_invite_without_an_answer_is_given_up_after_64_t1() {
    let mut bench = Bench::new();
    let call = bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    bench.answer(&invite, 180, "b");
    bench.ua.cancel(bench.now(), call, Headers::new());
    bench.events();
    bench.run(Duration::from_secs(32));
    let events = bench.events();
    assert!(matches!(
        events[..],
        [
            UaEvent::Failed {
                error: ClientFailure::TimedOut,
                ..
            },
            UaEvent::ClientDone { .. }
        ]
    ));
    assert_eq!(bench.ua.load().dialogs, 0);
}

#[test]
fn rfc_3261_9_2_cancel_of_an_unknown_invite_is_answered_481() {
    let mut bench = Bench::new();
    bench.receive(&incoming("CANCEL", "z9hG4bK1"));
    assert_eq!(bench.sent_lines(), ["481 CANCEL"]);
    assert!(bench.events().is_empty());
}

#[test]
fn rfc_3261_9_2_cancel_is_answered_200_with_the_tag_of_the_invite() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    bench.events();
    bench.sent();
    let cancel = incoming("CANCEL", "z9hG4bK1") + "Reason: SIP;cause=200;text=\"elsewhere\"\n";
    bench.receive(&cancel);
    let sent = bench.sent();
    assert_eq!(
        sent.iter().map(super::bench::brief).collect::<Vec<_>>(),
        ["200 CANCEL", "487 INVITE"]
    );
    assert_eq!(field(&sent[0], "To"), field(&sent[1], "To"));
    let events = bench.events();
    assert!(
        matches!(&events[..], [UaEvent::Cancelled { headers, .. }] if headers.reason()[0].cause == Some(200))
    );
    bench.receive(&cancel);
    assert_eq!(
        bench.sent_lines(),
        ["200 CANCEL"],
        "a repeated CANCEL is absorbed"
    );
    bench.receive(&within("ACK", 1, "z9hG4bK1", "x"));
    assert!(bench.events().is_empty());
}

#[test]
fn rfc_3261_9_2_cancel_after_the_final_response_changes_nothing() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    let busy = bench.ua.respond_to(server, StatusCode::BUSY_HERE).unwrap();
    bench.ua.respond(bench.now(), server, busy, None).unwrap();
    bench.sent();
    bench.receive(&incoming("CANCEL", "z9hG4bK1"));
    assert_eq!(bench.sent_lines(), ["200 CANCEL"]);
    assert!(bench.events().is_empty());
}

/// The callee answers; the caller gives up a few milliseconds before or after that, so that 200
/// and CANCEL cross. Either nobody has a session, or both do and the caller ends it.
#[test]
fn cancel_and_200_may_cross_at_any_millisecond() {
    for answer_ms in 0..=50 {
        let mut net = Net::new(answer_ms, Link::GOOD);
        let call = net.invite();
        let UaEvent::Request { server, .. } = net.next_event(BOB) else {
            panic!()
        };
        net.answer(BOB, server, StatusCode::RINGING);
        let ringing = net.moment;
        let cancel_at = ringing + Duration::from_millis(25);
        let answer_at = ringing + Duration::from_millis(answer_ms);
        for (at, answers) in in_order(cancel_at, answer_at) {
            let wait = at.saturating_since(net.moment);
            net.run_for(wait);
            let now = net.now();
            match answers {
                true => drop(net.answer(BOB, server, StatusCode::OK)),
                false => net.parties[ALICE].ua.cancel(now, call, Headers::new()),
            }
        }
        net.run_for(Duration::from_millis(100));
        let accepted = net.parties[ALICE]
            .inbox
            .iter()
            .find_map(|event| match event {
                UaEvent::Final {
                    response, dialog, ..
                } if response.status.is_success() => *dialog,
                _ => None,
            });
        if let Some(dialog) = accepted {
            net.ack(ALICE, dialog);
            net.request(ALICE, dialog, Method::Bye);
            net.run_for(Duration::from_millis(100));
            let Some(UaEvent::Request { server, .. }) = net.parties[BOB].inbox.pop_back() else {
                panic!("no BYE");
            };
            net.answer(BOB, server, StatusCode::OK);
        } else {
            assert!(
                net.parties[ALICE].heard.contains(&"Final 487".to_owned()),
                "{answer_ms} ms"
            );
            assert!(
                net.parties[BOB].heard.contains(&"Cancelled".to_owned()),
                "{answer_ms} ms"
            );
        }
        net.run_for(Duration::from_secs(70));
        net.assert_empty();
    }
}

fn in_order(cancel: ambient::Moment, answer: ambient::Moment) -> [(ambient::Moment, bool); 2] {
    match answer < cancel {
        true => [(answer, true), (cancel, false)],
        false => [(cancel, false), (answer, true)],
    }
}
