//! Raw DNS records. Which of them to use is RFC 3263's business, decided elsewhere.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig as Servers};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as NetDnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType as WireType};
use sip_msg::dns::{DnsAnswer, DnsError, Naptr, Query, RecordType, Records, Srv};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::{ResolverConfig, StartError};

/// How long a failure may be kept when the servers do not say.
const FAILURE_TTL: Duration = Duration::from_secs(5);

/// How long a fixed address may be kept.
const FIXED_TTL: Duration = Duration::from_secs(3600);

/// Answers queries from fixed addresses and servers.
#[derive(Debug)]
pub(crate) struct Resolver {
    fixed: BTreeMap<String, Vec<IpAddr>>,
    servers: Option<TokioResolver>,
    places: Semaphore,
    longest: Duration,
}

impl Resolver {
    pub(crate) fn new(
        config: &ResolverConfig,
        host_map: &BTreeMap<String, Vec<IpAddr>>,
        places: usize,
        longest: Duration,
    ) -> Result<Self, StartError> {
        let builder = match config {
            ResolverConfig::None => None,
            ResolverConfig::System => {
                Some(TokioResolver::builder_tokio().map_err(|_| StartError::Resolver)?)
            }
            ResolverConfig::Servers(addresses) => {
                let servers = addresses.iter().map(|address| server(*address)).collect();
                Some(TokioResolver::builder_with_config(
                    Servers::from_parts(None, Vec::new(), servers),
                    TokioRuntimeProvider::default(),
                ))
            }
        };
        let servers = builder.map(|mut builder| {
            let options = builder.options_mut();
            // The core keeps answers for their TTL itself.
            options.cache_size = 0;
            options.timeout = longest / 2;
            options.attempts = 2;
            builder.build().map_err(|_| StartError::Resolver)
        });
        Ok(Self {
            fixed: host_map
                .iter()
                .map(|(name, ips)| (canonical(name), ips.clone()))
                .collect(),
            servers: servers.transpose()?,
            places: Semaphore::new(places),
            longest,
        })
    }

    /// The answer to a query, in bounded time.
    pub(crate) async fn answer(&self, query: Query) -> DnsAnswer {
        if let Some(addresses) = self.fixed.get(&canonical(&query.name)) {
            let result = fixed_records(addresses, query.kind);
            return DnsAnswer {
                query,
                result,
                ttl: FIXED_TTL,
            };
        }
        let looked_up = match &self.servers {
            None => Err((DnsError::NoSuchName, FIXED_TTL)),
            Some(servers) => self.look_up(servers, &query).await,
        };
        match looked_up {
            Ok((records, ttl)) => DnsAnswer {
                query,
                result: Ok(records),
                ttl,
            },
            Err((error, ttl)) => DnsAnswer {
                query,
                result: Err(error),
                ttl,
            },
        }
    }

    async fn look_up(
        &self,
        servers: &TokioResolver,
        query: &Query,
    ) -> Result<(Records, Duration), (DnsError, Duration)> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err((DnsError::ServerFailure, Duration::from_secs(1)));
        };
        let mut name =
            Name::from_ascii(&query.name).map_err(|_| (DnsError::NoSuchName, FIXED_TTL))?;
        // As written: no search list of the host may turn one peer's name into another's.
        name.set_fqdn(true);
        match timeout(self.longest, servers.lookup(name, wire_type(query.kind))).await {
            Err(_) => Err((DnsError::Timeout, FAILURE_TTL)),
            Ok(Err(error)) => Err(failure(&error)),
            Ok(Ok(lookup)) => {
                records(lookup.answers(), query.kind).ok_or((DnsError::NoData, FAILURE_TTL))
            }
        }
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .to_vec();
    NameServerConfig::new(address.ip(), true, connections)
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn fixed_records(addresses: &[IpAddr], kind: RecordType) -> Result<Records, DnsError> {
    let wanted: Vec<_> = addresses
        .iter()
        .copied()
        .filter(|address| match kind {
            RecordType::A => address.is_ipv4(),
            RecordType::Aaaa => address.is_ipv6(),
            RecordType::Srv | RecordType::Naptr => false,
        })
        .collect();
    if wanted.is_empty() {
        Err(DnsError::NoData)
    } else {
        Ok(Records::Addresses(wanted))
    }
}

fn wire_type(kind: RecordType) -> WireType {
    match kind {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Srv => WireType::SRV,
        RecordType::Naptr => WireType::NAPTR,
    }
}

/// The records of the kind asked for and the shortest time one of them may be kept. None if
/// there is no such record: aliases alone are no answer.
#[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
fn records(answers: &[Record], kind: RecordType) -> Option<(Records, Duration)> {
    let (mut addresses, mut servers, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    let mut ttl = u32::MAX;
    for record in answers {
        match (&record.data, kind) {
            (RData::A(address), RecordType::A) => addresses.push(IpAddr::V4(address.0)),
            (RData::AAAA(address), RecordType::Aaaa) => addresses.push(IpAddr::V6(address.0)),
            (RData::SRV(srv), RecordType::Srv) => servers.push(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: plain(&srv.target),
            }),
            (RData::NAPTR(rule), RecordType::Naptr) => rules.push(Naptr {
                order: rule.order,
                preference: rule.preference,
                flags: String::from_utf8_lossy(&rule.flags).into(),
                service: String::from_utf8_lossy(&rule.services).into(),
                replacement: plain(&rule.replacement),
            }),
            // The time of an alias on the way bounds the answer as well.
            (RData::CNAME(_), _) => {}
            _ => continue,
        }
        ttl = ttl.min(record.ttl);
    }
    let records = match kind {
        RecordType::A | RecordType::Aaaa if !addresses.is_empty() => Records::Addresses(addresses),
        RecordType::Srv if !servers.is_empty() => Records::Srv(servers),
        RecordType::Naptr if !rules.is_empty() => Records::Naptr(rules),
        RecordType::A | RecordType::Aaaa | RecordType::Srv | RecordType::Naptr => return None,
    };
    Some((records, Duration::from_secs(ttl.into())))
}

fn plain(name: &Name) -> Arc<str> {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).into()
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
fn failure(error: &NetError) -> (DnsError, Duration) {
    match error {
        NetError::Dns(NetDnsError::NoRecordsFound(none)) => {
            let error = match none.response_code {
                ResponseCode::NXDomain => DnsError::NoSuchName,
                ResponseCode::NoError => DnsError::NoData,
                _ => DnsError::ServerFailure,
            };
            let ttl = none
                .negative_ttl
                .map_or(FAILURE_TTL, |ttl| Duration::from_secs(ttl.into()));
            (error, ttl)
        }
        NetError::Timeout => (DnsError::Timeout, FAILURE_TTL),
        _ => (DnsError::ServerFailure, FAILURE_TTL),
    }
}
