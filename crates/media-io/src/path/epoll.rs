//! The path every kernel has: epoll, `recvfrom` and `sendto`.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media_relay::{Arrival, Fetch, PortPair, PortPairId, TAILROOM, Transmit};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use super::pairs::{Pair, Pairs, Which, bind_pairs};
use super::{BATCH, Datagram, MAX_DATAGRAM, Path, Setup};
use crate::MediaIoConfig;
use crate::counters::{ShardCounters, count};

/// The epoll datum of the wake-up descriptor.
const WAKE: u64 = u64::MAX;
/// Datagrams taken from one socket before the next one's turn.
const PER_SOCKET: usize = 16;
/// Datagrams taken from a port's own socket before the one beside it is heard, where it does not
/// run dry: more than it holds.
const RESIDUE: usize = 512;
/// With so many sockets ready one datagram is taken from each: asking a socket that had one whether
/// it has another costs more than being told of it by the next wait.
const MANY: usize = 8;

/// The datum of an RTP port's own socket.
fn own(slot: u32) -> u64 {
    u64::from(slot) << 2 | u64::from(Which::Rtp.number())
}

/// Sockets watched by epoll.
pub(crate) struct Epolled {
    epoll: Epoll,
    wake: Arc<EventFd>,
    counters: Arc<ShardCounters>,
    pairs: Pairs,
    ready: Box<[EpollEvent; BATCH]>,
    /// How many of `ready` the last wait gave, and how far they are taken.
    filled: usize,
    at: usize,
    /// Datagrams taken from the socket that is being read.
    taken: usize,
    /// Where a socket is to be connected.
    settled: Option<(PortPairId, SocketAddr)>,
    /// Where one was connected: it is heard once nothing waits in the port's own, so that nothing
    /// is overtaken. Rarely any.
    unheard: Vec<u32>,
    buf: Box<[u8; MAX_DATAGRAM + TAILROOM]>,
}

impl Epolled {
    fn watch(&self, slot: u32, pair: &Pair, which: Which) -> Result<(), Errno> {
        let Some(socket) = pair.socket(which) else {
            return Ok(());
        };
        let datum = u64::from(slot) << 2 | u64::from(which.number());
        self.epoll
            .add(socket, EpollEvent::new(EpollFlags::EPOLLIN, datum))
    }

    fn watch_pair(&mut self, pair: Pair) -> Result<(), Errno> {
        let ports = pair.ports.id;
        let slot = self.pairs.insert(pair);
        let pair = self.pairs.get(slot).expect("the pair was put there");
        let watched = [Which::Rtp, Which::Rtcp, Which::Connected]
            .into_iter()
            .try_for_each(|which| self.watch(slot, pair, which));
        if watched.is_err() {
            self.pairs.remove(ports); // closed, and thereby no longer watched
        }
        self.count_ports();
        watched
    }

    fn bind_one(&mut self, interface: u16) -> io::Result<PortPair> {
        let pair = self.pairs.bind(interface)?;
        let ports = pair.ports;
        self.watch_pair(pair)?;
        Ok(ports)
    }

    fn give_way(&mut self) -> bool {
        let slots = self.pairs.giving_way();
        for slot in &slots {
            self.disconnect(*slot);
        }
        !slots.is_empty()
    }

    fn disconnect(&mut self, slot: u32) {
        self.unheard.retain(|unheard| *unheard != slot);
        // Closing a socket takes it out of the epoll instance.
        let closed = self.pairs.get_mut(slot).and_then(Pair::disconnect);
        if closed.is_some() {
            self.counters.connected.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Connects a socket to a peer that is settled; it is heard later.
    fn connect(&mut self, ports: PortPairId, peer: SocketAddr) {
        let Some(slot) = self.pairs.slot(ports) else {
            return;
        };
        self.disconnect(slot);
        if self.pairs.connect(slot, peer) {
            count(&self.counters.connected);
            self.unheard.push(slot);
        }
    }

    /// The port's own socket has nothing more: now the one beside it is heard.
    fn hear(&mut self, slot: u32) {
        self.unheard.retain(|unheard| *unheard != slot);
        let watch = |pair| self.watch(slot, pair, Which::Connected);
        if let Some(Err(error)) = self.pairs.get(slot).map(watch) {
            tracing::warn!(%error, "a connected media socket cannot be watched");
            self.disconnect(slot);
        }
    }

    /// The slot whose port's own socket this is the datum of, if what it has is to be read to the
    /// last.
    fn last_of(&self, datum: u64) -> Option<u32> {
        let mut unheard = self.unheard.iter().copied();
        unheard.find(|slot| own(*slot) == datum)
    }

    /// Hears those whose ports' own sockets are not among the ready ones. Others are read until they
    /// are empty; the last batch may have ended before that.
    fn hear_the_empty(&mut self) {
        if self.unheard.is_empty() {
            return;
        }
        let ready = &self.ready[..self.filled];
        let is_empty = |slot: &u32| ready.iter().all(|event| event.data() != own(*slot));
        let empty: Vec<_> = self.unheard.iter().copied().filter(is_empty).collect();
        for slot in empty {
            self.hear(slot);
        }
    }

    fn count_ports(&self) {
        let ports = self.pairs.len() as u64;
        self.counters.ports.store(ports, Ordering::Relaxed);
    }

    /// Goes on to the next socket; the one before is empty, or had its turn.
    fn turn(&mut self) {
        if let Some(slot) = self.last_of(self.ready[self.at].data()) {
            self.hear(slot);
        }
        self.at += 1;
        self.taken = 0;
    }

    fn receive(&mut self, datum: u64) -> Result<Option<Datagram>, io::Error> {
        let slot = (datum >> 2) as u32;
        let which = Which::numbered((datum & 3) as u32);
        let Some((pair, which)) = self.pairs.get(slot).zip(which) else {
            return Ok(None);
        };
        let Some(socket) = pair.socket(which) else {
            return Ok(None);
        };
        let ports = pair.ports.id;
        // One octet more than a datagram may have shows that it has more.
        let room = &mut self.buf[..=MAX_DATAGRAM];
        let (len, source) = match (which, pair.peer()) {
            (Which::Connected, Some(peer)) => (socket.recv(room)?, peer),
            _ => {
                let (len, mut source) = socket.recv_from(room)?;
                source.set_ip(source.ip().to_canonical());
                (len, source)
            }
        };
        let rtcp = which.is_rtcp();
        Ok(Some(Datagram {
            arrival: Arrival {
                ports,
                rtcp,
                source,
            },
            len: len.min(MAX_DATAGRAM),
            cut: len > MAX_DATAGRAM,
        }))
    }
}

/// Sends a packet through a pair of this path; what the system refuses is counted.
fn send_through(pairs: &Pairs, counters: &ShardCounters, transmit: &Transmit, packet: &[u8]) {
    let Some((_, pair)) = pairs.by_id(transmit.ports) else {
        return count(&counters.send_failed);
    };
    let (which, address) = pair.way(transmit.rtcp, transmit.to);
    let sent = match pair.socket(which) {
        Some(socket) if address => socket.send_to(packet, transmit.to),
        Some(socket) => socket.send(packet),
        None => Err(ErrorKind::NotConnected.into()),
    };
    match sent {
        Ok(_) => count(&counters.sent),
        Err(error) => counters.count_refusal(error.raw_os_error().unwrap_or(0)),
    }
}

impl Path for Epolled {
    type Pair = Pair;
    type Shared = ();

    fn share(_: &MediaIoConfig) -> Result<(), String> {
        Ok(())
    }

    fn open(setup: &Setup<'_>, (): &()) -> Result<Self, String> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .and_then(|epoll| {
                epoll.add(setup.wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
                Ok(epoll)
            })
            .map_err(|error| format!("no epoll instance: {error}"))?;
        Ok(Self {
            epoll,
            wake: Arc::clone(setup.wake),
            counters: Arc::clone(setup.counters),
            pairs: Pairs::new(setup.shard, setup.config),
            ready: Box::new([EpollEvent::empty(); BATCH]),
            filled: 0,
            at: 0,
            taken: 0,
            settled: None,
            unheard: Vec::new(),
            buf: Box::new([0; MAX_DATAGRAM + TAILROOM]),
        })
    }

    fn bind(&mut self, interface: u16, count: u16) -> Vec<PortPair> {
        bind_pairs(self, count, |path| path.bind_one(interface), Self::give_way)
    }

    fn keep(&mut self, pair: Pair) -> bool {
        let connected = pair.peer().is_some();
        match self.watch_pair(pair) {
            Ok(()) => {
                if connected {
                    count(&self.counters.connected);
                }
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a media socket cannot be watched");
                false
            }
        }
    }

    fn forget(&mut self, ports: PortPairId) -> Option<Pair> {
        let slot = self.pairs.slot(ports)?;
        if self.unheard.contains(&slot) {
            self.hear(slot);
        }
        let (_, pair) = self.pairs.remove(ports)?;
        for which in [Which::Rtp, Which::Rtcp, Which::Connected] {
            let Some(socket) = pair.socket(which) else {
                continue;
            };
            if which == Which::Connected {
                self.counters.connected.fetch_sub(1, Ordering::Relaxed);
            }
            if let Err(error) = self.epoll.delete(socket) {
                tracing::warn!(%error, "a media socket cannot be left unwatched");
            }
        }
        self.count_ports();
        Some(pair)
    }

    fn has(&self, ports: PortPairId) -> bool {
        self.pairs.slot(ports).is_some()
    }

    fn expect(&mut self, _: PortPairId, _: &[SocketAddr], _: &[SocketAddr]) {}

    fn release(&mut self, ports: PortPairId) {
        if let Some(slot) = self.pairs.slot(ports) {
            self.disconnect(slot);
        }
    }

    fn wait(&mut self, gather: Option<Duration>, limit: Duration) -> Result<(), Errno> {
        if let Some(gather) = gather {
            std::thread::sleep(gather.min(limit));
        }
        let millis = u16::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(u16::MAX);
        self.filled = 0;
        (self.at, self.taken) = (0, 0);
        self.filled = self
            .epoll
            .wait(&mut self.ready[..], EpollTimeout::from(millis))?;
        self.hear_the_empty();
        Ok(())
    }

    fn next(&mut self) -> Option<Datagram> {
        while self.at < self.filled {
            let datum = self.ready[self.at].data();
            if datum == WAKE {
                // EAGAIN: somebody else's wake-up was read with an earlier one.
                let _ = self.wake.read();
                self.turn();
                continue;
            }
            if let Some((ports, peer)) = self.settled.take() {
                self.connect(ports, peer);
            }
            let most = match self.last_of(datum) {
                Some(_) => RESIDUE,
                None if self.filled >= MANY => 1,
                None => PER_SOCKET,
            };
            if self.taken >= most {
                self.turn();
                continue;
            }
            self.taken += 1;
            match self.receive(datum) {
                Ok(Some(datagram)) => return Some(datagram),
                Ok(None) => self.turn(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.turn(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // An ICMP error of an earlier send; the socket goes on.
                Err(_) => count(&self.counters.receive_failed),
            }
        }
        None
    }

    fn coming(&self, ahead: usize) -> Option<PortPairId> {
        let next = self.at + usize::from(self.taken > 0);
        let event = self.ready[..self.filled].get(next + ahead)?;
        self.pairs.id((event.data() >> 2) as u32)
    }

    fn foresee(&self, ports: PortPairId, fetch: &mut impl Fetch) {
        if let Some(slot) = self.pairs.slot(ports) {
            self.pairs.foresee(slot, fetch);
        }
    }

    fn buffer(&mut self) -> &mut [u8] {
        &mut self.buf[..]
    }

    fn note_carried(&mut self, arrival: &Arrival) {
        let Some(slot) = self.pairs.slot(arrival.ports) else {
            return;
        };
        if let Some(pair) = self.pairs.get_mut(slot)
            && pair.settles(arrival)
        {
            self.settled = Some((arrival.ports, arrival.source));
        }
    }

    fn send_current(&mut self, transmit: &Transmit) {
        let packet = &self.buf[..transmit.len];
        send_through(&self.pairs, &self.counters, transmit, packet);
    }

    fn send(&mut self, transmit: &Transmit, packet: &[u8]) {
        send_through(&self.pairs, &self.counters, transmit, packet);
    }

    fn flush(&mut self) {}
}
