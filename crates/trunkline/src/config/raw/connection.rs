//! `[trunk.connection]`: the TCP and TLS connections of a trunk.

use serde::Deserialize;
use toml::Spanned;

use super::Span;

/// `[trunk.connection]`: the TCP and TLS connections of a trunk.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Which connections carry our requests: `"one-way"`, only those we opened; `"reuse"`, those
    /// the peer opened too; `"client-flow"`, only those the peer opened (RFC 5626). Default:
    /// `"one-way"` for `acs` and `teams`, `"client-flow"` with `[trunk.registrar]` and no `peers`,
    /// else `"reuse"`.
    pub flows: Option<Spanned<String>>,
    /// For TCP and TLS together to come up. Default: `"2s"`.
    pub connect: Option<Span>,
    /// Whether the connection is left for another once a call on it was answered 503 with
    /// `Retry-After`. Default: `true` for `acs` and `teams`, whose proxies mean that, else `false`.
    pub leave_when_busy: Option<bool>,
    /// A connection we opened that sends nothing for this long sends a CRLF ping; `"0s"` sends
    /// none. Microsoft closes after two minutes without. Default: `"45s"`.
    pub keep_alive: Option<Span>,
    /// A connection we opened that carries no message for this long is closed; `"0s"` never.
    /// Default: `"0s"`.
    pub idle: Option<Span>,
    /// A connection we opened is replaced after this, sooner by up to a tenth; `"0s"` never.
    /// Default: `"1h"` for `acs` and `teams`, else `"0s"`.
    pub renewal: Option<Span>,
    /// Pause after the first failure to connect; each further failure doubles it. Default:
    /// `"500ms"`.
    pub backoff: Option<Span>,
    /// Longest such pause. Default: `"30s"`.
    pub backoff_max: Option<Span>,
    /// The longest request, in octets, that goes over UDP as a matter of course
    /// (RFC 3261 §18.1.1). Default: `1300`.
    pub longest_datagram: Option<Spanned<u32>>,
    /// Whether longer requests go over TCP, and over UDP only where the peer takes no connection.
    /// `false` for a peer that is known to take none. Default: `true`.
    pub tcp_for_long: Option<bool>,
}
