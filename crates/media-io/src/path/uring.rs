//! io_uring: receives that stay armed, sends handed in with the next wait, one system call for both.

mod connected;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media_relay::{Arrival, Fetch, PortPair, PortPairId, TAILROOM, Transmit};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use nix::sys::resource::{Resource, getrlimit};

use super::pairs::{Pair, Pairs, Which, bind_pairs};
use super::{BATCH, Datagram, MAX_DATAGRAM, Path, Setup};
use crate::MediaIoConfig;
use crate::counters::{ShardCounters, count};
use crate::sys::uring::{Completion, File, LEAD, Ring};

/// What a request is for: the upper octet of its name.
const WAKE: u64 = 1 << 56;
const RECEIVE: u64 = 2 << 56;
const SEND: u64 = 3 << 56;
const CANCEL: u64 = 4 << 56;
const KIND: u64 = 0xff << 56;
/// Tells a socket's request from that of an earlier one in its slot.
const TOKENS: u32 = 1 << 22;
/// Sockets that are registered at most.
const MOST_FILES: u64 = 1 << 16;

/// A socket's standing in the ring.
#[derive(Clone, Copy, Debug)]
struct Armed {
    file: File,
    token: u32,
}

/// The datagram that the shard is working on.
#[derive(Clone, Copy, Debug)]
struct Current {
    buffer: u16,
    lead: usize,
}

/// Sockets served by io_uring.
pub(crate) struct Uring {
    // Before the sockets, whose descriptors it names.
    ring: Ring,
    wake: Arc<EventFd>,
    counters: Arc<ShardCounters>,
    pairs: Pairs,
    /// By slot, the three sockets of a pair.
    armed: Vec<[Option<Armed>; 3]>,
    tokens: u32,
    completions: Vec<Completion>,
    at: usize,
    current: Option<Current>,
    /// Names of requests that ended and are to be made again, if their sockets are still there.
    again: Vec<u64>,
    /// The pair that is about to be taken out, whose requests have been ended.
    leaving: Option<PortPairId>,
    /// Pairs whose peer is settled: a socket is to be connected to it.
    settled: Vec<(PortPairId, SocketAddr)>,
    /// Pairs whose connected sockets are not heard yet, and for how many more turns they may wait.
    unheard: Vec<(PortPairId, u8)>,
}

impl Uring {
    fn name(slot: u32, which: Which, token: u32) -> u64 {
        RECEIVE | u64::from(token) << 34 | u64::from(slot) << 2 | u64::from(which.number())
    }

    /// The socket that a completion is for, if it is still there.
    fn named(&self, name: u64) -> Option<(u32, Which)> {
        let (slot, token) = ((name >> 2) as u32, (name >> 34) as u32 & (TOKENS - 1));
        let which = Which::numbered((name & 3) as u32)?;
        let armed = self.armed.get(slot as usize)?[which.number() as usize]?;
        (armed.token == token).then_some((slot, which))
    }

    fn arm(&mut self, slot: u32, which: Which) {
        let Some(socket) = self.pairs.get(slot).and_then(|pair| pair.socket(which)) else {
            return;
        };
        self.tokens = (self.tokens + 1) % TOKENS;
        let number = slot * 3 + which.number();
        let file = self.ring.register(number, socket);
        let token = self.tokens;
        let missing = (slot as usize + 1).saturating_sub(self.armed.len());
        self.armed.extend(std::iter::repeat_n([None; 3], missing));
        self.armed[slot as usize][which.number() as usize] = Some(Armed { file, token });
        self.receive_on(slot, which, Armed { file, token });
    }

    fn receive_on(&mut self, slot: u32, which: Which, armed: Armed) {
        let name = Self::name(slot, which, armed.token);
        match which {
            Which::Connected => self.ring.receive(name, armed.file),
            Which::Rtp | Which::Rtcp => self.ring.receive_from(name, armed.file),
        }
    }

    /// Ends what is asked of a socket, so that closing it closes it.
    fn disarm(&mut self, slot: u32, which: Which) {
        let Some(armed) = self
            .armed
            .get_mut(slot as usize)
            .and_then(|sockets| sockets[which.number() as usize].take())
        else {
            return;
        };
        self.ring
            .cancel(Self::name(slot, which, armed.token), CANCEL);
        // Until the request has ended it holds the socket.
        if let Err(error) = self.ring.enter() {
            tracing::debug!(%error, "a receive is ended later");
        }
        self.ring.unregister(armed.file);
    }

    /// Ends what is asked of all sockets of a pair, which keep their names.
    fn end_receives(&mut self, slot: u32) {
        let Some(sockets) = self.armed.get(slot as usize).copied() else {
            return;
        };
        for which in [Which::Rtp, Which::Rtcp, Which::Connected] {
            if let Some(armed) = sockets[which.number() as usize] {
                self.ring
                    .cancel(Self::name(slot, which, armed.token), CANCEL);
            }
        }
        if let Err(error) = self.ring.enter() {
            tracing::debug!(%error, "receives are ended later");
        }
    }

    fn bind_one(&mut self, interface: u16) -> io::Result<PortPair> {
        let pair = self.pairs.bind(interface)?;
        let ports = pair.ports;
        self.insert(pair);
        Ok(ports)
    }

    fn insert(&mut self, pair: Pair) {
        let slot = self.pairs.insert(pair);
        for which in [Which::Rtp, Which::Rtcp, Which::Connected] {
            self.arm(slot, which);
        }
        self.count_ports();
    }

    fn count_ports(&self) {
        let ports = self.pairs.len() as u64;
        self.counters.ports.store(ports, Ordering::Relaxed);
    }

    /// Takes completions behind those that are still unread; whether there are any.
    fn take_completions(&mut self) -> bool {
        self.completions.drain(..self.at);
        self.at = 0;
        self.ring.completions(&mut self.completions, BATCH);
        !self.completions.is_empty()
    }

    /// Gives the last datagram's buffer back, unless it is being sent.
    fn finish(&mut self) {
        if let Some(current) = self.current.take() {
            self.ring.give_back(current.buffer);
        }
    }

    fn received(&mut self, completion: &Completion) -> Option<Datagram> {
        let socket = self.named(completion.name);
        if !completion.more {
            self.again.push(completion.name);
        }
        let buffer = completion.buffer?;
        let datagram = socket.and_then(|(slot, which)| {
            let filled = completion.result.ok()?;
            let pair = self.pairs.get(slot)?;
            let ports = pair.ports.id;
            let (lead, len, source, cut) = match (which, pair.peer()) {
                (Which::Connected, Some(peer)) => {
                    let len = (filled as usize).min(MAX_DATAGRAM);
                    (0, len, peer, filled as usize > MAX_DATAGRAM)
                }
                _ => {
                    let (len, mut source, cut) = self.ring.named(buffer, filled)?;
                    source.set_ip(source.ip().to_canonical());
                    (LEAD, len, source, cut)
                }
            };
            self.current = Some(Current { buffer, lead });
            let rtcp = which.is_rtcp();
            Some(Datagram {
                arrival: Arrival {
                    ports,
                    rtcp,
                    source,
                },
                len,
                cut,
            })
        });
        if datagram.is_none() {
            self.ring.give_back(buffer);
        }
        datagram
    }

    /// How to send: through which socket, and whether the address must be given.
    fn way(&self, transmit: &Transmit) -> Option<(File, Option<SocketAddr>)> {
        let (slot, pair) = self.pairs.by_id(transmit.ports)?;
        let (which, address) = pair.way(transmit.rtcp, transmit.to);
        let armed = self.armed.get(slot as usize)?;
        if let Some(armed) = armed[which.number() as usize] {
            return Some((armed.file, address.then_some(transmit.to)));
        }
        // One that is not heard yet is not known to the ring either.
        let own = armed[Which::Rtp.number() as usize]?;
        Some((own.file, Some(transmit.to)))
    }

    /// Makes requests that ended again, and connects who is settled.
    fn renew(&mut self) {
        while let Some(name) = self.again.pop() {
            let Some((slot, which)) = self.named(name) else {
                continue;
            };
            if let Some(armed) = self.armed[slot as usize][which.number() as usize] {
                self.receive_on(slot, which, armed);
            }
        }
        while let Some((ports, peer)) = self.settled.pop() {
            self.connect(ports, peer);
        }
        self.hear();
    }
}

impl Path for Uring {
    type Pair = Pair;
    type Shared = ();

    // A turn costs more here than on the steered path: each datagram has a socket of its own.
    const TOGETHER: u64 = 64;

    fn share(_: &MediaIoConfig) -> Result<(), String> {
        Ok(())
    }

    fn open(setup: &Setup<'_>, (): &()) -> Result<Self, String> {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let files = files.min(MOST_FILES) as u32;
        let mut ring = Ring::new(MAX_DATAGRAM, TAILROOM, files)
            .map_err(|error| format!("io_uring is refused: {error}"))?;
        ring.watch(WAKE, &**setup.wake);
        Ok(Self {
            ring,
            wake: Arc::clone(setup.wake),
            counters: Arc::clone(setup.counters),
            pairs: Pairs::new(setup.shard, setup.config),
            armed: Vec::new(),
            tokens: 0,
            completions: Vec::with_capacity(BATCH),
            at: 0,
            current: None,
            again: Vec::with_capacity(BATCH),
            leaving: None,
            settled: Vec::new(),
            unheard: Vec::new(),
        })
    }

    fn begin(&mut self) -> Result<(), Errno> {
        let begun = self.ring.begin();
        begun.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    }

    fn bind(&mut self, interface: u16, count: u16) -> Vec<PortPair> {
        bind_pairs(self, count, |path| path.bind_one(interface), Self::give_way)
    }

    fn keep(&mut self, pair: Pair) -> bool {
        if pair.peer().is_some() {
            count(&self.counters.connected);
        }
        self.insert(pair);
        true
    }

    fn next_of(&mut self, ports: PortPairId) -> Option<Datagram> {
        self.finish();
        let slot = self.pairs.slot(ports)?;
        if self.leaving != Some(ports) {
            self.leaving = Some(ports);
            self.end_receives(slot);
            // Behind what was taken before, and is still to be carried in its turn.
            self.ring.completions(&mut self.completions, usize::MAX);
        }
        loop {
            let waiting = self.completions.iter().skip(self.at);
            let at = waiting.enumerate().find_map(|(n, completion)| {
                let of = completion.name & KIND == RECEIVE
                    && completion.buffer.is_some()
                    && self
                        .named(completion.name)
                        .is_some_and(|(of, _)| of == slot);
                of.then_some(self.at + n)
            })?;
            let completion = self.completions.remove(at);
            let datagram = self.received(&completion);
            if datagram.is_some() {
                return datagram;
            }
        }
    }

    fn forget(&mut self, ports: PortPairId) -> Option<Pair> {
        self.leaving = None;
        let slot = self.pairs.slot(ports)?;
        for which in [Which::Rtp, Which::Rtcp, Which::Connected] {
            self.disarm(slot, which);
        }
        let (_, pair) = self.pairs.remove(ports)?;
        if pair.peer().is_some() {
            self.counters.connected.fetch_sub(1, Ordering::Relaxed);
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
        if self.take_completions() {
            return self.ring.enter();
        }
        if let Some(gather) = gather {
            self.ring.wait(BATCH, gather.min(limit))?;
            if self.take_completions() {
                return Ok(());
            }
        }
        self.ring.wait(1, limit)?;
        self.take_completions();
        Ok(())
    }

    fn next(&mut self) -> Option<Datagram> {
        self.finish();
        loop {
            let Some(completion) = self.completions.get(self.at).copied() else {
                // The kernel gives a few at a time: there may be more already.
                let more = self.completions.len() >= BATCH;
                self.renew();
                let unread = self.at < self.completions.len();
                if unread || more && self.take_completions() {
                    continue;
                }
                return None;
            };
            self.at += 1;
            match (completion.name & KIND, completion.result) {
                (RECEIVE, result) => {
                    if let Err(error) = result
                        && !matches!(error, Errno::ENOBUFS | Errno::ECANCELED)
                    {
                        // An ICMP error of an earlier send; the socket goes on.
                        count(&self.counters.receive_failed);
                    }
                    let datagram = self.received(&completion);
                    if datagram.is_some() {
                        return datagram;
                    }
                }
                (SEND, Err(error)) => {
                    self.counters.count_refusal(error as i32);
                    let sent = &self.counters.sent;
                    sent.store(sent.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
                }
                (WAKE, _) => {
                    // EAGAIN: somebody else's wake-up was read with an earlier one.
                    let _ = self.wake.read();
                    if !completion.more {
                        let wake = Arc::clone(&self.wake);
                        self.ring.watch(WAKE, &*wake);
                    }
                }
                _ => {}
            }
        }
    }

    fn coming(&self, ahead: usize) -> Option<PortPairId> {
        let completion = self.completions.get(self.at + ahead)?;
        let (slot, _) = self.named(completion.name)?;
        self.pairs.id(slot)
    }

    fn foresee(&self, ports: PortPairId, fetch: &mut impl Fetch) {
        if let Some(slot) = self.pairs.slot(ports) {
            self.pairs.foresee(slot, fetch);
            if let Some(armed) = self.armed.get(slot as usize) {
                fetch.fetch(armed);
            }
        }
    }

    fn buffer(&mut self) -> &mut [u8] {
        match self.current {
            Some(Current { buffer, lead }) => self.ring.octets(buffer, lead),
            None => &mut [],
        }
    }

    fn note_carried(&mut self, arrival: &Arrival) {
        let Some(slot) = self.pairs.slot(arrival.ports) else {
            return;
        };
        if let Some(pair) = self.pairs.get_mut(slot)
            && pair.settles(arrival)
        {
            self.settled.push((arrival.ports, arrival.source));
        }
    }

    fn send_current(&mut self, transmit: &Transmit) {
        let Some((file, to)) = self.way(transmit) else {
            return count(&self.counters.send_failed);
        };
        let Some(current) = self.current.take() else {
            return count(&self.counters.send_failed);
        };
        let place = (current.buffer, current.lead, transmit.len);
        self.ring.send_buffer(SEND, place, file, to);
        // Should it be refused, that is told later, and it is taken back.
        count(&self.counters.sent);
    }

    fn send(&mut self, transmit: &Transmit, packet: &[u8]) {
        let Some((file, to)) = self.way(transmit) else {
            return count(&self.counters.send_failed);
        };
        self.ring.send_copy(SEND, packet, file, to);
        count(&self.counters.sent);
    }

    fn flush(&mut self) {
        // The next wait hands in what waits.
    }
}
