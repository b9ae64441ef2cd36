//! The clocks and bounds of SIP: `[sip]` and `[limits]`.

use serde::Deserialize;
use toml::Spanned;

use super::Span;

/// `[sip]`: the clocks of RFC 3261 Table 4, and those the RFC leaves to the user agent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    /// Round-trip estimate T1; timers B, F and H are 64 times as long. Default: `"500ms"`.
    pub t1: Option<Span>,
    /// Longest pause between retransmissions, T2. Default: `"4s"`.
    pub t2: Option<Span>,
    /// How long a message stays in the network, T4. Default: `"5s"`.
    pub t4: Option<Span>,
    /// How often the last provisional response is repeated while an INVITE waits. Default:
    /// `"60s"`.
    pub provisional_refresh: Option<Span>,
    /// How long a request waits for the DNS records that say where it goes. Default: `"3s"`.
    pub lookup: Option<Span>,
}

/// `[limits]`: bounds of the tables and queues; reaching one is counted and answered, never met
/// with growth.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// SIP transactions without a final response at once. Default: 50000.
    pub transactions: Option<Spanned<u32>>,
    /// SIP transactions that have one and are remembered for its repetitions, three of each call of
    /// the last 32 s over UDP, 1 to 2 KiB each. Default: 500000.
    pub remembered: Option<Spanned<u32>>,
    /// SIP dialogs at once, early ones included. Default: 50000.
    pub dialogs: Option<Spanned<u32>>,
    /// Targets that one call may try. Default: 8.
    pub attempts_per_call: Option<Spanned<u32>>,
    /// Early dialogs that one target may fork a call into. Default: 8.
    pub forks_per_attempt: Option<Spanned<u32>>,
    /// Bytes of SIP messages kept for `trunkline call ID ladder`. Default: 67108864.
    pub trace_bytes: Option<Spanned<u32>>,
    /// Bytes of one SIP message. Default: 65536.
    pub message_bytes: Option<Spanned<u32>>,
    /// TCP and TLS connections at once. Default: 4096.
    pub connections: Option<Spanned<u32>>,
    /// Accepted connections of one address that no trunk allows. Default: 64.
    pub connections_per_stranger: Option<Spanned<u32>>,
    /// Accepted connections of one address that a trunk allows; Microsoft's proxies open dozens
    /// from one address. Default: 2048.
    pub connections_per_known_source: Option<Spanned<u32>>,
    /// Accepted connections that have proved nothing yet. Default: 1024.
    pub half_open: Option<Spanned<u32>>,
    /// The same for one address. Default: 256.
    pub half_open_per_source: Option<Spanned<u32>>,
    /// TLS handshakes that compute at the same time. Default: 1.
    pub handshake_workers: Option<Spanned<u32>>,
    /// For a TLS handshake of an accepted connection. Default: `"10s"`.
    pub handshake_timeout: Option<Span>,
    /// For a message to complete once its first byte is there. Default: `"15s"`.
    pub message_time: Option<Span>,
    /// For the first message on an accepted connection without a certificate. Default: `"30s"`.
    pub first_message: Option<Span>,
    /// An accepted connection without message or ping is closed after this. Default: `"15m"`.
    pub accepted_idle: Option<Span>,
    /// How long a peer may refuse to read before its connection fails. Default: `"8s"`.
    pub stall: Option<Span>,
    /// A connection that was replaced is closed after this even if a request on it has no answer
    /// yet. Default: `"200s"`.
    pub retired: Option<Span>,
    /// What `Retry-After` says when a request is refused for load, in seconds. Default: 5.
    pub retry_after: Option<Spanned<u32>>,
    /// What `Retry-After` says when a call or OPTIONS is refused because the gateway drains, in
    /// seconds, 1 to 86400. Default: 60.
    pub drain_retry_after: Option<Spanned<u32>>,
    /// DNS queries in flight. Default: 256.
    pub dns_queries: Option<Spanned<u32>>,
    /// Differentiated services code point of SIP, 0 to 63. Default: 24 (CS3).
    pub dscp: Option<Spanned<u32>>,
}
