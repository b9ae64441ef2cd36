//! A storm of reconnecting TLS peers, each proving who it is, while calls are up.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use trunkline_tests::certificates::{Authority, Leaf, Usage, Wish};
use trunkline_tests::gateway::{FQDN, MICROSOFT};
use trunkline_tests::lab::Lab;
use trunkline_tests::telephone::Dialog;
use trunkline_tests::two_trunks::Plan;

use crate::telephones::{CALLED, CALLING, Stage};

/// Connections of a storm.
const CONNECTIONS: usize = 1000;
/// Who connects does so on so many threads.
const CROWDS: usize = 4;
/// Twice what a busy machine with two cores needs for all handshakes, of both sides.
const PATIENCE: Duration = Duration::from_secs(60);
/// The aim is 20 ms; other tests run beside this one.
const LATEST: Duration = Duration::from_millis(400);

/// Calls that are up meanwhile: `TRUNKLINE_CALLS`, or few enough for every day.
fn held() -> usize {
    let asked = std::env::var("TRUNKLINE_CALLS").ok();
    asked.map_or(100, |calls| calls.parse().expect("a number of calls"))
}

#[test]
fn a_thousand_reconnecting_peers_cost_no_call_no_packet_and_no_timer() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let mut stage = Stage::start(&lab, &plan(&lab, &authority));
    let speech = Speech::begin(&lab, &mut stage);
    let mut calls: Vec<Dialog> = (0..held()).map(|_| stage.call()).collect();
    let client = client(&authority);
    let door = SocketAddr::new(lab.host(1), 5061);
    let storms: u64 = 2;
    for storm in 1..=storms {
        // The connections of the last storm are gone, all at once.
        let crowd = connect(door, &client);
        let mut during = 0;
        while !crowd.iter().all(JoinHandle::is_finished) {
            let call = stage.call();
            stage.carrier.hang_up(&call);
            let bye = stage.pbx.request("BYE");
            stage.pbx.send(&bye.response("200 OK", "phone", &[], ""));
            during += 1;
        }
        assert!(during > 0, "the storm was over before it began");
        let connections = crowd.into_iter().map(|part| part.join().expect("all came"));
        let connections: Vec<_> = connections.flatten().collect();
        assert_eq!(connections.len(), CONNECTIONS);
        let accepted = format!(
            "trunkline_transport_events_total{{what=\"connections_accepted\"}} {}",
            storm * CONNECTIONS as u64
        );
        stage.gateway.await_metric(&accepted, PATIENCE);
        let up = format!("trunkline_calls{{stage=\"established\"}} {}", held() + 1);
        stage.gateway.await_metric(&up, PATIENCE);
    }
    speech.end();
    for call in calls.drain(..) {
        stage.carrier.hang_up(&call);
        let bye = stage.pbx.request("BYE");
        stage.pbx.send(&bye.response("200 OK", "phone", &[], ""));
    }
    let page = stage.gateway.page("/metrics");
    for repeated in [
        "request_absorbed",
        "response_absorbed",
        "request_retransmitted",
        "response_retransmitted",
    ] {
        let none = format!("trunkline_sip_events_total{{what=\"{repeated}\"}} 0");
        assert!(page.lines().any(|line| line == none), "{repeated}\n{page}");
    }
    let latest = stage
        .gateway
        .metric("trunkline_timer_lateness_most_microseconds");
    assert!(
        latest < LATEST.as_micros() as u64,
        "{latest} µs late\n{page}"
    );
    assert!(
        stage
            .gateway
            .metric("trunkline_timer_lateness_seconds_count")
            > 0
    );
}

/// Two trunks over UDP, and a third whose peers come over TLS and have to prove their name.
fn plan(lab: &Lab, authority: &Authority) -> Plan {
    authority.good(&[FQDN]).write(lab, "sbc1");
    lab.write("roots.pem", &authority.root());
    let tables = format!(
        r#"
[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
roots = "roots.pem"
[[trunk]]
name = "acs"
preset = "acs"
listen = "tls:{}:5061"
peers = ["tls:{MICROSOFT}:5061"]
allow = ["127.0.0.0/8"]
options = {{ interval = "0s" }}
[hosts]
"{MICROSOFT}" = "{}"
"#,
        lab.host(1),
        lab.host(4),
    );
    Plan {
        gateway: format!("fqdn = \"{FQDN}\""),
        tables,
        ..Plan::over("udp")
    }
}

/// What a peer of Microsoft's name shows and believes.
fn client(authority: &Authority) -> Arc<ClientConfig> {
    let Leaf { chain, key, .. } = authority.issue(Wish {
        usage: Usage::Both,
        ..Wish::good(&[MICROSOFT])
    });
    let certificates = |pem: &str| -> Vec<CertificateDer<'static>> {
        let all = CertificateDer::pem_slice_iter(pem.as_bytes());
        all.map(|one| one.expect("it was just made")).collect()
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&authority.root()));
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("it was just made");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&chain), key)
        .expect("the key is the certificate's");
    // Who comes back after a fall of the network proves himself anew.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// Connects a crowd; each part of it ends when all of its own are up.
fn connect(door: SocketAddr, config: &Arc<ClientConfig>) -> Vec<JoinHandle<Vec<Connection>>> {
    let part = || {
        let config = Arc::clone(config);
        std::thread::spawn(move || {
            let own = 0..CONNECTIONS / CROWDS;
            own.map(|_| handshake(door, &config)).collect()
        })
    };
    (0..CROWDS).map(|_| part()).collect()
}

fn handshake(door: SocketAddr, config: &Arc<ClientConfig>) -> Connection {
    let tcp = TcpStream::connect(door).expect("the gateway listens");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let name = ServerName::try_from(FQDN).expect("a name");
    let tls = ClientConnection::new(Arc::clone(config), name).expect("a configuration");
    let mut connection = StreamOwned::new(tls, tcp);
    connection
        .conn
        .complete_io(&mut connection.sock)
        .expect("both sides are who they should be");
    // A ping (RFC 5626 §4.4.1): the peer is there.
    connection.write_all(b"\r\n\r\n").expect("it is up");
    connection
}

/// A call in which both talk all the time; every packet is counted.
struct Speech {
    over: Arc<AtomicBool>,
    ways: Vec<JoinHandle<(u16, u16)>>,
}

impl Speech {
    fn begin(lab: &Lab, stage: &mut Stage) -> Self {
        let media = [2, 3].map(|host| SocketAddr::new(lab.host(host), 6100));
        stage.carrier.call(CALLING, CALLED, media[0]);
        let invite = stage.pbx.request("INVITE");
        let _ = stage.pbx.pick_up(&invite, media[1]);
        let ok = stage.carrier.response("INVITE", 200);
        let _ = stage.carrier.acknowledge(&ok);
        stage.pbx.request("ACK");
        let gateway = [&ok, &invite].map(|from| port(&from.text()));
        let gateway = gateway.map(|port| SocketAddr::new(lab.host(1), port));
        let over = Arc::new(AtomicBool::new(false));
        let sockets = media.map(|at| Arc::new(UdpSocket::bind(at).expect("it is free")));
        let way = |from: usize| {
            let (mouth, ear) = (Arc::clone(&sockets[from]), Arc::clone(&sockets[1 - from]));
            let (to, over) = (gateway[from], Arc::clone(&over));
            let listening = std::thread::spawn(move || listen(&ear));
            std::thread::spawn(move || {
                let said = talk(&mouth, to, &over);
                (
                    said,
                    listening.join().expect("it ends when nothing more comes"),
                )
            })
        };
        let ways = vec![way(0), way(1)];
        Self { over, ways }
    }

    /// Ends the talk; nothing may have been lost of it.
    fn end(self) {
        self.over.store(true, Ordering::Release);
        for way in self.ways {
            let (said, heard) = way.join().expect("nobody failed");
            assert!(said > 0);
            assert_eq!(heard, said, "packets were lost");
        }
    }
}

/// The port of the only media description.
fn port(message: &str) -> u16 {
    let line = message
        .lines()
        .find_map(|line| line.strip_prefix("m=audio "));
    let port = line.and_then(|line| line.split(' ').next());
    port.and_then(|port| port.parse().ok())
        .unwrap_or_else(|| panic!("no port: {message}"))
}

/// Sends a packet every 20 ms; how many.
fn talk(mouth: &UdpSocket, to: SocketAddr, over: &AtomicBool) -> u16 {
    let begin = Instant::now();
    let mut said = 0;
    while !over.load(Ordering::Acquire) {
        let mut packet = vec![0x80, 0];
        packet.extend(u16::to_be_bytes(said));
        packet.extend((u32::from(said) * 160).to_be_bytes());
        packet.extend(u32::from(to.port()).to_be_bytes());
        packet.extend([0xff; 160]);
        mouth
            .send_to(&packet, to)
            .expect("loopback takes datagrams");
        said += 1;
        let next = begin + Duration::from_millis(20) * u32::from(said);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    said
}

/// Takes packets until none has come for two seconds; how many.
fn listen(ear: &UdpSocket) -> u16 {
    ear.set_read_timeout(Some(Duration::from_secs(2)))
        .expect("a timeout");
    let mut buffer = [0; 2048];
    let mut heard = 0;
    while let Ok(length) = ear.recv(&mut buffer) {
        heard += u16::from(length == 172);
    }
    heard
}
