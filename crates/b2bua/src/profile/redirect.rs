//! Whether and where a 3xx response of a trunk is followed.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// Hosts that a redirection may lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectTarget {
    /// This host name, in lower case.
    Host(Arc<str>),
    /// Every name below this domain, in lower case, written `*.domain`.
    Below(Arc<str>),
    /// Every address of this network.
    Network(IpNet),
}

impl RedirectTarget {
    /// Reads `sbc.carrier.example`, `*.carrier.example`, `198.51.100.7` or `198.51.100.0/28`.
    /// `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(network) = super::network(text) {
            return Some(Self::Network(network));
        }
        let lower = text.to_ascii_lowercase();
        let (below, name) = match lower.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, lower.as_str()),
        };
        let is_name = !name.is_empty()
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            });
        is_name.then(|| match below {
            true => Self::Below(name.into()),
            false => Self::Host(name.into()),
        })
    }

    /// Whether `host`, the host of a SIP URI, is one of these.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match self {
            Self::Host(name) => bare.eq_ignore_ascii_case(name),
            Self::Below(domain) => {
                let host = bare.to_ascii_lowercase();
                host.strip_suffix(&**domain)
                    .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }
            Self::Network(network) => bare
                .parse::<IpAddr>()
                .is_ok_and(|address| super::holds(network, address)),
        }
    }
}

/// What is done with a 300, 301 or 302 of a trunk. It never crosses to the caller (U-12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Whether its Contacts are tried.
    pub follow: bool,
    /// Targets that one call follows at most, over all its redirections.
    pub max: usize,
    /// Hosts beyond the peers of the configured trunks that a Contact may name.
    pub allow: Vec<RedirectTarget>,
    /// Whether the caller is told with 181 that the call is being forwarded.
    pub announce: bool,
}

impl Default for Redirect {
    /// Followed, at most five times a call, to configured peers only, and in silence.
    fn default() -> Self {
        Self {
            follow: true,
            max: 5,
            allow: Vec::new(),
            announce: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_domains_and_networks_cover_what_they_say() {
        let covers = |target: &str, host: &str| RedirectTarget::parse(target).unwrap().covers(host);
        assert!(covers("sbc.carrier.example", "SBC.carrier.example"));
        assert!(!covers("sbc.carrier.example", "a.sbc.carrier.example"));
        assert!(covers("*.carrier.example", "a.b.carrier.example"));
        assert!(!covers("*.carrier.example", "carrier.example"));
        assert!(!covers("*.carrier.example", "notcarrier.example"));
        assert!(covers("198.51.100.0/28", "198.51.100.9"));
        assert!(!covers("198.51.100.0/28", "198.51.100.16"));
        assert!(covers("2001:db8::/32", "[2001:db8::7]"));
        assert!(!covers("198.51.100.0/28", "carrier.example"));
        for bad in ["", "*.", "a..b", "a b", "sip:carrier.example", "*"] {
            assert_eq!(RedirectTarget::parse(bad), None, "{bad}");
        }
    }
}
