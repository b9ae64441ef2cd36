//! Media ports on the signalling side: only pairs that a shard has bound, a reserve bound ahead of
//! need, and leases that are held once.
//!
//! SDP is written from a lease with no round trip to a shard, so nothing is promised that is not
//! bound. A pair that was used rests for a while before it is leased again, those released the
//! longest ago first: late packets of one call must not be heard in the next. Where the pool is too
//! small for that it rests for less, which is counted, but never for less than the floor. Before it
//! comes to that, an interface most of whose pairs are held or resting raises an alarm.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ambient::{Moment, Table};
use media_relay::{MediaCommand, PortPair, PortPairId, ShardId};
use thiserror::Error;

use crate::profile::MediaConfig;

/// The reserves of all shards together are at most one in so many pairs of a range.
const RESERVED_PART: u32 = 4;
/// But as many as this each.
const LEAST_RESERVE: u16 = 4;

/// The most pairs that one command asks a shard for.
const BATCH: u16 = 64;

/// A reserve that is used up by half within this is too small for the calls there are, and is
/// doubled.
const RUSH: Duration = Duration::from_millis(100);

/// After a shard failed to bind, it is asked again no sooner than this.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// One pair of ports, for as long as a leg lives. Hand it back with [`PortPool::release`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a lease that is lost is a port lost"]
pub struct PortLease {
    pair: PortPair,
}

impl PortLease {
    /// The leased pair.
    #[must_use]
    pub fn pair(&self) -> PortPair {
        self.pair
    }

    /// The shard that serves it.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.pair.shard
    }
}

/// No pair can be leased. The gateway is the culprit; a caller sees 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Exhausted {
    /// Every bound pair of the interface is in use or resting.
    #[error("every media port of the interface is in use")]
    InUse,
    /// The interface has no bound pair at all.
    #[error("no media port of the interface is bound")]
    NotBound,
    /// There is no such interface.
    #[error("there is no such media interface")]
    NoInterface,
}

/// How the pool stands, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortUsage {
    /// Pairs that can be leased now.
    pub free: usize,
    /// Pairs that rest.
    pub resting: usize,
    /// Pairs that legs hold.
    pub leased: usize,
    /// Pairs that shards are being asked for.
    pub asked: usize,
    /// Leases refused since the start.
    pub refused: u64,
    /// Pairs leased before they had rested for as long as they should: the pool is too small for
    /// the calls there are, and the first sign of it.
    pub hurried: u64,
}

/// How the ports of one interface stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfacePorts {
    /// The interface.
    pub interface: u16,
    /// Pairs that its range has.
    pub pairs: u32,
    /// Pairs that legs hold.
    pub leased: u32,
    /// Pairs that rest and would have to be hurried.
    pub resting: u32,
    /// Pairs held or resting are at least [`MediaConfig::alarm_percent`] of all.
    pub alarm: bool,
}

type Shelf = (u16, ShardId);

#[derive(Debug, Default)]
struct Stock {
    free: VecDeque<PortPair>,
    /// With when they were released, the longest ago first.
    resting: VecDeque<(Moment, PortPair)>,
    asked: u16,
    not_before: Option<Moment>,
    leased: u32,
    /// What is kept bound, once the configured reserve has proved too small.
    reserve: u16,
    refilled: Option<Moment>,
}

/// What is known of a pair that a shard has bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pair {
    Idle,
    Leased,
}

/// One interface's range, and whether its alarm was told.
#[derive(Debug)]
struct Range {
    interface: u16,
    pairs: u32,
    alarmed: bool,
}

/// The pool. See the module's documentation.
#[derive(Debug)]
pub struct PortPool {
    reserve: u16,
    cool_down: Duration,
    floor: Duration,
    stock: BTreeMap<Shelf, Stock>,
    pairs: Table<PortPairId, Pair>,
    leased: usize,
    commands: VecDeque<MediaCommand>,
    ranges: Vec<Range>,
    alarm_percent: u8,
    refused: u64,
    hurried: u64,
}

impl PortPool {
    /// An empty pool that has already asked every shard for its first reserve: see
    /// [`PortPool::poll_command`].
    #[must_use]
    pub fn new(now: Moment, config: &MediaConfig) -> Self {
        let shelves = config.interfaces.iter().flat_map(|interface| {
            config
                .shards
                .iter()
                .map(move |&shard| (interface.id, shard))
        });
        let mut pool = Self {
            reserve: config.reserve,
            cool_down: config.cool_down,
            floor: config.cool_down_floor.min(config.cool_down),
            stock: shelves.map(|shelf| (shelf, Stock::default())).collect(),
            pairs: Table::default(),
            leased: 0,
            commands: VecDeque::new(),
            ranges: config
                .interfaces
                .iter()
                .map(|interface| Range {
                    interface: interface.id,
                    pairs: interface.pairs,
                    alarmed: false,
                })
                .collect(),
            alarm_percent: config.alarm_percent,
            refused: 0,
            hurried: 0,
        };
        pool.refill_all(now);
        pool
    }

    /// Leases a pair of `interface`, of the shard `prefer` if that has one, else of the shard with
    /// most to spare.
    ///
    /// # Errors
    /// Why there is none. More pairs are asked for in any case.
    pub fn lease(
        &mut self,
        now: Moment,
        interface: u16,
        prefer: Option<ShardId>,
    ) -> Result<PortLease, Exhausted> {
        self.wake(now, interface);
        let shelves = self
            .stock
            .range((interface, ShardId(0))..=(interface, ShardId(u8::MAX)));
        let chosen = shelves
            .filter(|(_, stock)| !stock.free.is_empty())
            .max_by_key(|&(&(_, shard), stock)| {
                // Of equal shards the first, so that the choice does not depend on more than it
                // should.
                (Some(shard) == prefer, stock.free.len(), u8::MAX - shard.0)
            })
            .map(|(&shelf, _)| shelf);
        let taken = chosen
            .and_then(|shelf| self.stock.get_mut(&shelf)?.free.pop_front())
            .or_else(|| self.hurry(now, interface));
        for shard in self.shards_of(interface) {
            self.refill(now, (interface, shard));
        }
        match taken {
            Some(pair) => {
                self.take(&pair);
                Ok(PortLease { pair })
            }
            None => {
                self.refused += 1;
                Err(self.why_none(interface))
            }
        }
    }

    /// The lease of a leg that is restored from a checkpoint and whose pair a shard has bound
    /// again. `None` if another leg holds the pair.
    pub fn adopt(&mut self, pair: PortPair) -> Option<PortLease> {
        if !self.take(&pair) {
            return None;
        }
        if let Some(stock) = self.stock.get_mut(&(pair.interface, pair.shard)) {
            stock.free.retain(|free| free.id != pair.id);
            stock.resting.retain(|(_, resting)| resting.id != pair.id);
        }
        Some(PortLease { pair })
    }

    /// Takes a lease back. The pair rests before it is leased again.
    pub fn release(&mut self, now: Moment, lease: PortLease) {
        let PortLease { pair } = lease;
        self.leased -= usize::from(self.pairs.insert(pair.id, Pair::Idle) == Some(Pair::Leased));
        match self.stock.get_mut(&(pair.interface, pair.shard)) {
            Some(stock) => {
                stock.leased = stock.leased.saturating_sub(1);
                stock.resting.push_back((now, pair));
            }
            None => {
                self.pairs.remove(&pair.id);
                self.commands.push_back(MediaCommand::ReleasePorts {
                    pairs: vec![pair.id],
                });
            }
        }
    }

    /// A shard has bound these. A pair that is known already is not taken twice.
    pub fn handle_bound(&mut self, pairs: &[PortPair]) {
        for &pair in pairs {
            let Some(stock) = self.stock.get_mut(&(pair.interface, pair.shard)) else {
                continue;
            };
            stock.asked = stock.asked.saturating_sub(1);
            if !self.pairs.contains_key(&pair.id) {
                self.pairs.insert(pair.id, Pair::Idle);
                stock.free.push_back(pair);
            }
        }
    }

    /// A shard could not bind `missing` of the pairs it was asked for. It is asked again later.
    pub fn handle_failed(&mut self, now: Moment, shard: ShardId, interface: u16, missing: u16) {
        if let Some(stock) = self.stock.get_mut(&(interface, shard)) {
            stock.asked = stock.asked.saturating_sub(missing);
            stock.not_before = Some(now + RETRY_AFTER_FAILURE);
        }
    }

    /// The next command for a shard; drain after each call of any other method.
    pub fn poll_command(&mut self) -> Option<MediaCommand> {
        self.commands.pop_front()
    }

    /// How the pool stands.
    #[must_use]
    pub fn usage(&self) -> PortUsage {
        let mut usage = PortUsage {
            leased: self.leased,
            refused: self.refused,
            hurried: self.hurried,
            ..PortUsage::default()
        };
        for stock in self.stock.values() {
            usage.free += stock.free.len();
            usage.resting += stock.resting.len();
            usage.asked += usize::from(stock.asked);
        }
        usage
    }

    /// How the ports of each interface stand.
    #[must_use]
    pub fn interfaces(&self, now: Moment) -> Vec<InterfacePorts> {
        let ranges = self.ranges.iter();
        ranges.map(|range| self.stand(range, now)).collect()
    }

    /// The next interface whose alarm began or ended since it was told last.
    pub fn poll_alarm(&mut self, now: Moment) -> Option<InterfacePorts> {
        let mut ranges = self.ranges.iter().enumerate();
        let (at, ports) = ranges.find_map(|(at, range)| {
            let ports = self.stand(range, now);
            (ports.alarm != range.alarmed).then_some((at, ports))
        })?;
        self.ranges[at].alarmed = ports.alarm;
        Some(ports)
    }

    fn stand(&self, range: &Range, now: Moment) -> InterfacePorts {
        let interface = range.interface;
        let shelves = (interface, ShardId(0))..=(interface, ShardId(u8::MAX));
        let (mut leased, mut resting) = (0, 0);
        for (_, stock) in self.stock.range(shelves) {
            let rested = |(released, _): &(Moment, PortPair)| *released + self.cool_down <= now;
            leased += stock.leased;
            resting += (stock.resting.len() - stock.resting.partition_point(rested)) as u32;
        }
        let filled = u64::from(leased) + u64::from(resting);
        // Once told it ends a tenth lower, so that it does not flutter.
        let less = if range.alarmed { 10 } else { 0 };
        let percent = u64::from(self.alarm_percent.saturating_sub(less));
        let alarm = range.pairs > 0 && filled * 100 >= u64::from(range.pairs) * percent;
        InterfacePorts {
            interface,
            pairs: range.pairs,
            leased,
            resting,
            alarm,
        }
    }

    /// Notes that a leg holds the pair; `false` if one does already.
    fn take(&mut self, pair: &PortPair) -> bool {
        let new = self.pairs.insert(pair.id, Pair::Leased) != Some(Pair::Leased);
        self.leased += usize::from(new);
        if new && let Some(stock) = self.stock.get_mut(&(pair.interface, pair.shard)) {
            stock.leased += 1;
        }
        new
    }

    /// The pair released the longest ago, if it has rested for as long as it must at least: better
    /// than no call.
    fn hurry(&mut self, now: Moment, interface: u16) -> Option<PortPair> {
        let floor = self.floor;
        let shelves = self
            .stock
            .range_mut((interface, ShardId(0))..=(interface, ShardId(u8::MAX)));
        let (_, stock) = shelves
            .filter(|(_, stock)| !stock.resting.is_empty())
            .min_by_key(|(_, stock)| stock.resting.front().map(|(released, _)| *released))?;
        let rested = |(released, _): &(Moment, PortPair)| *released + floor <= now;
        stock.resting.front().filter(|oldest| rested(oldest))?;
        let (_, pair) = stock.resting.pop_front()?;
        self.hurried += 1;
        Some(pair)
    }

    fn shards_of(&self, interface: u16) -> Vec<ShardId> {
        let shelves = self.stock.keys().filter(|(of, _)| *of == interface);
        shelves.map(|&(_, shard)| shard).collect()
    }

    /// Moves pairs that have rested enough back among the free ones.
    fn wake(&mut self, now: Moment, interface: u16) {
        for ((of, _), stock) in &mut self.stock {
            if *of != interface {
                continue;
            }
            while stock
                .resting
                .front()
                .is_some_and(|(released, _)| *released + self.cool_down <= now)
            {
                stock
                    .free
                    .extend(stock.resting.pop_front().map(|(_, pair)| pair));
            }
        }
    }

    fn refill_all(&mut self, now: Moment) {
        let shelves: Vec<Shelf> = self.stock.keys().copied().collect();
        for shelf in shelves {
            self.refill(now, shelf);
        }
    }

    /// The most that each shard keeps bound ahead of an interface, of a small range never so much that
    /// a second gateway on the same address finds nothing left; and what there is for it in all.
    fn most_of(&self, interface: u16) -> (u16, usize) {
        let mut ranges = self.ranges.iter();
        let range = ranges.find(|range| range.interface == interface);
        let shelves = self.stock.keys().filter(|(of, _)| *of == interface);
        let shards = u32::try_from(shelves.count()).unwrap_or(u32::MAX).max(1);
        let fair = range.map_or(0, |range| range.pairs / RESERVED_PART / shards);
        let fair = u16::try_from(fair).unwrap_or(u16::MAX).max(LEAST_RESERVE);
        let known = range.filter(|range| range.pairs > 0);
        let all = known.map_or(usize::MAX, |range| range.pairs.div_ceil(shards) as usize);
        (fair, all)
    }

    fn refill(&mut self, now: Moment, shelf: Shelf) {
        let (most, all) = self.most_of(shelf.0);
        let Some(stock) = self.stock.get_mut(&shelf) else {
            return;
        };
        stock.reserve = stock.reserve.max(self.reserve).min(most);
        let reserve = usize::from(stock.reserve);
        let coming = stock.free.len() + usize::from(stock.asked);
        // Half a reserve at a time: one command for many leases.
        let low = coming * 2 <= reserve;
        // What is not there is not asked for: a shard would look for it all along the range.
        let bound = coming + stock.resting.len() + stock.leased as usize;
        let unbound = u16::try_from(all.saturating_sub(bound)).unwrap_or(u16::MAX);
        if !low || unbound == 0 || stock.not_before.is_some_and(|at| now < at) {
            return;
        }
        stock.not_before = None;
        let rush = |refilled| now.saturating_since(refilled) < RUSH;
        if stock.refilled.replace(now).is_some_and(rush) {
            stock.reserve = stock.reserve.saturating_mul(2).min(most);
        }
        let (interface, shard) = shelf;
        let coming = u16::try_from(coming).unwrap_or(u16::MAX);
        let mut wanted = stock.reserve.saturating_sub(coming).min(unbound);
        while wanted > 0 {
            let count = wanted.min(BATCH);
            wanted -= count;
            stock.asked += count;
            self.commands.push_back(MediaCommand::BindPorts {
                shard,
                interface,
                count,
            });
        }
    }

    fn why_none(&self, interface: u16) -> Exhausted {
        let mut shelves = self
            .stock
            .iter()
            .filter(|((of, _), _)| *of == interface)
            .peekable();
        if shelves.peek().is_none() {
            return Exhausted::NoInterface;
        }
        if shelves.any(|(_, stock)| stock.leased > 0 || !stock.resting.is_empty()) {
            Exhausted::InUse
        } else {
            Exhausted::NotBound
        }
    }
}

#[cfg(test)]
mod tests;
