//! Steering: the datagrams of whole ranges of ports to one socket a shard.
//!
//! A BPF program of the type `sk_lookup` runs before the kernel looks for the socket of a datagram.
//! It finds the port in an array that is mapped into this process: is the port open, the socket of
//! its shard gets the datagram; is it closed, or not of these ranges, the kernel goes on as if
//! there were no program, so another process beside this one can own it, and otherwise the sender
//! is told that nobody is there.
//!
//! The sockets are shared by all calls of a shard, so a flood at one port must not fill them. Each
//! port takes so many datagrams in a while from those it knows as peers, and far fewer from
//! everybody else ([`Allowance`]): enough to hear a peer whose port has moved. What is beyond is
//! counted and ends in a socket that keeps nothing, so that no stranger gets an answer. Nobody has
//! to refill anything: the program reads the clock when an allowance is used up.

mod program;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::bpf::{AssemblyError, Map, Refused, SkLookup};
use super::table::{Entry, Table};
use crate::capabilities::{self, Capability};
use program::{Mixer, Program};

/// Ranges that one program can serve.
pub const RANGES: usize = 256;
const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Why datagrams cannot be steered.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The process lacks rights.
    #[error(transparent)]
    Rights(#[from] capabilities::Missing),
    /// A range is empty, there is none, or there are too many.
    #[error("{0} ranges of media ports; from 1 to {RANGES} that are not empty are possible")]
    Ranges(usize),
    /// Two ranges share a port.
    #[error("the media ports {0} to {1} of {2} are given twice")]
    Doubled(u16, u16, IpAddr),
    /// The kernel gives ports of a range to whoever asks for any.
    #[error(
        "the media ports {0} to {1} overlap {2} to {3}, from which the kernel gives ports to \
         programs that ask for any ({LOCAL_PORTS}): move one of the two"
    )]
    Overlap(u16, u16, u16, u16),
    /// The kernel does not say from which range it gives ports to whoever asks for any.
    #[error("{LOCAL_PORTS} cannot be read: {0}")]
    Unknown(std::io::Error),
    /// More shards than there can be.
    #[error("{0} shards: from 1 to 64 are possible")]
    Shards(u8),
    /// The kernel refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The program could not be put together.
    #[error("the steering program: {0}")]
    Assembly(#[from] AssemblyError),
    /// A socket for what is turned away could not be opened.
    #[error("a socket for what is turned away: {0}")]
    Sink(std::io::Error),
}

/// How many datagrams a port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// From anybody who is no peer, every 20 ms.
    pub strangers: u32,
    /// From its peers together, every 100 ms.
    pub peers: u32,
}

impl Default for Allowance {
    /// 400 datagrams a second from strangers, 40,960 from peers; speech is 50. What a peer may send
    /// at once is a fraction of what a shard's socket holds.
    fn default() -> Self {
        Self {
            strangers: 8,
            peers: 4096,
        }
    }
}

/// The family of addresses that a receiving socket serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// A socket of this family that nobody outside can reach by its own port. It still gets what
    /// is steered to it, for the program does not look at what a socket is bound to.
    pub(crate) fn hidden_socket(self) -> std::io::Result<UdpSocket> {
        let loopback = match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let socket = UdpSocket::bind((loopback, 0))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// A range of ports at an address, and where it begins in the array.
#[derive(Clone, Debug)]
struct Range {
    address: IpAddr,
    ports: RangeInclusive<u16>,
    base: u32,
}

/// The steering of some ranges of ports, until it is dropped.
#[derive(Debug)]
pub struct Steering {
    ranges: Vec<Range>,
    ports: Arc<Ports>,
    sockets: Map,
    shards: u8,
    _program: SkLookup,
    _sinks: Vec<UdpSocket>,
}

/// The array of ports, and how a peer becomes a number in it.
#[derive(Debug)]
struct Ports {
    table: Table,
    mixer: Mixer,
}

/// One port of a range.
#[derive(Clone, Debug)]
pub struct Port {
    ports: Arc<Ports>,
    at: u32,
}

impl Steering {
    /// Steers `ranges` to as many sockets a family as there are shards; all ports are closed. An
    /// unspecified address stands for every address of its family.
    ///
    /// The program runs in the network namespace of the calling thread.
    pub fn open(
        ranges: &[(IpAddr, RangeInclusive<u16>)],
        shards: u8,
        allowance: Allowance,
    ) -> Result<Self, Unavailable> {
        capabilities::require(&[Capability::Bpf, Capability::NetAdmin])?;
        if !(1..=64).contains(&shards) {
            return Err(Unavailable::Shards(shards));
        }
        let ranges = laid_out(ranges)?;
        disjoint_from(&ranges, local_ports()?)?;
        let len: usize = ranges.iter().map(|range| range.ports.len()).sum();
        let (map, table) = Table::create("media_ports", len)?;
        let sockets = Map::sockets("media_sockets", 2 * u32::from(shards) + 2)?;
        let mixer = Mixer::random();
        let mut sinks = Vec::new();
        for (n, family) in [(0, Family::V4), (1, Family::V6)] {
            if ranges
                .iter()
                .any(|range| Family::of(range.address) == family)
            {
                let sink = family.hidden_socket().map_err(Unavailable::Sink)?;
                keep_nothing(sink.as_fd()).map_err(|error| Unavailable::Sink(error.into()))?;
                sockets
                    .put_socket(2 * u32::from(shards) + n, sink.as_fd())
                    .map_err(|error| Refused::new("a socket for what is turned away", error))?;
                sinks.push(sink);
            }
        }
        let program = Program {
            ranges: &ranges,
            ports: &map,
            sockets: &sockets,
            sinks: 2 * i32::from(shards),
            mixer,
            allowance,
        };
        let program = SkLookup::attach("steer_media", &program.assemble()?)?;
        Ok(Self {
            ranges,
            ports: Arc::new(Ports { table, mixer }),
            sockets,
            shards,
            _program: program,
            _sinks: sinks,
        })
    }

    /// A port of a range, by the range's place among those given to [`open`](Self::open).
    pub fn port(&self, range: usize, port: u16) -> Option<Port> {
        let range = self.ranges.get(range)?;
        let at = u32::from(port.checked_sub(*range.ports.start())?) + range.base;
        range.ports.contains(&port).then(|| Port {
            ports: Arc::clone(&self.ports),
            at,
        })
    }

    /// The place among the ranges of the one that an address and port belong to.
    pub fn range_of(&self, at: SocketAddr) -> Option<usize> {
        self.ranges.iter().position(|range| {
            let same = range.address == at.ip()
                || range.address.is_unspecified() && range.address.is_ipv4() == at.is_ipv4();
            same && range.ports.contains(&at.port())
        })
    }

    /// Makes `socket` the one that a shard's open ports of a family lead to. It must be a socket of
    /// UDP that is bound and not connected. Closing it takes it out again.
    pub fn attach_socket(
        &self,
        shard: u8,
        family: Family,
        socket: BorrowedFd<'_>,
    ) -> Result<(), Refused> {
        let what = "a socket of a media shard";
        if shard >= self.shards {
            return Err(Refused::new(what, Errno::EINVAL));
        }
        let at = 2 * u32::from(shard) + u32::from(family == Family::V6);
        let put = self.sockets.put_socket(at, socket);
        put.map_err(|error| Refused::new(what, error))
    }
}

impl Port {
    fn entry(&self) -> &Entry {
        &self.ports.table[self.at as usize]
    }

    /// From now on datagrams to this port go to the socket of `shard`; no peer is known yet.
    pub fn open(&self, shard: u8) {
        self.set_peers(&[]);
        self.set_heard(None);
        self.move_to(shard);
    }

    /// From now on datagrams to this port go to the socket of `shard`; its peers stay known.
    pub fn move_to(&self, shard: u8) {
        let state = u32::from(shard) + 1;
        self.entry().state.store(state, Ordering::Release);
    }

    /// From now on nobody is there.
    pub fn close(&self) {
        self.entry().state.store(0, Ordering::Release);
    }

    /// The shard whose socket gets this port's datagrams; `None` where it is closed.
    pub fn shard(&self) -> Option<u8> {
        let state = self.entry().state.load(Ordering::Acquire);
        state.checked_sub(1).and_then(|shard| shard.try_into().ok())
    }

    /// The addresses that this port expects datagrams from; the first three are heard with the
    /// larger allowance.
    pub fn set_peers(&self, peers: &[SocketAddr]) {
        let keys = peers.iter().map(|peer| self.ports.mixer.key(*peer));
        let keys = keys.chain(std::iter::repeat(0));
        let [_, places @ ..] = &self.entry().peers;
        for (place, key) in places.iter().zip(keys) {
            place.store(key, Ordering::Relaxed);
        }
    }

    /// The address that this port has heard a peer from, whether expected or not: it is heard with
    /// the larger allowance as well.
    pub fn set_heard(&self, peer: Option<SocketAddr>) {
        let key = peer.map_or(0, |peer| self.ports.mixer.key(peer));
        let [place, ..] = &self.entry().peers;
        place.store(key, Ordering::Relaxed);
    }

    /// Datagrams turned away since the port was first opened.
    pub fn turned_away(&self) -> u64 {
        self.entry().turned_away.load(Ordering::Relaxed)
    }
}

/// The ranges with their places in the array.
fn laid_out(ranges: &[(IpAddr, RangeInclusive<u16>)]) -> Result<Vec<Range>, Unavailable> {
    let empty = ranges.iter().any(|(_, ports)| ports.is_empty());
    if empty || !(1..=RANGES).contains(&ranges.len()) {
        return Err(Unavailable::Ranges(ranges.len()));
    }
    let mut laid: Vec<Range> = Vec::with_capacity(ranges.len());
    let mut base = 0;
    for (address, ports) in ranges {
        let (first, last) = (*ports.start(), *ports.end());
        let meets = |other: &Range| {
            let same = other.address == *address
                || other.address.is_ipv4() == address.is_ipv4()
                    && (other.address.is_unspecified() || address.is_unspecified());
            same && first <= *other.ports.end() && last >= *other.ports.start()
        };
        if laid.iter().any(meets) {
            return Err(Unavailable::Doubled(first, last, *address));
        }
        laid.push(Range {
            address: *address,
            ports: ports.clone(),
            base,
        });
        base += ports.len() as u32;
    }
    Ok(laid)
}

/// The range from which the kernel gives ports to whoever asks for any.
fn local_ports() -> Result<(u16, u16), Unavailable> {
    let text = std::fs::read_to_string(LOCAL_PORTS).map_err(Unavailable::Unknown)?;
    let mut numbers = text.split_whitespace().map(str::parse::<u16>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok((first, last)),
        _ => Err(Unavailable::Unknown(std::io::ErrorKind::InvalidData.into())),
    }
}

fn disjoint_from(ranges: &[Range], (low, high): (u16, u16)) -> Result<(), Unavailable> {
    for range in ranges {
        let (first, last) = (*range.ports.start(), *range.ports.end());
        if first <= high && last >= low {
            return Err(Unavailable::Overlap(first, last, low, high));
        }
    }
    Ok(())
}

/// Has a socket refuse every datagram.
pub(crate) fn keep_nothing(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // Classic BPF: keep 0 octets.
    let mut code = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    }];
    let filter = libc::sock_fprog {
        len: 1,
        filter: code.as_mut_ptr(),
    };
    // SAFETY: the pointer is to a filter of the length given; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of_val(&filter) as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn ranges_lie_one_behind_the_other() {
        let laid = laid_out(&[(v4(1), 20_000..=29_999), (v4(2), 20_000..=20_001)]).unwrap();
        assert_eq!((laid[0].base, laid[1].base), (0, 10_000));
    }

    #[test]
    fn a_port_in_two_ranges_is_refused() {
        for other in [v4(1), IpAddr::V4(Ipv4Addr::UNSPECIFIED)] {
            let result = laid_out(&[(v4(1), 20_000..=29_999), (other, 29_999..=30_001)]);
            assert!(matches!(result, Err(Unavailable::Doubled(29_999, ..))));
        }
        let v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        assert!(laid_out(&[(v4(1), 20_000..=29_999), (v6, 20_000..=29_999)]).is_ok());
        assert!(matches!(laid_out(&[]), Err(Unavailable::Ranges(0))));
    }

    #[test]
    fn a_range_that_the_kernel_gives_away_is_refused_with_both() {
        let laid = laid_out(&[(v4(1), 20_000..=32_768)]).unwrap();
        let error = disjoint_from(&laid, (32_768, 60_999)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("20000 to 32768 overlap 32768 to 60999"),
            "{text}"
        );
        assert!(disjoint_from(&laid, (32_769, 60_999)).is_ok());
        assert!(disjoint_from(&laid, (1024, 19_999)).is_ok());
    }
}
