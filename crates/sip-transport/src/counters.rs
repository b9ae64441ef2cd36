//! What the transport did and refused, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// One counted fact; the name is stable and fit for a metric's label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Counter {
            /// Every counter, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Stable name in `snake_case`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

counters! {
    /// Messages handed to the core, well-formed.
    MessagesIn = "messages_in",
    /// Messages handed to the core as rejected by the parser.
    MessagesRejected = "messages_rejected",
    /// Messages written to a socket.
    MessagesOut = "messages_out",
    /// Keep-alive pings received (RFC 5626 §4.4.1).
    PingsIn = "pings_in",
    /// Keep-alive pings sent on connections we opened.
    PingsOut = "pings_out",
    /// Dialog-creating requests refused because their lane was full.
    Shed = "shed",
    /// Messages in the first lane dropped from UDP because it was full.
    LaneFull = "lane_full",
    /// Reports that found no room; the transaction's own timer stands in for them.
    ReportsLost = "reports_lost",
    /// Datagrams from a source that no trunk names: dropped in silence.
    UnknownSourceUdp = "unknown_source_udp",
    /// Connections from a source that no trunk names: closed.
    UnknownSourceStream = "unknown_source_stream",
    /// Datagrams cut by the size limit: dropped.
    DatagramTooLarge = "datagram_too_large",
    /// Datagrams that the socket had no room for.
    DatagramsUnsent = "datagrams_unsent",
    /// Streams closed since their bytes could not be framed as SIP.
    FramingErrors = "framing_errors",
    /// Streams closed since a message did not complete in time.
    SlowMessages = "slow_messages",
    /// Accepted streams closed since no message ever came.
    SilentConnections = "silent_connections",
    /// Streams closed after their idle time.
    IdleClosed = "idle_closed",
    /// Streams failed since the peer did not read.
    Stalled = "stalled",
    /// Streams ended by the peer.
    PeerClosed = "peer_closed",
    /// Streams opened by us, fully connected.
    ConnectionsOpened = "connections_opened",
    /// Streams accepted, handshake done.
    ConnectionsAccepted = "connections_accepted",
    /// Connection attempts begun.
    ConnectAttempts = "connect_attempts",
    /// Connection attempts that ran out of time.
    ConnectTimeouts = "connect_timeouts",
    /// Connection attempts refused by the peer's host.
    ConnectRefused = "connect_refused",
    /// Connection attempts to a host or network out of reach.
    ConnectUnreachable = "connect_unreachable",
    /// Connection attempts not made because the last one failed moments ago.
    ConnectHeldBack = "connect_held_back",
    /// Connections replaced by a younger one.
    Renewed = "renewed",
    /// Accepted connections closed since the table of connections is full.
    TooManyConnections = "too_many_connections",
    /// Accepted connections closed since their source holds too many.
    TooManyFromSource = "too_many_from_source",
    /// Unfinished connections closed to make room for a newcomer.
    HalfOpenEvicted = "half_open_evicted",
    /// Accept calls that failed, such as for want of descriptors.
    AcceptErrors = "accept_errors",
    /// Handshakes that ran out of time.
    TlsTimeout = "tls_timeout",
    /// Bytes on a TLS port that are no TLS.
    TlsNotTls = "tls_not_tls",
    /// No protocol version, cipher suite or group in common.
    TlsNothingInCommon = "tls_nothing_in_common",
    /// The peer showed no certificate where one is demanded.
    TlsNoCertificate = "tls_no_certificate",
    /// The peer's certificate is expired or not valid yet.
    TlsExpired = "tls_expired",
    /// The peer's chain does not lead to a trusted root.
    TlsUnknownIssuer = "tls_unknown_issuer",
    /// The peer's certificate is for other names.
    TlsWrongName = "tls_wrong_name",
    /// The peer's certificate is not meant for TLS.
    TlsWrongUsage = "tls_wrong_usage",
    /// The peer's certificate cannot be accepted for another reason.
    TlsBadCertificate = "tls_bad_certificate",
    /// The peer refused the handshake, mostly for our certificate.
    TlsRefusedByPeer = "tls_refused_by_peer",
    /// The handshake failed in another way.
    TlsOther = "tls_other",
    /// Requests not sent on a connection that its opener keeps for itself.
    OneWayRefused = "one_way_refused",
    /// Transmits that found neither flow nor fallback.
    NoFlow = "no_flow",
    /// DNS queries asked of a server.
    DnsQueries = "dns_queries",
    /// DNS queries without a usable answer.
    DnsFailures = "dns_failures",
}

/// The running counts, shared by all tasks.
#[derive(Debug)]
pub(crate) struct Tally(Box<[AtomicU64]>);

impl Tally {
    pub(crate) fn new() -> Self {
        Self(Counter::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn add(&self, counter: Counter) {
        self.0[counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_many(&self, counter: Counter, times: u64) {
        if times > 0 {
            self.0[counter as usize].fetch_add(times, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Counters {
        Counters(
            self.0
                .iter()
                .map(|count| count.load(Ordering::Relaxed))
                .collect(),
        )
    }
}

/// All counts at one moment. They only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters(Box<[u64]>);

impl Counters {
    /// One count.
    pub fn count(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Every count with its name's counter.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL
            .iter()
            .map(|counter| (*counter, self.count(*counter)))
    }
}
