//! Locating SIP servers: RFC 3263 §4, as a pure value.
//!
//! A lookup is evaluated against the cache from the start each time: it either knows every record
//! it needs and yields addresses in the order they are to be tried, or it says which records are
//! missing. There is no half-done lookup to keep.

mod cache;
mod quarantine;
mod srv;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ambient::{Moment, TokenRng};
use sip_msg::dns::{DnsAnswer, DnsError, Naptr, Query, RecordType, Records};
use sip_msg::{Host, Scheme, TransportKind, Uri};
use thiserror::Error;

use cache::Cache;
use quarantine::Quarantine;

/// Targets of one SRV answer that are looked at.
const SRV_TARGETS_MAX: usize = 8;
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
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            cache_entries: 4096,
            quarantine: Duration::from_secs(30),
            quarantine_entries: 1024,
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
    asked: BTreeMap<Query, Moment>,
    asked_max: usize,
}

impl Resolver {
    /// Knows nothing yet.
    pub fn new(config: &ResolverConfig) -> Self {
        Self {
            cache: Cache::new(config.cache_entries),
            quarantine: Quarantine::new(config.quarantine, config.quarantine_entries),
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

    /// Answers in the cache.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Addresses in quarantine, or pardoned since without having been asked about.
    pub fn quarantined(&self) -> usize {
        self.quarantine.len()
    }
}

/// What RFC 3263 §4 calls TARGET, with the parts of the URI that decide.
struct Target {
    /// The host of the URI, for certificates.
    server_name: Arc<str>,
    host: TargetHost,
    port: Option<u16>,
    transport: Option<TransportKind>,
    secure: bool,
}

enum TargetHost {
    Numeric(IpAddr),
    Name(Arc<str>),
}

impl Target {
    fn of(uri: &Uri, secure: bool) -> Result<Self, LookupError> {
        let secure = match uri.scheme() {
            Scheme::Sip => secure,
            Scheme::Sips => true,
            Scheme::Tel | Scheme::Other => return Err(LookupError::NotSip),
        };
        let server_name: Arc<str> = uri.host_str().trim_matches(['[', ']']).into();
        if server_name.is_empty() {
            return Err(LookupError::NotSip);
        }
        let host = match (maddr(uri), uri.host().and_then(Host::ip)) {
            (Some(maddr), _) => maddr,
            (None, Some(ip)) => TargetHost::Numeric(ip),
            (None, None) => TargetHost::Name(server_name.to_lowercase().into()),
        };
        let transport = transport(uri, secure)?;
        Ok(Self {
            server_name,
            host,
            port: uri.port(),
            transport,
            secure,
        })
    }

    fn default_transport(&self) -> TransportKind {
        match self.secure {
            true => TransportKind::Tls,
            false => TransportKind::Udp,
        }
    }

    fn endpoint(&self, transport: TransportKind, ip: IpAddr, port: Option<u16>) -> Endpoint {
        let port = port.unwrap_or_else(|| transport.default_port());
        let server_name = self.server_name.clone();
        Endpoint {
            transport,
            addr: SocketAddr::new(ip, port),
            server_name,
        }
    }
}

/// RFC 3261 §19.1.1: overrides the host.
fn maddr(uri: &Uri) -> Option<TargetHost> {
    let text = uri
        .param("maddr")
        .flatten()
        .filter(|text| !text.is_empty())?;
    Some(match text.trim_matches(['[', ']']).parse() {
        Ok(ip) => TargetHost::Numeric(ip),
        Err(_) => TargetHost::Name(text.to_lowercase().into()),
    })
}

fn transport(uri: &Uri, secure: bool) -> Result<Option<TransportKind>, LookupError> {
    if uri.param("transport").is_none() {
        return Ok(None);
    }
    match (uri.transport_param(), secure) {
        (Some(TransportKind::Tls), _) | (Some(TransportKind::Tcp), true) => {
            Ok(Some(TransportKind::Tls))
        }
        (Some(TransportKind::Udp), true) | (None, _) => Err(LookupError::Transport),
        (Some(TransportKind::Ws | TransportKind::Wss), true) => Ok(Some(TransportKind::Wss)),
        (Some(other), false) => Ok(Some(other)),
    }
}

/// The label pair RFC 3263 §4.1 puts before the domain.
fn srv_query(transport: TransportKind, domain: &str) -> Option<Query> {
    let prefix = match transport {
        TransportKind::Udp => "_sip._udp.",
        TransportKind::Tcp => "_sip._tcp.",
        TransportKind::Tls => "_sips._tcp.",
        // RFC 7118 defines none.
        TransportKind::Ws | TransportKind::Wss => return None,
    };
    Some(Query {
        name: format!("{prefix}{domain}").into(),
        kind: RecordType::Srv,
    })
}

/// One evaluation of a lookup against the cache.
struct Search<'a> {
    resolver: &'a Resolver,
    now: Moment,
    missing: Missing,
    rng: &'a mut TokenRng,
    wanted: Vec<Query>,
}

/// What the cache says of a record set.
enum Known<T> {
    Yes(T),
    /// It was asked for and there is none.
    No,
    /// Not asked for yet; noted in `wanted` unless it is to be skipped.
    NotYet,
}

impl Search<'_> {
    fn endpoints(&mut self, target: &Target) -> Vec<Endpoint> {
        let name = match &target.host {
            TargetHost::Numeric(ip) => {
                let transport = target
                    .transport
                    .unwrap_or_else(|| target.default_transport());
                return vec![target.endpoint(transport, *ip, target.port)];
            }
            TargetHost::Name(name) => name.clone(),
        };
        match (target.port, target.transport) {
            // §4.2: an explicit port means address records only.
            (Some(_), transport) => {
                let transport = transport.unwrap_or_else(|| target.default_transport());
                self.at_host(target, transport, &name, target.port)
            }
            (None, Some(transport)) => self.by_srv(target, transport, &name),
            (None, None) => self.by_naptr(target, &name),
        }
    }

    /// §4.1: NAPTR records choose transport and SRV name.
    fn by_naptr(&mut self, target: &Target, name: &Arc<str>) -> Vec<Endpoint> {
        let query = Query {
            name: name.clone(),
            kind: RecordType::Naptr,
        };
        match self.known(&query, naptrs) {
            Known::NotYet => Vec::new(),
            Known::No => self.by_any_srv(target, name),
            Known::Yes(records) => {
                let services = services(records, target.secure);
                if services.is_empty() {
                    return self.by_any_srv(target, name);
                }
                let mut found = Vec::new();
                for (transport, replacement) in services {
                    let query = Query {
                        name: replacement,
                        kind: RecordType::Srv,
                    };
                    if let Known::Yes(mut endpoints) = self.srv_endpoints(target, transport, &query)
                    {
                        found.append(&mut endpoints);
                    }
                }
                found
            }
        }
    }

    /// §4.1: no NAPTR records, so each transport's SRV name is asked, in our order of preference.
    fn by_any_srv(&mut self, target: &Target, name: &Arc<str>) -> Vec<Endpoint> {
        let transports: &[TransportKind] = match target.secure {
            true => &[TransportKind::Tls],
            false => &[TransportKind::Udp, TransportKind::Tcp, TransportKind::Tls],
        };
        let mut found = Vec::new();
        let mut any = false;
        for &transport in transports {
            let Some(query) = srv_query(transport, name) else {
                continue;
            };
            match self.srv_endpoints(target, transport, &query) {
                Known::Yes(mut endpoints) => {
                    any = true;
                    found.append(&mut endpoints);
                }
                Known::NotYet => any = true,
                Known::No => {}
            }
        }
        match any && self.missing == Missing::Wait || !found.is_empty() {
            true => found,
            false => self.at_host(target, target.default_transport(), name, None),
        }
    }

    /// §4.2: the transport is known, the port is not.
    fn by_srv(
        &mut self,
        target: &Target,
        transport: TransportKind,
        name: &Arc<str>,
    ) -> Vec<Endpoint> {
        let known = match srv_query(transport, name) {
            Some(query) => self.srv_endpoints(target, transport, &query),
            None => Known::No,
        };
        match (known, self.missing) {
            (Known::Yes(endpoints), _) => endpoints,
            (Known::NotYet, Missing::Wait) => Vec::new(),
            (Known::NotYet, Missing::Skip) | (Known::No, _) => {
                self.at_host(target, transport, name, None)
            }
        }
    }

    fn srv_endpoints(
        &mut self,
        target: &Target,
        transport: TransportKind,
        query: &Query,
    ) -> Known<Vec<Endpoint>> {
        let records = match self.known(query, srvs) {
            Known::Yes(records) => records,
            Known::No => return Known::No,
            Known::NotYet => return Known::NotYet,
        };
        let mut found = Vec::new();
        for record in srv::order(records, self.rng)
            .into_iter()
            .take(SRV_TARGETS_MAX)
        {
            let host: Arc<str> = record.target.trim_end_matches('.').to_lowercase().into();
            // RFC 2782: a target of "." says that the service is not offered here.
            if !host.is_empty() {
                found.append(&mut self.at_host(target, transport, &host, Some(record.port)));
            }
        }
        Known::Yes(found)
    }

    /// Address records: IPv4 first, then IPv6.
    fn at_host(
        &mut self,
        target: &Target,
        transport: TransportKind,
        host: &Arc<str>,
        port: Option<u16>,
    ) -> Vec<Endpoint> {
        if let Ok(ip) = host.parse() {
            return vec![target.endpoint(transport, ip, port)];
        }
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::Aaaa] {
            let query = Query {
                name: host.clone(),
                kind,
            };
            if let Known::Yes(ips) = self.known(&query, addresses) {
                found.extend(
                    ips.into_iter()
                        .map(|ip| target.endpoint(transport, ip, port)),
                );
            }
        }
        found
    }

    fn known<T>(&mut self, query: &Query, pick: fn(&Records) -> Option<Vec<T>>) -> Known<Vec<T>> {
        match self.resolver.cache.lookup(self.now, query) {
            Some(Ok(records)) => match pick(records) {
                Some(found) if !found.is_empty() => Known::Yes(found),
                Some(_) | None => Known::No,
            },
            Some(Err(
                DnsError::NoSuchName
                | DnsError::NoData
                | DnsError::ServerFailure
                | DnsError::Timeout,
            )) => Known::No,
            None => {
                if self.missing == Missing::Wait && !self.wanted.contains(query) {
                    self.wanted.push(query.clone());
                }
                Known::NotYet
            }
        }
    }
}

fn addresses(records: &Records) -> Option<Vec<IpAddr>> {
    match records {
        Records::Addresses(ips) => Some(ips.clone()),
        Records::Srv(_) | Records::Naptr(_) => None,
    }
}

fn srvs(records: &Records) -> Option<Vec<sip_msg::dns::Srv>> {
    match records {
        Records::Srv(records) => Some(records.clone()),
        Records::Addresses(_) | Records::Naptr(_) => None,
    }
}

fn naptrs(records: &Records) -> Option<Vec<Naptr>> {
    match records {
        Records::Naptr(records) => Some(records.clone()),
        Records::Addresses(_) | Records::Srv(_) => None,
    }
}

/// The NAPTR records that name a transport we speak, best first (RFC 3263 §4.1: flag `s`).
fn services(mut records: Vec<Naptr>, secure: bool) -> Vec<(TransportKind, Arc<str>)> {
    records.sort_by_key(|record| (record.order, record.preference));
    let usable = |record: &Naptr| {
        if !record.flags.eq_ignore_ascii_case("s") {
            return None;
        }
        let transport = match record.service.to_ascii_uppercase().as_str() {
            "SIPS+D2T" => TransportKind::Tls,
            "SIP+D2T" if !secure => TransportKind::Tcp,
            "SIP+D2U" if !secure => TransportKind::Udp,
            _ => return None,
        };
        let name = record.replacement.trim_end_matches('.').to_lowercase();
        Some((transport, name.into()))
    };
    records
        .iter()
        .filter_map(usable)
        .take(SRV_TARGETS_MAX)
        .collect()
}
