//! Datagrams.

use std::net::SocketAddr;
use std::time::Duration;

use sip_msg::TransportKind::Udp;
use sip_msg::wire::{TransportError, TrunkName};
use sip_transport::{AllowedNetwork, Counter, FlowPolicy, ListenerConfig, TransportLimits};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::rig::*;

async fn peer(address: &str) -> UdpSocket {
    UdpSocket::bind(address).await.unwrap()
}

async fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_535];
    let received = timeout(PATIENCE, socket.recv_from(&mut buffer))
        .await
        .unwrap();
    let (length, from) = received.unwrap();
    (String::from_utf8(buffer[..length].to_vec()).unwrap(), from)
}

#[tokio::test]
async fn requests_and_responses_cross_on_both_families() {
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let listen = ListenerConfig {
            bind: bind.parse().unwrap(),
            ..listener(Udp)
        };
        let mut ours = End::start(config(vec![listen.clone()], vec![trunk(FlowPolicy::Reuse)]));
        let mut theirs = End::start(config(vec![listen], vec![]));
        ours.send(to_hop(Udp, theirs.address(), "peer.example"), options("x"));
        let (arrival, request) = theirs.request().await;
        assert_eq!(
            (arrival.remote, arrival.local),
            (ours.address(), theirs.address())
        );
        theirs.send(back(&arrival), ok(&request));
        let (arrival, answer) = ours.message().await;
        assert_eq!(arrival.remote, theirs.address());
        assert_eq!(call_id(&answer), "x");
    }
}

#[tokio::test]
async fn replies_leave_from_the_address_that_was_called() {
    let bind = "0.0.0.0:0".parse().unwrap();
    let mut end = End::start(config(
        vec![ListenerConfig {
            bind,
            ..listener(Udp)
        }],
        vec![],
    ));
    let port = end.address().port();
    let socket = peer("127.0.0.1:0").await;
    for called in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        let called: SocketAddr = (called.parse::<std::net::IpAddr>().unwrap(), port).into();
        socket
            .send_to(options("x").as_bytes(), called)
            .await
            .unwrap();
        let (arrival, request) = end.request().await;
        assert_eq!(arrival.local, called);
        end.send(back(&arrival), ok(&request));
        assert_eq!(receive(&socket).await.1, called);
    }
}

#[tokio::test]
async fn strangers_get_silence() {
    let networks = vec![AllowedNetwork {
        network: "127.0.0.2/32".parse().unwrap(),
        trunk: TrunkName::from(TRUNK),
    }];
    let mut end = End::start(config(
        vec![ListenerConfig {
            networks,
            ..listener(Udp)
        }],
        vec![],
    ));
    let stranger = peer("127.0.0.3:0").await;
    stranger
        .send_to(options("stranger").as_bytes(), end.address())
        .await
        .unwrap();
    end.counted(Counter::UnknownSourceUdp, 1).await;
    let known = peer("127.0.0.2:0").await;
    known
        .send_to(options("known").as_bytes(), end.address())
        .await
        .unwrap();
    assert_eq!(call_id(&end.message().await.1), "known");
}

#[tokio::test]
async fn datagrams_have_their_limits() {
    let limits = TransportLimits {
        datagram_bytes: 2000,
        ..TransportLimits::default()
    };
    let mut end = End::start(sip_transport::TransportConfig {
        limits,
        ..config(vec![listener(Udp)], vec![trunk(FlowPolicy::Reuse)])
    });
    let large = request("INVITE", "large", None, &"x".repeat(2000));
    let socket = peer("127.0.0.1:0").await;
    let id = end.send(
        to_hop(Udp, socket.local_addr().unwrap(), "peer.example"),
        large.clone(),
    );
    assert_eq!(end.failure().await, (id, TransportError::TooLarge));
    socket
        .send_to(large.as_bytes(), end.address())
        .await
        .unwrap();
    end.counted(Counter::DatagramTooLarge, 1).await;
    for ping in [&b"\r\n\r\n"[..], b"\0\0\0\0", b""] {
        socket.send_to(ping, end.address()).await.unwrap();
    }
    end.counted(Counter::PingsIn, 3).await;
    socket
        .send_to(b"no SIP at all", end.address())
        .await
        .unwrap();
    match end.next().await {
        sip_transport::Incoming::Message(_, Err(rejected)) => assert!(rejected.request.is_none()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_new_requests_are_shed() {
    let limits = TransportLimits {
        first_lane: 100,
        second_lane: 2,
        ..TransportLimits::default()
    };
    let mut end = End::start(limited(listener(Udp), limits));
    let socket = peer("127.0.0.1:0").await;
    for call in ["1", "2", "3"] {
        let invite = request("INVITE", call, None, "");
        socket
            .send_to(invite.as_bytes(), end.address())
            .await
            .unwrap();
    }
    end.counted(Counter::Shed, 1).await;
    let (refusal, _) = receive(&socket).await;
    assert!(refusal.starts_with("SIP/2.0 503 "), "{refusal}");
    assert!(refusal.contains("Retry-After: 5\r\n") && refusal.contains("Call-ID: 3\r\n"));
    // A retransmission is refused with the same tag.
    let invite = request("INVITE", "3", None, "");
    socket
        .send_to(invite.as_bytes(), end.address())
        .await
        .unwrap();
    end.counted(Counter::Shed, 2).await;
    assert_eq!(receive(&socket).await.0, refusal);

    for (method, call, tag) in [
        ("ACK", "4", Some("t")),
        ("CANCEL", "5", None),
        ("BYE", "6", Some("t")),
        ("INVITE", "7", Some("t")),
        ("OPTIONS", "8", None),
    ] {
        let message = request(method, call, tag, "");
        socket
            .send_to(message.as_bytes(), end.address())
            .await
            .unwrap();
    }
    end.counted(Counter::MessagesIn, 9).await;
    // The first lane comes out first, though it went in last.
    for call in ["4", "5", "6", "7", "8", "1", "2"] {
        assert_eq!(call_id(&end.message().await.1), call);
    }
    assert_eq!(end.count(Counter::Shed), 2);
    let more = timeout(Duration::from_millis(20), end.incoming.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn what_is_queued_goes_in_order_and_past_what_cannot() {
    let mut end = End::start(config(vec![listener(Udp)], vec![trunk(FlowPolicy::Reuse)]));
    let near = peer("127.0.0.1:0").await;
    let far = peer("127.0.0.2:0").await;
    let (near_at, far_at) = (near.local_addr().unwrap(), far.local_addr().unwrap());
    // Nobody sends to port 0: the kernel refuses it, in the middle of the batch.
    let nowhere = "127.0.0.1:0".parse().unwrap();
    let mut refused = None;
    for number in 0..150 {
        let to = if number % 2 == 0 { near_at } else { far_at };
        end.queue(
            to_hop(Udp, to, "peer.example"),
            options(&number.to_string()),
        );
        if number == 70 {
            refused = Some(end.queue(to_hop(Udp, nowhere, "peer.example"), options("nowhere")));
        }
    }
    assert_eq!(end.count(Counter::MessagesOut), 0);
    end.transport.flush();
    assert_eq!(end.count(Counter::MessagesOut), 150);
    for number in 0..150 {
        let socket = if number % 2 == 0 { &near } else { &far };
        let (text, _) = receive(socket).await;
        assert!(text.contains(&format!("Call-ID: {number}\r\n")), "{text}");
    }
    let (id, error) = end.failure().await;
    assert_eq!((Some(id), error), (refused, TransportError::Unreachable));
}

#[tokio::test]
async fn a_burst_is_taken_in_order_whole_and_by_whoever_waits() {
    let mut end = End::start(config(vec![listener(Udp)], vec![]));
    let socket = peer("127.0.0.1:0").await;
    // More than one batch, less than the kernel holds.
    for round in 0..5 {
        for number in 0..70 {
            let call = format!("{round}-{number}");
            let bye = request("BYE", &call, Some("t"), "");
            socket.send_to(bye.as_bytes(), end.address()).await.unwrap();
        }
        for number in 0..70 {
            let (_, message) = end.message().await;
            assert_eq!(call_id(&message), format!("{round}-{number}"));
        }
    }
    // Nothing is left, and what comes later wakes the one who waits.
    let to = end.address();
    let late = tokio::spawn(async move { call_id(&end.message().await.1) });
    tokio::task::yield_now().await;
    let options = options("late");
    socket.send_to(options.as_bytes(), to).await.unwrap();
    assert_eq!(late.await.unwrap(), "late");
}
