//! Many connections at once, honest and not.

use std::time::{Duration, Instant};

use sip_msg::TransportKind::{Tcp, Tls};
use sip_msg::wire::TrunkName;
use sip_transport::{
    AllowedNetwork, ClientAuthentication, Counter, FlowPolicy, ListenerConfig, TlsServerSettings,
    TransportConfig, TransportLimits,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::authority::Authority;
use crate::rig::*;

const OURS: &str = "sbc1.contoso.example";
const THEIRS: &str = "sip.peer.example";

fn loopback() -> Vec<AllowedNetwork> {
    let network = "127.0.0.0/8".parse().unwrap();
    vec![AllowedNetwork {
        network,
        trunk: TrunkName::from(TRUNK),
    }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dozens_of_connections_from_one_address_are_served() {
    let authority = Authority::new();
    let settings = server(vec![authority.identity(OURS)], authority.roots());
    let listen = ListenerConfig {
        networks: loopback(),
        ..tls_listener(settings)
    };
    let mut server = End::start(config(vec![listen], vec![]));
    let mut clients = Vec::new();
    for number in 0..96 {
        let trunk = tls_trunk(Some(authority.identity(THEIRS)), authority.roots());
        let mut client = End::start(config(vec![], vec![trunk]));
        client.send(
            to_hop(Tls, server.address(), OURS),
            options(&number.to_string()),
        );
        clients.push(client);
    }
    let mut flows = Vec::new();
    for _ in 0..96 {
        let (arrival, request) = server.request().await;
        server.send(back(&arrival), ok(&request));
        flows.push(arrival.flow);
    }
    for client in &mut clients {
        client.message().await;
    }
    flows.sort();
    flows.dedup();
    assert_eq!(flows.len(), 96);
    assert_eq!(server.transport.flows().len(), 96);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_made_handshakes_do_not_keep_an_honest_peer_out() {
    let authority = Authority::new();
    let settings = TlsServerSettings {
        client_authentication: ClientAuthentication::Optional,
        ..server(vec![authority.identity(OURS)], authority.roots())
    };
    let listen = ListenerConfig {
        networks: loopback(),
        ..tls_listener(settings)
    };
    let mut server = End::start(config(vec![listen], vec![]));
    let mut stuck = Vec::new();
    for number in 0..500 {
        let mut tcp = TcpStream::connect(server.address()).await.unwrap();
        if number % 2 == 0 {
            // The first bytes of a ClientHello, and never the rest.
            tcp.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        }
        stuck.push(tcp);
    }
    let trunk = tls_trunk(Some(authority.identity(THEIRS)), authority.roots());
    let mut honest = End::start(config(vec![], vec![trunk]));
    let started = Instant::now();
    honest.send(to_hop(Tls, server.address(), OURS), options("honest"));
    assert_eq!(call_id(&server.message().await.1), "honest");
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    server.counted(Counter::HalfOpenEvicted, 1).await;
}

#[tokio::test]
async fn handshakes_that_stall_are_ended_by_the_clock() {
    let authority = Authority::new();
    let limits = TransportLimits {
        handshake_timeout: Duration::from_millis(200),
        ..TransportLimits::default()
    };
    let settings = server(vec![authority.identity(OURS)], authority.roots());
    let mut server = End::start(limited(tls_listener(settings), limits));
    let mut tcp = TcpStream::connect(server.address()).await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, tcp.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    server.counted(Counter::TlsTimeout, 1).await;
}

#[tokio::test]
async fn silent_connections_give_way_and_proven_ones_stay() {
    let limits = TransportLimits {
        connections: 8,
        ..TransportLimits::default()
    };
    let mut server = End::start(limited(listener(Tcp), limits));
    let mut honest = TcpStream::connect(server.address()).await.unwrap();
    honest.write_all(options("first").as_bytes()).await.unwrap();
    server.message().await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(TcpStream::connect(server.address()).await.unwrap());
    }
    server.counted(Counter::HalfOpenEvicted, 43).await;
    honest.write_all(options("again").as_bytes()).await.unwrap();
    assert_eq!(call_id(&server.message().await.1), "again");
    assert!(server.transport.flows().len() <= 8 + 1);
    drop(idle);
}

#[tokio::test]
async fn strangers_on_a_stream_are_turned_away() {
    let network = "127.0.0.2/32".parse().unwrap();
    let networks = vec![AllowedNetwork {
        network,
        trunk: TrunkName::from(TRUNK),
    }];
    let mut server = End::start(config(
        vec![ListenerConfig {
            networks,
            ..listener(Tcp)
        }],
        vec![],
    ));
    let mut stranger = TcpStream::connect(server.address()).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stranger.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(rest.is_empty());
    assert_eq!(server.count(Counter::UnknownSourceStream), 1);

    let trunk = sip_transport::TrunkFlow {
        bind: Some("127.0.0.2".parse().unwrap()),
        ..trunk(FlowPolicy::OneWay)
    };
    let mut known = End::start(config(vec![], vec![trunk]));
    known.send(
        to_hop(Tcp, server.address(), "peer.example"),
        options("known"),
    );
    assert_eq!(
        server.message().await.0.remote.ip().to_string(),
        "127.0.0.2"
    );
}

#[tokio::test]
async fn ipv6_streams_work_and_hear_no_ipv4() {
    let bind = "[::]:0".parse().unwrap();
    let mut server = End::start(config(
        vec![ListenerConfig {
            bind,
            ..listener(Tcp)
        }],
        vec![],
    ));
    let port = server.address().port();
    let mut client = End::start(TransportConfig::clone(&config(
        vec![],
        vec![trunk(FlowPolicy::OneWay)],
    )));
    let six = format!("[::1]:{port}").parse().unwrap();
    client.send(to_hop(Tcp, six, "peer.example"), options("six"));
    assert_eq!(server.message().await.0.remote.ip().to_string(), "::1");
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
