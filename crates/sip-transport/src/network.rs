//! Address ranges that a listener hears, written as in a firewall table.

use std::net::IpAddr;

use ipnet::IpNet;
use sip_msg::wire::TrunkName;

/// A range from which a listener accepts a trunk's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedNetwork {
    /// The source addresses.
    pub network: IpNet,
    /// The trunk they belong to. Which trunk a request belongs to is decided by the core; the
    /// name here only says whose policy made the range acceptable.
    pub trunk: TrunkName,
}

/// Whether a source may be heard. An empty list hears everyone: the core then decides alone.
pub(crate) fn is_allowed(networks: &[AllowedNetwork], source: IpAddr) -> bool {
    networks.is_empty() || is_listed(networks, source)
}

/// Whether a source is named by the configuration, which earns it the larger caps.
///
/// An IPv4 address written as IPv6 (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2) counts as the IPv4
/// address it is.
pub(crate) fn is_listed(networks: &[AllowedNetwork], source: IpAddr) -> bool {
    let source = source.to_canonical();
    networks
        .iter()
        .any(|allowed| allowed.network.contains(&source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_heard_who_are_listed_or_all_where_nobody_is() {
        let allowed = ["198.51.100.16/28", "2001:db8:1::/48"].map(|text| AllowedNetwork {
            network: text.parse().expect("a block"),
            trunk: TrunkName::from("carrier"),
        });
        let cases = [
            ("198.51.100.16", true),
            ("198.51.100.31", true),
            ("198.51.100.15", false),
            ("198.51.100.32", false),
            ("::ffff:198.51.100.17", true),
            ("2001:db8:1:ffff::1", true),
            ("2001:db8:2::", false),
        ];
        for (source, heard) in cases {
            let source = source.parse().expect("an address");
            assert_eq!(is_listed(&allowed, source), heard, "{source}");
            assert_eq!(is_allowed(&allowed, source), heard, "{source}");
            assert!(is_allowed(&[], source) && !is_listed(&[], source));
        }
    }
}
