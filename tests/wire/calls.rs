//! SIPp on both sides: the carrier calls the exchange through the daemon.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;
use trunkline_tests::lab::Lab;
use trunkline_tests::lossy::Lossy;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::two_trunks::{Gateway, Plan};

const SOON: Duration = Duration::from_secs(3);

fn caller(lab: &Lab, parts: &[&str]) -> Sipp {
    Sipp::new(lab, "carrier", SocketAddr::new(lab.host(2), 5060), parts)
        .towards(SocketAddr::new(lab.host(1), 5060))
}

fn called(lab: &Lab, parts: &[&str]) -> Sipp {
    Sipp::new(lab, "pbx", SocketAddr::new(lab.host(3), 5060), parts)
}

/// One call of these two scenarios, and its record.
fn one_call(transport: &'static str, caller_parts: &[&str], called_parts: &[&str]) -> Value {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &Plan::over(transport));
    let pbx = called(&lab, called_parts).over(transport).start();
    let carrier = caller(&lab, caller_parts).over(transport).start();
    carrier.succeed();
    pbx.succeed();
    gateway.await_no_calls(SOON);
    let record = gateway.records(1).remove(0);
    assert_eq!(record["from_trunk"], "carrier", "{record}");
    assert_eq!(record["called"], "+14255550123", "{record}");
    assert_eq!(record["calling"], "+14255550177", "{record}");
    assert_eq!(record["attempts"].as_array().map(Vec::len), Some(1));
    record
}

fn assert_answered(record: &Value, by: &str) {
    assert_eq!(record["status"], 200, "{record}");
    assert_eq!(record["ended_by"], by, "{record}");
    assert_eq!(record["to_trunk"], "pbx", "{record}");
    assert_eq!(record["route"], "in", "{record}");
    assert!(record["answered"].is_string(), "{record}");
}

#[test]
fn either_party_hangs_up_over_udp_and_tcp() {
    for transport in ["udp", "tcp"] {
        let record = one_call(
            transport,
            &["caller/invite", "caller/answered", "caller/bye"],
            &[
                "called/invited",
                "called/ringing",
                "called/answer",
                "wait_bye",
            ],
        );
        assert_answered(&record, "caller");
        assert!(record["ringing"].is_string(), "{record}");
        let record = one_call(
            transport,
            &["caller/invite", "caller/answered", "wait_bye"],
            &[
                "called/invited",
                "called/ringing",
                "called/answer",
                "called/bye",
            ],
        );
        assert_answered(&record, "called");
    }
}

#[test]
fn either_party_holds_and_resumes_over_udp_and_tcp() {
    let caller_holds = (
        [
            "caller/invite",
            "caller/answered",
            "caller/reinvite?cseq=2&offer=sendonly&answer=recvonly",
            "caller/reinvite?cseq=3&offer=sendrecv&answer=sendrecv",
            "caller/bye",
        ],
        [
            "called/invited",
            "called/answer",
            "reinvited?offer=sendonly&answer=recvonly&version=2",
            "reinvited?offer=sendrecv&answer=sendrecv&version=3",
            "wait_bye",
        ],
    );
    let called_holds = (
        [
            "caller/invite",
            "caller/answered",
            "reinvited?offer=sendonly&answer=recvonly&version=2",
            "reinvited?offer=sendrecv&answer=sendrecv&version=3",
            "wait_bye",
        ],
        [
            "called/invited",
            "called/answer",
            "called/reinvite?cseq=2&offer=sendonly&answer=recvonly",
            "called/reinvite?cseq=3&offer=sendrecv&answer=sendrecv",
            "called/bye",
        ],
    );
    for transport in ["udp", "tcp"] {
        let record = one_call(transport, &caller_holds.0, &caller_holds.1);
        assert_answered(&record, "caller");
        let record = one_call(transport, &called_holds.0, &called_holds.1);
        assert_answered(&record, "called");
    }
}

#[test]
fn a_call_is_cancelled_before_and_after_it_rings() {
    for transport in ["udp", "tcp"] {
        let record = one_call(
            transport,
            &["caller/invite", "caller/trying", "caller/cancel"],
            &["called/invited", "called/trying", "called/cancelled"],
        );
        assert!(record["status"].is_null(), "{record}");
        assert!(record["ringing"].is_null(), "{record}");
        let record = one_call(
            transport,
            &["caller/invite", "caller/ringing", "caller/cancel"],
            &["called/invited", "called/ringing", "called/cancelled"],
        );
        assert!(record["status"].is_null(), "{record}");
        assert_eq!(record["ended_by"], "caller", "{record}");
        assert!(record["ringing"].is_string(), "{record}");
        assert!(record["answered"].is_null(), "{record}");
    }
}

#[test]
fn what_the_called_party_refuses_reaches_the_caller() {
    for (status, transport) in [(486, "udp"), (603, "tcp"), (404, "udp")] {
        let refused = format!("caller/refused?status={status}");
        let refuse = format!("called/refuse?status={status}");
        let record = one_call(
            transport,
            &["caller/invite", &refused],
            &["called/invited", &refuse],
        );
        assert_eq!(record["status"], status, "{record}");
        assert_eq!(record["failure"], "user", "{record}");
        assert_eq!(record["ended_by"], "called", "{record}");
    }
}

/// A call whose first peer is `first`; the second one answers.
fn second_peer_answers(trunks: &str, first: &[&str]) -> Value {
    let lab = Lab::new();
    let peers = [3, 4].map(|host| SocketAddr::new(lab.host(host), 5060));
    let gateway = Gateway::start(
        &lab,
        &Plan {
            pbx_peers: peers.to_vec(),
            trunks: trunks.to_owned(),
            ..Plan::over("udp")
        },
    );
    let (socket, party) = if first.is_empty() {
        let socket = UdpSocket::bind(peers[0]).expect("the silent peer's address is free");
        (Some(socket), None)
    } else {
        (None, Some(called(&lab, first).start()))
    };
    let second = Sipp::new(
        &lab,
        "second",
        peers[1],
        &[
            "called/invited",
            "called/ringing",
            "called/answer",
            "wait_bye",
        ],
    )
    .start();
    caller(&lab, &["caller/invite", "caller/answered", "caller/bye"])
        .start()
        .succeed();
    second.succeed();
    if let Some(party) = party {
        party.succeed();
    }
    if let Some(socket) = socket {
        let mut datagram = [0; 65_536];
        let (length, _) = socket.recv_from(&mut datagram).expect("it was asked first");
        assert!(datagram[..length].starts_with(b"INVITE "));
    }
    gateway.await_no_calls(SOON);
    let record = gateway.records(1).remove(0);
    assert_answered(&record, "caller");
    record
}

#[test]
fn a_peer_that_answers_503_is_passed_over() {
    let record = second_peer_answers("", &["called/invited", "called/refuse?status=503"]);
    assert_eq!(record["attempts"][0]["status"], 503, "{record}");
    assert_eq!(record["attempts"][0]["failure"], "trunk-overload");
    assert_eq!(record["attempts"][1]["status"], 200, "{record}");
}

#[test]
fn a_silent_peer_is_left_after_the_attempt_timeout() {
    let record = second_peer_answers("attempt_timeout = \"600ms\"", &[]);
    assert_eq!(record["attempts"][0]["failure"], "timeout", "{record}");
    assert_eq!(record["attempts"][1]["status"], 200, "{record}");
    let delay = record["post_dial_delay_ms"].as_u64().expect("it rang");
    assert!((600..1600).contains(&delay), "{record}");
}

#[test]
fn fifty_calls_a_second_all_go_through() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &Plan::over("udp"));
    let pbx = called(
        &lab,
        &[
            "called/invited",
            "called/ringing",
            "called/answer",
            "wait_bye",
        ],
    )
    .calls(300, 300)
    .start();
    caller(
        &lab,
        &[
            "caller/invite",
            "caller/answered",
            "pause?ms=500",
            "caller/bye",
        ],
    )
    .calls(300, 50)
    .start()
    .succeed();
    pbx.succeed();
    gateway.await_no_calls(SOON);
    for record in gateway.records(300) {
        assert_answered(&record, "caller");
        let delay = record["post_dial_delay_ms"].as_u64().expect("it rang");
        assert!(delay < 1000, "{record}");
    }
    assert_eq!(gateway.metric("trunkline_internal_faults_total"), 0);
}

#[test]
fn calls_survive_a_network_that_loses_and_doubles() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &Plan::over("udp"));
    let carrier_at = SocketAddr::new(lab.host(4), 5060);
    let pbx_at = SocketAddr::new(lab.host(5), 5060);
    let lossy = [
        Lossy::start(lab.host(2), carrier_at, gateway.carrier_side(), 5),
        Lossy::start(lab.host(3), pbx_at, gateway.pbx_side(), 5),
    ];
    // Answers that were lost are asked for again; SIPp must still be there to repeat them.
    let linger = "linger?ms=4000";
    let contact = |part: &str, host| format!("{part}?contact={}:5060", lab.host(host));
    // SIPp counts what it hears of a call that is over as a call; it is ended with the test.
    let _pbx = Sipp::new(
        &lab,
        "pbx",
        pbx_at,
        &[
            "called/invited",
            &contact("called/ringing", 3),
            &contact("called/answer", 3),
            "wait_bye",
            linger,
        ],
    )
    .calls(1000, 20)
    .start();
    let carrier = Sipp::new(
        &lab,
        "carrier",
        carrier_at,
        &[
            &contact("caller/invite", 2),
            &contact("caller/answered", 2),
            &contact("caller/bye", 2),
            linger,
        ],
    )
    .towards(SocketAddr::new(lab.host(2), 5061))
    .calls(20, 20)
    .start();
    carrier.succeed();
    // The last BYE's 200 may have been lost for the daemon; the call it was about is over.
    gateway.await_no_calls(Duration::from_secs(10));
    let records = gateway.records(20);
    let mut legs: Vec<String> = Vec::new();
    for record in &records {
        assert_answered(record, "caller");
        let attempts = record["attempts"].as_array().expect("a list");
        assert_eq!(attempts.len(), 1, "{record}");
        legs.push(attempts[0]["call_id"].to_string());
    }
    legs.sort_unstable();
    legs.dedup();
    assert_eq!(legs.len(), 20, "a leg was made twice");
    for side in &lossy {
        let (dropped, doubled) = side.faults();
        assert!(dropped >= 20 && doubled >= 20, "{dropped} {doubled}");
    }
}
