//! UDP sockets: datagrams with the address they were sent to, so that replies leave from it.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket as StdUdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    SockaddrStorage, bind, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use sip_msg::wire::TransportError;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A bound UDP socket of one listener.
#[derive(Debug)]
pub(crate) struct UdpListener {
    pub(crate) local: SocketAddr,
    socket: UdpSocket,
    largest: usize,
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

/// Kernel buffer asked for, so that a burst of calls is not lost before it is read.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

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
        // The system may grant less, which costs bursts and nothing else.
        let _ = setsockopt(&descriptor, sockopt::RcvBuf, &RECEIVE_BUFFER);
        mark(&descriptor, address, dscp);
        bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
        let socket = UdpSocket::from_std(StdUdpSocket::from(descriptor))?;
        let local = socket.local_addr()?;
        Ok(Self {
            local,
            socket,
            largest,
        })
    }

    /// Waits for a datagram. Bytes beyond the buffer are cut.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        self.socket
            .async_io(Interest::READABLE, || self.receive_now(buffer))
            .await
    }

    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut control = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
        let mut parts = [IoSliceMut::new(buffer)];
        let received = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let remote = received
            .address
            .as_ref()
            .and_then(socket_addr)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let local = received
            .cmsgs()?
            .find_map(called_address)
            .unwrap_or(self.local.ip());
        Ok(Datagram {
            length: received.bytes,
            remote,
            local,
            truncated: received.flags.contains(MsgFlags::MSG_TRUNC),
        })
    }

    /// Whether a flow has to say which address to send from.
    pub(crate) fn is_wildcard(&self) -> bool {
        self.local.ip().is_unspecified()
    }
}

impl UdpFlow {
    /// Sends a datagram, or says why it cannot go. None: the socket had no room, which is to
    /// the transaction what a lost datagram is.
    pub(crate) fn send(
        &self,
        message: &[u8],
        remote: SocketAddr,
    ) -> Result<Option<()>, TransportError> {
        if message.len() > self.listener.largest {
            return Err(TransportError::TooLarge);
        }
        if remote.is_ipv4() != self.listener.local.is_ipv4() {
            return Err(TransportError::Unreachable);
        }
        let socket = &self.listener.socket;
        // Straight to the system call: a socket that no task has found writable yet would
        // otherwise refuse its first datagram.
        match self.send_now(socket.as_raw_fd(), message, remote) {
            Ok(()) => Ok(Some(())),
            Err(nix::Error::EAGAIN | nix::Error::ENOBUFS) => Ok(None),
            Err(nix::Error::EMSGSIZE) => Err(TransportError::TooLarge),
            // A previous datagram's ICMP answer (RFC 1122 §4.1.3.3).
            Err(nix::Error::ECONNREFUSED) => Err(TransportError::Refused),
            Err(_) => Err(TransportError::Unreachable),
        }
    }

    fn send_now(&self, descriptor: i32, message: &[u8], remote: SocketAddr) -> nix::Result<()> {
        let remote = SockaddrStorage::from(remote);
        let parts = [IoSlice::new(message)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        match self.source {
            None => sendmsg(descriptor, &parts, &[], flags, Some(&remote)),
            Some(IpAddr::V4(source)) => {
                let source = libc::in_addr {
                    s_addr: u32::from_ne_bytes(source.octets()),
                };
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: source,
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let control = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmsg(descriptor, &parts, &control, flags, Some(&remote))
            }
            Some(IpAddr::V6(source)) => {
                let source = libc::in6_addr {
                    s6_addr: source.octets(),
                };
                let info = libc::in6_pktinfo {
                    ipi6_addr: source,
                    ipi6_ifindex: 0,
                };
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmsg(descriptor, &parts, &control, flags, Some(&remote))
            }
        }
        .map(|_| ())
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
