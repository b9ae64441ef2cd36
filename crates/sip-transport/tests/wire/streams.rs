//! One stream: framing, keep-alive, and the clocks and bounds that end it.

use std::time::Duration;

use sip_msg::Message;
use sip_msg::TransportKind::Tcp;
use sip_msg::wire::{To, TransportError, TransportReport};
use sip_transport::{CloseReason, Counter, FlowPolicy, Incoming, TransportLimits, TrunkFlow};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::rig::*;

#[tokio::test]
async fn a_large_invite_arrives_byte_by_byte() {
    let mut end = End::start(config(vec![listener(Tcp)], vec![]));
    let mut tcp = TcpStream::connect(end.address()).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let body = "x".repeat(8 * 1024);
    let invite = request("INVITE", "slow", None, &body);
    let (writing, (_, message)) = tokio::join!(
        async {
            for byte in invite.as_bytes() {
                tcp.write_all(std::slice::from_ref(byte)).await.unwrap();
                // Lets the other end read before there is more.
                tokio::task::yield_now().await;
            }
            tcp
        },
        end.message()
    );
    assert_eq!(message.body(), body.as_bytes());
    drop(writing);
    assert_eq!(end.closed().await.1, CloseReason::Peer);
}

#[tokio::test]
async fn pings_are_answered_and_stray_line_ends_forgiven() {
    let mut end = End::start(config(vec![listener(Tcp)], vec![]));
    let mut tcp = TcpStream::connect(end.address()).await.unwrap();
    let (one, two) = (options("one"), options("two"));
    tcp.write_all(format!("\r\n{one}\r\n\r\n\r\n{two}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    assert_eq!(call_id(&end.message().await.1), "one");
    assert_eq!(call_id(&end.message().await.1), "two");
    let mut pongs = [0; 4];
    timeout(PATIENCE, tcp.read_exact(&mut pongs))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&pongs, b"\r\n\r\n");
    assert_eq!(end.count(Counter::PingsIn), 2);
}

#[tokio::test]
async fn a_connection_we_opened_is_kept_alive_by_us() {
    let trunk = TrunkFlow {
        keep_alive: Some(Duration::from_millis(20)),
        ..trunk(FlowPolicy::OneWay)
    };
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut end = End::start(config(vec![], vec![trunk]));
    let message = options("first");
    end.send(
        to_hop(Tcp, peer.local_addr().unwrap(), "peer.example"),
        message.clone(),
    );
    let (mut tcp, _) = peer.accept().await.unwrap();
    let mut read = vec![0; message.len() + 8];
    timeout(PATIENCE, tcp.read_exact(&mut read))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read, format!("{message}\r\n\r\n\r\n\r\n").as_bytes());
}

fn short() -> TransportLimits {
    TransportLimits {
        message_time: Duration::from_millis(200),
        first_message: Duration::from_millis(400),
        accepted_idle: Duration::from_millis(600),
        ..TransportLimits::default()
    }
}

#[tokio::test]
async fn slow_silent_and_idle_connections_are_closed() {
    let mut end = End::start(limited(listener(Tcp), short()));
    let mut slow = TcpStream::connect(end.address()).await.unwrap();
    slow.write_all(b"OPTIONS sip:").await.unwrap();
    assert_eq!(end.closed().await.1, CloseReason::SlowMessage);

    let silent = TcpStream::connect(end.address()).await.unwrap();
    assert_eq!(end.closed().await.1, CloseReason::Silent);

    let mut idle = TcpStream::connect(end.address()).await.unwrap();
    idle.write_all(options("once").as_bytes()).await.unwrap();
    assert_eq!(end.closed().await.1, CloseReason::Idle);
    for counter in [
        Counter::SlowMessages,
        Counter::SilentConnections,
        Counter::IdleClosed,
    ] {
        assert_eq!(end.count(counter), 1, "{}", counter.name());
    }
    assert!(end.transport.flows().is_empty());
    drop((slow, silent, idle));
}

#[tokio::test]
async fn line_ends_do_not_keep_a_silent_connection() {
    /// Between two drops: many fall before the connection is found silent.
    const DRIP: Duration = Duration::from_millis(20);
    let mut end = End::start(limited(listener(Tcp), short()));
    let mut tcp = TcpStream::connect(end.address()).await.unwrap();
    let drip = async {
        while tcp.write_all(b"\r\n\r\n").await.is_ok() {
            tokio::time::sleep(DRIP).await;
        }
    };
    tokio::select! {
        (_, reason) = end.closed() => assert_eq!(reason, CloseReason::Silent),
        () = drip => {}
    }
}

#[tokio::test]
async fn what_cannot_be_framed_ends_the_stream_and_only_it() {
    let mut end = End::start(config(vec![listener(Tcp)], vec![]));
    let mut bad = TcpStream::connect(end.address()).await.unwrap();
    let mut good = TcpStream::connect(end.address()).await.unwrap();
    let endless = options("bad").replace("Content-Length: 0", "Content-Length: 99999999999");
    bad.write_all(endless.as_bytes()).await.unwrap();
    assert_eq!(end.closed().await.1, CloseReason::Framing);
    good.write_all(options("good").as_bytes()).await.unwrap();
    let started = std::time::Instant::now();
    assert_eq!(call_id(&end.message().await.1), "good");
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(end.count(Counter::FramingErrors), 1);
}

async fn toward_a_peer(limits: TransportLimits) -> (End, TcpListener, To) {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trunks = vec![trunk(FlowPolicy::OneWay)];
    let end = End::start(sip_transport::TransportConfig {
        limits,
        ..config(vec![], trunks)
    });
    let to = to_hop(Tcp, peer.local_addr().unwrap(), "peer.example");
    (end, peer, to)
}

#[tokio::test]
async fn a_peer_that_does_not_read_fails_its_flow_and_every_message_of_it() {
    let limits = TransportLimits {
        outbox_bytes: 256 * 1024,
        stall: Duration::from_millis(300),
        ..TransportLimits::default()
    };
    let (mut end, peer, to) = toward_a_peer(limits).await;
    let body = "x".repeat(16 * 1024);
    let message = request("INFO", "stall", Some("t"), &body);
    end.send(to.clone(), message.clone());
    let (mut tcp, _) = peer.accept().await.unwrap();
    // Read one message, answer it, and nothing more.
    let mut read = vec![0; message.len()];
    tcp.read_exact(&mut read).await.unwrap();
    tcp.write_all(options("heard").as_bytes()).await.unwrap();
    end.message().await;

    // More than kernel and outbox hold together.
    let mut sent = Vec::new();
    while end.count(Counter::Stalled) == 0 {
        sent.push(end.send(to.clone(), message.clone()));
        tokio::task::yield_now().await;
        assert!(sent.len() < 100_000, "nothing ever stalled");
    }
    let mut failed = Vec::new();
    loop {
        match end.next().await {
            Incoming::Report(TransportReport::Failed { id, error }) => {
                assert_eq!(error, TransportError::Stalled);
                failed.push(id);
            }
            Incoming::FlowClosed { reason, .. } => {
                assert_eq!(reason, CloseReason::Stalled);
                break;
            }
            _ => {}
        }
    }
    // Everything from the first that was not written on: at least what the outbox held.
    failed.sort();
    let first = sent.iter().position(|id| *id == failed[0]).unwrap();
    assert_eq!(failed, sent[first..first + failed.len()]);
    assert!(
        failed.len() >= 15 && first + failed.len() + 2 >= sent.len(),
        "{}",
        failed.len()
    );
}

#[tokio::test]
async fn a_fin_closes_the_flow_and_the_next_request_opens_another() {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut end = End::start(config(vec![], vec![trunk(FlowPolicy::OneWay)]));
    let to = to_hop(Tcp, peer.local_addr().unwrap(), "peer.example");
    let invite = request("INVITE", "call", None, "");
    end.send(to.clone(), invite.clone());
    let (mut tcp, _) = peer.accept().await.unwrap();
    let mut read = vec![0; invite.len()];
    tcp.read_exact(&mut read).await.unwrap();
    let parsed = sip_msg::parse(read.into(), &Default::default(), sip_msg::Framing::Stream);
    let Ok(Message::Request(request_read)) = parsed else {
        panic!("{parsed:?}")
    };
    tcp.write_all(&ok(&request_read)).await.unwrap();
    let (arrival, _) = end.message().await;
    drop(tcp);
    assert_eq!(end.closed().await, (arrival.flow, CloseReason::Peer));
    end.send(to, request("BYE", "call", Some("t"), ""));
    timeout(PATIENCE, peer.accept()).await.unwrap().unwrap();
    assert_eq!(end.opened().await.opened_for.unwrap().as_str(), TRUNK);
}

#[tokio::test]
async fn a_request_that_nobody_answered_before_the_fin_is_reported() {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut end = End::start(config(vec![], vec![trunk(FlowPolicy::OneWay)]));
    let to = to_hop(Tcp, peer.local_addr().unwrap(), "peer.example");
    let bye = request("BYE", "call", Some("t"), "");
    let ack = request("ACK", "call", Some("t"), "");
    let id = end.send(to.clone(), bye.clone());
    let (mut tcp, _) = peer.accept().await.unwrap();
    tcp.write_all(options("heard").as_bytes()).await.unwrap();
    end.message().await;
    end.send(to.clone(), ack.clone());
    let mut read = vec![0; bye.len() + ack.len()];
    tcp.read_exact(&mut read).await.unwrap();
    drop(tcp);
    let mut reported = Vec::new();
    loop {
        match end.next().await {
            Incoming::Report(report) => reported.push(report),
            Incoming::FlowClosed { .. } => break,
            _ => {}
        }
    }
    let written = true;
    assert_eq!(reported, [TransportReport::Disconnected { id, written }]);
    // The hop is as good as before.
    end.send(to, bye);
    timeout(PATIENCE, peer.accept()).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_queued_behind_what_nobody_read_is_reported_as_not_written() {
    let limits = TransportLimits {
        outbox_bytes: 32 * 1024 * 1024,
        stall: PATIENCE,
        ..TransportLimits::default()
    };
    let (mut end, peer, to) = toward_a_peer(limits).await;
    let info = request("INFO", "queue", Some("t"), &"x".repeat(60_000));
    let first = end.send(to.clone(), info.clone());
    let (mut tcp, _) = peer.accept().await.unwrap();
    tcp.read_exact(&mut vec![0; info.len()]).await.unwrap();
    tcp.write_all(options("heard").as_bytes()).await.unwrap();
    end.message().await;
    // More than the kernel holds, less than the outbox.
    let mut sent = vec![first];
    sent.extend((0..400).map(|_| end.send(to.clone(), info.clone())));
    drop(tcp);
    let mut reported = Vec::new();
    while reported.len() < sent.len() {
        match end.next().await {
            Incoming::Report(TransportReport::Disconnected { id, written }) => {
                reported.push((id, written));
            }
            Incoming::Report(report) => panic!("{report:?}"),
            _ => {}
        }
    }
    let ids: Vec<_> = reported.iter().map(|&(id, _)| id).collect();
    assert_eq!(ids, sent);
    let written = reported.iter().filter(|&&(_, written)| written).count();
    assert!((1..sent.len()).contains(&written), "{written}");
    assert!(reported[..written].iter().all(|&(_, written)| written));
}

#[tokio::test]
async fn stopping_writes_what_is_queued_and_closes() {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut end = End::start(config(vec![listener(Tcp)], vec![trunk(FlowPolicy::OneWay)]));
    end.send(
        to_hop(Tcp, peer.local_addr().unwrap(), "peer.example"),
        options("last"),
    );
    let (mut tcp, _) = peer.accept().await.unwrap();
    end.opened().await;
    let address = end.address();
    end.transport.stop().await;
    let mut read = String::new();
    timeout(PATIENCE, tcp.read_to_string(&mut read))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read, options("last"));
    assert!(TcpStream::connect(address).await.is_err());
    while let Some(incoming) = timeout(PATIENCE, end.incoming.next()).await.unwrap() {
        drop(incoming);
    }
}
