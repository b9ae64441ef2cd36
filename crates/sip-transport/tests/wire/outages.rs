//! What an operator reads of peers that cannot be reached.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sip_msg::TransportKind::{Tcp, Tls};
use sip_transport::{FlowPolicy, Identity, ReconnectPolicy, TrunkFlow};
use tokio::net::TcpListener;
use tracing::subscriber::DefaultGuard;

use crate::authority::{Authority, Leaf};
use crate::rig::*;

const OURS: &str = "sbc1.contoso.example";
const THEIRS: &str = "sip.peer.example";

/// What this thread logs at INFO and above.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines so far, level first.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(_, line)| line.trim().to_owned()).collect()
    }
}

/// A trunk that is tried again at once.
fn eager() -> TrunkFlow {
    TrunkFlow {
        reconnect: ReconnectPolicy {
            first: Duration::ZERO,
            longest: Duration::ZERO,
        },
        connect_timeout: Duration::from_secs(2),
        ..trunk(FlowPolicy::OneWay)
    }
}

#[tokio::test]
async fn a_peer_that_refuses_is_told_once_and_once_more_when_it_is_back() {
    let (log, _guard) = Log::begin();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let mut end = End::start(config(vec![], vec![eager()]));
    for _ in 0..5 {
        end.send(to_hop(Tcp, address, "peer.example"), options("x"));
        end.failure().await;
    }
    let [line] = &log.lines()[..] else {
        panic!("{:?}", log.lines());
    };
    assert!(line.starts_with("WARN"), "{line}");
    for says in [
        "trunk=peer",
        &format!("peer={address}"),
        "refuses the connection",
    ] {
        assert!(line.contains(says), "{line}");
    }

    let there = sip_transport::ListenerConfig {
        bind: address,
        ..listener(Tcp)
    };
    let mut peer = End::start(config(vec![there], vec![]));
    for call in ["y", "z"] {
        end.send(to_hop(Tcp, address, "peer.example"), options(call));
        let (arrival, request) = peer.request().await;
        peer.send(back(&arrival), ok(&request));
        end.message().await;
    }
    let [_, line] = &log.lines()[..] else {
        panic!("{:?}", log.lines());
    };
    assert!(line.starts_with("INFO"), "{line}");
    assert!(line.contains("can be reached again"), "{line}");
    assert!(line.contains("trunk=peer"), "{line}");
}

/// What is logged when a client that shows `ours` dials a server that shows `theirs` three times.
async fn dialled(theirs: Identity, ours: Identity, authority: &Authority) -> Vec<String> {
    let (log, _guard) = Log::begin();
    let settings = server(vec![theirs], authority.roots());
    let server = End::start(config(vec![tls_listener(settings)], vec![]));
    let before = log.lines().len();
    let trunk = TrunkFlow {
        tls: tls_trunk(Some(ours), authority.roots()).tls,
        ..eager()
    };
    let mut client = End::start(config(vec![], vec![trunk]));
    for _ in 0..3 {
        client.send(to_hop(Tls, server.address(), THEIRS), options("x"));
        client.failure().await;
    }
    let told = log.lines().split_off(before);
    told.into_iter()
        .filter(|line| line.contains("peer cannot be reached"))
        .collect()
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_told_with_the_reason() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = Leaf {
        expired: true,
        ..Leaf::of(THEIRS)
    };
    let cases = [
        (stranger.identity(THEIRS), "no root that is trusted here"),
        (
            authority.identity("other.example"),
            "does not name sip.peer.example",
        ),
        (authority.issue(&expired), "certificate has expired"),
    ];
    for (theirs, says) in cases {
        let told = dialled(theirs, authority.identity(OURS), &authority).await;
        let [line] = &told[..] else {
            panic!("{says}: {told:?}");
        };
        assert!(line.starts_with("WARN") && line.contains(says), "{line}");
    }
}

#[tokio::test]
async fn a_peer_that_refuses_our_certificate_is_told_once_as_well() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let theirs = authority.identity(THEIRS);
    let told = dialled(theirs, stranger.identity(OURS), &authority).await;
    let [line] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(line.contains("may not accept our certificate"), "{line}");
}

/// A host that drops everything cannot be had on loopback; one that takes the connection and says
/// nothing of TLS can.
#[tokio::test]
async fn a_peer_that_does_not_answer_is_told_with_the_time_it_had() {
    let (log, _guard) = Log::begin();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let authority = Authority::new();
    let trunk = TrunkFlow {
        tls: tls_trunk(Some(authority.identity(OURS)), authority.roots()).tls,
        connect_timeout: Duration::from_millis(200),
        ..eager()
    };
    let mut end = End::start(config(vec![], vec![trunk]));
    end.send(to_hop(Tls, address, THEIRS), options("x"));
    end.failure().await;
    let [line] = &log.lines()[..] else {
        panic!("{:?}", log.lines());
    };
    assert!(line.contains("does not answer within 200ms"), "{line}");
}
