//! Address blocks in CIDR notation (RFC 4632, RFC 4291 §2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// A block of IPv4 or IPv6 addresses: `198.51.100.0/28`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpNet {
    first: IpAddr,
    prefix: u8,
}

/// Why a text or a pair of values is no address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IpNetError {
    /// The part before the slash is no IP address.
    #[error("not an IP address")]
    Address,
    /// The prefix is no number, or longer than the address.
    #[error("the prefix length must be a number up to 32 (IPv4) or 128 (IPv6)")]
    Prefix,
    /// Bits after the prefix are set, which is most often a slip of the pen.
    #[error("the address has bits set beyond its prefix")]
    HostBits,
}

impl IpNet {
    /// The block of `prefix` leading bits of `first`.
    ///
    /// # Errors
    /// A prefix longer than the address, or an address with bits beyond it.
    pub fn new(first: IpAddr, prefix: u8) -> Result<Self, IpNetError> {
        let width = width(first);
        if prefix > width {
            return Err(IpNetError::Prefix);
        }
        let beyond = bits(first).checked_shl(u32::from(prefix) + u32::from(128 - width));
        if beyond.is_some_and(|rest| rest != 0) {
            return Err(IpNetError::HostBits);
        }
        Ok(Self { first, prefix })
    }

    /// The block that holds one address only.
    #[must_use]
    pub fn single(address: IpAddr) -> Self {
        Self {
            first: address,
            prefix: width(address),
        }
    }

    /// Whether `address` lies in the block. An IPv4-mapped IPv6 address counts as the IPv4 one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_ipv4() != self.first.is_ipv4() {
            return false;
        }
        self.agrees(address, self.prefix)
    }

    /// Whether the two blocks share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4()
            && self.agrees(other.first, self.prefix.min(other.prefix))
    }

    /// Number of leading bits that are fixed, 0 to 32 (IPv4) or 128 (IPv6).
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    fn agrees(&self, address: IpAddr, prefix: u8) -> bool {
        let differing = bits(self.first) ^ bits(address);
        let insignificant = u32::from(width(self.first) - prefix);
        differing.checked_shr(insignificant).unwrap_or(0) == 0
    }
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for IpNet {
    type Err = IpNetError;

    fn from_str(text: &str) -> Result<Self, IpNetError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| IpNetError::Address)?;
        match prefix {
            Some(prefix) => {
                let prefix = prefix.trim().parse().map_err(|_| IpNetError::Prefix)?;
                Self::new(address, prefix)
            }
            None => Ok(Self::single(address)),
        }
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_contains_its_addresses_and_no_others() {
        let block = net("198.51.100.0/28");
        assert!(block.contains("198.51.100.15".parse().unwrap()));
        assert!(!block.contains("198.51.100.16".parse().unwrap()));
        assert!(block.contains("::ffff:198.51.100.1".parse().unwrap()));
        assert!(!block.contains("2001:db8::1".parse().unwrap()));
        assert!(net("0.0.0.0/0").contains("203.0.113.9".parse().unwrap()));
        assert!(net("2001:db8::/32").contains("2001:db8:ffff::1".parse().unwrap()));
        assert!(!net("2001:db8::/32").contains("2001:db9::1".parse().unwrap()));
        assert!(net("::/0").contains("2001:db8::1".parse().unwrap()));
        assert!(net("192.0.2.7").contains("192.0.2.7".parse().unwrap()));
        assert!(!net("192.0.2.7").contains("192.0.2.6".parse().unwrap()));
    }

    #[test]
    fn a_slip_of_the_pen_is_named() {
        assert_eq!(
            "198.51.100.1/28".parse::<IpNet>(),
            Err(IpNetError::HostBits)
        );
        assert_eq!("198.51.100.0/33".parse::<IpNet>(), Err(IpNetError::Prefix));
        assert_eq!("198.51.100/28".parse::<IpNet>(), Err(IpNetError::Address));
        assert_eq!("2001:db8::1/64".parse::<IpNet>(), Err(IpNetError::HostBits));
    }

    #[test]
    fn overlap_is_symmetric() {
        let (wide, narrow) = (net("52.112.0.0/14"), net("52.114.0.0/16"));
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide));
        assert!(!wide.overlaps(&net("52.120.0.0/14")));
        assert!(!wide.overlaps(&net("2001:db8::/32")));
    }
}
