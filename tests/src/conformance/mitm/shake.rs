//! Two handshakes that mirror each other.
//!
//! The near one needs what the far end shows, the far one what the near end shows. So the far end
//! is looked at once, by a handshake that is broken off; what it showed is remembered by name.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::{ResolvesClientCert, WantsClientCert};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{Accepted, Acceptor};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, Connection, Error, ServerConfig,
    SignatureScheme, SupportedCipherSuite,
};

use super::pump::{self, Span};
use super::{Desk, Door};
use crate::conformance::believing::Believing;
use crate::conformance::dial::connect_from;
use crate::conformance::mutant::{Change, Hello, Passed, Shown, ShownChange, Side, TlsChange};
use crate::conformance::trial::{der, locked};

const PATIENCE: Duration = Duration::from_secs(5);

/// Carries one connection from its first byte to its last.
pub(super) fn carry(desk: &Arc<Desk>, down: TcpStream, door: Door) {
    if let Err(fault) = try_carry(desk, down, door) {
        desk.common
            .log(&format!("man in the middle: {door:?}: {fault}"));
    }
}

fn try_carry(desk: &Arc<Desk>, down: TcpStream, mut door: Door) -> io::Result<()> {
    down.set_read_timeout(Some(PATIENCE))?;
    down.set_nodelay(true)?;
    let from = down.peer_addr()?;
    if door.towards == Side::Gateway {
        let places = desk.names.iter();
        door.proxy = places
            .clone()
            .position(|name| name.ip() == from.ip())
            .unwrap_or(0);
    }
    let Some(accepted) = hello_of(&down)? else {
        return Ok(());
    };
    let hello = heard(desk, &accepted, from.ip(), door);
    if hello.refuse {
        return Ok(());
    }
    if let Some(other) = hello.divert {
        door.upstream = desk.names[other];
    }
    for _ in 0..hello.surplus {
        drop(connect_from(hello.source, door.upstream));
    }
    let up = connect_from(hello.source, door.upstream)?;
    up.set_nodelay(true)?;
    up.set_read_timeout(Some(PATIENCE))?;
    let (near, far) = mirror(desk, accepted, &down, &up, &hello, door)?;
    down.set_read_timeout(None)?;
    up.set_read_timeout(None)?;
    let before = hello.stick.then(|| desk.first_span(door)).flatten();
    match before {
        Some(span) => pump::rejoin(desk, &span, down, near),
        None => pump::join(desk, Span::new(door, hello.linger, (down, near), (up, far))),
    }
    Ok(())
}

/// Reads the first flight; `None` when the connection ends before it.
fn hello_of(mut down: &TcpStream) -> io::Result<Option<Accepted>> {
    let mut acceptor = Acceptor::default();
    loop {
        if acceptor.read_tls(&mut down)? == 0 {
            return Ok(None);
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Some(accepted)),
            Ok(None) => {}
            Err((fault, mut alert)) => {
                // Whoever speaks no TLS learns it or is gone.
                let _ = alert.write(&mut &*down);
                return Err(io::Error::other(fault));
            }
        }
    }
}

fn heard(desk: &Desk, accepted: &Accepted, source: IpAddr, door: Door) -> Hello {
    let said = accepted.client_hello();
    let mut hello = Hello {
        towards: door.towards,
        proxy: door.proxy,
        number: desk.number(door.towards, door.proxy),
        server_name: said.server_name().map(str::to_owned),
        suites: said.cipher_suites().to_vec(),
        source,
        refuse: false,
        surplus: 0,
        linger: false,
        stick: false,
        divert: None,
    };
    desk.common.note(Passed::Hello(hello.clone()));
    if let Some(Change::Tls(change)) = desk.common.change()
        && let Some(edit) = change.hello
    {
        edit(&mut hello, &mut desk.common.memory());
    }
    hello
}

/// Both handshakes; what comes back is through on both sides.
fn mirror(
    desk: &Desk,
    accepted: Accepted,
    down: &TcpStream,
    up: &TcpStream,
    hello: &Hello,
    door: Door,
) -> io::Result<(Connection, Connection)> {
    let key = (hello.server_name.clone(), door.upstream);
    let known = locked(&desk.chains).get(&key).cloned();
    let chain = match known {
        Some(chain) => chain,
        None => look(hello, door.upstream)?,
    };
    let shown = judge(desk, door, chain.clone(), Passed::Server, |change| {
        change.server
    })?;
    let nothing = || io::Error::other("the far end shows no certificate");
    let near = near_connection(
        accepted,
        certified(desk, &shown)?.ok_or_else(nothing)?,
        down,
    )?;
    let presented = near.peer_certificates().unwrap_or_default();
    let presented = presented
        .iter()
        .map(|one| one.clone().into_owned())
        .collect();
    let shown = judge(desk, door, presented, Passed::Client, |change| {
        change.client
    })?;
    let seen = Seen::default();
    let config = far_config(&hello.suites, Arc::clone(&seen.0), true)?
        .with_client_cert_resolver(Arc::new(Presented(certified(desk, &shown)?)));
    let mut far = far_connection(config, hello, up)?;
    while far.is_handshaking() {
        far.complete_io(&mut &*up)?;
    }
    while far.wants_write() {
        far.write_tls(&mut &*up)?;
    }
    let really = locked(&seen.0).clone();
    locked(&desk.chains).insert(key, really.clone());
    if really != chain {
        // The near end was shown what is no longer true; it will ask again.
        return Err(io::Error::other(
            "the far end has another certificate by now",
        ));
    }
    Ok((near, Connection::Client(far)))
}

/// What the far end shows, learnt by a handshake that is broken off.
fn look(hello: &Hello, upstream: SocketAddr) -> io::Result<Vec<CertificateDer<'static>>> {
    let up = connect_from(hello.source, upstream)?;
    up.set_read_timeout(Some(PATIENCE))?;
    let seen = Seen::default();
    let config = far_config(&hello.suites, Arc::clone(&seen.0), false)?;
    let mut far = far_connection(config.with_no_client_auth(), hello, &up)?;
    // It is to fail.
    while far.is_handshaking() && far.complete_io(&mut &up).is_ok() {}
    let chain = locked(&seen.0).clone();
    if chain.is_empty() {
        return Err(io::Error::other("the far end shows no certificate"));
    }
    Ok(chain)
}

fn judge(
    desk: &Desk,
    door: Door,
    chain: Vec<CertificateDer<'static>>,
    passed: fn(Shown) -> Passed,
    edit: fn(&TlsChange) -> Option<ShownChange>,
) -> io::Result<Shown> {
    let mut shown = Shown {
        towards: door.towards,
        proxy: door.proxy,
        chain,
        spare: desk.common.spare_name(),
        instead: None,
        refuse: false,
    };
    desk.common.note(passed(shown.clone()));
    if let Some(Change::Tls(change)) = desk.common.change()
        && let Some(edit) = edit(change)
    {
        edit(&mut shown, &mut desk.common.memory());
    }
    if shown.refuse {
        return Err(io::Error::other("refused as the mutant does"));
    }
    Ok(shown)
}

/// What is shown, with its key; `None` for nothing.
fn certified(desk: &Desk, shown: &Shown) -> io::Result<Option<Arc<CertifiedKey>>> {
    let (chain, key) = match shown.instead {
        Some(name) => {
            let spare = desk.common.spare(name);
            let Some(spare) = spare else {
                return Err(io::Error::other(format!(
                    "no identity `{name}` is set aside"
                )));
            };
            der(&spare)
        }
        None => {
            let Some(leaf) = shown.chain.first() else {
                return Ok(None);
            };
            let Some(key) = desk.common.key(leaf) else {
                return Err(io::Error::other("a leaf whose key is not known"));
            };
            (shown.chain.clone(), key)
        }
    };
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(io::Error::other)?;
    Ok(Some(Arc::new(CertifiedKey::new(chain, key))))
}

fn far_connection(
    config: ClientConfig,
    hello: &Hello,
    up: &TcpStream,
) -> io::Result<ClientConnection> {
    // Without SNI a name is needed all the same; it is not sent.
    let name = match &hello.server_name {
        Some(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
        None => ServerName::from(up.peer_addr()?.ip()),
    };
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}

fn near_connection(
    accepted: Accepted,
    key: Arc<CertifiedKey>,
    mut down: &TcpStream,
) -> io::Result<Connection> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    // The far end judges.
    let anybody = Arc::new(Believing::everybody(Arc::clone(&provider)));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(anybody)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
    let near = accepted.into_connection(Arc::new(config));
    let mut near = match near {
        Ok(near) => near,
        Err((fault, mut alert)) => {
            alert.write(&mut down)?;
            return Err(io::Error::other(fault));
        }
    };
    while near.is_handshaking() {
        near.complete_io(&mut down)?;
    }
    while near.wants_write() {
        near.write_tls(&mut down)?;
    }
    Ok(Connection::Server(near))
}

type Chain = Arc<Mutex<Vec<CertificateDer<'static>>>>;

/// Where the certificates of a handshake are put.
#[derive(Default)]
struct Seen(Chain);

/// Keeps what the far end shows, then goes on or breaks off.
fn far_config(
    offered: &[rustls::CipherSuite],
    seen: Chain,
    go_on: bool,
) -> io::Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let mut provider = aws_lc_rs::default_provider();
    let wanted = |suite: &SupportedCipherSuite| offered.contains(&suite.suite());
    provider.cipher_suites.retain(wanted);
    let suites = provider.cipher_suites.iter();
    let mut versions: Vec<_> = suites.map(|suite| suite.version()).collect();
    versions.dedup();
    let provider = Arc::new(provider);
    let look = move |chain| {
        *locked(&seen) = chain;
        let broken_off = || Error::General("only looking".to_owned());
        go_on.then_some(()).ok_or_else(broken_off)
    };
    let watcher = Believing::looking(Arc::clone(&provider), look);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(watcher)))
}

/// Shows the far end what the near one has shown.
#[derive(Debug)]
struct Presented(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Presented {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
