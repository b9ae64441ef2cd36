//! What the core and the transport say to each other: plain values, so that neither needs the other.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::TransportKind;

/// One UDP listener socket, or one TCP or TLS connection. Never used again after it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

/// One address and port the transport accepts on, numbered by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u16);

/// One [`Transmit`]; a [`TransportReport`] names it. Never used twice by one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransmitId(pub u64);

/// The name of a trunk, as the configuration spells it. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrunkName(Arc<str>);

impl TrunkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for TrunkName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for TrunkName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for TrunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TrunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Whom the certificate of a TLS peer names, after its chain was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The subjectAltName dNSNames; the common name where there are none (RFC 5922 §7.1).
    pub names: Vec<String>,
    /// The subject, for people to read.
    pub subject: String,
    /// SHA-256 of the end-entity certificate.
    pub fingerprint_sha256: [u8; 32],
}

/// How a message came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Where it came in, and where its responses go.
    pub flow: FlowId,
    /// The listener that accepted the flow; none on a connection the transport opened.
    pub listener: Option<ListenerId>,
    /// The trunk for which the transport opened the connection; none on an accepted one.
    pub opened_for: Option<TrunkName>,
    /// The flow's transport.
    pub transport: TransportKind,
    /// Our address.
    pub local: SocketAddr,
    /// The address the message came from.
    pub remote: SocketAddr,
    /// The name the peer asked for in its TLS ClientHello (RFC 6066 §3).
    pub server_name: Option<Arc<str>>,
    /// The verified peer, if the flow is TLS and the peer showed a certificate.
    pub identity: Option<Arc<PeerIdentity>>,
}

/// A next hop after RFC 3263: one address to try, under the policy of one trunk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The trunk whose flow policy and TLS settings apply.
    pub trunk: TrunkName,
    /// The transport to use.
    pub transport: TransportKind,
    /// The address to send to.
    pub addr: SocketAddr,
    /// The name that was resolved: the SNI, and what the peer's certificate must show.
    pub server_name: Arc<str>,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Back on the flow a request came in on.
    Flow {
        /// That flow.
        flow: FlowId,
        /// The destination of a UDP response (RFC 3261 §18.2.2, RFC 3581 §4).
        remote: SocketAddr,
        /// Where a response goes if the connection is gone (RFC 3261 §18.2.2).
        fallback: Option<Hop>,
    },
    /// To a next hop, on whatever flow the trunk's policy gives.
    Hop(Hop),
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Names this message in a [`TransportReport`].
    pub id: TransmitId,
    /// Where to.
    pub to: To,
    /// The whole message, as on the wire.
    pub message: Bytes,
}

/// What became of a [`Transmit`]. Success is not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportReport {
    /// It was not sent, or not wholly.
    Failed {
        /// Which.
        id: TransmitId,
        /// Why.
        error: TransportError,
    },
    /// The connection that it took, or was to take, has ended. The peer had been heard there, so
    /// that nothing speaks against another one.
    Disconnected {
        /// Which.
        id: TransmitId,
        /// Whether it was written: the peer may have read it, and may not.
        written: bool,
    },
}

/// Why a message could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum TransportError {
    /// The TCP or TLS connection was not there in time.
    #[error("connection not established in time")]
    ConnectTimeout,
    /// The peer refused the connection, or its host the datagram.
    #[error("connection refused")]
    Refused,
    /// No route to the peer.
    #[error("peer unreachable")]
    Unreachable,
    /// The TLS handshake failed, or the peer is not whom it should be.
    #[error("TLS handshake failed")]
    Tls,
    /// The connection was closed before everything was written.
    #[error("connection closed")]
    Closed,
    /// The peer does not read what is sent.
    #[error("peer does not read")]
    Stalled,
    /// The message is too large for the transport.
    #[error("message too large for the transport")]
    TooLarge,
    /// The flow is gone and there is no other way.
    #[error("no flow to the peer")]
    NoFlow,
    /// The trunk or its peer has no usable address.
    #[error("no address for the peer")]
    Unresolved,
}
