//! The sockets of a shard: bound, watched, sent from.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media_relay::{PortPair, PortPairId, ShardId, Transmit};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use crate::counters::{ShardCounters, count};
use crate::ports::{Binder, Pair};
use crate::{MediaIoConfig, StartError};

/// The epoll datum of the wake-up descriptor.
const WAKE: u64 = u64::MAX;

/// The pairs of ports of a shard, and the epoll instance that watches them.
pub(crate) struct Sockets {
    epoll: Epoll,
    binders: Vec<Binder>,
    pairs: BTreeMap<PortPairId, Pair>,
    /// Pairs bound so far: the number of the next one.
    numbers: u32,
    counters: Arc<ShardCounters>,
}

impl Sockets {
    /// No pair is bound yet; `wake` is watched from the beginning.
    pub(crate) fn new(
        id: ShardId,
        config: &MediaIoConfig,
        wake: &EventFd,
        counters: Arc<ShardCounters>,
    ) -> Result<Self, StartError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let binder = |interface| Binder::new(interface, id, config.shards, config.dscp);
        Ok(Self {
            epoll,
            binders: config.interfaces.iter().cloned().map(binder).collect(),
            pairs: BTreeMap::new(),
            numbers: 0,
            counters,
        })
    }

    /// Waits until something can be read, `time` at most; how many of `ready` were filled in.
    pub(crate) fn wait(&self, ready: &mut [EpollEvent], time: Duration) -> Result<usize, Errno> {
        let millis = u16::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u16::MAX);
        self.epoll.wait(ready, EpollTimeout::from(millis))
    }

    /// The socket that the datum of an event names, as the pair and whether it is that of RTCP;
    /// `None` for the wake-up descriptor.
    pub(crate) fn named(datum: u64) -> Option<(PortPairId, bool)> {
        let named = (PortPairId((datum >> 1) as u32), datum & 1 == 1);
        (datum != WAKE).then_some(named)
    }

    /// A pair that is here.
    pub(crate) fn pair(&self, id: PortPairId) -> Option<&Pair> {
        self.pairs.get(&id)
    }

    /// Binds so many pairs, or as many as can be bound.
    pub(crate) fn bind(&mut self, interface: u16, count: u16) -> Vec<PortPair> {
        let mut bound = Vec::new();
        while bound.len() < usize::from(count) {
            let mut binders = self.binders.iter_mut();
            let binder = binders.find(|binder| binder.interface.id == interface);
            let Some(pair) = binder.and_then(|binder| binder.bind(self.numbers)) else {
                break;
            };
            let ports = pair.ports;
            if !self.keep(pair) {
                break;
            }
            self.numbers = self.numbers.wrapping_add(1);
            bound.push(ports);
        }
        bound
    }

    /// Takes a pair in and watches it; whether that was possible. Where it was not, it is closed.
    pub(crate) fn keep(&mut self, pair: Pair) -> bool {
        let datum = u64::from(pair.ports.id.0) << 1;
        for (socket, rtcp) in [(&pair.rtp, 0), (&pair.rtcp, 1)] {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, datum | rtcp);
            if let Err(error) = self.epoll.add(socket, event) {
                tracing::warn!(%error, "a media socket cannot be watched");
                return false;
            }
        }
        self.pairs.insert(pair.ports.id, pair);
        self.count_ports();
        true
    }

    /// Takes a pair out; dropping it closes it.
    pub(crate) fn forget(&mut self, id: PortPairId) -> Option<Pair> {
        let pair = self.pairs.remove(&id)?;
        for socket in [&pair.rtp, &pair.rtcp] {
            if let Err(error) = self.epoll.delete(socket) {
                tracing::warn!(%error, "a media socket cannot be left unwatched");
            }
        }
        self.count_ports();
        Some(pair)
    }

    /// Sends a packet; what the system refuses is counted.
    pub(crate) fn send(&self, transmit: &Transmit, packet: &[u8]) {
        let counters = &self.counters;
        let Some(pair) = self.pairs.get(&transmit.ports) else {
            return count(&counters.send_failed);
        };
        match pair.socket(transmit.rtcp).send_to(packet, transmit.to) {
            Ok(_) => count(&counters.sent),
            Err(error) => {
                let full = error.kind() == ErrorKind::WouldBlock
                    || error.raw_os_error() == Some(Errno::ENOBUFS as i32);
                count(if full {
                    &counters.send_full
                } else {
                    &counters.send_failed
                });
            }
        }
    }

    fn count_ports(&self) {
        self.counters
            .ports
            .store(self.pairs.len() as u64, Ordering::Relaxed);
    }
}
