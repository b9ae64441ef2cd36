//! Frames past the IP stack: AF_PACKET sockets that send and never receive.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::mmsg::{Outbox, Packet, Sent, Slots};
use super::tx_ring::TxRing;
use super::{open_socket, set_buffers, set_int};

/// Octets of frames that may wait for a device.
const BUFFER: usize = 4 * 1024 * 1024;

/// Sends frames, link header and all, by one interface. They pass neither the packet filter's
/// output chains nor a queueing discipline.
#[derive(Debug)]
pub struct PacketSocket {
    /// Where the kernel has none, everything goes by the ordinary call.
    ring: Option<TxRing>,
    socket: OwnedFd,
    outbox: Outbox,
    from_ring: u64,
}

impl PacketSocket {
    /// For the interface of this index, up to `batch` frames at a time. Takes CAP_NET_RAW.
    pub fn open(interface: u32, batch: usize) -> Result<Self, Errno> {
        let socket = bound_to(interface)?;
        let ring = match bound_to(interface).and_then(TxRing::new) {
            Ok(ring) => Some(ring),
            Err(error) => {
                tracing::info!(
                    %error,
                    interface,
                    "frames are sent by a message each: the kernel gives no ring for them"
                );
                None
            }
        };
        Ok(Self {
            ring,
            socket,
            outbox: Outbox::new(batch),
            from_ring: 0,
        })
    }

    /// Frames that the kernel took from the ring so far.
    pub fn sent_from_ring(&self) -> u64 {
        self.from_ring
    }

    /// Adds a frame; whether there was room. Behind one that is too long for the ring all go by the
    /// ordinary call, so that they leave in this order.
    #[must_use]
    pub fn push(&mut self, frame: Packet) -> bool {
        let ring = self.ring.as_mut().filter(|_| self.outbox.is_empty());
        ring.is_some_and(|ring| ring.push(frame)) || self.outbox.push(frame, None)
    }

    /// Sends what waits: first what is in the ring, then by the ordinary call, which says of each
    /// frame what became of it, the rest, and last what the ring did not take.
    pub fn flush(&mut self, slots: &Slots) -> Sent {
        let mut outcome = Sent::default();
        if let Some(ring) = &mut self.ring {
            let outbox = &mut self.outbox;
            let again = |frame| {
                if !outbox.push(frame, None) {
                    outcome.full += 1;
                }
            };
            let taken = ring.flush(slots, again);
            self.from_ring += u64::from(taken);
            outcome.sent += taken;
        }
        if self.outbox.is_empty() {
            return outcome;
        }
        outcome.and(self.outbox.flush(self.socket.as_fd(), slots))
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
