//! The flows of RFC 3665 as ladders: time in milliseconds, one line a message.

use std::time::Duration;

use sip_msg::{Headers, Method, StatusCode};

use super::net::{ALICE, BOB, Link, Net};
use crate::UaEvent;

fn assert_ladder(net: &Net, expected: &str) {
    let drawn: Vec<_> = net.ladder.iter().map(|line| line.trim()).collect();
    let expected: Vec<_> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(drawn, expected, "\n{}", net.ladder.join("\n"));
}

fn request(event: UaEvent) -> crate::ServerKey {
    let UaEvent::Request { server, .. } = event else {
        panic!("not a request: {event:?}")
    };
    server
}

#[test]
fn rfc_3665_3_1_session_establishment() {
    let mut net = Net::new(1, Link::GOOD);
    net.invite();
    let server = request(net.next_event(BOB));
    net.answer(BOB, server, StatusCode::RINGING);
    net.run_for(Duration::from_secs(2));
    let bob = net.answer(BOB, server, StatusCode::OK).unwrap();
    let UaEvent::Provisional { dialog: early, .. } = net.next_event(ALICE) else {
        panic!()
    };
    let UaEvent::Final { dialog, .. } = net.next_event(ALICE) else {
        panic!()
    };
    assert_eq!(early, dialog, "the 200 confirms the early dialog");
    net.ack(ALICE, dialog.unwrap());
    net.next_event(BOB);
    net.run_for(Duration::from_secs(1));
    net.request(BOB, bob, Method::Bye);
    let server = request(net.next_event(ALICE));
    net.answer(ALICE, server, StatusCode::OK);
    net.run_for(Duration::from_secs(65));
    assert_ladder(
        &net,
        "0  A ---> B  INVITE
        10  A <--- B  100 INVITE
        10  A <--- B  180 INVITE
        2010  A <--- B  200 INVITE
        2020  A ---> B  ACK
        3030  A <--- B  BYE
        3040  A ---> B  200 BYE",
    );
    net.assert_empty();
}

#[test]
fn rfc_3665_3_7_session_where_the_200_is_lost_once() {
    let mut net = Net::new(1, Link::GOOD);
    net.lose = vec!["200 INVITE"];
    net.invite();
    let server = request(net.next_event(BOB));
    net.answer(BOB, server, StatusCode::OK);
    let UaEvent::Final { dialog, .. } = net.next_event(ALICE) else {
        panic!()
    };
    net.ack(ALICE, dialog.unwrap());
    net.run_for(Duration::from_secs(5));
    assert_ladder(
        &net,
        "0  A ---> B  INVITE
        10  A <--- B  100 INVITE
        10  A  x-- B  200 INVITE
        510  A <--- B  200 INVITE
        520  A ---> B  ACK",
    );
}

#[test]
fn the_ack_is_repeated_when_the_200_is() {
    let mut net = Net::new(1, Link::GOOD);
    net.lose = vec!["ACK", "ACK"];
    net.invite();
    let server = request(net.next_event(BOB));
    net.answer(BOB, server, StatusCode::OK);
    let UaEvent::Final { dialog, .. } = net.next_event(ALICE) else {
        panic!()
    };
    net.ack(ALICE, dialog.unwrap());
    net.run_for(Duration::from_secs(5));
    assert_ladder(
        &net,
        "0  A ---> B  INVITE
        10  A <--- B  100 INVITE
        10  A <--- B  200 INVITE
        20  A --x  B  ACK
        510  A <--- B  200 INVITE
        520  A --x  B  ACK
        1510  A <--- B  200 INVITE
        1520  A ---> B  ACK",
    );
    assert_eq!(net.parties[BOB].heard, ["Request INVITE", "Acked"]);
    assert_eq!(net.parties[ALICE].heard, ["Final 200"]);
}

#[test]
fn rfc_3665_3_8_unsuccessful_no_answer() {
    let mut net = Net::new(1, Link::GOOD);
    let call = net.invite();
    let server = request(net.next_event(BOB));
    net.answer(BOB, server, StatusCode::RINGING);
    net.next_event(ALICE);
    let now = net.now();
    net.parties[ALICE].ua.cancel(now, call, Headers::new());
    net.run_for(Duration::from_secs(65));
    assert_ladder(
        &net,
        "0  A ---> B  INVITE
        10  A <--- B  100 INVITE
        10  A <--- B  180 INVITE
        20  A ---> B  CANCEL
        30  A <--- B  200 CANCEL
        30  A <--- B  487 INVITE
        40  A ---> B  ACK",
    );
    assert_eq!(net.parties[BOB].heard, ["Request INVITE", "Cancelled"]);
    assert_eq!(
        net.parties[ALICE].heard,
        ["Provisional 180", "Final 487", "ClientDone"]
    );
    net.assert_empty();
}

#[test]
fn rfc_3665_3_9_unsuccessful_busy() {
    let mut net = Net::new(1, Link::GOOD);
    net.lose = vec!["ACK"];
    net.invite();
    let server = request(net.next_event(BOB));
    net.answer(BOB, server, StatusCode::BUSY_HERE);
    net.run_for(Duration::from_secs(65));
    assert_ladder(
        &net,
        "0  A ---> B  INVITE
        10  A <--- B  100 INVITE
        10  A <--- B  486 INVITE
        20  A --x  B  ACK
        510  A <--- B  486 INVITE
        520  A ---> B  ACK",
    );
    net.assert_empty();
}

#[test]
fn a_bye_waits_for_the_ack_of_our_200() {
    let mut net = Net::new(1, Link::GOOD);
    net.lose = vec!["ACK"];
    net.invite();
    let server = request(net.next_event(BOB));
    let bob = net.answer(BOB, server, StatusCode::OK).unwrap();
    net.request(BOB, bob, Method::Bye);
    let UaEvent::Final { dialog, .. } = net.next_event(ALICE) else {
        panic!()
    };
    net.ack(ALICE, dialog.unwrap());
    let server = request(net.next_event(ALICE));
    net.answer(ALICE, server, StatusCode::OK);
    net.run_for(Duration::from_secs(65));
    assert_ladder(
        &net,
        "0  A ---> B  INVITE
        10  A <--- B  100 INVITE
        10  A <--- B  200 INVITE
        20  A --x  B  ACK
        510  A <--- B  200 INVITE
        520  A ---> B  ACK
        530  A <--- B  BYE
        540  A ---> B  200 BYE",
    );
    net.assert_empty();
}

#[test]
fn a_call_that_nobody_acknowledges_is_reported_after_64_t1() {
    let mut net = Net::new(1, Link::GOOD);
    net.invite();
    let server = request(net.next_event(BOB));
    let bob = net.answer(BOB, server, StatusCode::OK).unwrap();
    net.run_for(Duration::from_millis(31_999));
    assert!(net.parties[BOB].inbox.is_empty());
    net.run_for(Duration::from_millis(1));
    assert!(matches!(
        net.parties[BOB].inbox.pop_front(),
        Some(UaEvent::AckTimeout { dialog }) if dialog == bob
    ));
    assert!(
        net.parties[BOB].ua.dialog(bob).is_some(),
        "to be ended with a BYE"
    );
}
