//! Batches: many datagrams by one system call, in buffers that last.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use media_relay::TAILROOM;
use nix::errno::Errno;

use super::steer::Family;
use super::{set_buffers, set_int};

/// Octets in front of a datagram: room for the headers of Ethernet (14), IPv6 (40) and UDP (8).
pub const HEADROOM: usize = 64;
/// Octets of the longest datagram.
pub const MAX_DATAGRAM: usize = 2048;
/// Octets of a slot: a datagram with room in front and behind.
pub const SLOT: usize = HEADROOM + MAX_DATAGRAM + TAILROOM;

/// Octets of an address of a socket, of either family.
const NAME: usize = size_of::<libc::sockaddr_in6>();
/// Octets for where a datagram was sent to: the head of a control message and an address.
const CONTROL: usize = 64;

/// Buffers in one piece of memory.
#[derive(Debug)]
pub struct Slots(Box<[u8]>);

impl Slots {
    /// So many slots.
    pub fn new(count: usize) -> Self {
        Self(vec![0; count * SLOT].into())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len() / SLOT
    }

    /// A slot: [`HEADROOM`] octets, the datagram, and [`TAILROOM`] octets at least.
    pub fn slot(&mut self, n: usize) -> &mut [u8] {
        &mut self.0[n * SLOT..][..SLOT]
    }

    /// What a packet is made of; `None` where it does not lie within its slot.
    pub(super) fn packet(&self, packet: Packet) -> Option<&[u8]> {
        let (start, len) = (usize::from(packet.start), usize::from(packet.len));
        let slot = self.0.chunks_exact(SLOT).nth(usize::from(packet.slot))?;
        slot.get(start..start + len)
    }
}

/// Octets of a slot that are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Which slot.
    pub slot: u16,
    /// Where in it.
    pub start: u16,
    /// How many octets.
    pub len: u16,
}

/// A datagram that was received; its octets begin behind the [`HEADROOM`] of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub source: SocketAddr,
    /// Where it was sent to, whatever socket it was steered to.
    pub destination: SocketAddr,
    /// Octets.
    pub len: usize,
    /// Whether it was longer than [`MAX_DATAGRAM`], and has been cut.
    pub truncated: bool,
}

/// A socket that datagrams are steered to, and the memory that they are received with.
#[derive(Debug)]
pub struct Receiver {
    socket: UdpSocket,
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    names: Box<[[u8; NAME]]>,
    controls: Box<[[u8; CONTROL]]>,
    /// The first slot at the last call, and how many headers the kernel has written since they were
    /// made ready.
    base: *mut u8,
    used: usize,
}

// SAFETY: the pointers lead into boxes that belong to this very value, or are compared only.
unsafe impl Send for Receiver {}

impl Receiver {
    /// A socket for up to `batch` datagrams at a time, for which the kernel holds `buffer` octets.
    pub fn open(family: Family, batch: usize, buffer: usize) -> io::Result<Self> {
        let socket = family.hidden_socket()?;
        let (level, option) = match family {
            Family::V4 => (libc::IPPROTO_IP, libc::IP_RECVORIGDSTADDR),
            Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR),
        };
        set_int(socket.as_fd(), level, option, 1)?;
        set_buffers(socket.as_fd(), buffer)?;
        Ok(Self {
            socket,
            headers: vec![no_header(); batch].into(),
            vectors: vec![no_vector(); batch].into(),
            names: vec![[0; NAME]; batch].into(),
            controls: vec![[0; CONTROL]; batch].into(),
            base: ptr::null_mut(),
            used: 0,
        })
    }

    /// Takes what is there, one datagram a slot from the first on; how many. Does not wait.
    pub fn receive(&mut self, slots: &mut Slots) -> Result<usize, Errno> {
        let count = self.headers.len().min(slots.count());
        self.make_ready(slots, count);
        // SAFETY: each of the `count` headers leads to its own octets of `slots` and of the boxes
        // of `self`, with their lengths; both are borrowed for writing.
        let result = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        match Errno::result(result) {
            Ok(number) => {
                self.used = number as usize;
                Ok(self.used)
            }
            Err(Errno::EAGAIN) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The `n`-th of the datagrams last received; `None` where the kernel did not say from where
    /// and to where it was sent.
    pub fn datagram(&self, n: usize) -> Option<Datagram> {
        let header = self.headers[..self.used].get(n)?;
        let control = self.controls[n].get(..header.msg_hdr.msg_controllen)?;
        Some(Datagram {
            source: address(&self.names[n])?,
            destination: destination(control)?,
            len: (header.msg_len as usize).min(MAX_DATAGRAM),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        })
    }

    /// Datagrams that the kernel dropped because the socket was full, since it was opened, up to
    /// 2^32 of them.
    pub fn kernel_drops(&self) -> Result<u32, Errno> {
        const SO_MEMINFO: libc::c_int = 55;
        const DROPS: usize = 8;
        let mut values = [0u32; DROPS + 1];
        let mut len = size_of_val(&values) as libc::socklen_t;
        // SAFETY: the pointers are to the values, as long as said, and to that length.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                SO_MEMINFO,
                values.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        Errno::result(result).map(|_| values[DROPS])
    }

    /// Gives the kernel back what it has written over.
    fn make_ready(&mut self, slots: &mut Slots, count: usize) {
        let base = slots.0.as_mut_ptr();
        let stale = if base == self.base { self.used } else { count };
        self.base = base;
        self.used = 0;
        for n in 0..stale {
            let start = n * SLOT + HEADROOM;
            self.vectors[n] = libc::iovec {
                iov_base: slots.0[start..][..MAX_DATAGRAM].as_mut_ptr().cast(),
                iov_len: MAX_DATAGRAM,
            };
            let header = &mut self.headers[n].msg_hdr;
            header.msg_iov = &raw mut self.vectors[n];
            header.msg_iovlen = 1;
            header.msg_name = self.names[n].as_mut_ptr().cast();
            header.msg_namelen = NAME as libc::socklen_t;
            header.msg_control = self.controls[n].as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Taken by the kernel.
    pub sent: u32,
    /// Refused, for want of room.
    pub full: u32,
    /// Refused for another reason.
    pub failed: u32,
}

impl Sent {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            full: self.full + other.full,
            failed: self.failed + other.failed,
        }
    }
}

/// Packets that wait to be sent by one system call.
#[derive(Debug)]
pub struct Outbox {
    packets: Vec<Packet>,
    names: Box<[[u8; NAME]]>,
    lengths: Box<[u8]>,
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
}

// SAFETY: the pointers are written anew before each use.
unsafe impl Send for Outbox {}

impl Outbox {
    /// Room for so many packets.
    pub fn new(count: usize) -> Self {
        Self {
            packets: Vec::with_capacity(count),
            names: vec![[0; NAME]; count].into(),
            lengths: vec![0; count].into(),
            headers: vec![no_header(); count].into(),
            vectors: vec![no_vector(); count].into(),
        }
    }

    /// Whether no packet waits.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Adds a packet, `to` this host where the socket needs one; whether there was room.
    #[must_use]
    pub fn push(&mut self, packet: Packet, to: Option<IpAddr>) -> bool {
        let at = self.packets.len();
        if at == self.names.len() {
            return false;
        }
        self.lengths[at] = to.map_or(0, |to| write_address(&mut self.names[at], to));
        self.packets.push(packet);
        true
    }

    /// Sends what waits and forgets it.
    pub fn flush(&mut self, fd: BorrowedFd<'_>, slots: &Slots) -> Sent {
        let mut outcome = Sent::default();
        let mut ready = 0;
        for (n, packet) in self.packets.drain(..).enumerate() {
            let Some(octets) = slots.packet(packet) else {
                outcome.failed += 1;
                continue;
            };
            self.vectors[ready] = libc::iovec {
                iov_base: octets.as_ptr().cast_mut().cast(),
                iov_len: octets.len(),
            };
            let header = &mut self.headers[ready].msg_hdr;
            header.msg_iov = &raw mut self.vectors[ready];
            header.msg_iovlen = 1;
            header.msg_name = self.names[n].as_mut_ptr().cast();
            header.msg_namelen = self.lengths[n].into();
            ready += 1;
        }
        outcome.and(send_all(fd, &mut self.headers[..ready]))
    }
}

/// Sends packets; one that is refused is left out.
fn send_all(fd: BorrowedFd<'_>, headers: &mut [libc::mmsghdr]) -> Sent {
    let mut outcome = Sent::default();
    let mut done = 0;
    while let Some(rest) = headers.get_mut(done..).filter(|rest| !rest.is_empty()) {
        // SAFETY: `flush` has just led the headers to octets that are borrowed, or its own; the
        // kernel only reads them.
        let result = unsafe {
            libc::sendmmsg(
                fd.as_raw_fd(),
                rest.as_mut_ptr(),
                rest.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        match Errno::result(result) {
            Ok(number) => {
                outcome.sent += number as u32;
                done += number as usize;
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                outcome.full += 1;
                done += 1;
            }
            Err(error) => {
                tracing::debug!(%error, "a packet could not be sent");
                outcome.failed += 1;
                done += 1;
            }
        }
    }
    outcome
}

fn no_header() -> libc::mmsghdr {
    libc::mmsghdr {
        msg_hdr: libc::msghdr {
            msg_name: ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        },
        msg_len: 0,
    }
}

fn no_vector() -> libc::iovec {
    libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    }
}

/// The address in a `sockaddr_in` or `sockaddr_in6`.
fn address(name: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = name.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let ip: &[u8; 4] = rest.first_chunk()?;
            Some(SocketAddr::new(Ipv4Addr::from(*ip).into(), port))
        }
        libc::AF_INET6 => {
            // The flow label is of one packet, and no part of who its sender is.
            let rest = rest.get(4..)?;
            let (ip, rest): (&[u8; 16], _) = rest.split_first_chunk()?;
            let scope = u32::from_ne_bytes(*rest.first_chunk()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, 0, scope).into())
        }
        _ => None,
    }
}

/// The original destination among control messages.
fn destination(mut control: &[u8]) -> Option<SocketAddr> {
    const HEAD: usize = size_of::<libc::cmsghdr>();
    loop {
        let (len, rest) = control.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let (level, kind) = (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind));
        if (level, kind) == (libc::SOL_IP, libc::IP_ORIGDSTADDR)
            || (level, kind) == (libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR)
        {
            return address(control.get(HEAD..len)?);
        }
        control = control.get(len.max(HEAD).next_multiple_of(8)..)?;
    }
}

/// Writes the address of a host, port 0; its length.
fn write_address(name: &mut [u8; NAME], to: IpAddr) -> u8 {
    *name = [0; NAME];
    match to {
        IpAddr::V4(ip) => {
            name[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            name[4..8].copy_from_slice(&ip.octets());
            size_of::<libc::sockaddr_in>() as u8
        }
        IpAddr::V6(ip) => {
            name[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            name[8..24].copy_from_slice(&ip.octets());
            NAME as u8
        }
    }
}
