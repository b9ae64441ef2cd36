//! Addresses, port ranges and networks: text to values, with what is wrong about the text.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use sip_msg::TransportKind;

/// `udp:0.0.0.0:5060`: a transport and a local address.
pub fn listen(text: &str) -> Result<(TransportKind, SocketAddr), &'static str> {
    let (transport, rest) = transport_of(text)?;
    let default = default_port(transport);
    if let Ok(address) = rest.parse::<SocketAddr>() {
        return Ok((transport, address));
    }
    match rest.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => Ok((transport, SocketAddr::new(address, default))),
        Err(_) => Err("an address and port are written udp:0.0.0.0:5060 or tls:[::]:5061"),
    }
}

/// A peer as written: transport, host (name or address without brackets), port if given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerText {
    /// The transport it is reached by.
    pub transport: TransportKind,
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// The port; `None` lets RFC 3263 look for SRV records where `host` is a name.
    pub port: Option<u16>,
}

/// `udp:198.51.100.7:5060`, `tls:sip.carrier.example`, `udp:[2001:db8::7]:5060`.
pub fn peer(text: &str) -> Result<PeerText, &'static str> {
    const WANTED: &str = "a peer is written udp:198.51.100.7:5060 or tls:sip.carrier.example";
    let (transport, rest) = transport_of(text)?;
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, tail) = bracketed.split_once(']').ok_or(WANTED)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| WANTED)?;
        let port = match tail.strip_prefix(':') {
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0).ok_or(WANTED)?),
            None if tail.is_empty() => None,
            None => return Err(WANTED),
        };
        return Ok(PeerText {
            transport,
            host: host.to_owned(),
            port,
        });
    }
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (
            host,
            Some(port.parse().ok().filter(|port| *port > 0).ok_or(WANTED)?),
        ),
        None => (rest, None),
    };
    if host.parse::<IpAddr>().is_err() && !is_host_name(host) {
        return Err(WANTED);
    }
    Ok(PeerText {
        transport,
        host: host.to_ascii_lowercase(),
        port,
    })
}

/// Whether `name` is a host name: labels of letters, digits and inner hyphens (RFC 1123 §2.1).
pub fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// `20000-29999`, both ends included; even start, so that RTP takes even ports (RFC 3550 §11).
pub fn ports(text: &str) -> Result<RangeInclusive<u16>, &'static str> {
    let (low, high) = text
        .split_once('-')
        .ok_or("a port range is written 20000-29999")?;
    let low: u16 = low
        .trim()
        .parse()
        .map_err(|_| "a port is a number from 1024 to 65535")?;
    let high: u16 = high
        .trim()
        .parse()
        .map_err(|_| "a port is a number from 1024 to 65535")?;
    if low < 1024 {
        return Err("media ports below 1024 are reserved");
    }
    if high <= low {
        return Err("the range ends before it begins");
    }
    let even = low + (low & 1);
    if high <= even {
        return Err("the range holds no even port with the odd one after it");
    }
    Ok(even..=high)
}

/// Port of a transport where none is written (RFC 3261 §19.1.2).
pub fn default_port(transport: TransportKind) -> u16 {
    match transport {
        TransportKind::Tls | TransportKind::Wss => 5061,
        TransportKind::Udp | TransportKind::Tcp | TransportKind::Ws => 5060,
    }
}

fn transport_of(text: &str) -> Result<(TransportKind, &str), &'static str> {
    let (token, rest) = text
        .split_once(':')
        .ok_or("the transport comes first: udp:, tcp: or tls:")?;
    match token.to_ascii_lowercase().as_str() {
        "udp" => Ok((TransportKind::Udp, rest)),
        "tcp" => Ok((TransportKind::Tcp, rest)),
        "tls" => Ok((TransportKind::Tls, rest)),
        _ => Err("the transport comes first: udp:, tcp: or tls:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_names_or_addresses_with_a_transport() {
        assert_eq!(peer("udp:[2001:db8::7]:5080").unwrap().port, Some(5080));
        assert_eq!(
            peer("tls:SIP.Carrier.example").unwrap().host,
            "sip.carrier.example"
        );
        for wrong in [
            "198.51.100.7:5060",
            "udp:",
            "udp:host:0",
            "sctp:a:1",
            "udp:-a.example",
            "udp:a b",
        ] {
            assert!(peer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn port_ranges_start_even_and_hold_a_pair() {
        assert_eq!(ports("20001-20003").unwrap(), 20002..=20003);
        for wrong in ["20000", "80-90", "30000-20000", "20001-20002", "1024-70000"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
