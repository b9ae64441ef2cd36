//! UDP sockets: datagrams in batches, with the address they were sent to, so that replies leave
//! from it.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockType,
    SockaddrStorage, bind, recvmmsg, sendmmsg, setsockopt, socket, sockopt,
};
use sip_msg::wire::{TransmitId, TransportError};

/// A bound UDP socket of one listener.
#[derive(Debug)]
pub(crate) struct UdpListener {
    pub(crate) local: SocketAddr,
    socket: UdpSocket,
    largest: usize,
    /// What is to be sent with the next flush, in this order.
    waiting: Mutex<Vec<Outgoing>>,
}

/// A socket together with the local address that datagrams leave from.
#[derive(Clone, Debug)]
pub(crate) struct UdpFlow {
    pub(crate) listener: Arc<UdpListener>,
    /// Our address if the socket is bound to a wildcard; otherwise the socket's own is used.
    pub(crate) source: Option<IpAddr>,
}

/// One datagram as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    pub(crate) length: usize,
    pub(crate) remote: SocketAddr,
    /// The address it was sent to.
    pub(crate) local: IpAddr,
    pub(crate) truncated: bool,
}

/// One datagram that is to go.
#[derive(Debug)]
struct Outgoing {
    /// Whom a failure is told of; nobody for refusals without state.
    id: Option<TransmitId>,
    message: Bytes,
    remote: SocketAddr,
    source: Option<IpAddr>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    pub(crate) sent: u64,
    /// Datagrams that the socket had no room for: to the transaction what a lost one is.
    pub(crate) unsent: u64,
    pub(crate) failed: Vec<(TransmitId, TransportError)>,
}

/// Room for a batch of datagrams. Pages that no datagram reached are never touched.
pub(crate) struct Slots {
    bytes: Vec<u8>,
    each: usize,
}

/// Datagrams taken with one system call.
pub(crate) const BATCH: usize = 32;
/// Datagrams given with one system call; the kernel takes no more than 1024.
const SENT_AT_ONCE: usize = 64;

/// Kernel buffer asked for, so that a burst of calls is not lost before it is read.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

impl Slots {
    /// Room for datagrams of so many octets, and one more by which longer ones are known.
    pub(crate) fn new(largest: usize) -> Self {
        let each = largest + 1;
        Self {
            bytes: vec![0; BATCH * each],
            each,
        }
    }

    /// The octets of the n-th datagram of the last batch.
    pub(crate) fn datagram(&self, number: usize, length: usize) -> &[u8] {
        &self.bytes[number * self.each..][..length]
    }
}

impl UdpListener {
    pub(crate) fn bind(address: SocketAddr, largest: usize, dscp: u8) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let descriptor = socket(family, SockType::Datagram, flags, None)?;
        match address {
            SocketAddr::V4(_) => setsockopt(&descriptor, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => {
                setsockopt(&descriptor, sockopt::Ipv6V6Only, &true)?;
                setsockopt(&descriptor, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
        }
        // Past the system's limit where we are allowed to; else it may grant less, which costs
        // bursts and nothing else.
        if setsockopt(&descriptor, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _ = setsockopt(&descriptor, sockopt::RcvBuf, &RECEIVE_BUFFER);
        }
        mark(&descriptor, address, dscp);
        bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
        let socket = UdpSocket::from(descriptor);
        let local = socket.local_addr()?;
        Ok(Self {
            local,
            socket,
            largest,
            waiting: Mutex::default(),
        })
    }

    /// Takes up to [`BATCH`] datagrams that are there, without waiting. Bytes beyond a slot are
    /// cut.
    pub(crate) fn receive(
        &self,
        slots: &mut Slots,
        datagrams: &mut Vec<Datagram>,
    ) -> io::Result<()> {
        datagrams.clear();
        let control = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(control));
        let mut parts: Vec<[IoSliceMut<'_>; 1]> = slots
            .bytes
            .chunks_exact_mut(slots.each)
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let descriptor = self.socket.as_raw_fd();
        let batch = match recvmmsg(descriptor, &mut headers, parts.iter_mut(), flags, None) {
            Ok(batch) => batch,
            Err(Errno::EAGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for received in batch {
            let remote = received.address.as_ref().and_then(socket_addr);
            let called = received.cmsgs().ok();
            let local = called.and_then(|mut called| called.find_map(called_address));
            datagrams.push(Datagram {
                length: received.bytes,
                remote: remote.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?,
                local: local.unwrap_or(self.local.ip()),
                truncated: received.flags.contains(MsgFlags::MSG_TRUNC),
            });
        }
        Ok(())
    }

    /// The same socket, as the current runtime watches it.
    pub(crate) fn watch(&self) -> io::Result<tokio::net::UdpSocket> {
        tokio::net::UdpSocket::from_std(self.socket.try_clone()?)
    }

    /// Whether a flow has to say which address to send from.
    pub(crate) fn is_wildcard(&self) -> bool {
        self.local.ip().is_unspecified()
    }

    /// Sends everything that waits, or finds out why it cannot go.
    pub(crate) fn flush(&self) -> Flushed {
        let mut flushed = Flushed::default();
        // Held until all is gone: what another thread sends next goes after it.
        let mut waiting = self.waiting();
        let mut rest = &waiting[..];
        while let Some(first) = rest.first() {
            let alike = rest.iter().take(SENT_AT_ONCE);
            let alike = alike.take_while(|next| next.source == first.source).count();
            // At most as many as were given.
            match send(self.socket.as_raw_fd(), first.source, &rest[..alike]) {
                Ok(sent) => {
                    flushed.sent += sent as u64;
                    rest = &rest[sent.max(1)..];
                }
                // The error is the first one's.
                Err(error) => {
                    flushed.fail(first, error);
                    rest = &rest[1..];
                }
            }
        }
        waiting.clear();
        flushed
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Outgoing>> {
        self.waiting
            .lock()
            .expect("no holder of the datagrams can panic")
    }
}

impl Flushed {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
    fn fail(&mut self, datagram: &Outgoing, error: Errno) {
        let error = match error {
            Errno::EAGAIN | Errno::ENOBUFS => {
                self.unsent += 1;
                return;
            }
            Errno::EMSGSIZE => TransportError::TooLarge,
            // A previous datagram's ICMP answer (RFC 1122 §4.1.3.3).
            Errno::ECONNREFUSED => TransportError::Refused,
            _ => TransportError::Unreachable,
        };
        self.failed.extend(datagram.id.map(|id| (id, error)));
    }
}

impl UdpFlow {
    /// Has a datagram leave with the next [`UdpListener::flush`], or says why it never can.
    pub(crate) fn queue(
        &self,
        id: Option<TransmitId>,
        message: Bytes,
        remote: SocketAddr,
    ) -> Result<(), TransportError> {
        if message.len() > self.listener.largest {
            return Err(TransportError::TooLarge);
        }
        if remote.is_ipv4() != self.listener.local.is_ipv4() {
            return Err(TransportError::Unreachable);
        }
        self.listener.waiting().push(Outgoing {
            id,
            message,
            remote,
            source: self.source,
        });
        Ok(())
    }
}

/// Sends datagrams that leave from one address; how many went before one could not.
fn send(descriptor: RawFd, source: Option<IpAddr>, datagrams: &[Outgoing]) -> nix::Result<usize> {
    let parts: Vec<[IoSlice<'_>; 1]> = datagrams
        .iter()
        .map(|datagram| [IoSlice::new(&datagram.message)])
        .collect();
    let remotes: Vec<Option<SockaddrStorage>> = datagrams
        .iter()
        .map(|datagram| Some(datagram.remote.into()))
        .collect();
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let sent = |control: &[ControlMessage<'_>], room: Option<Vec<u8>>| {
        let mut headers = MultiHeaders::preallocate(parts.len(), room);
        let sent = sendmmsg(descriptor, &mut headers, &parts, &remotes, control, flags)?;
        Ok(sent.count())
    };
    match source {
        None => sent(&[], None),
        Some(IpAddr::V4(source)) => {
            let source = libc::in_addr {
                s_addr: u32::from_ne_bytes(source.octets()),
            };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: source,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            let room = nix::cmsg_space!(libc::in_pktinfo);
            sent(&[ControlMessage::Ipv4PacketInfo(&info)], Some(room))
        }
        Some(IpAddr::V6(source)) => {
            let source = libc::in6_addr {
                s6_addr: source.octets(),
            };
            let info = libc::in6_pktinfo {
                ipi6_addr: source,
                ipi6_ifindex: 0,
            };
            let room = nix::cmsg_space!(libc::in6_pktinfo);
            sent(&[ControlMessage::Ipv6PacketInfo(&info)], Some(room))
        }
    }
}

/// Sets the differentiated services field, as far as the system lets us.
pub(crate) fn mark(descriptor: &impl std::os::fd::AsFd, address: SocketAddr, dscp: u8) {
    let class = i32::from(dscp & 0x3f) << 2;
    let set = match address {
        SocketAddr::V4(_) => setsockopt(descriptor, sockopt::Ipv4Tos, &class),
        SocketAddr::V6(_) => setsockopt(descriptor, sockopt::Ipv6TClass, &class),
    };
    if let Err(error) = set {
        tracing::debug!(%error, "differentiated services not set");
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
fn called_address(message: ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    }
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(address) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*address)));
    }
    address
        .as_sockaddr_in6()
        .map(|address| SocketAddr::V6(SocketAddrV6::from(*address)))
}
