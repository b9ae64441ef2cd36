//! Which connection a message takes.

use std::time::Duration;

use sip_msg::TransportKind::Tcp;
use sip_msg::wire::{FlowId, To, TransportError, TrunkName};
use sip_transport::{CloseReason, Counter, FlowPolicy, ReconnectPolicy, TrunkFlow};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::rig::*;

/// An end that listens and has one trunk, and a peer that has called it.
async fn called(flows: FlowPolicy) -> (End, TcpStream, sip_msg::wire::Arrival) {
    let mut end = End::start(config(vec![listener(Tcp)], vec![trunk(flows)]));
    let mut tcp = TcpStream::connect(end.address()).await.unwrap();
    tcp.write_all(options("theirs").as_bytes()).await.unwrap();
    let (arrival, _) = end.request().await;
    (end, tcp, arrival)
}

#[tokio::test]
async fn a_connection_of_a_one_way_peer_never_carries_our_requests() {
    let (mut end, tcp, arrival) = called(FlowPolicy::OneWay).await;
    // To the very address the peer called from: there is no listener, so a new connection is
    // refused, and the one that exists is left alone.
    let id = end.send(
        to_hop(Tcp, arrival.remote, "peer.example"),
        request("BYE", "c", Some("t"), ""),
    );
    assert_eq!(end.failure().await, (id, TransportError::Refused));
    let id = end.send(back(&arrival), request("BYE", "c", Some("t"), ""));
    assert_eq!(end.failure().await, (id, TransportError::NoFlow));
    assert_eq!(end.count(Counter::OneWayRefused), 1);

    let response = ok(&end_request());
    end.send(back(&arrival), response.clone());
    let mut read = vec![0; response.len()];
    let mut tcp = tcp;
    tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut read)
        .await
        .unwrap();
    assert_eq!(read, response, "nothing but the response came");
}

fn end_request() -> sip_msg::Request {
    let parsed = sip_msg::parse(
        options("theirs").into(),
        &sip_msg::Limits::default(),
        sip_msg::Framing::Stream,
    );
    match parsed {
        Ok(sip_msg::Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn other_policies_let_requests_take_the_peers_connection() {
    for policy in [FlowPolicy::Reuse, FlowPolicy::ClientFlow] {
        let (mut end, mut tcp, arrival) = called(policy).await;
        let bye = request("BYE", "c", Some("t"), "");
        end.send(to_hop(Tcp, arrival.remote, "peer.example"), bye.clone());
        let mut read = vec![0; bye.len()];
        let reading = tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut read);
        timeout(PATIENCE, reading).await.unwrap().unwrap();
        assert_eq!(read, bye.as_bytes());
        assert_eq!(end.count(Counter::ConnectAttempts), 0);
    }
}

#[tokio::test]
async fn a_client_flow_is_never_dialled() {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut end = End::start(config(vec![], vec![trunk(FlowPolicy::ClientFlow)]));
    let id = end.send(
        to_hop(Tcp, peer.local_addr().unwrap(), "peer.example"),
        options("x"),
    );
    assert_eq!(end.failure().await, (id, TransportError::NoFlow));
    assert_eq!(end.count(Counter::ConnectAttempts), 0);
}

#[tokio::test]
async fn a_response_whose_connection_is_gone_takes_the_fallback() {
    let (mut end, tcp, arrival) = called(FlowPolicy::OneWay).await;
    drop(tcp);
    assert_eq!(end.closed().await, (arrival.flow, CloseReason::Peer));
    let response = ok(&end_request());
    let id = end.send(back(&arrival), response.clone());
    assert_eq!(end.failure().await, (id, TransportError::NoFlow));

    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fallback = Some(hop(Tcp, peer.local_addr().unwrap(), "peer.example"));
    let to = To::Flow {
        flow: arrival.flow,
        remote: arrival.remote,
        fallback,
    };
    end.send(to, response);
    timeout(PATIENCE, peer.accept()).await.unwrap().unwrap();
}

#[tokio::test]
async fn unknown_flows_and_trunks_are_reported() {
    let mut end = End::start(config(vec![], vec![]));
    let remote = "127.0.0.1:9".parse().unwrap();
    let id = end.send(
        To::Flow {
            flow: FlowId(77),
            remote,
            fallback: None,
        },
        options("x"),
    );
    assert_eq!(end.failure().await, (id, TransportError::NoFlow));
    let id = end.send(to_hop(Tcp, remote, "peer.example"), options("x"));
    assert_eq!(end.failure().await, (id, TransportError::NoFlow));
}

#[tokio::test]
async fn requests_to_one_hop_share_one_connection() {
    let mut server = End::start(config(vec![listener(Tcp)], vec![]));
    let mut client = End::start(config(vec![], vec![trunk(FlowPolicy::OneWay)]));
    for call in ["a", "b", "c"] {
        client.send(to_hop(Tcp, server.address(), "peer.example"), options(call));
    }
    let mut flows = Vec::new();
    for call in ["a", "b", "c"] {
        let (arrival, message) = server.message().await;
        assert_eq!(call_id(&message), call, "in the order sent");
        flows.push(arrival.flow);
    }
    flows.dedup();
    assert_eq!(flows.len(), 1);
    assert_eq!(client.count(Counter::ConnectAttempts), 1);
}

#[tokio::test]
async fn a_connection_is_renewed_while_the_old_one_finishes() {
    let mut server = End::start(config(vec![listener(Tcp)], vec![]));
    let trunk = TrunkFlow {
        renewal: Some(Duration::from_millis(100)),
        ..trunk(FlowPolicy::OneWay)
    };
    let mut client = End::start(config(vec![], vec![trunk]));
    let to = to_hop(Tcp, server.address(), "peer.example");
    client.send(to.clone(), request("INVITE", "long", None, ""));
    let (old, invite) = server.request().await;
    client.counted(Counter::ConnectionsOpened, 2).await;
    client.send(to, options("new"));
    assert_ne!(server.request().await.0.flow, old.flow);
    server.send(back(&old), ok(&invite));
    let (_, answer) = client.message().await;
    assert_eq!(
        call_id(&answer),
        "long",
        "the old connection brings what it owes"
    );
}

/// A host that drops everything cannot be had on loopback; a listener whose queue is full can.
#[tokio::test]
async fn a_host_that_does_not_answer_costs_the_connect_timeout() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(tcp)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        waiting.push(tcp);
    }
    let trunk = TrunkFlow {
        connect_timeout: Duration::from_millis(200),
        ..trunk(FlowPolicy::OneWay)
    };
    let mut end = End::start(config(vec![], vec![trunk]));
    let id = end.send(to_hop(Tcp, address, "peer.example"), options("x"));
    assert_eq!(end.failure().await, (id, TransportError::ConnectTimeout));
    assert_eq!(end.count(Counter::ConnectTimeouts), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_not_stormed() {
    /// How often somebody wants to send something to the peer, in the test's own time.
    const PACE: Duration = Duration::from_millis(100);
    /// The longest pause between two attempts.
    const LONGEST: Duration = Duration::from_secs(30);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let reconnect = ReconnectPolicy {
        first: Duration::from_millis(500),
        longest: LONGEST,
    };
    let trunk = TrunkFlow {
        reconnect,
        ..trunk(FlowPolicy::OneWay)
    };
    let mut end = End::start(config(vec![], vec![trunk]));
    let started = tokio::time::Instant::now();
    let mut failures = 0;
    while started.elapsed() < Duration::from_secs(300) {
        let id = end.send(to_hop(Tcp, address, "peer.example"), options("x"));
        assert_eq!(end.failure().await, (id, TransportError::Refused));
        failures += 1;
        tokio::time::sleep(PACE).await;
    }
    let attempts = end.count(Counter::ConnectAttempts);
    assert!(
        failures > 2000,
        "each request is answered at once: {failures}"
    );
    assert!(
        (10..=40).contains(&attempts),
        "{attempts} attempts in five minutes"
    );

    // And when it is back, it is found within the longest pause.
    let back = TcpListener::bind(address).await.unwrap();
    tokio::time::sleep(LONGEST + Duration::from_secs(1)).await;
    end.send(to_hop(Tcp, address, "peer.example"), options("x"));
    back.accept().await.unwrap();
}

#[tokio::test]
async fn connections_of_a_trunk_that_is_gone_retire() {
    let mut server = End::start(config(vec![listener(Tcp)], vec![]));
    let mut client = End::start(config(vec![], vec![trunk(FlowPolicy::OneWay)]));
    let to = to_hop(Tcp, server.address(), "peer.example");
    client.send(to.clone(), options("x"));
    server.request().await;
    client.opened().await;
    let other = TrunkFlow::new(TrunkName::from("other"), FlowPolicy::OneWay);
    client.transport.set_trunks(vec![other]).unwrap();
    assert!(client.transport.flows()[0].retiring);
    let id = client.send(to, options("y"));
    assert_eq!(client.failure().await, (id, TransportError::NoFlow));
}
