//! Address blocks in CIDR notation (RFC 4632, RFC 4291 §2.3), as trunks name their sources.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

/// Why a text is no address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
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

/// Reads `198.51.100.0/28`, `2001:db8::/32`, or one address, which is a block by itself.
///
/// # Errors
/// What is wrong with the text; bits beyond the prefix are a mistake too.
pub fn network(text: &str) -> Result<IpNet, NetworkError> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.trim().parse().map_err(|_| NetworkError::Address)?;
    let Some(prefix) = prefix else {
        return Ok(IpNet::from(address));
    };
    let prefix = prefix.trim().parse().map_err(|_| NetworkError::Prefix)?;
    let block = IpNet::new(address, prefix).map_err(|_| NetworkError::Prefix)?;
    match block.trunc() == block {
        true => Ok(block),
        false => Err(NetworkError::HostBits),
    }
}

/// Whether `address` lies in the block. An IPv4 address written as IPv6 (`::ffff:a.b.c.d`,
/// RFC 4291 §2.5.5.2) counts as the IPv4 address it is.
pub(crate) fn holds(block: &IpNet, address: IpAddr) -> bool {
    block.contains(&address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        let within = |block: &str, address: &str| {
            let block = network(block).expect(block);
            holds(&block, address.parse().expect(address))
        };
        assert!(within("198.51.100.0/28", "198.51.100.15"));
        assert!(!within("198.51.100.0/28", "198.51.100.16"));
        assert!(within("198.51.100.0/28", "::ffff:198.51.100.1"));
        assert!(!within("198.51.100.0/28", "2001:db8::1"));
        assert!(within("0.0.0.0/0", "203.0.113.9"));
        assert!(within("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!within("2001:db8::/32", "2001:db9::1"));
        assert!(!within("::/0", "203.0.113.9"));
        assert!(within("192.0.2.7", "192.0.2.7"));
        assert!(!within("192.0.2.7", "192.0.2.6"));
    }

    #[test]
    fn a_slip_of_the_pen_is_named() {
        assert_eq!(network("198.51.100.1/28"), Err(NetworkError::HostBits));
        assert_eq!(network("198.51.100.0/33"), Err(NetworkError::Prefix));
        assert_eq!(network("198.51.100.0/"), Err(NetworkError::Prefix));
        assert_eq!(network("198.51.100/28"), Err(NetworkError::Address));
        assert_eq!(network("2001:db8::1/64"), Err(NetworkError::HostBits));
    }
}
