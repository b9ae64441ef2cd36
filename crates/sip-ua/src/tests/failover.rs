//! From one address to the next: RFC 3263 §4.3.

use std::time::Duration;

use sip_msg::dns::{DnsAnswer, DnsError, Query, RecordType, Records, Srv};
use sip_msg::wire::{To, Transmit, TransportError, TransportReport};
use sip_msg::{Method, TransportKind};

use super::bench::{Bench, destination, field, names, outgoing, read};
use crate::{HopPolicy, UaEvent};

fn queries(bench: &mut Bench) -> Vec<Query> {
    std::iter::from_fn(|| bench.ua.poll_query()).collect()
}

/// Answers what the user agent asks, until it asks no more.
fn serve(bench: &mut Bench, zone: impl Fn(&Query) -> Option<Records>) {
    loop {
        let asked = queries(bench);
        if asked.is_empty() {
            return;
        }
        for query in asked {
            let result = zone(&query).ok_or(DnsError::NoData);
            let answer = DnsAnswer {
                query,
                result,
                ttl: Duration::from_secs(60),
            };
            bench.ua.handle_dns(bench.now(), answer);
        }
    }
}

fn two_servers(query: &Query) -> Option<Records> {
    let srv = |priority, target: &str| Srv {
        priority,
        weight: 1,
        port: 5070,
        target: target.into(),
    };
    match (&*query.name, query.kind) {
        ("_sip._udp.example.net", RecordType::Srv) => Some(Records::Srv(vec![
            srv(2, "b.example.net"),
            srv(1, "a.example.net"),
        ])),
        ("a.example.net", RecordType::A) => {
            Some(Records::Addresses(vec!["198.51.100.1".parse().unwrap()]))
        }
        ("b.example.net", RecordType::A) => {
            Some(Records::Addresses(vec!["198.51.100.2".parse().unwrap()]))
        }
        _ => None,
    }
}

fn called(bench: &mut Bench) -> Transmit {
    bench.send_to(Method::Invite, "sip:example.net;transport=udp");
    serve(bench, two_servers);
    bench.transmits().remove(0)
}

fn fail(bench: &mut Bench, transmit: &Transmit, error: TransportError) {
    let id = transmit.id;
    let report = TransportReport::Failed { id, error };
    bench.ua.handle_report(bench.now(), report);
}

fn disconnect(bench: &mut Bench, transmit: &Transmit, written: bool) {
    let id = transmit.id;
    let report = TransportReport::Disconnected { id, written };
    bench.ua.handle_report(bench.now(), report);
}

#[test]
fn a_request_whose_connection_ended_is_repeated_once_and_then_goes_to_the_next_address() {
    for (method, written) in [(Method::Bye, true), (Method::Invite, false)] {
        let mut bench = Bench::new();
        bench.send_to(method, "sip:example.net;transport=tcp");
        serve(&mut bench, |query| {
            let name = query.name.replace("_tcp", "_udp");
            two_servers(&Query {
                name: name.into(),
                ..query.clone()
            })
        });
        let first = bench.transmits().remove(0);
        disconnect(&mut bench, &first, written);
        let again = bench.transmits().remove(0);
        assert_eq!((&again.to, &again.message), (&first.to, &first.message));
        assert_ne!(again.id, first.id);
        // The first one is nobody's any more.
        disconnect(&mut bench, &first, written);
        fail(&mut bench, &first, TransportError::Closed);
        assert!(bench.transmits().is_empty());
        disconnect(&mut bench, &again, written);
        let next = bench.transmits().remove(0);
        assert_eq!(destination(&next.to).to_string(), "198.51.100.2:5070");
        bench.run(Duration::from_secs(80));
        let load = bench.ua.load();
        assert_eq!((load.clients, load.transmits, load.deadlines), (0, 0, 0));
    }
}

#[test]
fn what_was_answered_is_not_repeated_when_its_connection_ends() {
    for (method, status) in [
        (Method::Options, 100),
        (Method::Options, 200),
        (Method::Invite, 180),
        (Method::Invite, 486),
    ] {
        let mut bench = Bench::new();
        bench.send_to(method, "sip:198.51.100.1;transport=tcp");
        let sent = bench.transmits().remove(0);
        bench.answer(&read(sent.message.clone()), status, "x");
        bench.transmits();
        bench.events();
        disconnect(&mut bench, &sent, true);
        assert!(bench.transmits().is_empty());
        assert!(bench.events().is_empty());
        assert_eq!(bench.ua.counters().undelivered, 0);
    }
}

#[test]
fn an_invite_that_is_to_be_cancelled_is_not_repeated() {
    let mut bench = Bench::new();
    let key = bench.send_to(Method::Invite, "sip:198.51.100.1;transport=tcp");
    let sent = bench.transmits().remove(0);
    bench.ua.cancel(bench.now(), key, Default::default());
    disconnect(&mut bench, &sent, true);
    assert!(bench.transmits().is_empty());
    let events = names(&bench.events());
    assert_eq!(events, ["Failed Transport(Closed)", "ClientDone"]);
}

#[test]
fn an_address_that_fails_is_followed_by_the_next_with_a_new_branch() {
    let mut bench = Bench::new();
    let first = called(&mut bench);
    assert_eq!(destination(&first.to).to_string(), "198.51.100.1:5070");
    fail(&mut bench, &first, TransportError::Refused);
    let second = bench.transmits().remove(0);
    assert_eq!(destination(&second.to).to_string(), "198.51.100.2:5070");
    let (first, second_message) = (read(first.message), read(second.message.clone()));
    assert_ne!(field(&first, "Via"), field(&second_message, "Via"));
    assert_eq!(field(&first, "CSeq"), field(&second_message, "CSeq"));
    assert!(bench.events().is_empty());
    fail(&mut bench, &second, TransportError::ConnectTimeout);
    assert_eq!(
        names(&bench.events()),
        ["Failed Transport(ConnectTimeout)", "ClientDone"]
    );
    bench.run(Duration::from_secs(40));
    let load = bench.ua.load();
    assert_eq!((load.clients, load.transmits, load.deadlines), (0, 0, 0));
}

#[test]
fn an_address_that_failed_is_tried_last_for_the_time_of_its_quarantine() {
    let mut bench = Bench::new();
    let first = called(&mut bench);
    fail(&mut bench, &first, TransportError::Unreachable);
    bench.sent();
    let again = called(&mut bench);
    assert_eq!(destination(&again.to).to_string(), "198.51.100.2:5070");
    bench.run(Duration::from_secs(31));
    let later = called(&mut bench);
    assert_eq!(destination(&later.to).to_string(), "198.51.100.1:5070");
}

#[test]
fn a_message_that_is_too_large_says_nothing_about_its_address() {
    let mut bench = Bench::new();
    let first = called(&mut bench);
    fail(&mut bench, &first, TransportError::TooLarge);
    bench.sent();
    let again = called(&mut bench);
    assert_eq!(destination(&again.to).to_string(), "198.51.100.1:5070");
}

#[test]
fn rfc_3263_4_3_a_503_leads_to_the_next_address() {
    let mut bench = Bench::new();
    let first = read(called(&mut bench).message);
    bench.answer(&first, 503, "x");
    let sent = bench.sent_lines();
    assert_eq!(sent, ["ACK", "INVITE"]);
    assert!(bench.events().is_empty());
}

#[test]
fn a_silent_address_is_left_after_the_time_the_policy_gives() {
    let mut bench = Bench::new();
    let mut out = outgoing(
        Method::Invite,
        "sip:bob@example.net",
        "sip:example.net;transport=udp",
    );
    out.policy = HopPolicy {
        failover: true,
        no_response: Some(Duration::from_secs(4)),
    };
    bench.ua.send(bench.now(), out);
    serve(&mut bench, two_servers);
    bench.sent();
    bench.run(Duration::from_millis(3_999));
    assert_eq!(bench.ua.counters().failovers, 0);
    bench.run(Duration::from_millis(1));
    assert_eq!(bench.ua.counters().failovers, 1);
    bench.run(Duration::from_secs(4));
    assert_eq!(names(&bench.events()), ["Failed TimedOut", "ClientDone"]);
}

#[test]
fn an_invite_that_was_left_is_cancelled_when_it_rings_after_all() {
    let mut bench = Bench::new();
    let first = left_behind(&mut bench);
    bench.answer(&first, 180, "late");
    assert_eq!(bench.sent_lines(), ["CANCEL"]);
    bench.answer(&first, 487, "late");
    assert_eq!(bench.sent_lines(), ["ACK"]);
    assert!(
        bench.events().is_empty(),
        "the transaction user hears nothing of it"
    );
}

#[test]
fn an_invite_that_was_left_is_acknowledged_and_ended_when_it_is_accepted_after_all() {
    let mut bench = Bench::new();
    let first = left_behind(&mut bench);
    bench.answer(&first, 200, "late");
    let sent = bench.sent();
    assert_eq!(
        sent.iter().map(super::bench::brief).collect::<Vec<_>>(),
        ["ACK", "BYE"]
    );
    assert!(bench.events().is_empty());
    bench.answer(&sent[1], 200, "");
    bench.run(Duration::from_secs(40));
    bench.events();
    let load = bench.ua.load();
    assert_eq!((load.clients, load.dialogs, load.deadlines), (0, 0, 0));
}

/// An INVITE at its first address, where it was left for the second for its silence.
fn left_behind(bench: &mut Bench) -> sip_msg::Message {
    let mut out = outgoing(
        Method::Invite,
        "sip:bob@example.net",
        "sip:example.net;transport=udp",
    );
    out.policy = HopPolicy {
        failover: true,
        no_response: Some(Duration::from_secs(4)),
    };
    bench.ua.send(bench.now(), out);
    serve(bench, two_servers);
    let first = bench.sent().remove(0);
    bench.run(Duration::from_secs(4));
    first
}

#[test]
fn a_host_without_addresses_fails_the_request() {
    let mut bench = Bench::new();
    bench.send_to(Method::Options, "sip:nowhere.example.net;transport=tls");
    serve(&mut bench, |_| None);
    assert_eq!(
        names(&bench.events()),
        ["Failed NoHop(NoAddress)", "ClientDone"]
    );
}

#[test]
fn a_lookup_that_is_never_answered_ends_after_its_time() {
    let mut bench = Bench::new();
    bench.send_to(Method::Options, "sip:silent.example.net");
    assert_eq!(queries(&mut bench).len(), 1);
    bench.run(Duration::from_secs(3));
    assert_eq!(
        names(&bench.events()),
        ["Failed NoHop(NoAddress)", "ClientDone"]
    );
    assert_eq!(bench.ua.load().lookups, 0);
}

#[test]
fn two_requests_to_one_host_ask_once() {
    let mut bench = Bench::new();
    bench.send_to(Method::Options, "sip:example.net:5070");
    bench.send_to(Method::Options, "sip:example.net:5070");
    let asked = queries(&mut bench);
    assert_eq!(
        asked.iter().map(|query| query.kind).collect::<Vec<_>>(),
        [RecordType::A, RecordType::Aaaa]
    );
    for query in asked {
        let result = match query.kind {
            RecordType::A => Ok(Records::Addresses(vec!["198.51.100.1".parse().unwrap()])),
            _ => Err(DnsError::NoData),
        };
        bench.ua.handle_dns(
            bench.now(),
            DnsAnswer {
                query,
                result,
                ttl: Duration::ZERO,
            },
        );
    }
    assert_eq!(
        bench.sent_lines(),
        ["OPTIONS", "OPTIONS"],
        "even with a TTL of zero"
    );
}

#[test]
fn the_certificate_name_is_the_name_dialled_not_the_srv_target() {
    let mut bench = Bench::new();
    bench.send_to(Method::Options, "sip:Trunk.Example.net;transport=tls");
    serve(&mut bench, |query| match (&*query.name, query.kind) {
        ("_sips._tcp.trunk.example.net", RecordType::Srv) => Some(Records::Srv(vec![Srv {
            priority: 1,
            weight: 1,
            port: 5061,
            target: "node7.example.org".into(),
        }])),
        ("node7.example.org", RecordType::A) => {
            Some(Records::Addresses(vec!["198.51.100.7".parse().unwrap()]))
        }
        _ => None,
    });
    let To::Hop(hop) = bench.transmits().remove(0).to else {
        panic!()
    };
    assert_eq!(hop.transport, TransportKind::Tls);
    assert_eq!(
        (&*hop.server_name, hop.addr.port()),
        ("Trunk.Example.net", 5061)
    );
}

#[test]
fn an_ack_that_is_not_delivered_goes_to_the_next_address() {
    let mut bench = Bench::new();
    let invite = read(called(&mut bench).message);
    bench.answer_with(
        &invite,
        200,
        "b",
        "Contact: <sip:example.net;transport=udp>\n",
    );
    let UaEvent::Final {
        dialog: Some(dialog),
        ..
    } = bench.events()[0]
    else {
        panic!()
    };
    bench.ua.ack(bench.now(), dialog, None).unwrap();
    let first = bench.transmits().remove(0);
    fail(&mut bench, &first, TransportError::Refused);
    let second = bench.transmits().remove(0);
    assert_ne!(destination(&first.to), destination(&second.to));
    bench.answer_with(&invite, 200, "b", "");
    assert_eq!(bench.transmits().remove(0).to, second.to, "and stays there");
}
