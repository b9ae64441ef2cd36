//! What DNS says of one of this gateway's names (C-01, F-08).

use std::net::IpAddr;

use sip_msg::dns::{DnsError, Query, RecordType, Records};
use sip_transport::Transport;

/// What DNS says of one of this gateway's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFinding {
    /// It was not asked yet, or there is nobody to ask.
    Unknown,
    /// It leads here.
    Ours(Vec<IpAddr>),
    /// There is no such name: Microsoft answers 504 to calls for it (R504).
    NoSuchName,
    /// The name exists and has no address, as when only its TXT record was made (F-08).
    NoAddress,
    /// It leads somewhere else.
    Elsewhere(Vec<IpAddr>),
    /// It leads here, and has IPv6 addresses that are not this gateway's too.
    StrayIpv6(Vec<IpAddr>),
    /// DNS did not answer.
    Unanswered(DnsError),
}

impl NameFinding {
    /// Whether something is to be done about it.
    pub fn is_wrong(&self) -> bool {
        !matches!(self, Self::Unknown | Self::Ours(_))
    }

    /// The finding as one sentence about `name`.
    pub fn in_words(&self, name: &str) -> String {
        let list = |found: &[IpAddr]| {
            let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
            texts.join(", ")
        };
        match self {
            Self::Unknown => format!("{name} was not asked for in DNS"),
            Self::Ours(found) => format!("{name} is {}", list(found)),
            Self::NoSuchName => {
                format!(
                    "{name} does not exist in DNS: create an A record with this gateway's public address"
                )
            }
            Self::NoAddress => {
                format!(
                    "{name} has no A record in DNS, perhaps only TXT: Microsoft cannot reach this gateway"
                )
            }
            Self::Elsewhere(found) => format!(
                "{name} is {} in DNS, which is not this gateway; set `public_address` if it stands behind NAT",
                list(found)
            ),
            Self::StrayIpv6(found) => format!(
                "{name} has the IPv6 address {}, which is not this gateway's",
                list(found)
            ),
            Self::Unanswered(error) => format!("{name} cannot be looked up: {error}"),
        }
    }
}

/// Judges the answers to the questions for A and AAAA records of a name. `own`: the addresses
/// this gateway is reached at; empty where only the machine's default is known.
pub fn judge(
    own: &[IpAddr],
    v4: Result<Vec<IpAddr>, DnsError>,
    v6: Result<Vec<IpAddr>, DnsError>,
) -> NameFinding {
    let found = match (v4, v6) {
        (Err(DnsError::NoSuchName), _) => return NameFinding::NoSuchName,
        (Err(DnsError::NoData), Err(_)) => return NameFinding::NoAddress,
        // Microsoft asks for A records unless the trunk is set to IPv6 (C-20).
        (Err(DnsError::NoData), Ok(v6)) if own.iter().any(|ip| v6.contains(ip)) => v6,
        (Err(DnsError::NoData), Ok(v6)) => return NameFinding::Elsewhere(v6),
        (Err(error @ (DnsError::ServerFailure | DnsError::Timeout)), _) => {
            return NameFinding::Unanswered(error);
        }
        (Ok(v4), v6) => {
            if !own.is_empty() && !v4.iter().any(|ip| own.contains(ip)) {
                return NameFinding::Elsewhere(v4);
            }
            let stray: Vec<IpAddr> = v6
                .unwrap_or_default()
                .into_iter()
                .filter(|ip| !own.contains(ip))
                .collect();
            if !own.is_empty() && !stray.is_empty() {
                return NameFinding::StrayIpv6(stray);
            }
            v4
        }
    };
    NameFinding::Ours(found)
}

/// Asks DNS for a name's addresses and judges them; see [`judge`].
pub async fn ask(transport: &Transport, name: &str, own: &[IpAddr]) -> NameFinding {
    let (v4, v6) = tokio::join!(
        addresses(transport, name, RecordType::A),
        addresses(transport, name, RecordType::Aaaa),
    );
    judge(own, v4, v6)
}

async fn addresses(
    transport: &Transport,
    name: &str,
    kind: RecordType,
) -> Result<Vec<IpAddr>, DnsError> {
    let query = Query {
        name: name.into(),
        kind,
    };
    match transport.look_up(query).await.result? {
        Records::Addresses(found) => Ok(found),
        Records::Srv(_) | Records::Naptr(_) => Err(DnsError::NoData),
    }
}

#[cfg(test)]
mod tests;
