//! Questions to the kernel about routes, links and neighbours (rtnetlink(7)).

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto,
    socket,
};

const GET_LINK: u16 = 18;
const GET_ROUTE: u16 = 26;
const GET_NEIGHBOUR: u16 = 30;
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
/// Octets of `struct nlmsghdr`.
const HEAD: usize = 16;
/// Octets of the longest answer: that about a link, with all its statistics.
const ANSWER: usize = 16 * 1024;

/// The way the kernel would take to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) kind: RouteKind,
    /// The interface it leaves by.
    pub(super) interface: u32,
    /// The router on that link, where there is one.
    pub(super) gateway: Option<IpAddr>,
    /// Octets of the longest packet, where that is less than the interface's.
    pub(super) mtu: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteKind {
    /// To one host elsewhere.
    Unicast,
    /// To this host.
    Local,
    /// To several hosts, or to none.
    Other,
}

/// An interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) kind: LinkKind,
    pub(super) mtu: u32,
    pub(super) up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    /// Frames of Ethernet, with the interface's own address.
    Ethernet([u8; 6]),
    Loopback,
    /// Something whose frames are not known here.
    Other,
}

/// Who is at an address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) address: [u8; 6],
    /// Whether the kernel would like to hear from it before it believes in it further.
    pub(super) doubtful: bool,
}

/// A socket to the kernel, and the memory for its answers.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    question: Vec<u8>,
    answer: Box<[u8]>,
}

impl Netlink {
    pub(super) fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let protocol = SockProtocol::NetlinkRoute;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
            question: Vec::with_capacity(128),
            answer: vec![0; ANSWER].into(),
        })
    }

    /// The way from one address to another.
    pub(super) fn route(&mut self, from: IpAddr, to: IpAddr) -> Result<Route, Errno> {
        const DESTINATION: u16 = 1;
        const SOURCE: u16 = 2;
        let bits = if to.is_ipv4() { 32 } else { 128 };
        let mut body = [0; 12];
        (body[0], body[1], body[2]) = (family(to), bits, bits);
        self.begin(GET_ROUTE, &body);
        self.attribute_ip(DESTINATION, to);
        self.attribute_ip(SOURCE, from);
        let answer = self.ask()?;
        read_route(answer).ok_or(Errno::EBADMSG)
    }

    /// An interface, by its index.
    pub(super) fn link(&mut self, interface: u32) -> Result<Link, Errno> {
        let mut body = [0; 16];
        body[4..8].copy_from_slice(&interface.to_ne_bytes());
        self.begin(GET_LINK, &body);
        read_link(self.ask()?).ok_or(Errno::EBADMSG)
    }

    /// Who is at an address of a link; `None` where that is not known yet.
    pub(super) fn neighbour(
        &mut self,
        interface: u32,
        at: IpAddr,
    ) -> Result<Option<Neighbour>, Errno> {
        const DESTINATION: u16 = 1;
        let mut body = [0; 12];
        body[0] = family(at);
        body[4..8].copy_from_slice(&interface.to_ne_bytes());
        self.begin(GET_NEIGHBOUR, &body);
        self.attribute_ip(DESTINATION, at);
        match self.ask() {
            Ok(answer) => Ok(read_neighbour(answer)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn begin(&mut self, kind: u16, body: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        self.question.clear();
        self.question.extend([0; 4]); // the length, once it is known
        self.question.extend(kind.to_ne_bytes());
        self.question.extend(REQUEST.to_ne_bytes());
        self.question.extend(self.sequence.to_ne_bytes());
        self.question.extend([0; 4]);
        self.question.extend(body);
    }

    fn attribute_ip(&mut self, kind: u16, ip: IpAddr) {
        let mut octets = [0; 16];
        let len = match ip {
            IpAddr::V4(ip) => {
                octets[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                octets = ip.octets();
                16
            }
        };
        self.question.extend((4 + len as u16).to_ne_bytes());
        self.question.extend(kind.to_ne_bytes());
        self.question.extend(&octets[..len]);
    }

    /// Asks; the body of the answer. The kernel answers while it is asked, so nothing waits.
    fn ask(&mut self) -> Result<&[u8], Errno> {
        let len = self.question.len() as u32;
        self.question[..4].copy_from_slice(&len.to_ne_bytes());
        let kernel = NetlinkAddr::new(0, 0);
        let fd = self.socket.as_raw_fd();
        sendto(fd, &self.question, &kernel, MsgFlags::MSG_DONTWAIT)?;
        loop {
            let len = recv(fd, &mut self.answer, MsgFlags::MSG_DONTWAIT)?;
            let head = self.answer[..len].first_chunk::<HEAD>();
            let head = *head.ok_or(Errno::EBADMSG)?;
            let u32_at = |at: usize| u32::from_ne_bytes(std::array::from_fn(|n| head[at + n]));
            if u32_at(8) != self.sequence {
                continue; // of a question whose answer was given up
            }
            let total = (u32_at(0) as usize).min(len);
            let body = self.answer.get(HEAD..total).ok_or(Errno::EBADMSG)?;
            if u16::from_ne_bytes([head[4], head[5]]) == ERROR {
                let code = body.first_chunk().ok_or(Errno::EBADMSG)?;
                return Err(Errno::from_raw(i32::from_ne_bytes(*code).wrapping_neg()));
            }
            return Ok(body);
        }
    }
}

fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet as u8,
        IpAddr::V6(_) => AddressFamily::Inet6 as u8,
    }
}

/// The attributes behind a message's fixed part: kind and value.
fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (len, rest) = octets.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_ne_bytes(*len));
        let value = octets.get(4..len)?;
        octets = octets.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes(*kind) & 0x3fff, value))
    })
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

fn read_ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(value) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}

fn read_route(body: &[u8]) -> Option<Route> {
    const INTERFACE: u16 = 4;
    const GATEWAY: u16 = 5;
    const METRICS: u16 = 8;
    const VIA: u16 = 18;
    const METRIC_MTU: u16 = 2;
    let (fixed, rest) = body.split_at_checked(12)?;
    let mut route = Route {
        kind: match fixed[7] {
            1 => RouteKind::Unicast,
            2 => RouteKind::Local,
            _ => RouteKind::Other,
        },
        interface: 0,
        gateway: None,
        mtu: None,
    };
    for (kind, value) in attributes(rest) {
        match kind {
            INTERFACE => route.interface = number(value)?,
            GATEWAY => route.gateway = read_ip(value),
            // A router of the other family (RFC 8950): two octets of family in front.
            VIA => route.gateway = read_ip(value.get(2..)?),
            METRICS => {
                let mut metrics = attributes(value);
                let mtu = metrics.find(|(kind, _)| *kind == METRIC_MTU);
                route.mtu = mtu.and_then(|(_, value)| number(value));
            }
            _ => {}
        }
    }
    (route.interface != 0).then_some(route)
}

fn read_link(body: &[u8]) -> Option<Link> {
    const ADDRESS: u16 = 1;
    const MTU: u16 = 4;
    const ETHERNET: u16 = 1;
    const LOOPBACK: u16 = 772;
    const RUNNING: u32 = 1 << 6;
    let (fixed, rest) = body.split_at_checked(16)?;
    let (mut address, mut mtu) = (None, None);
    for (kind, value) in attributes(rest) {
        match kind {
            ADDRESS => address = value.try_into().ok(),
            MTU => mtu = number(value),
            _ => {}
        }
    }
    let kind = match (u16::from_ne_bytes([fixed[2], fixed[3]]), address) {
        (ETHERNET, Some(address)) => LinkKind::Ethernet(address),
        (LOOPBACK, _) => LinkKind::Loopback,
        _ => LinkKind::Other,
    };
    let flags = number(&fixed[8..12])?;
    Some(Link {
        kind,
        mtu: mtu?,
        up: flags & RUNNING != 0,
    })
}

fn read_neighbour(body: &[u8]) -> Option<Neighbour> {
    const LINK_ADDRESS: u16 = 2;
    const SURE: u16 = 0x02 | 0x40 | 0x80; // reachable, needs no resolution, permanent
    const DOUBTFUL: u16 = 0x04 | 0x08 | 0x10; // stale, delayed, being probed
    let (fixed, rest) = body.split_at_checked(12)?;
    let state = u16::from_ne_bytes([fixed[8], fixed[9]]);
    if state & (SURE | DOUBTFUL) == 0 {
        return None;
    }
    let mut found = attributes(rest).filter(|(kind, _)| *kind == LINK_ADDRESS);
    let address = found.next()?.1.try_into().ok()?;
    Some(Neighbour {
        address,
        doubtful: state & SURE == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_this_host_is_local() {
        let mut netlink = Netlink::open().unwrap();
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let route = netlink.route(loopback, loopback).unwrap();
        assert_eq!((route.kind, route.gateway), (RouteKind::Local, None));
        let link = netlink.link(route.interface).unwrap();
        assert!(link.up && link.mtu >= 1500, "{link:?}");
        assert_eq!(link.kind, LinkKind::Loopback);
    }

    #[test]
    fn a_link_that_is_not_there_is_an_error() {
        let mut netlink = Netlink::open().unwrap();
        assert_eq!(netlink.link(0x7fff_ffff), Err(Errno::ENODEV));
        let here = "127.0.0.1".parse().unwrap();
        assert_eq!(
            netlink.link(1).map(|link| link.kind),
            Ok(LinkKind::Loopback)
        );
        assert_eq!(netlink.neighbour(1, here), Ok(None));
    }

    #[test]
    fn what_is_cut_short_is_no_answer() {
        for len in 0..12 {
            assert_eq!(read_route(&[0; 12][..len]), None);
            assert_eq!(read_neighbour(&[0; 12][..len]), None);
            assert_eq!(read_link(&[0; 12][..len]), None);
        }
        // An attribute that claims more than there is, or nothing at all.
        for claimed in [0u16, 3, 200] {
            let mut body = vec![0; 12];
            body.extend(claimed.to_ne_bytes());
            body.extend([4, 0, 1, 0, 0, 0]);
            assert_eq!(read_route(&body), None);
        }
    }
}
