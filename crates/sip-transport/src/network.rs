//! Address ranges that a listener hears, written as in a firewall table.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use sip_msg::wire::TrunkName;

/// A CIDR range, IPv4 or IPv6. Host bits of the address are ignored when matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a range cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part before the slash is no IP address.
    #[error("not an IP address")]
    Address,
    /// The prefix is no number or longer than the address (32 or 128 bits).
    #[error("prefix length is not within the address")]
    Prefix,
}

impl Network {
    /// The range of all addresses that share the first `prefix` bits with `address`.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        if prefix > width(address) {
            return Err(NetworkError::Prefix);
        }
        Ok(Self { address, prefix })
    }

    /// The range of one address.
    pub fn host(address: IpAddr) -> Self {
        Self {
            address,
            prefix: width(address),
        }
    }

    /// Whether the address lies in the range. An IPv4 address written as IPv6 (`::ffff:a.b.c.d`,
    /// RFC 4291 §2.5.5.2) counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => same_prefix(
                u128::from(ours.to_bits()),
                u128::from(theirs.to_bits()),
                32,
                self.prefix,
            ),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                same_prefix(ours.to_bits(), theirs.to_bits(), 128, self.prefix)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn same_prefix(ours: u128, theirs: u128, width: u32, prefix: u8) -> bool {
    // A shift by all 128 bits is not defined; `checked_shr` answers it with "nothing differs".
    (ours ^ theirs)
        .checked_shr(width - u32::from(prefix))
        .unwrap_or(0)
        == 0
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let Some((address, prefix)) = text.split_once('/') else {
            return text
                .parse()
                .map(Self::host)
                .map_err(|_| NetworkError::Address);
        };
        let address = address.parse().map_err(|_| NetworkError::Address)?;
        Self::new(address, prefix.parse().map_err(|_| NetworkError::Prefix)?)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A range from which a listener accepts a trunk's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedNetwork {
    /// The source addresses.
    pub network: Network,
    /// The trunk they belong to. Which trunk a request belongs to is decided by the core; the
    /// name here only says whose policy made the range acceptable.
    pub trunk: TrunkName,
}

/// Whether a source may be heard. An empty list hears everyone: the core then decides alone.
pub(crate) fn is_allowed(networks: &[AllowedNetwork], source: IpAddr) -> bool {
    networks.is_empty() || is_listed(networks, source)
}

/// Whether a source is named by the configuration, which earns it the larger caps.
pub(crate) fn is_listed(networks: &[AllowedNetwork], source: IpAddr) -> bool {
    networks
        .iter()
        .any(|allowed| allowed.network.contains(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_its_first_and_last_address_and_no_neighbour() {
        let range = network("198.51.100.16/28");
        assert!(range.contains("198.51.100.16".parse().unwrap()));
        assert!(range.contains("198.51.100.31".parse().unwrap()));
        assert!(!range.contains("198.51.100.15".parse().unwrap()));
        assert!(!range.contains("198.51.100.32".parse().unwrap()));
        assert!(range.contains("::ffff:198.51.100.17".parse().unwrap()));
        let six = network("2001:db8:1::/48");
        assert!(six.contains("2001:db8:1:ffff::1".parse().unwrap()));
        assert!(!six.contains("2001:db8:2::".parse().unwrap()));
        assert!(!six.contains("198.51.100.17".parse().unwrap()));
    }

    #[test]
    fn the_longest_and_shortest_prefixes_work() {
        assert!(network("0.0.0.0/0").contains("203.0.113.9".parse().unwrap()));
        assert!(network("::/0").contains("2001:db8::1".parse().unwrap()));
        assert!(!network("::/0").contains("203.0.113.9".parse().unwrap()));
        assert!(network("203.0.113.9").contains("203.0.113.9".parse().unwrap()));
        assert!(!network("203.0.113.9/32").contains("203.0.113.8".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(
            "203.0.113/24".parse::<Network>(),
            Err(NetworkError::Address)
        );
        assert_eq!(
            "203.0.113.0/33".parse::<Network>(),
            Err(NetworkError::Prefix)
        );
        assert_eq!("203.0.113.0/".parse::<Network>(), Err(NetworkError::Prefix));
    }
}
