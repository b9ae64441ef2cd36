//! The headers in front of a datagram, written in place.

use std::net::{IpAddr, SocketAddr};

use super::checksum::{fold, sum};

/// Octets of a header of Ethernet.
pub const ETHER: usize = 14;
const UDP: usize = 8;
const PROTOCOL_UDP: u8 = 17;
/// RFC 1700; what Linux sends by itself.
const HOPS: u8 = 64;

/// What does not fit a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The addresses are of two families.
    #[error("the addresses are of two families")]
    Families,
    /// There is too little room in front of the datagram, or it is too long for UDP.
    #[error("there is no room for the headers")]
    Room,
}

/// Writes the headers of UDP and IP in front of `len` octets that begin at `start` of `buf`; where
/// the packet begins. `class` is the octet of code point and congestion (RFC 2474, RFC 3168).
///
/// Over IPv4 the packet says that it must not be fragmented (RFC 791 §3.1, RFC 6864). The checksum
/// of UDP is always there (RFC 768; RFC 8200 §8.1 demands it).
pub fn write_packet(
    buf: &mut [u8],
    start: usize,
    len: usize,
    from: SocketAddr,
    to: SocketAddr,
    class: u8,
) -> Result<usize, HeaderError> {
    let ip_len = match from {
        SocketAddr::V4(_) => 20,
        SocketAddr::V6(_) => 40,
    };
    let udp_at = start.checked_sub(UDP).ok_or(HeaderError::Room)?;
    let ip_at = udp_at.checked_sub(ip_len).ok_or(HeaderError::Room)?;
    let packet = buf.get_mut(ip_at..start + len).ok_or(HeaderError::Room)?;
    let (header, datagram) = packet.split_at_mut(ip_len);
    let udp_len = u16::try_from(datagram.len()).map_err(|_| HeaderError::Room)?;
    let total = udp_len.checked_add(ip_len as u16);
    let total = total.ok_or(HeaderError::Room)?;
    let addresses = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip = [0; 20];
            (ip[0], ip[1]) = (0x45, class);
            ip[2..4].copy_from_slice(&total.to_be_bytes());
            ip[6] = 0x40; // do not fragment
            (ip[8], ip[9]) = (HOPS, PROTOCOL_UDP);
            ip[12..16].copy_from_slice(&from.octets());
            ip[16..].copy_from_slice(&to.octets());
            let checksum = fold(sum(&ip, 0));
            ip[10..12].copy_from_slice(&checksum);
            header.copy_from_slice(&ip);
            sum(&ip[12..], 0)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut ip = [0; 40];
            ip[..4].copy_from_slice(&(6 << 28 | u32::from(class) << 20).to_be_bytes());
            ip[4..6].copy_from_slice(&udp_len.to_be_bytes());
            (ip[6], ip[7]) = (PROTOCOL_UDP, HOPS);
            ip[8..24].copy_from_slice(&from.octets());
            ip[24..].copy_from_slice(&to.octets());
            header.copy_from_slice(&ip);
            sum(&ip[8..], 0)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(HeaderError::Families);
        }
    };
    let mut udp = [0; UDP];
    udp[..2].copy_from_slice(&from.port().to_be_bytes());
    udp[2..4].copy_from_slice(&to.port().to_be_bytes());
    udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
    datagram[..UDP].copy_from_slice(&udp);
    // The pseudo-header: addresses, protocol and length (RFC 768; RFC 8200 §8.1).
    let [high, low] = udp_len.to_be_bytes();
    let pseudo = sum(&[0, PROTOCOL_UDP, high, low], addresses);
    let checksum = match fold(sum(datagram, pseudo)) {
        [0, 0] => [0xff, 0xff], // zero would say that there is none
        checksum => checksum,
    };
    datagram[6..UDP].copy_from_slice(&checksum);
    Ok(ip_at)
}

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    fn check(from: &str, to: &str, payload: &[u8]) -> [u8; 2] {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let mut buf = vec![0xaa; 64 + payload.len()];
        buf[64..].copy_from_slice(payload);
        let start = write_packet(&mut buf, 64, payload.len(), from, to, 46 << 2).unwrap();
        assert!(buf[..start].iter().all(|&octet| octet == 0xaa));
        let packet = SlicedPacket::from_ip(&buf[start..]).unwrap();
        let Some(TransportSlice::Udp(udp)) = packet.transport else {
            panic!("no UDP")
        };
        assert_eq!(udp.payload(), payload);
        let header = udp.to_header();
        assert_eq!(
            (header.source_port, header.destination_port),
            (from.port(), to.port())
        );
        let checksum = match packet.net {
            Some(NetSlice::Ipv4(ip)) => {
                let ip = ip.header().to_header();
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                assert!(ip.dont_fragment && !ip.more_fragments);
                assert_eq!((ip.dscp.value(), ip.ecn.value()), (46, 0));
                assert_eq!((ip.time_to_live, IpAddr::from(ip.source)), (64, from.ip()));
                assert_eq!(IpAddr::from(ip.destination), to.ip());
                header.calc_checksum_ipv4(&ip, payload).unwrap()
            }
            Some(NetSlice::Ipv6(ip)) => {
                let ip = ip.header().to_header();
                assert_eq!((ip.traffic_class, ip.hop_limit), (46 << 2, 64));
                assert_eq!(ip.flow_label.value(), 0);
                assert_eq!(ip.source_addr(), from.ip());
                assert_eq!(ip.destination_addr(), to.ip());
                header.calc_checksum_ipv6(&ip, payload).unwrap()
            }
            _ => panic!("no IP"),
        };
        assert_eq!(header.checksum, checksum);
        header.checksum.to_be_bytes()
    }

    const PAIRS: [(&str, &str); 2] = [
        ("192.0.2.1:20000", "198.51.100.255:40001"),
        ("[2001:db8::1]:20000", "[2001:db8:ff::ffff]:40001"),
    ];

    #[test]
    fn another_library_finds_them_right() {
        for (from, to) in PAIRS {
            for len in [0, 1, 2, 3, 4, 12, 171, 172, 173, 1400, 2048] {
                let payload: Vec<u8> = (0..len).map(|n| (n * 31 + len) as u8).collect();
                check(from, to, &payload);
                check(from, to, &vec![0xff; len as usize]);
            }
        }
    }

    #[test]
    fn a_checksum_of_zero_is_written_as_its_other_self() {
        for (from, to) in PAIRS {
            // A payload that is the checksum of the rest makes it zero.
            let checksum = check(from, to, &[0, 0]);
            assert_eq!(check(from, to, &checksum), [0xff, 0xff], "{from}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let [v4, v6] = PAIRS.map(|(from, _)| from.parse().unwrap());
        let mut buf = [0; 200];
        assert_eq!(
            write_packet(&mut buf, 64, 100, v4, v6, 0),
            Err(HeaderError::Families)
        );
        assert_eq!(
            write_packet(&mut buf, 27, 100, v4, v4, 0),
            Err(HeaderError::Room)
        );
        assert_eq!(
            write_packet(&mut buf, 47, 100, v6, v6, 0),
            Err(HeaderError::Room)
        );
        assert_eq!(
            write_packet(&mut buf, 64, 137, v4, v4, 0),
            Err(HeaderError::Room)
        );
        assert_eq!(write_packet(&mut buf, 28, 172, v4, v4, 0), Ok(0));
    }
}
