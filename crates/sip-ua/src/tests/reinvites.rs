//! Re-INVITEs: RFC 3261 §14.

use std::time::Duration;

use sip_msg::{Method, StatusCode};

use super::bench::{Bench, brief, field, within};
use super::dialogs::{called, request_uri};
use super::net::{ALICE, BOB, Link, Net};
use crate::UaEvent;

#[test]
fn rfc_3261_14_2_a_second_invite_before_the_answer_is_500_with_retry_after() {
    let mut bench = Bench::new();
    let (_, tag) = called(&mut bench);
    bench.receive(&within("INVITE", 2, "z9hG4bK2", &tag));
    bench.sent();
    bench.receive(&within("INVITE", 3, "z9hG4bK3", &tag));
    let sent = bench.sent();
    assert_eq!(
        sent.iter().map(brief).collect::<Vec<_>>(),
        ["100 INVITE", "500 INVITE"]
    );
    assert!(sent[1].headers().retry_after().unwrap() <= 10);
}

#[test]
fn rfc_3261_14_2_an_invite_that_meets_ours_is_491() {
    let mut bench = Bench::new();
    let (dialog, tag) = called(&mut bench);
    bench
        .ua
        .dialog_request(bench.now(), dialog, Method::Invite, |_| {})
        .unwrap();
    bench.sent();
    bench.receive(&within("INVITE", 2, "z9hG4bK2", &tag));
    assert_eq!(bench.sent_lines(), ["100 INVITE", "491 INVITE"]);
    assert!(bench.events().is_empty());
    assert_eq!(bench.ua.counters().glare, 1);
}

#[test]
fn glare_ends_with_both_reinvites_done_one_after_the_other() {
    for seed in 0..50 {
        let mut net = Net::new(seed, Link::GOOD);
        let dialogs = net.established();
        for side in [ALICE, BOB] {
            net.request(side, dialogs[side], Method::Invite);
        }
        let mut done = [0; 2];
        while done != [1, 1] {
            assert!(net.moment.as_nanos() < 20_000_000_000, "{:#?}", net.ladder);
            net.step(net.moment + Duration::from_secs(1));
            for side in [ALICE, BOB] {
                while let Some(event) = net.parties[side].inbox.pop_front() {
                    match event {
                        UaEvent::Request { server, .. } => {
                            net.answer(side, server, StatusCode::OK);
                        }
                        UaEvent::Final { response, .. } if response.status.is_success() => {
                            net.ack(side, dialogs[side]);
                            done[side] += 1;
                        }
                        UaEvent::RetryInvite { dialog } => {
                            let now = net.now();
                            // Glare again, from the other direction, is tried later.
                            let ua = &mut net.parties[side].ua;
                            assert!(
                                ua.dialog_request(now, dialog, Method::Invite, |_| {})
                                    .is_ok()
                            );
                        }
                        _ => {}
                    }
                }
            }
        }
        net.run_for(Duration::from_secs(70));
        let alice = net.parties[ALICE].ua.dialog(dialogs[ALICE]).unwrap();
        let bob = net.parties[BOB].ua.dialog(dialogs[BOB]).unwrap();
        assert_eq!(alice.remote_seq, Some(bob.local_seq));
        assert_eq!(bob.remote_seq, Some(alice.local_seq));
        for side in [ALICE, BOB] {
            assert_eq!(net.parties[side].ua.load().clients, 0);
            assert!(net.parties[side].heard.contains(&"Final 491".to_owned()));
        }
    }
}

#[test]
fn rfc_3261_14_1_the_owner_of_the_call_id_waits_longer_after_a_491() {
    let mut net = Net::new(5, Link::GOOD);
    let dialogs = net.established();
    for side in [ALICE, BOB] {
        net.request(side, dialogs[side], Method::Invite);
    }
    let start = net.moment;
    let mut retried = [None; 2];
    while retried.iter().any(Option::is_none) {
        assert!(net.step(net.moment + Duration::from_secs(10)));
        for side in [ALICE, BOB] {
            while let Some(event) = net.parties[side].inbox.pop_front() {
                if matches!(event, UaEvent::RetryInvite { .. }) {
                    retried[side] = Some(net.moment.saturating_since(start).as_millis() - 20);
                }
            }
        }
    }
    let [alice, bob] = retried.map(Option::unwrap);
    assert!((2100..=4000).contains(&alice) && alice % 10 == 0, "{alice}");
    assert!(bob <= 2000 && bob % 10 == 0, "{bob}");
}

#[test]
fn a_2xx_to_a_reinvite_is_acknowledged_also_after_the_peers_bye() {
    let mut bench = Bench::new();
    let (dialog, tag) = called(&mut bench);
    bench
        .ua
        .dialog_request(bench.now(), dialog, Method::Invite, |_| {})
        .unwrap();
    let reinvite = bench.sent().remove(0);
    bench.receive(&within("BYE", 2, "z9hG4bKbye", &tag));
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!("a BYE")
    };
    let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    bench.ua.respond(bench.now(), server, ok, None).unwrap();
    assert!(bench.ua.dialog(dialog).is_none());
    bench.sent();
    for _ in 0..2 {
        bench.answer(&reinvite, 200, "theirs");
        let sent = bench.sent();
        let [ack] = sent.as_slice() else {
            panic!("an ACK: {sent:?}")
        };
        assert_eq!(
            field(ack, "CSeq"),
            field(&reinvite, "CSeq").replace("INVITE", "ACK")
        );
        assert_eq!(field(ack, "To"), field(&reinvite, "To"));
        assert_eq!(request_uri(ack), request_uri(&reinvite));
        assert!(bench.events().is_empty(), "nobody waits for it");
    }
    bench.run(Duration::from_secs(64));
    assert_eq!(bench.ua.load().clients, 0);
}
