//! Which message belongs to what: RFC 3261 §8.2, §17.1.3, §17.2.3 and §18.2.

use bytes::Bytes;
use sip_msg::wire::To;
use sip_msg::{Framing, Limits as MessageLimits, Method, StatusCode, TransportKind, parse};

use super::bench::{Bench, PEER, destination, field, incoming, names, settings, within};
use crate::UaEvent;

#[test]
fn rfc_3261_17_2_3_a_retransmission_is_absorbed() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    assert_eq!(bench.sent_lines(), ["100 INVITE", "100 INVITE"]);
    assert_eq!(names(&bench.events()), ["Request INVITE"]);
    bench.receive(&incoming("OPTIONS", "z9hG4bK1"));
    assert_eq!(
        names(&bench.events()),
        ["Request OPTIONS"],
        "another method, another transaction"
    );
}

#[test]
fn rfc_3261_17_2_3_the_same_branch_of_another_sender_is_another_transaction() {
    let mut bench = Bench::new();
    bench.receive(&incoming("OPTIONS", "z9hG4bK1"));
    let other = incoming("OPTIONS", "z9hG4bK1").replace("UDP 192.0.2.2:5060", "UDP 192.0.2.3:5060");
    bench.receive(&other.replace("call-2", "call-3"));
    assert_eq!(
        names(&bench.events()),
        ["Request OPTIONS", "Request OPTIONS"]
    );
}

#[test]
fn rfc_3261_17_2_3_a_peer_of_rfc_2543_is_matched_by_its_fields() {
    let mut bench = Bench::new();
    let invite = incoming("INVITE", "1");
    bench.receive(&invite);
    bench.receive(&invite);
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    let busy = bench.ua.respond_to(server, StatusCode::BUSY_HERE).unwrap();
    let tag = busy.headers.to_tag().unwrap();
    bench.ua.respond(bench.now(), server, busy, None).unwrap();
    assert_eq!(
        bench.sent_lines(),
        ["100 INVITE", "100 INVITE", "486 INVITE"]
    );
    bench.receive(&within("ACK", 1, "1", &tag));
    assert!(
        bench.run(std::time::Duration::from_secs(4)).is_empty(),
        "the ACK was understood"
    );
    bench.receive(&incoming("CANCEL", "1"));
    assert_eq!(bench.sent_lines(), ["200 CANCEL"]);
}

#[test]
fn a_2xx_to_a_peer_of_rfc_2543_is_acknowledged_without_tags() {
    let mut bench = Bench::new();
    let untagged = |text: String| text.replace(";tag=theirs", "");
    bench.receive(&untagged(incoming("INVITE", "1")));
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    let tag = ok.headers.to_tag().unwrap();
    bench
        .ua
        .respond(bench.now(), server, ok, Some(&settings()))
        .unwrap();
    bench.receive(&untagged(within("ACK", 1, "2", &tag)));
    assert_eq!(names(&bench.events()), ["Acked"]);
    bench.receive(&untagged(within("BYE", 2, "3", &tag)));
    assert_eq!(names(&bench.events()), ["Request BYE"]);
}

#[test]
fn rfc_3261_8_2_2_2_a_merged_request_is_482() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    bench.sent();
    bench.receive(&incoming("INVITE", "z9hG4bK2"));
    assert_eq!(bench.sent_lines(), ["482 INVITE"]);
    assert_eq!(names(&bench.events()), ["Request INVITE"]);
    assert_eq!(bench.ua.counters().loops, 1);
}

#[test]
fn rfc_3261_8_2_6_2_a_stateless_refusal_has_the_same_tag_each_time() {
    let mut bench = Bench::new();
    let spent = incoming("INVITE", "z9hG4bK1").replace("Max-Forwards: 70", "Max-Forwards: 0");
    bench.receive(&spent);
    bench.receive(&spent);
    let sent = bench.sent();
    assert_eq!(sent[0], sent[1]);
    assert!(field(&sent[0], "To").contains("tag="));
}

#[test]
fn rfc_3261_16_3_max_forwards_0_is_483_for_options_too() {
    let mut bench = Bench::new();
    for method in ["INVITE", "OPTIONS"] {
        let request = incoming(method, method);
        bench.receive(&request.replace("Max-Forwards: 70", "Max-Forwards: 0"));
    }
    assert_eq!(bench.sent_lines(), ["483 INVITE", "483 OPTIONS"]);
    assert!(bench.events().is_empty());
    assert_eq!(bench.ua.load().servers, 0);
}

#[test]
fn rfc_3261_16_3_our_own_request_back_unchanged_is_482_and_changed_is_a_spiral() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let ours = field(&bench.sent()[0], "Via");
    let back = |uri: &str, call: &str| {
        let below = format!("Max-Forwards: 70\nVia: {ours}\n");
        incoming("INVITE", "z9hG4bK9")
            .replace("INVITE sip:alice@192.0.2.1", &format!("INVITE {uri}"))
            .replace("Max-Forwards: 70\n", &below)
            .replace("call-2", call)
            .replace("z9hG4bK9", &format!("z9hG4bK{call}"))
    };
    bench.receive(&back("sip:bob@example.net", "call-1"));
    assert_eq!(bench.sent_lines(), ["482 INVITE"]);
    bench.receive(&back("sip:carol@example.net", "call-9"));
    assert_eq!(bench.sent_lines(), ["100 INVITE"]);
}

#[test]
fn rfc_3261_18_1_2_a_stray_response_is_counted_and_dropped() {
    let mut bench = Bench::new();
    bench.receive(
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnobody\n\
         From: <sip:a@example.com>;tag=1\nTo: <sip:b@example.com>;tag=2\nCall-ID: x\n\
         CSeq: 1 INVITE\n",
    );
    assert!(bench.sent_lines().is_empty() && bench.events().is_empty());
    assert_eq!(bench.ua.counters().stray_responses, 1);
}

#[test]
fn rfc_3261_17_1_3_a_response_to_another_method_is_not_ours() {
    let mut bench = Bench::new();
    bench.send(Method::Options);
    let mut options = bench.sent().remove(0);
    options
        .headers_mut()
        .set(sip_msg::HeaderName::CSeq, "1 INVITE");
    bench.answer(&options, 200, "b");
    assert!(bench.events().is_empty());
    assert_eq!(bench.ua.counters().stray_responses, 1);
}

#[test]
fn rfc_3261_8_1_3_3_a_response_with_a_second_via_is_dropped() {
    let mut bench = Bench::new();
    bench.send(Method::Options);
    let options = bench.sent().remove(0);
    bench.answer_with(
        &options,
        200,
        "b",
        "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother\n",
    );
    assert!(bench.events().is_empty());
    assert_eq!(bench.ua.counters().malformed, 1);
}

#[test]
fn rfc_3581_4_the_response_returns_to_where_the_request_came_from() {
    let mut bench = Bench::new();
    let request = incoming("OPTIONS", "z9hG4bK1")
        .replace(&format!("{PEER};branch"), "10.1.2.3:5062;rport;branch");
    bench.receive_from(&request, "203.0.113.9:33333".parse().unwrap());
    let Some(UaEvent::Request {
        server, request, ..
    }) = bench.events().pop()
    else {
        panic!()
    };
    let via = request.headers.top_via().unwrap();
    assert_eq!(via.rport(), Some(Some(33333)));
    assert_eq!(via.received(), Some("203.0.113.9".parse().unwrap()));
    let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    bench.ua.respond(bench.now(), server, ok, None).unwrap();
    let transmit = bench.transmits().remove(0);
    assert_eq!(destination(&transmit.to).to_string(), "203.0.113.9:33333");
}

#[test]
fn rfc_3261_18_2_2_without_rport_the_port_is_that_of_sent_by() {
    let mut bench = Bench::new();
    let more = "Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKbelow\nMax-Forwards: 70";
    let request = incoming("INVITE", "z9hG4bK1")
        .replace(&format!("{PEER};branch"), "proxy.example.net:5062;branch")
        .replace("Max-Forwards: 70", more);
    bench.receive_from(&request, "203.0.113.9:33333".parse().unwrap());
    let transmit = bench.transmits().remove(0);
    assert_eq!(destination(&transmit.to).to_string(), "203.0.113.9:5062");
    let trying = super::bench::read(transmit.message);
    let vias = trying.headers().vias().unwrap();
    assert_eq!(vias.len(), 2, "the Vias below stay");
    assert_eq!(vias[0].received(), Some("203.0.113.9".parse().unwrap()));
    assert_eq!(vias[0].rport(), None);
    assert_eq!(vias[1].branch(), Some("z9hG4bKbelow"));
}

#[test]
fn rfc_3261_18_2_2_a_stream_response_may_fall_back_to_a_new_connection() {
    let mut bench = Bench::new().over(TransportKind::Tls);
    let request = incoming("INVITE", "z9hG4bK1")
        .replace("UDP", "TLS")
        .replace(&format!("{PEER};branch"), "proxy.example.net:5071;branch");
    bench.receive_from(&request, "203.0.113.9:33333".parse().unwrap());
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    bench.sent();
    let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    bench
        .ua
        .respond(bench.now(), server, ok, Some(&settings()))
        .unwrap();
    let To::Flow {
        fallback: Some(hop),
        ..
    } = bench.transmits().remove(0).to
    else {
        panic!()
    };
    assert_eq!(hop.addr.to_string(), "203.0.113.9:5071");
    assert_eq!(
        (&*hop.server_name, hop.trunk.as_str()),
        ("proxy.example.net", "carrier")
    );
}

#[test]
fn a_rejected_request_is_answered_but_never_an_ack_or_a_response() {
    let mut bench = Bench::new();
    for (text, answer) in [
        (incoming("OPTIONS", "z9hG4bK1"), Some("400 OPTIONS")),
        (incoming("ACK", "z9hG4bK2"), None),
        ("SIP/2.0 200 OK\n".to_owned(), None),
    ] {
        let broken = text + "Content-Length: x\n\n";
        let wire = Bytes::from(broken.replace('\n', "\r\n"));
        let rejected = parse(wire, &MessageLimits::default(), Framing::Datagram).unwrap_err();
        let (now, arrival) = (bench.now(), bench.arrival());
        bench.ua.handle_rejected(now, arrival, *rejected);
        assert_eq!(bench.sent_lines().first().map(String::as_str), answer);
    }
    assert_eq!(bench.ua.counters().malformed, 3);
}

#[test]
fn an_unknown_method_comes_up_as_a_request() {
    let mut bench = Bench::new();
    bench.receive(&incoming("FROBNICATE", "z9hG4bK1"));
    assert_eq!(names(&bench.events()), ["Request FROBNICATE"]);
}

#[test]
fn a_request_that_has_no_hop_left_is_refused_whatever_its_method() {
    let methods = [
        "INVITE",
        "OPTIONS",
        "MESSAGE",
        "SUBSCRIBE",
        "REFER",
        "REGISTER",
        "PUBLISH",
        "NOTIFY",
        "INFO",
        "FROB",
    ];
    for method in methods {
        let mut bench = Bench::new();
        let text = incoming(method, "z9hG4bKh").replace("Max-Forwards: 70", "Max-Forwards: 0");
        bench.receive(&text);
        assert_eq!(bench.sent_lines(), [format!("483 {method}")]);
        assert!(bench.events().is_empty(), "{method}");
    }
}
