//! Trunks and routes as an operator wrote them.

use e164::NumberPlan;
use sip_msg::wire::TrunkName;
use sip_msg::{StatusCode, TransportKind};

/// Everything a routing decision rests on but the facts of the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Every trunk a call can come from or go to.
    pub trunks: Vec<TrunkDoc>,
    /// Routes, first match wins.
    pub routes: Vec<RouteDoc>,
}

/// One trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkDoc {
    /// Its name, unique.
    pub name: TrunkName,
    /// How it writes numbers.
    pub numbers: NumberPlan,
    /// Its hosts in order of preference; at most 16.
    pub peers: Vec<PeerDoc>,
    /// Host of the From URI of calls towards it, where it is not the gateway's own.
    pub from_host: Option<String>,
    /// Whether Request-URIs carry `;user=phone` (RFC 3261 §19.1.1).
    pub user_phone: bool,
    /// Whether Request-URIs carry `;transport=`.
    pub transport_param: bool,
}

impl TrunkDoc {
    /// A trunk that writes E.164, with plain Request-URIs.
    #[must_use]
    pub fn new(name: impl Into<TrunkName>, peers: Vec<PeerDoc>) -> Self {
        Self {
            name: name.into(),
            numbers: NumberPlan::e164(),
            peers,
            from_host: None,
            user_phone: false,
            transport_param: false,
        }
    }
}

/// One host of a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerDoc {
    /// Host name or address; IPv6 in brackets.
    pub host: String,
    /// Port, when it is not left to RFC 3263.
    pub port: Option<u16>,
    /// Transport.
    pub transport: TransportKind,
}

/// One route. Empty lists of conditions match everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteDoc {
    /// Its name, unique.
    pub name: String,
    /// Trunks of origin.
    pub from: Vec<TrunkName>,
    /// Patterns of called numbers: see [`Pattern`](crate::Pattern).
    pub called: Vec<String>,
    /// Patterns of calling numbers. A call without a calling number matches only an empty list.
    pub calling: Vec<String>,
    /// Trunks to try, in order; at most 16.
    pub to: Vec<TrunkName>,
    /// A final status of 400 to 699 that refuses the call instead; then `to` is empty.
    pub reject: Option<StatusCode>,
    /// Whether a call may be sent back to the trunk it came from.
    pub hairpin: bool,
}
