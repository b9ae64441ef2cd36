//! Locating SIP servers: RFC 3263 §4, as a pure value.
//!
//! A lookup is evaluated against the cache from the start each time: it either knows every record
//! it needs and yields addresses in the order they are to be tried, or it says which records are
//! missing. There is no half-done lookup to keep.

mod cache;
mod quarantine;
mod search;
mod srv;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ambient::{Moment, TokenRng};
use sip_msg::dns::{DnsAnswer, Query};
use sip_msg::{TransportKind, Uri};
use thiserror::Error;

use cache::Cache;
use quarantine::Quarantine;
use search::Search;
use target::Target;

/// Addresses a lookup yields at most.
const ENDPOINTS_MAX: usize = 16;
/// A query that was not answered for this long is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Bounds of a [`Resolver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolverConfig {
    /// Answers kept. Default 4096.
    pub cache_entries: usize,
    /// How long an address that failed is tried only after all others. Default 30 s.
    pub quarantine: Duration,
    /// Addresses in quarantine at most. Default 1024.
    pub quarantine_entries: usize,
    /// How long an address that refused a connection which only a request's length asked for is
    /// taken to speak nothing but UDP. Default 10 min.
    pub without_streams: Duration,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            cache_entries: 4096,
            quarantine: Duration::from_secs(30),
            quarantine_entries: 1024,
            without_streams: Duration::from_secs(600),
        }
    }
}

/// Where a request can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The transport chosen by RFC 3263 §4.1.
    pub transport: TransportKind,
    /// Address and port chosen by RFC 3263 §4.2.
    pub addr: SocketAddr,
    /// The host of the URI: what a certificate has to prove (RFC 5922 §4), whatever the SRV
    /// target was.
    pub server_name: Arc<str>,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Addresses in the order to try them; never empty.
    Ready(Vec<Endpoint>),
    /// These records are missing; evaluate again when one of them is answered.
    Waiting(Vec<Query>),
}

/// Why a URI leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LookupError {
    /// Neither `sip` nor `sips`, or without a host.
    #[error("the URI names no SIP server")]
    NotSip,
    /// The transport parameter is unknown, or contradicts `sips` (RFC 3261 §26.2.2).
    #[error("the URI asks for a transport that cannot be used")]
    Transport,
    /// No address is known for the host.
    #[error("no address is known for the host")]
    NoAddress,
}

/// Whether records that are still missing hold a lookup up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Wait for them.
    Wait,
    /// Go on without them: their time is over.
    Skip,
}

/// The records known, the queries under way and the addresses that failed.
#[derive(Debug)]
pub struct Resolver {
    cache: Cache,
    quarantine: Quarantine,
    /// Addresses that speak nothing but UDP.
    without_streams: Quarantine,
    asked: BTreeMap<Query, Moment>,
    asked_max: usize,
}

impl Resolver {
    /// Knows nothing yet. `secret` hides where a name that a peer chose lies in the tables.
    pub fn new(config: &ResolverConfig, secret: u64) -> Self {
        Self {
            cache: Cache::new(config.cache_entries, secret),
            quarantine: Quarantine::new(config.quarantine, config.quarantine_entries),
            without_streams: Quarantine::new(config.without_streams, config.quarantine_entries),
            asked: BTreeMap::new(),
            asked_max: config.cache_entries,
        }
    }

    /// Where to send a request whose next hop is `uri`. `secure` asks for TLS on the way as
    /// `sips` does.
    ///
    /// # Errors
    /// When no record that may still come can change that the URI leads nowhere.
    pub fn lookup(
        &self,
        now: Moment,
        uri: &Uri,
        secure: bool,
        missing: Missing,
        rng: &mut TokenRng,
    ) -> Result<Lookup, LookupError> {
        let target = Target::of(uri, secure)?;
        let mut search = Search {
            resolver: self,
            now,
            missing,
            rng,
            wanted: Vec::new(),
        };
        let mut endpoints = search.endpoints(&target);
        if !search.wanted.is_empty() {
            search.wanted.dedup();
            return Ok(Lookup::Waiting(search.wanted));
        }
        if endpoints.is_empty() {
            return Err(LookupError::NoAddress);
        }
        // A stable sort: the order of RFC 3263 stands within each half.
        endpoints.sort_by_key(|end| self.quarantine.holds(now, end.transport, end.addr));
        endpoints.truncate(ENDPOINTS_MAX);
        Ok(Lookup::Ready(endpoints))
    }

    /// Notes that `query` is wanted; `true` when it has to be asked now, `false` while it is
    /// under way.
    pub fn ask(&mut self, now: Moment, query: &Query) -> bool {
        let recent = |at: &Moment| now.saturating_since(*at) < ASK_AGAIN;
        if self.asked.get(query).is_some_and(recent) {
            return false;
        }
        if self.asked.len() >= self.asked_max {
            self.asked.retain(|_, at| recent(at));
        }
        if self.asked.len() >= self.asked_max {
            return false;
        }
        self.asked.insert(query.clone(), now);
        true
    }

    /// Keeps an answer for its TTL.
    pub fn handle_answer(&mut self, now: Moment, answer: DnsAnswer) {
        self.asked.remove(&answer.query);
        self.cache.insert(now, answer);
    }

    /// Puts an address that failed behind all others for a time.
    pub fn failed(&mut self, now: Moment, transport: TransportKind, addr: SocketAddr) {
        self.quarantine.put(now, transport, addr);
    }

    /// An address answered: it is as good as any other again.
    pub fn succeeded(&mut self, transport: TransportKind, addr: SocketAddr) {
        self.quarantine.pardon(transport, addr);
    }

    /// Whether the address is in quarantine.
    pub fn is_quarantined(&self, now: Moment, transport: TransportKind, addr: SocketAddr) -> bool {
        self.quarantine.holds(now, transport, addr)
    }

    /// An address that is reached over UDP took no TCP connection.
    pub fn without_streams(&mut self, now: Moment, addr: SocketAddr) {
        self.without_streams.put(now, TransportKind::Tcp, addr);
    }

    /// Whether the address took no TCP connection lately.
    pub fn refuses_streams(&self, now: Moment, addr: SocketAddr) -> bool {
        self.without_streams.holds(now, TransportKind::Tcp, addr)
    }

    /// Answers in the cache.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Addresses in quarantine, or pardoned since without having been asked about.
    pub fn quarantined(&self) -> usize {
        self.quarantine.len()
    }
}
