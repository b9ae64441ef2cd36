//! Requests too long for a datagram: RFC 3261 §18.1.1.

use std::time::Duration;

use sip_msg::wire::{To, Transmit, TransportError, TransportReport};
use sip_msg::{HeaderName, Headers, Method, TransportKind};

use super::bench::{Bench, field, names, outgoing, read};
use crate::{ClientKey, DatagramPolicy, UaEvent};

const NEXT_HOP: &str = "sip:192.0.2.2:5060;transport=udp";

/// Sends a request that is longer than 1300 octets by itself.
fn send(bench: &mut Bench, method: Method, policy: DatagramPolicy) -> ClientKey {
    let mut out = outgoing(method, "sip:bob@example.net", NEXT_HOP);
    out.request
        .headers
        .push(HeaderName::Subject, "x".repeat(1300));
    out.datagrams = policy;
    bench.ua.send(bench.now(), out)
}

fn long(bench: &mut Bench, method: Method) -> Transmit {
    send(bench, method, DatagramPolicy::default());
    bench.transmits().remove(0)
}

fn transport(transmit: &Transmit) -> TransportKind {
    let To::Hop(hop) = &transmit.to else {
        panic!("not to a hop")
    };
    assert_eq!(hop.addr.to_string(), "192.0.2.2:5060");
    hop.transport
}

fn via(transmit: &Transmit) -> String {
    field(&read(transmit.message.clone()), "Via")
}

fn fail(bench: &mut Bench, transmit: &Transmit) {
    let report = TransportReport::Failed {
        id: transmit.id,
        error: TransportError::Refused,
    };
    bench.ua.handle_report(bench.now(), report);
}

#[test]
fn a_long_request_goes_over_tcp_and_says_so() {
    let mut bench = Bench::new();
    bench.send_to(Method::Options, NEXT_HOP);
    assert_eq!(transport(&bench.transmits()[0]), TransportKind::Udp);
    let mut bench = Bench::new();
    let sent = long(&mut bench, Method::Invite);
    assert_eq!(transport(&sent), TransportKind::Tcp);
    assert!(via(&sent).starts_with("SIP/2.0/TCP "), "{}", via(&sent));
    assert_eq!(bench.ua.counters().long_by_stream, 1);
    // A reliable transport repeats nothing.
    assert_eq!(bench.run(Duration::from_secs(5)), []);
}

#[test]
fn it_goes_over_udp_to_a_peer_that_takes_no_connection() {
    for method in [Method::Invite, Method::Options] {
        let mut bench = Bench::new();
        let first = long(&mut bench, method.clone());
        fail(&mut bench, &first);
        let second = bench.transmits().remove(0);
        assert_eq!(transport(&second), TransportKind::Udp);
        assert!(via(&second).starts_with("SIP/2.0/UDP "));
        assert_ne!(via(&first), via(&second));
        assert!(bench.events().is_empty());
        assert_eq!(bench.ua.counters().long_datagrams, 1);
        // Nobody waits for a connection again until the peer may have changed.
        let next = long(&mut bench, method.clone());
        assert_eq!(transport(&next), TransportKind::Udp);
        bench.run(Duration::from_secs(601));
        bench.events();
        let later = long(&mut bench, method);
        assert_eq!(transport(&later), TransportKind::Tcp);
    }
}

#[test]
fn a_peer_known_to_take_none_is_sent_datagrams_and_they_are_counted() {
    let mut bench = Bench::new();
    let policy = DatagramPolicy {
        streams: false,
        ..DatagramPolicy::default()
    };
    send(&mut bench, Method::Invite, policy);
    assert_eq!(transport(&bench.transmits()[0]), TransportKind::Udp);
    assert_eq!(bench.ua.counters().long_datagrams, 1);
    let policy = DatagramPolicy {
        longest: 2000,
        ..DatagramPolicy::default()
    };
    send(&mut bench, Method::Options, policy);
    assert_eq!(transport(&bench.transmits()[0]), TransportKind::Udp);
    assert_eq!(bench.ua.counters().long_datagrams, 1);
}

#[test]
fn what_was_given_up_before_the_connection_failed_is_not_sent() {
    let mut bench = Bench::new();
    let client = send(&mut bench, Method::Invite, DatagramPolicy::default());
    let sent = bench.transmits().remove(0);
    bench.ua.cancel(bench.now(), client, Headers::new());
    fail(&mut bench, &sent);
    assert_eq!(names(&bench.events()), ["Failed Cancelled", "ClientDone"]);
    assert!(bench.transmits().is_empty());
    let load = bench.ua.load();
    assert_eq!((load.clients, load.transmits, load.deadlines), (0, 0, 0));
}

#[test]
fn requests_within_a_dialog_and_acks_do_the_same() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let invite = read(bench.transmits().remove(0).message);
    bench.answer(&invite, 200, "b");
    let Some(UaEvent::Final {
        dialog: Some(dialog),
        ..
    }) = bench.events().pop()
    else {
        panic!("no answer")
    };
    let body = ("application/sdp", "x".repeat(1300).into());
    bench.ua.ack(bench.now(), dialog, Some(body)).unwrap();
    let ack = bench.transmits().remove(0);
    assert_eq!(transport(&ack), TransportKind::Tcp);
    fail(&mut bench, &ack);
    let again = bench.transmits().remove(0);
    assert_eq!(transport(&again), TransportKind::Udp);
    assert_ne!(via(&ack), via(&again));
    bench.run(Duration::from_secs(601));
    let now = bench.now();
    let build = |request: &mut sip_msg::Request| request.set_body("text/plain", "x".repeat(1300));
    let sent = bench.ua.dialog_request(now, dialog, Method::Info, build);
    sent.unwrap();
    let info = bench.transmits().remove(0);
    assert_eq!(transport(&info), TransportKind::Tcp);
    fail(&mut bench, &info);
    assert_eq!(transport(&bench.transmits()[0]), TransportKind::Udp);
}
