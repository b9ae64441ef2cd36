//! Sends datagrams of any port, in batches: as frames where the link is known, by the kernel where
//! it is not.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use media_relay::Moment;
use nix::errno::Errno;

use super::headers::{ETHER, write_packet};
use super::next_hop::{HopId, NextHops, Way};
use crate::sys::mmsg::{Packet, Sent, Slots};
use crate::sys::packet::{PacketSocket, SentFrom};
use crate::sys::raw::RawSocket;
use crate::sys::steer::Family;

/// The sending half of a shard.
#[derive(Debug)]
pub struct Transmitter {
    hops: NextHops,
    interfaces: BTreeMap<u32, PacketSocket>,
    raw: [Option<RawSocket>; 2],
    queue: u32,
    batch: usize,
    class: u8,
    by_kernel: u64,
    /// What is already known of the packets of this batch.
    outcome: Sent,
}

impl Transmitter {
    /// For batches of up to `batch` packets with the code point `dscp` (0..=63), by one `queue` of
    /// each interface, which no other transmitter should have. Takes CAP_NET_RAW.
    pub fn open(queue: u32, batch: usize, dscp: u8) -> Result<Self, Errno> {
        let raw4 = RawSocket::open(Family::V4, batch)?;
        let raw6 = match RawSocket::open(Family::V6, batch) {
            Ok(socket) => Some(socket),
            Err(Errno::EAFNOSUPPORT) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            hops: NextHops::open()?,
            interfaces: BTreeMap::new(),
            raw: [Some(raw4), raw6],
            queue,
            batch,
            class: (dscp & 0x3f) << 2,
            by_kernel: 0,
            outcome: Sent::default(),
        })
    }

    /// The way from one address to another, kept beside the leg that uses it.
    pub fn way_to(&mut self, from: SocketAddr, to: SocketAddr, now: Moment) -> Option<HopId> {
        self.hops.find(from.ip(), to.ip(), now)
    }

    /// Packets sent so far for which the kernel found the way.
    pub fn sent_by_kernel(&self) -> u64 {
        self.by_kernel
    }

    /// From where short frames leave by an interface, once any did.
    pub fn sent_from(&self, interface: u32) -> Option<SentFrom> {
        self.interfaces.get(&interface).map(PacketSocket::sent_from)
    }

    /// Writes the headers in front of the datagram that is `len` octets from `start` of a slot, and
    /// has it wait for [`flush`](Self::flush). `hop` is renewed where it is none or forgotten.
    pub fn send(
        &mut self,
        slots: &mut Slots,
        datagram: Packet,
        from: SocketAddr,
        to: SocketAddr,
        hop: &mut Option<HopId>,
        now: Moment,
    ) {
        let (start, len) = (usize::from(datagram.start), usize::from(datagram.len));
        let buf = slots.slot(datagram.slot.into());
        let Ok(at) = write_packet(buf, start, len, from, to, self.class) else {
            self.outcome.failed += 1;
            return;
        };
        let packet_len = start + len - at;
        let way = self.way(from, to, hop, now);
        let queued = match way {
            Way::Frame {
                interface,
                header,
                mtu,
            } if packet_len <= mtu as usize => match at.checked_sub(ETHER) {
                Some(frame_at) => {
                    buf[frame_at..at].copy_from_slice(&header);
                    let frame = packet(datagram.slot, frame_at, ETHER + packet_len);
                    self.queue_frame(interface, frame)
                }
                None => false,
            },
            Way::Frame { .. } | Way::Kernel => {
                let socket = &mut self.raw[usize::from(to.is_ipv6())];
                let packet = packet(datagram.slot, at, packet_len);
                let queue = |socket: &mut RawSocket| socket.push(packet, to.ip());
                socket.as_mut().is_some_and(queue)
            }
        };
        if !queued {
            self.outcome.failed += 1;
        }
    }

    /// Sends what waits, and asks about ways that are new or old.
    pub fn flush(&mut self, slots: &Slots, now: Moment) -> Sent {
        let mut outcome = std::mem::take(&mut self.outcome);
        // First, for what goes by the kernel came before what is framed since its way is known.
        for socket in self.raw.iter_mut().flatten() {
            let sent = socket.flush(slots);
            self.by_kernel += u64::from(sent.sent);
            outcome = outcome.and(sent);
        }
        let mut broken = None;
        for (interface, socket) in &mut self.interfaces {
            let sent = socket.flush(slots);
            if sent.failed > 0 {
                broken = Some(*interface);
            }
            outcome = outcome.and(sent);
        }
        if let Some(interface) = broken {
            // Gone, or down: opened again once a way leads over it again.
            self.interfaces.remove(&interface);
            self.hops.distrust(interface);
        }
        self.hops.refresh(now);
        outcome
    }

    fn way(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        hop: &mut Option<HopId>,
        now: Moment,
    ) -> Way {
        if let Some(way) = hop.and_then(|hop| self.hops.way(hop, now)) {
            return way;
        }
        *hop = self.hops.find(from.ip(), to.ip(), now);
        let way = hop.and_then(|hop| self.hops.way(hop, now));
        way.unwrap_or(Way::Kernel)
    }

    fn queue_frame(&mut self, interface: u32, frame: Packet) -> bool {
        if let Some(socket) = self.interfaces.get_mut(&interface) {
            return socket.push(frame);
        }
        match PacketSocket::open(interface, self.queue, self.batch) {
            Ok(mut socket) => {
                let queued = socket.push(frame);
                self.interfaces.insert(interface, socket);
                queued
            }
            Err(error) => {
                tracing::debug!(%error, interface, "no frames can be sent by an interface");
                self.hops.distrust(interface);
                false
            }
        }
    }
}

/// Places in a slot fit 16 bits.
fn packet(slot: u16, start: usize, len: usize) -> Packet {
    Packet {
        slot,
        start: start as u16,
        len: len as u16,
    }
}
