//! Pairs of ports: binding them and giving them their options.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use media_relay::{PortPair, PortPairId, ShardId};
use nix::sys::socket::{setsockopt, sockopt};

use crate::MediaInterface;

/// What the kernel may hold for a socket: a second of 20 ms packets and some more, so that a stall
/// of the shard loses nothing.
const SOCKET_BUFFER: usize = 128 * 1024;

/// The sockets of a pair.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) ports: PortPair,
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
}

impl Pair {
    pub(crate) fn socket(&self, rtcp: bool) -> &UdpSocket {
        if rtcp { &self.rtcp } else { &self.rtp }
    }
}

/// The shard that bound a pair: its number is in the upper octet of the pair's.
pub(crate) fn home(pair: PortPairId) -> ShardId {
    ShardId((pair.0 >> 24) as u8)
}

/// Binds pairs of one interface for one shard: every n-th even port is this shard's, so that shards
/// do not get in each other's way.
#[derive(Debug)]
pub(crate) struct Binder {
    pub(crate) interface: MediaInterface,
    shard: ShardId,
    shards: u8,
    dscp: u8,
    /// The pair to be tried next, counted from the first of the range.
    next: u32,
}

impl Binder {
    pub(crate) fn new(interface: MediaInterface, shard: ShardId, shards: u8, dscp: u8) -> Self {
        Self {
            interface,
            shard,
            shards,
            dscp,
            next: 0,
        }
    }

    /// Binds the next pair that is free; `None` where the range holds none, or the system allows
    /// no more sockets.
    pub(crate) fn bind(&mut self, number: u32) -> Option<Pair> {
        let first = u32::from(*self.interface.ports.start()).next_multiple_of(2);
        let last = u32::from(*self.interface.ports.end());
        let pairs = (last + 1).saturating_sub(first) / 2;
        let shards = u32::from(self.shards);
        // This shard's pairs: those whose number leaves its own when divided by the shards.
        let own = pairs
            .saturating_sub(u32::from(self.shard.0))
            .div_ceil(shards);
        for _ in 0..own {
            let pair = self.next % own;
            self.next = (pair + 1) % own;
            let port = first + 2 * (pair * shards + u32::from(self.shard.0));
            let port = u16::try_from(port).expect("the range ends below 2^16");
            match self.bind_at(port, number) {
                Ok(pair) => return Some(pair),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    tracing::warn!(%error, port, "a media port cannot be bound");
                    return None;
                }
            }
        }
        None
    }

    fn bind_at(&self, port: u16, number: u32) -> io::Result<Pair> {
        let rtp = open(self.interface.bind, port, self.dscp)?;
        let rtcp = open(self.interface.bind, port + 1, self.dscp)?;
        let ports = PortPair {
            id: PortPairId(u32::from(self.shard.0) << 24 | number & 0x00ff_ffff),
            shard: self.shard,
            interface: self.interface.id,
            rtp: rtp.local_addr()?,
            rtcp: rtcp.local_addr()?,
        };
        Ok(Pair { ports, rtp, rtcp })
    }
}

fn open(bind: IpAddr, port: u16, dscp: u8) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(bind, port))?;
    socket.set_nonblocking(true)?;
    // Best effort: a container may forbid the class, and the kernel caps the buffers.
    // The code point is the upper six bits of the octet.
    let octet = i32::from(dscp & 0x3f) << 2;
    let class = match bind {
        IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4Tos, &octet),
        IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6TClass, &octet),
    };
    let receive = setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER);
    let send = setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER);
    for error in [class, receive, send].into_iter().filter_map(Result::err) {
        tracing::debug!(%error, port, "an option of a media socket was refused");
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;

    #[test]
    fn both_sockets_of_a_pair_carry_the_code_point() {
        for bind in ["127.0.0.1", "::1"] {
            let interface = MediaInterface {
                id: 0,
                bind: bind.parse().unwrap(),
                ports: 41_000..=41_999,
            };
            let mut binder = Binder::new(interface.clone(), ShardId(0), 1, 46);
            let pair = binder.bind(0).unwrap();
            for socket in [&pair.rtp, &pair.rtcp] {
                let octet = if interface.bind.is_ipv4() {
                    getsockopt(socket, sockopt::Ipv4Tos)
                } else {
                    getsockopt(socket, sockopt::Ipv6TClass)
                };
                assert_eq!(octet, Ok(46 << 2), "{bind}");
            }
        }
    }
}
