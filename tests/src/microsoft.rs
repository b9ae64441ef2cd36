//! Microsoft's end of an `acs` trunk, scripted: its own TLS connections in both directions, each
//! known by number, so that a test sees what came on which.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, listen, setsockopt,
    socket, sockopt,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, Connection, RootCertStore, ServerConfig};

use crate::certificates::{Authority, Leaf, Usage, Wish};
use crate::gateway::{self, FQDN, MICROSOFT};
use crate::lab::Lab;
use crate::sip::{Sip, end};

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection's number, in the order they were opened.
pub type Id = usize;

/// What happened on a connection.
#[derive(Clone, Debug)]
pub enum What {
    /// The gateway opened it.
    Opened,
    /// A message came.
    Message(Sip),
    /// An empty line came between messages (RFC 5626 §3.5.1).
    Pong,
    /// The gateway closed it.
    Closed,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// On which connection.
    pub on: Id,
    /// What.
    pub what: What,
}

struct Wire {
    socket: TcpStream,
    tls: Mutex<Connection>,
    /// Whether the gateway opened it.
    theirs: bool,
}

type Wires = Arc<Mutex<Vec<Arc<Wire>>>>;

/// The scripted end.
pub struct Microsoft {
    wires: Wires,
    events: Receiver<Event>,
    sender: Sender<Event>,
    waiting: Vec<Event>,
    client: Arc<ClientConfig>,
    gateway: SocketAddr,
    own: SocketAddr,
}

impl std::fmt::Debug for Microsoft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Microsoft")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl Microsoft {
    /// Listens where the configuration says Microsoft does.
    ///
    /// # Panics
    /// Somebody else is there.
    #[must_use]
    pub fn start(lab: &Lab, authority: &Authority) -> Self {
        let listener = shared_port(gateway::microsoft(lab)).expect("Microsoft's port is free");
        listen(&listener, Backlog::MAXCONN).expect("a bound socket listens");
        let listener = TcpListener::from(listener);
        let server = Arc::new(server(authority));
        let (sender, events) = channel();
        let wires = Wires::default();
        let (accepted, report) = (Arc::clone(&wires), sender.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let tls = rustls::ServerConnection::new(Arc::clone(&server));
                let tls = Connection::Server(tls.expect("the configuration is complete"));
                add(&accepted, &report, socket, tls, true);
            }
        });
        Self {
            wires,
            events,
            sender,
            waiting: Vec::new(),
            client: Arc::new(client(authority)),
            gateway: gateway::tls(lab),
            own: gateway::microsoft(lab),
        }
    }

    /// Opens a connection of Microsoft's own.
    ///
    /// # Panics
    /// The gateway does not take it.
    pub fn open(&self) -> Id {
        let socket = TcpStream::connect(self.gateway).expect("the gateway listens");
        self.secure(socket)
    }

    /// As [`open`](Self::open), from the very address and port Microsoft listens at: a gateway
    /// that took peers' connections for its own requests would take this one. Once a test.
    ///
    /// # Panics
    /// The gateway does not take it.
    pub fn open_from_its_port(&self) -> Id {
        let socket = shared_port(self.own).expect("the port is shared");
        let SocketAddr::V4(gateway) = self.gateway else {
            unreachable!("labs are IPv4");
        };
        connect(socket.as_raw_fd(), &SockaddrIn::from(gateway)).expect("the gateway listens");
        self.secure(TcpStream::from(socket))
    }

    fn secure(&self, socket: TcpStream) -> Id {
        socket.set_nodelay(true).expect("an option can be set");
        let name = ServerName::try_from(FQDN).expect("a DNS name");
        let tls = rustls::ClientConnection::new(Arc::clone(&self.client), name);
        let mut tls = Connection::Client(tls.expect("the configuration is complete"));
        // What is written before the handshake is through would have to be kept.
        while tls.is_handshaking() {
            tls.complete_io(&mut &socket)
                .expect("the gateway shakes hands");
        }
        add(&self.wires, &self.sender, socket, tls, false)
    }

    /// Whether the gateway opened this connection.
    #[must_use]
    pub fn is_theirs(&self, id: Id) -> bool {
        self.wire(id).theirs
    }

    /// Sends bytes on a connection.
    ///
    /// # Panics
    /// It is closed.
    pub fn send(&self, on: Id, text: &str) {
        let wire = self.wire(on);
        let mut tls = lock(&wire.tls);
        tls.writer()
            .write_all(text.as_bytes())
            .expect("there is room");
        while tls.wants_write() {
            tls.write_tls(&mut &wire.socket)
                .expect("the connection is open");
        }
    }

    /// Closes every connection there is from Microsoft's end.
    pub fn close_all(&self) {
        for wire in lock(&self.wires).iter() {
            let mut tls = lock(&wire.tls);
            tls.send_close_notify();
            // One that is closed already needs no closing.
            while tls.wants_write() && tls.write_tls(&mut &wire.socket).is_ok() {}
            let _ = wire.socket.shutdown(Shutdown::Write);
        }
    }

    /// Connections that are open or were.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.wires).len()
    }

    /// The next event that is `wanted`, whatever came before it.
    ///
    /// # Panics
    /// None comes.
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                panic!("no {what}; but {:#?}", self.waiting);
            };
            if wanted(&event) {
                return event;
            }
            self.waiting.push(event);
        }
    }

    /// The next message that is `wanted`, and its connection.
    pub fn message(&mut self, what: &str, wanted: impl Fn(&Sip) -> bool) -> (Id, Sip) {
        let found = |event: &Event| matches!(&event.what, What::Message(sip) if wanted(sip));
        let event = self.expect(what, found);
        let What::Message(message) = event.what else {
            unreachable!("only messages were wanted");
        };
        (event.on, message)
    }

    /// The next request of this method.
    pub fn request(&mut self, method: &str) -> (Id, Sip) {
        self.message(method, |message| message.method() == Some(method))
    }

    /// The next response to this method with this status.
    pub fn response(&mut self, method: &str, status: u16) -> (Id, Sip) {
        self.message(&format!("{status} to {method}"), |message| {
            message.answers(method, status)
        })
    }

    /// Microsoft's OPTIONS.
    #[must_use]
    pub fn options(&self, number: u32) -> String {
        let own = self.own;
        format!(
            "OPTIONS sip:{FQDN}:5061;transport=tls SIP/2.0\r\n\
             FROM: <sip:{MICROSOFT}:5061>;tag=o{number}\r\n\
             TO: <sip:{FQDN}>\r\n\
             CSEQ: 1 OPTIONS\r\nCALL-ID: options-{number}\r\nMAX-FORWARDS: 70\r\n\
             VIA: SIP/2.0/TLS {own};branch=z9hG4bKo{number}\r\n\
             CONTACT: <sip:{MICROSOFT}:5061;transport=tls>\r\nCONTENT-LENGTH: 0\r\n\r\n"
        )
    }

    /// Microsoft's INVITE, with `more` header lines, names and remote target in its manner.
    #[must_use]
    pub fn invite(&self, call: &str, called: &str, more: &[&str]) -> String {
        let own = self.own;
        format!(
            "INVITE sip:{called}@{FQDN}:5061;user=phone;transport=tls SIP/2.0\r\n\
             FROM: <sip:+14255550111@{MICROSOFT}:5061;user=phone>;tag=ms\r\n\
             TO: <sip:{called}@{FQDN}:5061;user=phone>\r\n\
             CSEQ: 1 INVITE\r\nCALL-ID: {call}\r\nMAX-FORWARDS: 70\r\n\
             VIA: SIP/2.0/TLS {own};branch=z9hG4bK{call}invite\r\n\
             RECORD-ROUTE: <sip:{MICROSOFT}:5061;transport=tls;lr>\r\n\
             CONTACT: <{REMOTE_TARGET}>\r\n"
        ) + &end(more, &description(own))
    }

    /// Microsoft's ACK or BYE of a call it placed and the gateway answered with `ok`.
    #[must_use]
    pub fn within(&self, ok: &Sip, method: &str) -> String {
        let (number, from, to) = if ok.header("From").contains(MICROSOFT) {
            (
                1 + u32::from(method != "ACK"),
                ok.header("From"),
                ok.header("To"),
            )
        } else {
            (100, ok.header("To"), ok.header("From"))
        };
        let mut text = format!("{method} {} SIP/2.0\r\n", ok.uri("Contact"));
        let call_id = ok.header("Call-ID");
        write!(
            text,
            "FROM: {from}\r\nTO: {to}\r\nCSEQ: {number} {method}\r\nCALL-ID: {call_id}\r\n\
             MAX-FORWARDS: 70\r\nVIA: SIP/2.0/TLS {};branch=z9hG4bK{call_id}{method}\r\n\
             CONTENT-LENGTH: 0\r\n\r\n",
            self.own
        )
        .expect("a string grows");
        text
    }

    fn wire(&self, id: Id) -> Arc<Wire> {
        Arc::clone(&lock(&self.wires)[id])
    }
}

/// Microsoft's remote target: another host and port than its requests come from, and a slash in
/// a parameter.
pub const REMOTE_TARGET: &str =
    "sip:api-du-a-usea.pstnhub.microsoft.com:443;x-i=b7121f04;x-c=a35e/s/1/4b30";

/// Microsoft's description: SRTP with keys in the description.
#[must_use]
pub fn description(media: SocketAddr) -> String {
    let address = media.ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio 49152 RTP/SAVP 0\r\na=rtcp-mux\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^31\r\n\
         a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// A bound socket that lets others be bound where it is.
fn shared_port(at: SocketAddr) -> nix::Result<OwnedFd> {
    let SocketAddr::V4(at) = at else {
        unreachable!("labs are IPv4");
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::ReusePort, &true)?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(at))?;
    Ok(socket)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A reader that panicked has failed its test already.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(
    wires: &Wires,
    report: &Sender<Event>,
    socket: TcpStream,
    tls: Connection,
    theirs: bool,
) -> Id {
    let wire = Arc::new(Wire {
        socket,
        tls: Mutex::new(tls),
        theirs,
    });
    let id = {
        let mut wires = lock(wires);
        wires.push(Arc::clone(&wire));
        wires.len() - 1
    };
    let report = report.clone();
    std::thread::spawn(move || read(id, &wire, &report));
    id
}

/// Reads a connection to its end. The lock is never held while waiting for bytes.
fn read(on: Id, wire: &Wire, report: &Sender<Event>) {
    // Nobody listens once the test is over.
    let tell = |what| {
        let _ = report.send(Event { on, what });
    };
    if wire.theirs {
        tell(What::Opened);
    } else {
        flush(wire);
    }
    let mut sealed = vec![0; 16_384];
    let mut opened = Vec::new();
    loop {
        let length = match (&wire.socket).read(&mut sealed) {
            Ok(0) | Err(_) => return tell(What::Closed),
            Ok(length) => length,
        };
        let mut rest = &sealed[..length];
        let mut ended = false;
        while !rest.is_empty() {
            let mut tls = lock(&wire.tls);
            if tls.read_tls(&mut rest).is_err() {
                return tell(What::Closed);
            }
            let Ok(state) = tls.process_new_packets() else {
                return tell(What::Closed);
            };
            ended |= state.peer_has_closed();
            let start = opened.len();
            opened.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader()
                .read_exact(&mut opened[start..])
                .expect("as much was announced");
        }
        flush(wire);
        loop {
            if opened.starts_with(b"\r\n") {
                opened.drain(..2);
                tell(What::Pong);
            } else if let Some(message) = Sip::take(&mut opened) {
                tell(What::Message(message));
            } else {
                break;
            }
        }
        if ended {
            return tell(What::Closed);
        }
    }
}

fn flush(wire: &Wire) {
    let mut tls = lock(&wire.tls);
    // One that is closed is noticed by reading it.
    while tls.wants_write() && tls.write_tls(&mut &wire.socket).is_ok() {}
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut store = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.root().as_bytes()).expect("PEM");
    store.add(root).expect("the root is one");
    store
}

fn identity(leaf: &Leaf) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes())
        .collect::<Result<_, _>>()
        .expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("PEM");
    (chain, key)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server(authority: &Authority) -> ServerConfig {
    let (chain, key) = identity(&authority.good(&[MICROSOFT]));
    // The verifier wants clientAuth or no usage at all; the gateway's identity is serverAuth and
    // clientAuth in these tests, as older public certificates are.
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)), provider())
            .build()
            .expect("there is a root");
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider knows them")
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .expect("key and certificate belong together")
}

fn client(authority: &Authority) -> ClientConfig {
    let (chain, key) = identity(&authority.good(&[MICROSOFT]));
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider knows them")
        .with_root_certificates(roots(authority))
        .with_client_auth_cert(chain, key)
        .expect("key and certificate belong together")
}

/// The gateway's identity as this end verifies it.
#[must_use]
pub fn gateway_identity(authority: &Authority) -> Leaf {
    authority.issue(Wish {
        usage: Usage::Both,
        ..Wish::good(&[FQDN])
    })
}
