//! Frames past the IP stack: AF_PACKET sockets that send and never receive.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::mmsg::{Outbox, Packet, Sent, Slots};
use super::tx_ring::TxRing;
use super::xdp::XdpSender;
use super::{open_socket, set_buffers, set_int};

/// Octets of frames that may wait for a device.
const BUFFER: usize = 4 * 1024 * 1024;

/// From where short frames are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SentFrom {
    /// Memory of an AF_XDP socket, the cheapest.
    Xdp,
    /// A ring of an AF_PACKET socket.
    Ring,
    /// A message each, like long ones.
    Messages,
}

/// Memory shared with the kernel.
#[derive(Debug)]
enum Shared {
    Xdp(XdpSender),
    Ring(TxRing),
    None,
}

/// Sends frames, link header and all, by one interface. They pass neither the packet filter's
/// output chains nor a queueing discipline.
#[derive(Debug)]
pub struct PacketSocket {
    shared: Shared,
    socket: OwnedFd,
    outbox: Outbox,
    from_shared: u64,
}

impl PacketSocket {
    /// For the interface of this index, up to `batch` frames at a time, from this queue of it where
    /// it has as many and nobody else sends from it. Takes CAP_NET_RAW.
    pub fn open(interface: u32, queue: u32, batch: usize) -> Result<Self, Errno> {
        Ok(Self {
            shared: Shared::open(interface, queue),
            socket: bound_to(interface)?,
            outbox: Outbox::new(batch),
            from_shared: 0,
        })
    }

    /// From where short frames are sent.
    pub fn sent_from(&self) -> SentFrom {
        match self.shared {
            Shared::Xdp(_) => SentFrom::Xdp,
            Shared::Ring(_) => SentFrom::Ring,
            Shared::None => SentFrom::Messages,
        }
    }

    /// Frames that the kernel took from memory shared with it so far.
    pub fn sent_from_shared(&self) -> u64 {
        self.from_shared
    }

    /// Adds a frame; whether there was room. Behind one that is too long for the shared memory all
    /// go by the ordinary call, so that they leave in this order.
    #[must_use]
    pub fn push(&mut self, frame: Packet) -> bool {
        self.outbox.is_empty() && self.shared.push(frame) || self.outbox.push(frame, None)
    }

    /// Sends what waits: first what is in shared memory, then by the ordinary call, which says of
    /// each frame what became of it, the rest, and last what a ring did not take.
    pub fn flush(&mut self, slots: &Slots) -> Sent {
        let mut outcome = match &mut self.shared {
            Shared::Xdp(sender) => sender.flush(slots),
            Shared::Ring(ring) => flush_ring(ring, slots, &mut self.outbox),
            Shared::None => Sent::default(),
        };
        self.from_shared += u64::from(outcome.sent);
        if !self.outbox.is_empty() {
            outcome = outcome.and(self.outbox.flush(self.socket.as_fd(), slots));
        }
        outcome
    }
}

/// Sends from a ring; what it does not take goes to the outbox.
fn flush_ring(ring: &mut TxRing, slots: &Slots, outbox: &mut Outbox) -> Sent {
    let mut outcome = Sent::default();
    let again = |frame| {
        if !outbox.push(frame, None) {
            outcome.full += 1;
        }
    };
    outcome.sent = ring.flush(slots, again);
    outcome
}

impl Shared {
    /// The best that there is.
    fn open(interface: u32, queue: u32) -> Self {
        let error = match XdpSender::open(interface, queue) {
            Ok(sender) => return Self::Xdp(sender),
            Err(error) => error,
        };
        tracing::info!(%error, interface, queue, "frames are not sent by an AF_XDP socket");
        match bound_to(interface).and_then(TxRing::new) {
            Ok(ring) => Self::Ring(ring),
            Err(error) => {
                tracing::info!(
                    %error,
                    interface,
                    "frames are sent by a message each: the kernel gives no ring for them"
                );
                Self::None
            }
        }
    }

    fn push(&mut self, frame: Packet) -> bool {
        match self {
            Self::Xdp(sender) => sender.push(frame),
            Self::Ring(ring) => ring.push(frame),
            Self::None => false,
        }
    }
}

/// A socket that sends by the interface of this index, and receives nothing.
fn bound_to(interface: u32) -> Result<OwnedFd, Errno> {
    // The protocol 0 receives nothing.
    let socket = open_socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
    set_int(
        socket.as_fd(),
        libc::SOL_PACKET,
        libc::PACKET_QDISC_BYPASS,
        1,
    )?;
    set_buffers(socket.as_fd(), BUFFER)?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: libc::c_int::try_from(interface).map_err(|_| Errno::ENODEV)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the pointer is to an address of the length given, which outlives the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    Errno::result(result)?;
    Ok(socket)
}
