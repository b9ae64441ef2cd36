//! Packets with headers of our own, for which the kernel finds the way: raw sockets (raw(7)).

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::mmsg::{Outbox, Packet, Sent, Slots};
use super::steer::Family;
use super::{open_socket, set_buffers};

/// Octets of packets that may wait for a device.
const BUFFER: usize = 1024 * 1024;

/// Sends packets of one family, IP header and all. Receives nothing.
#[derive(Debug)]
pub struct RawSocket {
    socket: OwnedFd,
    outbox: Outbox,
}

impl RawSocket {
    /// Up to `batch` packets at a time. Takes CAP_NET_RAW.
    pub fn open(family: Family, batch: usize) -> Result<Self, Errno> {
        let domain = match family {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        };
        // This protocol implies that headers are the caller's, in both families.
        let socket = open_socket(domain, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
        set_buffers(socket.as_fd(), BUFFER)?;
        Ok(Self {
            socket,
            outbox: Outbox::new(batch),
        })
    }

    /// Adds a packet to this host; whether there was room.
    #[must_use]
    pub fn push(&mut self, packet: Packet, to: IpAddr) -> bool {
        self.outbox.push(packet, Some(to))
    }

    /// Sends what waits. A packet longer than its way allows fails.
    pub fn flush(&mut self, slots: &Slots) -> Sent {
        if self.outbox.is_empty() {
            return Sent::default();
        }
        self.outbox.flush(self.socket.as_fd(), slots)
    }
}
