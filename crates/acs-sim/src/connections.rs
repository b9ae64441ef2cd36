//! Every connection a simulated peer made or took, whether it came to be or not.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, ProtocolVersion, SupportedCipherSuite};
use tokio::sync::watch;

/// Connections kept; later ones are not.
const KEPT: usize = 50_000;

/// One TCP or TLS connection as this peer saw it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// As in [`Logged::connection`](crate::Logged::connection); absent when the handshake failed.
    pub id: Option<u64>,
    /// Index of the listener it was accepted at; absent when this peer opened it.
    pub listener: Option<usize>,
    /// This peer's address.
    pub local: SocketAddr,
    /// The other side's address.
    pub remote: SocketAddr,
    /// SNI: asked for by the other side, or dialled by this peer.
    pub server_name: Option<String>,
    /// What the other side showed, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The protocol version agreed.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite agreed.
    pub suite: Option<SupportedCipherSuite>,
    /// When it was accepted or connected, handshake included.
    pub opened: SystemTime,
    /// When it ended, if it has.
    pub closed: Option<SystemTime>,
    /// Why the handshake failed, if it did.
    pub failed: Option<String>,
}

impl Connection {
    pub(crate) fn between(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            id: None,
            listener: None,
            local,
            remote,
            server_name: None,
            chain: Vec::new(),
            version: None,
            suite: None,
            opened: SystemTime::now(),
            closed: None,
            failed: None,
        }
    }

    /// What the handshake established.
    pub(crate) fn shaken(mut self, session: &CommonState) -> Self {
        let shown = session.peer_certificates().unwrap_or_default();
        self.chain = shown.iter().map(|one| one.clone().into_owned()).collect();
        self.version = session.protocol_version();
        self.suite = session.negotiated_cipher_suite();
        self
    }
}

#[derive(Default)]
pub(crate) struct Connections {
    kept: Mutex<Vec<Connection>>,
    /// Told of each change once it is made.
    news: watch::Sender<()>,
}

impl Connections {
    pub(crate) fn note(&self, connection: Connection) {
        let mut all = self.locked();
        if all.len() < KEPT {
            all.push(connection);
        }
        drop(all);
        self.news.send_replace(());
    }

    pub(crate) fn ended(&self, id: u64) {
        let mut all = self.locked();
        if let Some(one) = all.iter_mut().rev().find(|one| one.id == Some(id)) {
            one.closed = Some(SystemTime::now());
        }
        drop(all);
        self.news.send_replace(());
    }

    pub(crate) fn all(&self) -> Vec<Connection> {
        self.locked().clone()
    }

    /// What is told of every change; others of the same peer may tell through it as well.
    pub(crate) fn news(&self) -> watch::Sender<()> {
        self.news.clone()
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
