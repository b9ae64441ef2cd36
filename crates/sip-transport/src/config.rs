//! What the transport is told at its start and on reload. Everything here is resolved: no names
//! of files, nothing left to check but what only the operating system can tell.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sip_msg::wire::{ListenerId, TrunkName};
use sip_msg::{Limits, TransportKind};

use crate::backoff::ReconnectPolicy;
use crate::network::AllowedNetwork;
use crate::tls::{TlsClientSettings, TlsError, TlsPolicy, TlsServerSettings};

/// The whole of the transport's configuration.
#[derive(Clone, Debug, Default)]
pub struct TransportConfig {
    /// Addresses to listen on.
    pub listeners: Vec<ListenerConfig>,
    /// How each trunk's connections are kept.
    pub trunks: Vec<TrunkFlow>,
    /// Bounds and times.
    pub limits: TransportLimits,
    /// Who answers DNS queries.
    pub resolver: ResolverConfig,
    /// Names with fixed addresses, asked before any server. Case and a final dot do not matter.
    pub host_map: BTreeMap<String, Vec<IpAddr>>,
    /// What TLS is spoken with.
    pub tls: TlsPolicy,
    /// Where to append TLS session secrets for a capture. Never set in production.
    pub key_log: Option<PathBuf>,
}

/// One address to listen on.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Its name in [`sip_msg::wire::Arrival`].
    pub id: ListenerId,
    /// UDP, TCP or TLS.
    pub transport: TransportKind,
    /// The local address; port 0 takes a free one. An IPv6 address hears IPv6 only. On a
    /// wildcard UDP address replies leave from the address that was called.
    pub bind: SocketAddr,
    /// Needed for TLS, without meaning for the others.
    pub tls: Option<TlsServerSettings>,
    /// Sources that are heard; empty hears all. Others get silence on UDP, and on TCP and TLS a
    /// closed connection.
    pub networks: Vec<AllowedNetwork>,
}

/// On which connections requests of ours may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowPolicy {
    /// A connection carries the requests of the side that opened it and the responses to them,
    /// nothing else. Microsoft's side of Direct Routing demands this.
    OneWay,
    /// A connection that the peer opened from the very address we would call, and on which it
    /// proved the name we would ask for, carries our requests as well (RFC 5923).
    Reuse,
    /// The peer opens all connections and our requests take them; we never call it (RFC 5626).
    ClientFlow,
}

/// How one trunk's connections are kept.
#[derive(Clone, Debug)]
pub struct TrunkFlow {
    /// The trunk.
    pub name: TrunkName,
    /// On which connections our requests travel.
    pub flows: FlowPolicy,
    /// Needed to open TLS connections.
    pub tls: Option<TlsClientSettings>,
    /// The UDP listener whose socket our requests leave from. None: the first UDP listener of
    /// the right family that allows the trunk, or else the first at all.
    pub udp: Option<ListenerId>,
    /// Local address of connections we open. None: the system's choice.
    pub bind: Option<IpAddr>,
    /// For TCP connect and TLS handshake together.
    pub connect_timeout: Duration,
    /// How long a connection we opened may send nothing before it sends a ping (RFC 5626
    /// §4.4.1). Only what we send keeps Microsoft's idle timer (2 minutes) from running out.
    pub keep_alive: Option<Duration>,
    /// A connection we opened that carried no message for so long is closed.
    pub idle: Option<Duration>,
    /// A connection we opened is replaced after so long: sooner by up to a tenth, so that
    /// connections opened together do not renew together.
    pub renewal: Option<Duration>,
    /// Pauses between attempts to reach a peer.
    pub reconnect: ReconnectPolicy,
}

impl TrunkFlow {
    /// The defaults for a policy; one-way trunks keep their connections alive and renew them
    /// within the hour.
    pub fn new(name: TrunkName, flows: FlowPolicy) -> Self {
        Self {
            name,
            flows,
            tls: None,
            udp: None,
            bind: None,
            connect_timeout: Duration::from_secs(2),
            keep_alive: Some(Duration::from_secs(45)),
            idle: None,
            renewal: (flows == FlowPolicy::OneWay).then_some(Duration::from_secs(3600)),
            reconnect: ReconnectPolicy::default(),
        }
    }
}

/// Who answers DNS queries that the host map does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResolverConfig {
    /// Nobody: such names do not exist.
    None,
    /// These servers, over UDP and TCP.
    Servers(Vec<SocketAddr>),
    /// The operating system's configuration.
    #[default]
    System,
}

/// Bounds and times of the transport. Every bound has a counter that moves when it is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportLimits {
    /// Limits of one message.
    pub message: Limits,
    /// Bytes of the largest datagram received or sent.
    pub datagram_bytes: usize,
    /// Messages waiting in the lane of responses, ACK, CANCEL, OPTIONS and requests within
    /// dialogs.
    pub first_lane: usize,
    /// Messages waiting in the lane of all other requests.
    pub second_lane: usize,
    /// Value of Retry-After in a shed request's 503, seconds.
    pub retry_after: u32,
    /// Bytes waiting to be written to one stream.
    pub outbox_bytes: usize,
    /// How long a peer may refuse to read before its stream fails.
    pub stall: Duration,
    /// Streams open at once, of both directions.
    pub connections: usize,
    /// Accepted streams of one source address that no trunk names.
    pub connections_per_stranger: usize,
    /// Accepted streams of one source address that a trunk names. Large proxies share addresses:
    /// dozens of connections are ordinary.
    pub connections_per_known_source: usize,
    /// Accepted streams that have proved nothing yet: neither a certificate nor a message.
    pub half_open: usize,
    /// The same for one source address.
    pub half_open_per_source: usize,
    /// Handshakes that may compute at the same time.
    pub handshake_workers: usize,
    /// For a TLS handshake of an accepted connection.
    pub handshake_timeout: Duration,
    /// For a message to complete once its first byte is there.
    pub message_time: Duration,
    /// For the first message on an accepted stream without a verified certificate.
    pub first_message: Duration,
    /// An accepted stream with neither message nor ping for so long is closed.
    pub accepted_idle: Duration,
    /// A stream that is to go ends a second after its last request was answered, and after this
    /// time even if one was not: longer than any transaction waits for its peer.
    pub retired_quiet: Duration,
    /// DNS queries in flight.
    pub dns_queries: usize,
    /// For one DNS query.
    pub dns_timeout: Duration,
    /// Differentiated services code point of what we send (RFC 2474), 0 to 63; 24 is CS3.
    pub dscp: u8,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            message: Limits::default(),
            datagram_bytes: 65_507,
            first_lane: 4096,
            second_lane: 512,
            retry_after: 5,
            outbox_bytes: 512 * 1024,
            stall: Duration::from_secs(8),
            connections: 4096,
            connections_per_stranger: 64,
            connections_per_known_source: 2048,
            half_open: 1024,
            half_open_per_source: 256,
            handshake_workers: 1,
            handshake_timeout: Duration::from_secs(10),
            message_time: Duration::from_secs(15),
            first_message: Duration::from_secs(30),
            accepted_idle: Duration::from_secs(900),
            retired_quiet: Duration::from_secs(200),
            dns_queries: 256,
            dns_timeout: Duration::from_secs(4),
            dscp: 24,
        }
    }
}

/// Why the transport did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not called within a tokio runtime.
    #[error("the transport needs a running tokio runtime")]
    NoRuntime,
    /// Two listeners bear one number.
    #[error("listener {0:?} is configured twice")]
    DuplicateListener(ListenerId),
    /// A listener's transport is none of UDP, TCP and TLS.
    #[error("listener {0:?} has a transport that cannot be listened on")]
    Transport(ListenerId),
    /// The address cannot be bound.
    #[error("listener {listener:?} cannot listen on {bind}: {error}")]
    Bind {
        /// Which listener.
        listener: ListenerId,
        /// Its address.
        bind: SocketAddr,
        /// The operating system's answer.
        error: std::io::Error,
    },
    /// TLS cannot be spoken as asked.
    #[error("TLS: {0}")]
    Tls(TlsError),
    /// A TLS listener has no TLS settings, or unusable ones.
    #[error("listener {listener:?}: {error}")]
    ListenerTls {
        /// Which listener.
        listener: ListenerId,
        /// What is wrong.
        error: TlsError,
    },
    /// A trunk has unusable TLS settings.
    #[error("trunk {trunk}: {error}")]
    TrunkTls {
        /// Which trunk.
        trunk: TrunkName,
        /// What is wrong.
        error: TlsError,
    },
    /// The key log cannot be opened.
    #[error("key log cannot be opened: {0}")]
    KeyLog(std::io::Error),
    /// The DNS resolver cannot be set up, mostly for want of a system configuration.
    #[error("DNS resolver cannot be set up")]
    Resolver,
}
