//! The path with rights: the datagrams of all ports come by one socket a shard and family, and
//! leave as frames.
//!
//! ```text
//! any port ─ sk_lookup program ─→ one socket ─ recvmmsg ─→ slots, carried in place
//!                          frames ←─ memory shared with the kernel ┘
//! ```
//!
//! Ports are entries of a table and cost no descriptor. What the kernel does for sockets is done
//! here instead: ports are kept apart from other processes' ([`reserve`]), a datagram that came
//! just before its port moved to another shard is sent after it ([`strays`]), strangers are told
//! from peers by the program ([`crate::sys::steer`]).

mod pairs;
mod reserve;
mod strays;

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media_relay::{Arrival, Fetch, Moment, PortPair, PortPairId, ShardId, TAILROOM, Transmit};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use self::pairs::{Leaving, Pair, Pairs};
use self::reserve::Blocks;
use self::strays::{Letterbox, Stray};
use super::pairs::bind_pairs;
use super::{Datagram, Path, Setup};
use crate::capabilities::{self, Capability};
use crate::counters::{ShardCounters, count, count_many};
use crate::link::transmitter::Transmitter;
use crate::sys::mmsg::{HEADROOM, MAX_DATAGRAM, Packet, Receiver, Slots};
use crate::sys::steer::{Allowance, Family, Steering};
use crate::{Clock, MediaIoConfig};

/// Datagrams received by one system call, each into a slot of its own.
const RECEIVED: usize = 128;
/// Slots for packets of the relay's own making.
const OWN: usize = 32;
/// The slot of a stray.
const STRAY: usize = RECEIVED + OWN;
/// Octets that the kernel holds for a shard's socket, only as it needs them: some tenths of a
/// second of 50,000 packets a second, each of which takes about 800.
const BUFFER: usize = 16 * 1024 * 1024;
/// How soon those are looked at again.
const SOON: Duration = Duration::from_millis(1);
/// Pairs whose counts are read at least, of every survey.
const SURVEYED: usize = 256;
/// Surveys until all pairs were looked at, where there are more.
const SURVEYS: usize = 50;
/// The epoll datum of the wake-up descriptor.
const WAKE: u64 = u64::MAX;

/// What the shards have in common.
#[derive(Debug)]
pub(crate) struct Common {
    steering: Steering,
    blocks: Blocks,
    letterboxes: Vec<Letterbox>,
}

/// One shard's socket of a family.
struct Ear {
    receiver: Receiver,
    /// What the kernel had dropped when it was last asked.
    dropped: u32,
}

/// The steered path of one shard.
pub(crate) struct Steered {
    shard: ShardId,
    common: Arc<Common>,
    clock: Clock,
    counters: Arc<ShardCounters>,
    epoll: Epoll,
    wake: Arc<EventFd>,
    ears: Vec<Ear>,
    transmitter: Transmitter,
    pairs: Pairs,
    slots: Slots,
    now: Moment,
    /// Which ear the batch came by, how many datagrams it has, and how far it is taken.
    ear: usize,
    filled: usize,
    at: usize,
    /// Which pairs its datagrams are for, as it was when they came.
    coming: Vec<Option<PortPairId>>,
    /// The slot of the last datagram, and that of its pair.
    current: u16,
    current_pair: u32,
    /// Slots of packets of the relay's own that wait to be sent.
    own: usize,
    limbo: Vec<Stray>,
}

impl Steered {
    /// Whether datagrams wait that were already received.
    fn unread(&self) -> bool {
        self.at < self.filled
    }

    /// Receives by the ear whose turn it is, and by those after it until one has something.
    fn fill(&mut self) -> bool {
        (self.at, self.filled) = (0, 0);
        self.coming.clear();
        while let Some(ear) = self.ears.get_mut(self.ear) {
            match ear.receiver.receive(&mut self.slots) {
                Ok(0) => {}
                Ok(number) => {
                    self.filled = number;
                    let (receiver, pairs) = (&ear.receiver, &self.pairs);
                    let ports = |n| pairs.ports_at(receiver.datagram(n)?.destination);
                    self.coming.extend((0..number).map(ports));
                    return true;
                }
                Err(error) => {
                    tracing::debug!(%error, "a media shard's socket gave an error");
                    count(&self.counters.receive_failed);
                }
            }
            self.ear += 1;
        }
        false
    }

    /// What the kernel held when the batch was received may be more than the batch.
    fn refill(&mut self) -> bool {
        if self.ear >= self.ears.len() {
            return false;
        }
        if self.filled < RECEIVED {
            self.ear += 1;
        }
        // The slots are needed again.
        self.flush();
        self.fill()
    }

    /// The `n`-th datagram of the batch, where it is for a port of this shard.
    fn read(&mut self, n: usize) -> Option<Datagram> {
        let ear = self.ears.get(self.ear)?;
        let Some(datagram) = ear.receiver.datagram(n) else {
            count(&self.counters.receive_failed);
            return None;
        };
        let arrived = self.arrived(datagram.source, datagram.destination);
        let Some(arrival) = arrived else {
            let octets = self.slots.slot(n)[HEADROOM..][..datagram.len].to_vec();
            self.send_after(Stray {
                source: datagram.source,
                destination: datagram.destination,
                truncated: datagram.truncated,
                octets,
            });
            return None;
        };
        self.current = n as u16;
        Some(Datagram {
            arrival,
            len: datagram.len,
            cut: datagram.truncated,
        })
    }

    /// The pair that a datagram is for, which becomes the current one.
    fn arrived(&mut self, mut source: SocketAddr, destination: SocketAddr) -> Option<Arrival> {
        let (slot, rtcp) = self.pairs.at(destination)?;
        source.set_ip(source.ip().to_canonical());
        self.current_pair = slot;
        Some(Arrival {
            ports: self.pairs.get(slot)?.ports.id,
            rtcp,
            source,
        })
    }

    fn queue(&mut self, transmit: &Transmit, slot: u16, len: usize) {
        let Some(pair) = self.pairs.by_id(transmit.ports) else {
            return count(&self.counters.send_failed);
        };
        let local = pair.local(transmit.rtcp);
        let half = pair.half(transmit.rtcp);
        let to = transmit.to;
        let known = half.way.filter(|way| way.to == to.ip());
        let Some(mut way) = known.or_else(|| Leaving::new(local.ip(), to)) else {
            return count(&self.counters.send_failed);
        };
        let packet = Packet {
            slot,
            start: HEADROOM as u16,
            len: len as u16,
        };
        let from = SocketAddr::new(way.from, local.port());
        let (transmitter, slots) = (&mut self.transmitter, &mut self.slots);
        transmitter.send(slots, packet, from, to, &mut way.hop, self.now);
        half.way = Some(way);
    }

    fn listen(&self, limit: Duration) -> Result<(), Errno> {
        let millis = u16::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(u16::MAX);
        let mut ready = [EpollEvent::empty(); 3];
        let number = self.epoll.wait(&mut ready, EpollTimeout::from(millis))?;
        if ready[..number].iter().any(|event| event.data() == WAKE) {
            // EAGAIN: somebody else's wake-up was read with an earlier one.
            let _ = self.wake.read();
        }
        Ok(())
    }

    fn count_ports(&self) {
        let ports = self.pairs.len() as u64;
        self.counters.ports.store(ports, Ordering::Relaxed);
    }

    fn unsettle(counters: &ShardCounters, pair: &mut Pair) {
        if pair.rtp.forget_peer() {
            counters.connected.fetch_sub(1, Ordering::Relaxed);
        }
        pair.rtcp.forget_peer();
    }
}

/// The first line of an error; the rest, if any, is what the kernel's verifier says.
fn in_short(error: &impl std::error::Error) -> String {
    tracing::debug!(%error, "the steered path is not possible");
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

impl Path for Steered {
    type Pair = Pair;
    type Shared = Arc<Common>;

    fn share(config: &MediaIoConfig) -> Result<Arc<Common>, String> {
        let rights = [Capability::Bpf, Capability::NetAdmin, Capability::NetRaw];
        capabilities::require(&rights).map_err(|missing| missing.to_string())?;
        let ranges: Vec<_> = config
            .interfaces
            .iter()
            .map(|interface| (interface.bind, interface.ports.clone()))
            .collect();
        let steering = Steering::open(&ranges, config.shards, Allowance::default());
        Ok(Arc::new(Common {
            steering: steering.map_err(|error| in_short(&error))?,
            blocks: Blocks::default(),
            letterboxes: (0..config.shards).map(|_| Letterbox::default()).collect(),
        }))
    }

    fn open(setup: &Setup<'_>, common: &Arc<Common>) -> Result<Self, String> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(|error| format!("no epoll instance: {error}"))?;
        let watch = |fd: &dyn AsFd, datum| {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, datum);
            let watched = epoll.add(fd.as_fd(), event);
            watched.map_err(|error| format!("a socket cannot be watched: {error}"))
        };
        watch(setup.wake, WAKE)?;
        let mut ears = Vec::new();
        for family in [Family::V4, Family::V6] {
            let mut interfaces = setup.config.interfaces.iter();
            if interfaces.all(|interface| Family::of(interface.bind) != family) {
                continue;
            }
            let receiver = Receiver::open(family, RECEIVED, BUFFER)
                .map_err(|error| format!("a media shard's socket: {error}"))?;
            let attached = common
                .steering
                .attach_socket(setup.shard.0, family, receiver.as_fd());
            attached.map_err(|error| in_short(&error))?;
            watch(&receiver, 0)?;
            ears.push(Ear {
                receiver,
                dropped: 0,
            });
        }
        let transmitter = Transmitter::open(setup.shard.0.into(), STRAY + 1, setup.config.dscp)
            .map_err(|error| format!("a socket to send frames with: {error}"))?;
        if let Some(letterbox) = common.letterboxes.get(usize::from(setup.shard.0)) {
            letterbox.belongs_to(setup.wake);
        }
        Ok(Self {
            shard: setup.shard,
            common: Arc::clone(common),
            clock: Arc::clone(&setup.config.clock),
            counters: Arc::clone(setup.counters),
            epoll,
            wake: Arc::clone(setup.wake),
            ears,
            transmitter,
            pairs: Pairs::new(setup.shard, setup.config),
            slots: Slots::new(STRAY + 1),
            now: (setup.config.clock)().moment,
            ear: 0,
            filled: 0,
            at: 0,
            coming: Vec::with_capacity(RECEIVED),
            current: 0,
            current_pair: 0,
            own: 0,
            limbo: Vec::new(),
        })
    }

    fn bind(&mut self, interface: u16, count: u16) -> Vec<PortPair> {
        let bind = |path: &mut Self| path.pairs.bind(interface, &path.common);
        let bound = bind_pairs(self, count, bind, |_| false);
        self.count_ports();
        bound
    }

    fn keep(&mut self, mut pair: Pair) -> bool {
        pair.move_to(self.shard);
        if pair.rtp.heard.is_some() {
            count(&self.counters.connected);
        }
        self.pairs.insert(pair);
        self.count_ports();
        true
    }

    fn forget(&mut self, ports: PortPairId) -> Option<Pair> {
        let pair = self.pairs.remove(ports)?;
        if pair.rtp.heard.is_some() {
            self.counters.connected.fetch_sub(1, Ordering::Relaxed);
        }
        self.count_ports();
        Some(pair)
    }

    fn has(&self, ports: PortPairId) -> bool {
        self.pairs.slot(ports).is_some()
    }

    fn expect(&mut self, ports: PortPairId, rtp: &[SocketAddr], rtcp: &[SocketAddr]) {
        let Some(pair) = self.pairs.by_id(ports) else {
            return;
        };
        Self::unsettle(&self.counters, pair);
        pair.rtp.port.set_peers(rtp);
        pair.rtcp.port.set_peers(rtcp);
    }

    fn release(&mut self, ports: PortPairId) {
        self.expect(ports, &[], &[]);
    }

    fn wait(&mut self, gather: Option<Duration>, limit: Duration) -> Result<(), Errno> {
        if self.unread() {
            return Ok(());
        }
        for stray in std::mem::take(&mut self.limbo) {
            self.send_after(stray);
        }
        let limit = if self.limbo.is_empty() {
            limit
        } else {
            limit.min(SOON)
        };
        if let Some(gather) = gather {
            std::thread::sleep(gather.min(limit));
            self.ear = 0;
            if self.fill() {
                self.now = (self.clock)().moment;
                return Ok(());
            }
        }
        self.listen(limit)?;
        self.now = (self.clock)().moment;
        self.ear = 0;
        self.fill();
        Ok(())
    }

    fn next(&mut self) -> Option<Datagram> {
        if let Some(stray) = self.next_stray() {
            return Some(stray);
        }
        loop {
            while self.unread() {
                let n = self.at;
                self.at += 1;
                let datagram = self.read(n);
                if datagram.is_some() {
                    return datagram;
                }
            }
            if !self.refill() {
                return None;
            }
        }
    }

    fn coming(&self, ahead: usize) -> Option<PortPairId> {
        self.coming.get(self.at + ahead).copied().flatten()
    }

    fn foresee(&self, ports: PortPairId, fetch: &mut impl Fetch) {
        self.pairs.foresee(ports, fetch);
    }

    fn buffer(&mut self) -> &mut [u8] {
        &mut self.slots.slot(self.current.into())[HEADROOM..][..MAX_DATAGRAM + TAILROOM]
    }

    fn note_carried(&mut self, arrival: &Arrival) {
        let Some(pair) = self.pairs.get(self.current_pair) else {
            return;
        };
        let half = pair.half(arrival.rtcp);
        if half.heard == Some(arrival.source) {
            return;
        }
        half.port.set_heard(Some(arrival.source));
        if half.heard.replace(arrival.source).is_none() && !arrival.rtcp {
            count(&self.counters.connected);
        }
    }

    fn send_current(&mut self, transmit: &Transmit) {
        self.queue(transmit, self.current, transmit.len);
    }

    fn send(&mut self, transmit: &Transmit, packet: &[u8]) {
        if packet.len() > MAX_DATAGRAM + TAILROOM {
            return count(&self.counters.send_failed);
        }
        if self.own == OWN {
            self.flush();
        }
        let slot = RECEIVED + self.own;
        self.own += 1;
        self.slots.slot(slot)[HEADROOM..][..packet.len()].copy_from_slice(packet);
        self.queue(transmit, slot as u16, packet.len());
    }

    fn flush(&mut self) {
        self.own = 0;
        let outcome = self.transmitter.flush(&self.slots, self.now);
        let counters = &self.counters;
        for (counter, number) in [
            (&counters.sent, outcome.sent),
            (&counters.send_full, outcome.full),
            (&counters.send_failed, outcome.failed),
        ] {
            count_many(counter, number.into());
        }
    }

    fn survey(&mut self, turned_away: &mut dyn FnMut(PortPairId, u64)) {
        let number = (self.pairs.len() / SURVEYS).max(SURVEYED);
        for pair in self.pairs.some(number) {
            let datagrams = pair.turned_away();
            if datagrams > 0 {
                count_many(&self.counters.turned_away, datagrams);
                turned_away(pair.ports.id, datagrams);
            }
        }
        for ear in &mut self.ears {
            let Ok(dropped) = ear.receiver.kernel_drops() else {
                continue;
            };
            let news = dropped.wrapping_sub(ear.dropped);
            ear.dropped = dropped;
            count_many(&self.counters.overflowed, news.into());
        }
    }

    fn turned_away(&mut self, ports: PortPairId) -> u64 {
        let datagrams = self.pairs.by_id(ports).map_or(0, Pair::turned_away);
        count_many(&self.counters.turned_away, datagrams);
        datagrams
    }
}
