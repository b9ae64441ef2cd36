//! Pairs of ports that are sockets: the port's own, and one beside it that is connected.
//!
//! A connected socket is cheaper to receive from and to send through, but deaf to everybody else.
//! So it does not take the place of the port's own socket: it is bound beside it once the peer is
//! settled, and the kernel gives it what comes from the peer and gives the port's own socket the
//! rest. Strangers are counted and a peer that moves is heard as before.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use media_relay::{Arrival, Fetch, PortPair, PortPairId, ShardId, Slots};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use crate::MediaIoConfig;
use crate::ports::Range;

/// What the kernel may hold for a socket: a second of 20 ms packets and some more, so that a stall
/// of the shard loses nothing.
const SOCKET_BUFFER: usize = 128 * 1024;
/// Packets carried from one source until a socket is connected to it: more than half a second of
/// speech, so that calls which end at once do not pay for it.
const SETTLED: u16 = 32;
/// Connected sockets closed at a time to make room for ports.
const GIVE_WAY: usize = 64;

/// Which socket of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The RTP port's own.
    Rtp,
    /// The RTCP port's own.
    Rtcp,
    /// The one beside the RTP port's own.
    Connected,
}

impl Which {
    /// The number of it among the three.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Rtp => 0,
            Self::Rtcp => 1,
            Self::Connected => 2,
        }
    }

    /// The one with a number.
    pub(crate) const fn numbered(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Rtp),
            1 => Some(Self::Rtcp),
            2 => Some(Self::Connected),
            _ => None,
        }
    }

    pub(crate) const fn is_rtcp(self) -> bool {
        matches!(self, Self::Rtcp)
    }
}

/// A source that packets are carried from.
#[derive(Clone, Copy, Debug)]
struct Source {
    addr: SocketAddr,
    packets: u16,
}

/// The sockets of a pair.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) ports: PortPair,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    connected: Option<(UdpSocket, SocketAddr)>,
    source: Option<Source>,
}

impl Pair {
    /// A socket, if it is there.
    pub(crate) fn socket(&self, which: Which) -> Option<&UdpSocket> {
        match which {
            Which::Rtp => Some(&self.rtp),
            Which::Rtcp => Some(&self.rtcp),
            Which::Connected => self.connected.as_ref().map(|(socket, _)| socket),
        }
    }

    /// Whom the connected socket is connected to.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.connected.as_ref().map(|(_, peer)| *peer)
    }

    /// Which socket to send through, and whether the address must be given.
    pub(crate) fn way(&self, rtcp: bool, to: SocketAddr) -> (Which, bool) {
        if rtcp {
            (Which::Rtcp, true)
        } else if self.peer() == Some(to) {
            (Which::Connected, false)
        } else {
            (Which::Rtp, true)
        }
    }

    /// Notes a packet that was carried; whether a socket should now be connected to its source.
    pub(crate) fn settles(&mut self, arrival: &Arrival) -> bool {
        if arrival.rtcp || self.peer() == Some(arrival.source) {
            return false;
        }
        match &mut self.source {
            Some(source) if source.addr == arrival.source => {
                source.packets = source.packets.saturating_add(1);
                source.packets == SETTLED
            }
            other => {
                *other = Some(Source {
                    addr: arrival.source,
                    packets: 1,
                });
                false
            }
        }
    }

    /// Opens a socket beside the RTP port's own that hears `peer` alone. The one before it must
    /// have been taken out.
    pub(crate) fn connect(&mut self, peer: SocketAddr, dscp: u8) -> Result<(), Errno> {
        // Set only now: while the port was bound, nobody else could share it.
        setsockopt(&self.rtp, sockopt::ReusePort, &true)?;
        let beside = open_beside(self.ports.rtp(), peer)?;
        equip(&beside, self.ports.rtp(), dscp);
        self.connected = Some((beside, peer));
        Ok(())
    }

    /// Takes out the connected socket.
    pub(crate) fn disconnect(&mut self) -> Option<UdpSocket> {
        self.source = None;
        self.connected.take().map(|(socket, _)| socket)
    }
}

/// A non-blocking socket bound to `local` beside another one there, and connected to `peer`.
fn open_beside(local: SocketAddr, peer: SocketAddr) -> Result<UdpSocket, Errno> {
    let family = match local {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(family, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::ReusePort, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(local))?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(peer))?;
    Ok(UdpSocket::from(fd))
}

/// Gives a media socket its class and room. Best effort: a container may forbid the class, and the
/// kernel caps the buffers.
fn equip(socket: &UdpSocket, local: SocketAddr, dscp: u8) {
    // The code point is the upper six bits of the octet.
    let octet = i32::from(dscp & 0x3f) << 2;
    let class = match local.ip() {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4Tos, &octet),
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6TClass, &octet),
    };
    let receive = setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER);
    let send = setsockopt(socket, sockopt::SndBuf, &SOCKET_BUFFER);
    for error in [class, receive, send].into_iter().filter_map(Result::err) {
        tracing::debug!(%error, port = local.port(), "an option of a media socket was refused");
    }
}

fn open(local: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    equip(&socket, local, dscp);
    Ok(socket)
}

/// The pairs of a shard, each in a slot that stays its own while it is here.
pub(crate) struct Pairs {
    shard: ShardId,
    dscp: u8,
    ranges: Vec<Range>,
    slots: Vec<Option<Pair>>,
    /// The numbers of the pairs, close together.
    ids: Vec<PortPairId>,
    free: Vec<u32>,
    by_id: Slots,
    /// Pairs bound so far: the number of the next one.
    numbers: u32,
}

impl Pairs {
    pub(crate) fn new(shard: ShardId, config: &MediaIoConfig) -> Self {
        let range = |interface| Range::new(interface, shard, config.shards);
        Self {
            shard,
            dscp: config.dscp,
            ranges: config.interfaces.iter().cloned().map(range).collect(),
            slots: Vec::new(),
            ids: Vec::new(),
            free: Vec::new(),
            by_id: Slots::default(),
            numbers: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn slot(&self, ports: PortPairId) -> Option<u32> {
        self.by_id.get(ports)
    }

    /// The number of the pair that is, or was last, in a slot.
    pub(crate) fn id(&self, slot: u32) -> Option<PortPairId> {
        self.ids.get(slot as usize).copied()
    }

    /// Names what sending from the pair in a slot, or receiving for it, reads.
    pub(crate) fn foresee(&self, slot: u32, fetch: &mut impl Fetch) {
        // Whether it holds a pair is not looked at: that would wait for it.
        if let Some(slot) = self.slots.get(slot as usize) {
            fetch.fetch(slot);
        }
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Pair> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Pair> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn by_id(&self, ports: PortPairId) -> Option<(u32, &Pair)> {
        let slot = self.slot(ports)?;
        Some((slot, self.get(slot)?))
    }

    /// Binds the next pair of an interface that is free.
    pub(crate) fn bind(&mut self, interface: u16) -> io::Result<Pair> {
        let mut ranges = self.ranges.iter_mut();
        let range = ranges.find(|range| range.interface.id == interface);
        let range = range.ok_or(io::ErrorKind::NotFound)?;
        let id = PortPairId(u32::from(self.shard.0) << 24 | self.numbers & 0x00ff_ffff);
        for _ in 0..range.len() {
            let port = range.next();
            let at = |port| SocketAddr::new(range.interface.bind, port);
            let opened =
                open(at(port), self.dscp).and_then(|rtp| Ok((rtp, open(at(port + 1), self.dscp)?)));
            let (rtp, rtcp) = match opened {
                Ok(sockets) => sockets,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => {
                    range.back(port);
                    return Err(error);
                }
            };
            let ports = PortPair {
                id,
                shard: self.shard,
                interface,
                address: range.interface.bind,
                port,
            };
            self.numbers = self.numbers.wrapping_add(1);
            return Ok(Pair {
                ports,
                rtp,
                rtcp,
                connected: None,
                source: None,
            });
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Gives a pair a slot.
    pub(crate) fn insert(&mut self, pair: Pair) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.ids.push(pair.ports.id);
            u32::try_from(self.slots.len() - 1).expect("pairs are bounded far below 2^32")
        });
        self.by_id.insert(pair.ports.id, slot);
        self.ids[slot as usize] = pair.ports.id;
        self.slots[slot as usize] = Some(pair);
        slot
    }

    /// Opens a socket beside the RTP port's own of a pair that has none, for a peer that is settled.
    /// What comes from the peer from now on waits in it. Whether that was possible.
    pub(crate) fn connect(&mut self, slot: u32, peer: SocketAddr) -> bool {
        let dscp = self.dscp;
        match self.get_mut(slot).map(|pair| pair.connect(peer, dscp)) {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                tracing::debug!(%error, %peer, "a media socket is not connected to its peer");
                false
            }
            None => false,
        }
    }

    /// Takes a pair out.
    pub(crate) fn remove(&mut self, ports: PortPairId) -> Option<(u32, Pair)> {
        let slot = self.by_id.remove(ports)?;
        let pair = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some((slot, pair))
    }

    /// Some pairs with connected sockets, which are to be closed to make room for ports.
    pub(crate) fn giving_way(&self) -> Vec<u32> {
        (0u32..)
            .zip(&self.slots)
            .filter(|(_, pair)| pair.as_ref().is_some_and(|pair| pair.peer().is_some()))
            .map(|(slot, _)| slot)
            .take(GIVE_WAY)
            .collect()
    }
}

/// Whether the process, or the system, has no descriptor left.
pub(crate) fn out_of_descriptors(error: &io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE]
        .iter()
        .any(|full| error.raw_os_error() == Some(*full as i32))
}

/// Binds up to `count` pairs for a path whose ports are sockets: `bind` binds one and puts it in
/// its place, `give_way` closes connected sockets and says whether there were any.
pub(crate) fn bind_pairs<P>(
    path: &mut P,
    count: u16,
    bind: impl Fn(&mut P) -> io::Result<PortPair>,
    give_way: impl Fn(&mut P) -> bool,
) -> Vec<PortPair> {
    let mut bound = Vec::new();
    while bound.len() < usize::from(count) {
        match bind(path) {
            Ok(ports) => bound.push(ports),
            Err(error) if out_of_descriptors(&error) && give_way(path) => {}
            Err(error) => {
                if error.kind() != io::ErrorKind::AddrInUse {
                    tracing::warn!(%error, "a media port cannot be bound");
                }
                break;
            }
        }
    }
    bound
}
