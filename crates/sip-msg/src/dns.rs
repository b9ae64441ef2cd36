//! Raw DNS questions and answers, as RFC 3263 server selection needs them.
//!
//! The selection is pure and asks by value; a shell looks the records up and hands them back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The record types RFC 3263 uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Servers of a service, RFC 2782.
    Srv,
    /// Services of a domain, RFC 3403.
    Naptr,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Query {
    /// The name asked about, without a final dot.
    pub name: Arc<str>,
    /// What is asked for.
    pub kind: RecordType,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The question.
    pub query: Query,
    /// The records, aliases already followed.
    pub result: Result<Records, DnsError>,
    /// How long the answer, or the failure, may be kept.
    pub ttl: Duration,
}

/// The records of an answer, in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// To [`RecordType::A`] and [`RecordType::Aaaa`].
    Addresses(Vec<IpAddr>),
    /// To [`RecordType::Srv`].
    Srv(Vec<Srv>),
    /// To [`RecordType::Naptr`].
    Naptr(Vec<Naptr>),
}

/// A server of a service, RFC 2782.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// Share of the load among equal priorities.
    pub weight: u16,
    /// The port the service listens on.
    pub port: u16,
    /// The host, without a final dot.
    pub target: Arc<str>,
}

/// A rewrite rule, RFC 3403 §4.1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Naptr {
    /// Lower is processed first.
    pub order: u16,
    /// Lower is preferred among equal orders.
    pub preference: u16,
    /// `s` where the replacement is looked up as SRV.
    pub flags: Box<str>,
    /// The service, such as `SIP+D2T` or `SIPS+D2T`.
    pub service: Box<str>,
    /// The next name, without a final dot.
    pub replacement: Arc<str>,
}

/// Why there are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist (NXDOMAIN).
    #[error("no such name")]
    NoSuchName,
    /// The name has no records of this type.
    #[error("no records of this type")]
    NoData,
    /// The servers answered with a failure, or with what cannot be read.
    #[error("server failure")]
    ServerFailure,
    /// No server answered in time.
    #[error("no answer in time")]
    Timeout,
}
