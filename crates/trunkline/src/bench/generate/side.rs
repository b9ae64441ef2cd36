//! One of the two sockets: sends a slot's packets in one call, receives in batches.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::packet::{self, ALL, LEN, NAME};
use crate::bench::wire::Key;

/// Datagrams in one call to the kernel.
const BATCH: usize = 64;
/// Octets of the longest datagram that matters.
const LONGEST: usize = 256;

/// A context of webrtc-srtp, which shares no code with the relay.
pub(super) fn context(key: &Key) -> Result<Context> {
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    Ok(Context::new(
        &key.0[..16],
        &key.0[16..],
        profile,
        None,
        None,
    )?)
}

/// One side of all calls.
pub(super) struct Side {
    number: usize,
    socket: UdpSocket,
    /// Where each call's packets go.
    to: Vec<Option<SockaddrIn>>,
    /// The last octets of each call's packets.
    names: Vec<[u8; NAME]>,
    sealing: Option<Context>,
    /// What is sent this round: all of it, or all but the name.
    packet: Vec<u8>,
    /// Packets until one is held back.
    plant: u64,
    /// Apart from those of receiving: sending leaves addresses of its own in them, which the kernel
    /// would write sources to.
    sending: MultiHeaders<SockaddrIn>,
    receiving: MultiHeaders<SockaddrIn>,
    buffers: Box<[[u8; LONGEST]; BATCH]>,
}

impl Side {
    /// A side that encrypts with `key`, where there is one.
    pub(super) fn new(
        number: usize,
        socket: UdpSocket,
        key: Option<&Key>,
        to: impl Iterator<Item = SocketAddr>,
    ) -> Result<Self> {
        let to = to
            .map(|address| match address {
                SocketAddr::V4(address) => Ok(Some(SockaddrIn::from(address))),
                SocketAddr::V6(_) => bail!("{address}: the generator speaks IPv4"),
            })
            .collect::<Result<Vec<_>>>()?;
        let name = |call| if key.is_some() { ALL } else { call };
        Ok(Self {
            number,
            socket,
            names: (0..to.len() as u32)
                .map(|call| name(call).to_be_bytes())
                .collect(),
            to,
            sealing: key.map(context).transpose()?,
            packet: Vec::with_capacity(LONGEST),
            plant: 0,
            sending: MultiHeaders::preallocate(BATCH, None),
            receiving: MultiHeaders::preallocate(BATCH, None),
            buffers: Box::new([[0; LONGEST]; BATCH]),
        })
    }

    /// Makes the packet of a round.
    pub(super) fn prepare(&mut self, round: u64) -> Result<()> {
        self.packet.clear();
        self.packet.extend(packet::head(self.number, round));
        if let Some(context) = &mut self.sealing {
            self.packet.extend(ALL.to_be_bytes());
            let sealed = context.encrypt_rtp(&self.packet)?;
            self.packet.clear();
            self.packet.extend(sealed);
        }
        Ok(())
    }

    /// Sends the packet to these calls, each `plant`-th excepted.
    pub(super) fn send(&mut self, calls: std::ops::Range<usize>, plant: u64) -> Result<()> {
        let mut next = calls.start;
        while next < calls.end {
            let mut end = calls.end.min(next + BATCH);
            if plant > 0 {
                if self.plant == 0 {
                    self.plant = plant - 1;
                    next += 1;
                    continue;
                }
                end = end.min(next + usize::try_from(self.plant).unwrap_or(usize::MAX));
            }
            let sent = self.batch(next..end)?;
            self.plant = self.plant.saturating_sub(sent as u64);
            next += sent;
        }
        Ok(())
    }

    fn batch(&mut self, calls: std::ops::Range<usize>) -> Result<usize> {
        let nothing = IoSlice::new(&[]);
        let mut slices = [[IoSlice::new(&self.packet), nothing]; BATCH];
        if self.sealing.is_none() {
            for (slice, name) in slices.iter_mut().zip(&self.names[calls.clone()]) {
                slice[1] = IoSlice::new(name);
            }
        }
        let to = &self.to[calls];
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::empty());
        match sendmmsg(fd, &mut self.sending, &slices, to, [], flags) {
            Ok(sent) => Ok(sent.count()),
            // A report of an earlier packet that found a port closed; the next try sends.
            Err(Errno::ECONNREFUSED | Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error).context("sendmmsg"),
        }
    }

    /// Gives each datagram that is there, one batch at most, to `take` with its source. Whether
    /// there may be more.
    pub(super) fn receive(
        &mut self,
        mut take: impl FnMut(SocketAddr, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        let mut found = [(0, SocketAddr::from(([0, 0, 0, 0], 0))); BATCH];
        let mut count = 0;
        {
            let mut buffers = self.buffers.iter_mut();
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
                let buffer = buffers.next().map_or(&mut [][..], |buffer| &mut buffer[..]);
                [IoSliceMut::new(buffer)]
            });
            let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            match recvmmsg(fd, &mut self.receiving, &mut slices, flags, None) {
                Ok(messages) => {
                    for (message, slot) in messages.zip(&mut found) {
                        if let Some(source) = message.address {
                            *slot = (message.bytes, SocketAddr::V4(source.into()));
                        }
                        count += 1;
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(false),
                Err(error) => return Err(error).context("recvmmsg"),
            }
        }
        for ((len, source), buffer) in found[..count].iter().zip(self.buffers.iter()) {
            take(*source, &buffer[..*len])?;
        }
        Ok(count == BATCH)
    }
}

const _: () = assert!(LEN + 16 < LONGEST, "a sealed packet fits with its tag");
