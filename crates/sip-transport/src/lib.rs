//! SIP over UDP, TCP and TLS: accept, connect, verify, reuse; and raw DNS records on request.
//!
//! The shell between sockets and the pure core, which it knows as values only
//! ([`sip_msg::wire`]). What comes in goes up one of two bounded lanes ([`Receiver`]); what goes
//! out is handed over without waiting ([`Transport::transmit`]), and only failures come back.
//!
//! ```text
//! datagrams ─┐                                   ┌─ first lane: calls that exist
//! accept ────┼─ stream (frame, parse, clocks) ───┤
//! connect ───┘         outbox                    └─ second lane: what would be new; shed when full
//!    ▲                    ▲
//!    └── flows (pool) ────┴── Transport::transmit
//! ```
//!
//! Invariants:
//! - Output never blocks: a stream holds so many bytes and then fails, and every message it held
//!   is reported.
//! - Under [`FlowPolicy::OneWay`] a connection carries the requests of its opener and nothing of
//!   the other side's but responses.
//! - A connection verified for one name never carries a message for another.
//! - Whatever peers do, tables, queues, handshakes and descriptors stay within
//!   [`TransportLimits`], and each limit that was met is counted ([`Counters`]).
#![forbid(unsafe_code)]

mod accept;
mod admission;
mod backoff;
mod config;
mod connect;
mod counters;
mod datagrams;
mod dns;
mod flow;
mod lanes;
mod network;
mod outage;
mod outbox;
mod reload;
mod shared;
mod shed;
mod stream;
mod tls;
mod transport;
mod udp;

pub use backoff::ReconnectPolicy;
pub use config::{
    FlowPolicy, ListenerConfig, ResolverConfig, StartError, TransportConfig, TransportLimits,
    TrunkFlow,
};
pub use counters::{Counter, Counters};
pub use lanes::{Incoming, Receiver};
pub use network::AllowedNetwork;
pub use reload::Identities;
pub use stream::CloseReason;
pub use tls::{
    ClientAuthentication, Identity, IdentityError, Roots, RootsError, TlsClientSettings, TlsError,
    TlsPolicy, TlsServerSettings, TlsVersion,
};
pub use transport::{FlowDirection, FlowStatus, Transport};
