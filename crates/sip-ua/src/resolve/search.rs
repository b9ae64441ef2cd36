//! One evaluation of a lookup: RFC 3263 §4.1 and §4.2 over the records that are known.

use std::net::IpAddr;
use std::sync::Arc;

use ambient::{Moment, TokenRng};
use sip_msg::TransportKind;
use sip_msg::dns::{DnsError, Naptr, Query, RecordType, Records, Srv};

use super::target::{Target, TargetHost};
use super::{Endpoint, Missing, Resolver, srv};

/// Targets of one SRV answer, and services of one NAPTR answer, that are looked at.
const SRV_TARGETS_MAX: usize = 8;

/// One evaluation of a lookup against the cache.
pub(super) struct Search<'a> {
    pub(super) resolver: &'a Resolver,
    pub(super) now: Moment,
    pub(super) missing: Missing,
    pub(super) rng: &'a mut TokenRng,
    pub(super) wanted: Vec<Query>,
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
    pub(super) fn endpoints(&mut self, target: &Target) -> Vec<Endpoint> {
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

fn srvs(records: &Records) -> Option<Vec<Srv>> {
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
