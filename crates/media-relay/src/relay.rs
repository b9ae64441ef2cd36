//! One shard: its legs, their commands, timers and news.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ambient::{Moment, Now};

use crate::leg::Leg;
use crate::slots::Slots;
use crate::streams::Spares;
use crate::{
    Digit, Dropped, LegId, LegParams, LegStats, MediaCommand, MediaError, MediaEvent, PortPair,
    PortPairId, Source,
};

/// Octets behind a packet that the shell leaves free for tags, a canonical name and report blocks.
pub const TAILROOM: usize = 192;

/// Bounds and intervals of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// The most legs at a time.
    pub max_legs: usize,
    /// How often each leg reports its counters.
    pub stats_every: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            max_legs: 20_000,
            stats_every: Duration::from_secs(5),
        }
    }
}

/// A datagram that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The pair of ports it came to.
    pub ports: PortPairId,
    /// It came to the RTCP port of the pair.
    pub rtcp: bool,
    /// Who sent it.
    pub source: SocketAddr,
}

/// A datagram to be sent; its octets are in the buffer that was lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The pair of ports it leaves from.
    pub ports: PortPairId,
    /// It leaves from the RTCP port of the pair.
    pub rtcp: bool,
    /// Where it goes.
    pub to: SocketAddr,
    /// Octets from the beginning of the buffer.
    pub len: usize,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the packet is in the buffer and waits to be sent"]
pub enum Verdict {
    /// Have what is in the buffer converted, then give it to [`Relay::handle_converted`].
    Convert(crate::Ticket),
    /// Not carried; counted.
    Drop(crate::DropReason),
    /// Send what is in the buffer now.
    Send(Transmit),
}

/// A leg on its way from one shard to another.
#[derive(Debug)]
pub struct MovingLeg {
    pub(crate) leg: Box<Leg>,
}

impl MovingLeg {
    /// Which leg.
    pub fn id(&self) -> LegId {
        self.leg.id
    }

    /// The ports that move with it.
    pub fn ports(&self) -> PortPair {
        self.leg.ports
    }
}

/// One shard of the media plane.
///
/// Drain [`Relay::poll_transmit`] and [`Relay::poll_event`] after each input. Memory is taken when
/// legs are opened and updated, never for a packet.
#[derive(Debug, Default)]
pub struct Relay {
    pub(crate) config: RelayConfig,
    pub(crate) legs: Vec<Option<Box<Leg>>>,
    pub(crate) by_ports: Slots,
    by_id: BTreeMap<LegId, u32>,
    free: Vec<u32>,
    /// When to look at which leg; an entry counts if it is the one the leg is armed with.
    timers: BinaryHeap<Reverse<(Moment, u32, LegId)>>,
    /// Legs with something to send, and with something to tell; each leg once in each.
    sending: VecDeque<u32>,
    telling: VecDeque<u32>,
    /// What is told of legs that are not, or no longer, here. Filled by commands only.
    told: VecDeque<MediaEvent>,
    /// Reports with BYE of legs that were closed.
    farewells: VecDeque<(Transmit, [u8; TAILROOM])>,
    pub(crate) spares: Spares,
    pub(crate) dropped: Dropped,
    /// The leg that is being worked on; should that fail, it is the one to end.
    pub(crate) working: Option<LegId>,
}

impl Relay {
    /// A shard without legs.
    pub fn new(config: RelayConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// How many legs are open.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no leg is open.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Packets that belong to no leg, by reason.
    pub fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// A leg's counters.
    pub fn leg_stats(&self, leg: LegId) -> Option<LegStats> {
        self.leg(leg).map(Leg::stats)
    }

    /// The open legs.
    pub fn leg_ids(&self) -> impl Iterator<Item = LegId> + '_ {
        self.by_id.keys().copied()
    }

    /// The leg that was worked on last: the one to blame where that did not end well.
    pub fn working_on(&self) -> Option<LegId> {
        self.working
    }

    /// The leg that uses a pair of ports.
    pub fn leg_at(&self, ports: PortPairId) -> Option<LegId> {
        let slot = self.by_ports.get(ports)?;
        self.legs.get(slot as usize)?.as_ref().map(|leg| leg.id)
    }

    /// The pair of ports that a leg uses.
    pub fn ports_of(&self, leg: LegId) -> Option<PortPairId> {
        self.leg(leg).map(|leg| leg.ports.id)
    }

    /// Counts datagrams that were turned away before they came here: at the leg whose ports they
    /// came to, or as [`NoLeg`](crate::DropReason::NoLeg).
    pub fn note_turned_away(&mut self, ports: PortPairId, datagrams: u64) {
        let slot = self.by_ports.get(ports);
        match slot.and_then(|slot| self.leg_at_slot(slot)) {
            Some(leg) => leg
                .stats
                .drop_many(crate::DropReason::TurnedAway, datagrams),
            None => self.dropped[crate::DropReason::NoLeg] += datagrams,
        }
    }

    /// Carries out a command; what goes wrong is told as an event. `BindPorts` and `ReleasePorts`
    /// are the shell's and ignored.
    pub fn handle_command(&mut self, now: Now, command: MediaCommand) {
        let (leg, result) = match command {
            MediaCommand::BindPorts { .. } | MediaCommand::ReleasePorts { .. } => return,
            MediaCommand::Checkpoint { leg } => {
                (leg, self.with_leg(leg, |leg| leg.news.state = true))
            }
            MediaCommand::CloseLeg { leg } => (leg, self.close(now, leg)),
            MediaCommand::Join { a, b } => (a, self.join(a, b)),
            MediaCommand::OpenLeg { leg, ports, params } => {
                (leg, self.open(now.moment, leg, ports, *params))
            }
            MediaCommand::RestoreLeg {
                leg,
                ports,
                params,
                state,
            } => {
                let opened = self.open(now.moment, leg, ports, *params);
                let restore = |leg: &mut Leg| leg.restore(now.moment, &state);
                (leg, opened.and_then(|()| self.with_leg(leg, restore)))
            }
            MediaCommand::SendDtmf {
                leg,
                digit,
                duration,
            } => (leg, self.send_digit(now.moment, leg, digit, duration)),
            MediaCommand::Source { leg, source } => (leg, self.set_source(now.moment, leg, source)),
            MediaCommand::Split { leg } => (leg, self.slot(leg).map(|slot| self.split(slot))),
            MediaCommand::UpdateLeg { leg, params } => (
                leg,
                self.with_leg(leg, |leg| leg.update(now.moment, *params)),
            ),
        };
        if let Err(error) = result {
            self.told.push_back(MediaEvent::Failed { leg, error });
        }
        if let Ok(slot) = self.slot(leg) {
            self.arm(slot);
            self.list_news(slot);
        }
        self.spares.provide(self.by_id.len());
    }

    /// Takes a leg out of this shard, split from its peer, to be put into another.
    pub fn export_leg(&mut self, leg: LegId) -> Option<MovingLeg> {
        let slot = self.slot(leg).ok()?;
        self.split(slot);
        let mut leg = self.remove(slot)?;
        leg.timers.armed = None;
        leg.timers.sending = false;
        leg.news.listed = false;
        Some(MovingLeg { leg })
    }

    /// Puts a leg of another shard into this one.
    pub fn import_leg(&mut self, moving: MovingLeg) {
        let leg = moving.leg;
        let id = leg.id;
        match self.insert(leg) {
            Ok(slot) => {
                self.arm(slot);
                self.list_news(slot);
            }
            Err(error) => self.told.push_back(MediaEvent::Failed { leg: id, error }),
        }
    }

    /// Ends the leg that a fault was met in; its peer goes on alone.
    pub fn fail_leg(&mut self, leg: LegId) {
        let Ok(slot) = self.slot(leg) else { return };
        self.split(slot);
        if let Some(leg) = self.remove(slot) {
            let (leg, stats) = (leg.id, leg.stats());
            self.told.push_back(MediaEvent::Failed {
                leg,
                error: MediaError::Internal,
            });
            self.told.push_back(MediaEvent::Closed { leg, stats });
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        while let Some(&slot) = self.telling.front() {
            let Some(Some(leg)) = self.legs.get_mut(slot as usize) else {
                self.telling.pop_front();
                continue;
            };
            if let Some(event) = leg.take_news() {
                return Some(event);
            }
            leg.news.listed = false;
            self.telling.pop_front();
        }
        self.told.pop_front()
    }

    /// When [`Relay::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Does what is due at `now`; then poll for packets and events.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(&Reverse((at, slot, id))) = self.timers.peek()
            && at <= now.moment
        {
            self.timers.pop();
            let stats_every = self.config.stats_every;
            let Some(leg) = self.leg_at_slot(slot).filter(|leg| leg.id == id) else {
                continue;
            };
            if leg.timers.armed != Some(at) {
                continue;
            }
            leg.timers.armed = None;
            self.working = Some(id);
            let Some(leg) = self.leg_at_slot(slot) else {
                continue;
            };
            leg.on_timeout(now.moment, stats_every);
            let sounds = [leg.source.next, leg.digits.next];
            let sounds = sounds.into_iter().flatten().any(|next| next <= now.moment);
            let due = leg.reporting.due || sounds;
            let idle = due && !std::mem::replace(&mut leg.timers.sending, due);
            if idle {
                self.sending.push_back(slot);
            }
            if !due {
                self.arm(slot);
            }
            self.list_news(slot);
        }
    }

    /// Writes the next packet of our own making into `buf`: tones and RTCP.
    pub fn poll_transmit(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        if let Some((transmit, packet)) = self.farewells.pop_front() {
            buf.get_mut(..transmit.len)?
                .copy_from_slice(&packet[..transmit.len]);
            return Some(transmit);
        }
        while let Some(&slot) = self.sending.front() {
            self.working = self.leg_at_slot(slot).map(|leg| leg.id);
            if let Some(leg) = self.leg_at_slot(slot) {
                if let Some(transmit) = leg.make_packet(now, buf) {
                    return Some(transmit);
                }
                leg.timers.sending = false;
                self.arm(slot);
            }
            self.sending.pop_front();
        }
        None
    }

    fn open(
        &mut self,
        now: Moment,
        id: LegId,
        ports: PortPair,
        params: LegParams,
    ) -> Result<(), MediaError> {
        let leg = Leg::new(now, id, ports, params, self.config.stats_every);
        self.insert(Box::new(leg)).map(|_| ())
    }

    fn insert(&mut self, leg: Box<Leg>) -> Result<u32, MediaError> {
        if self.by_id.contains_key(&leg.id) {
            return Err(MediaError::LegExists);
        }
        if self.by_ports.get(leg.ports.id).is_some() {
            return Err(MediaError::PortsInUse);
        }
        if self.by_id.len() >= self.config.max_legs {
            return Err(MediaError::TooManyLegs);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.legs.push(None);
            u32::try_from(self.legs.len() - 1).expect("legs are bounded far below 2^32")
        });
        self.by_id.insert(leg.id, slot);
        self.by_ports.insert(leg.ports.id, slot);
        self.legs[slot as usize] = Some(leg);
        // What packets and timers push later must find room.
        let room = 2 * self.legs.len();
        self.sending
            .reserve(room.saturating_sub(self.sending.len()));
        self.telling
            .reserve(room.saturating_sub(self.telling.len()));
        self.timers.reserve(room.saturating_sub(self.timers.len()));
        Ok(slot)
    }

    fn remove(&mut self, slot: u32) -> Option<Box<Leg>> {
        let leg = self.legs.get_mut(slot as usize)?.take()?;
        self.by_id.remove(&leg.id);
        self.by_ports.remove(leg.ports.id);
        self.sending.retain(|listed| *listed != slot);
        self.telling.retain(|listed| *listed != slot);
        self.free.push(slot);
        Some(leg)
    }

    fn close(&mut self, now: Now, id: LegId) -> Result<(), MediaError> {
        let slot = self.slot(id)?;
        self.split(slot);
        let mut leg = self.remove(slot).ok_or(MediaError::NoLeg)?;
        let mut packet = [0; TAILROOM];
        if leg.outbound.packets > 0
            && let Some(transmit) = leg.make_report(now, &mut packet, true)
        {
            self.farewells.push_back((transmit, packet));
        }
        while let Some(event) = leg.take_news() {
            self.told.push_back(event);
        }
        self.told.push_back(MediaEvent::Closed {
            leg: id,
            stats: leg.stats(),
        });
        Ok(())
    }

    fn join(&mut self, a: LegId, b: LegId) -> Result<(), MediaError> {
        let (a, b) = (self.slot(a)?, self.slot(b)?);
        if a == b {
            return Err(MediaError::NoLeg);
        }
        for (slot, peer) in [(a, b), (b, a)] {
            if self.legs[slot as usize]
                .as_ref()
                .is_some_and(|leg| leg.peer != Some(peer))
            {
                self.split(slot);
            }
        }
        for (slot, peer) in [(a, b), (b, a)] {
            if let Some(leg) = self.leg_at_slot(slot) {
                leg.peer = Some(peer);
            }
        }
        Ok(())
    }

    fn split(&mut self, slot: u32) {
        let peer = self.leg_at_slot(slot).and_then(|leg| leg.peer.take());
        if let Some(peer) = peer.and_then(|peer| self.leg_at_slot(peer)) {
            peer.peer = None;
        }
    }

    fn set_source(&mut self, now: Moment, id: LegId, source: Source) -> Result<(), MediaError> {
        let slot = self.slot(id)?;
        let leg = self.leg_at_slot(slot).ok_or(MediaError::NoLeg)?;
        if source != Source::Off && leg.params.tone.is_none() {
            return Err(MediaError::ToneUnsupported);
        }
        if leg.source.source != source {
            leg.source.next = (source != Source::Off).then_some(now);
            leg.source.source = source;
            leg.source.epoch = leg.source.epoch.wrapping_add(1) & 0x7fff_ffff;
            leg.source.packets = 0;
        }
        Ok(())
    }

    fn send_digit(
        &mut self,
        now: Moment,
        id: LegId,
        digit: Digit,
        duration: Duration,
    ) -> Result<(), MediaError> {
        let slot = self.slot(id)?;
        let leg = self.leg_at_slot(slot).ok_or(MediaError::NoLeg)?;
        let possible = leg.params.telephone_event.is_some() || leg.params.tone.is_some();
        if possible && leg.digits.push(now, digit, duration) {
            Ok(())
        } else {
            Err(MediaError::DtmfUnsupported)
        }
    }

    fn with_leg(&mut self, id: LegId, act: impl FnOnce(&mut Leg)) -> Result<(), MediaError> {
        let slot = self.slot(id)?;
        act(self.leg_at_slot(slot).ok_or(MediaError::NoLeg)?);
        Ok(())
    }

    pub(crate) fn slot(&self, id: LegId) -> Result<u32, MediaError> {
        self.by_id.get(&id).copied().ok_or(MediaError::NoLeg)
    }

    pub(crate) fn leg(&self, id: LegId) -> Option<&Leg> {
        let slot = self.slot(id).ok()?;
        self.legs.get(slot as usize)?.as_deref()
    }

    pub(crate) fn leg_at_slot(&mut self, slot: u32) -> Option<&mut Leg> {
        self.legs.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Sees to it that the leg's next deadline has a timer.
    fn arm(&mut self, slot: u32) {
        let Some(leg) = self.leg_at_slot(slot) else {
            return;
        };
        let (deadline, id) = (leg.deadline(), leg.id);
        if leg.timers.armed.is_none_or(|armed| deadline < armed) {
            leg.timers.armed = Some(deadline);
            self.timers.push(Reverse((deadline, slot, id)));
        }
    }

    /// Puts the leg on the list of those with news, if it has any and is not there.
    pub(crate) fn list_news(&mut self, slot: u32) {
        let Some(leg) = self.leg_at_slot(slot) else {
            return;
        };
        if leg.has_news() && !std::mem::replace(&mut leg.news.listed, true) {
            self.telling.push_back(slot);
        }
    }
}
