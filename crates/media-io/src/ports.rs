//! Which ports of a range are a shard's.

use media_relay::{PortPairId, ShardId};

use crate::MediaInterface;

/// The shard that bound a pair: its number is in the upper octet of the pair's.
pub(crate) fn home(pair: PortPairId) -> ShardId {
    ShardId((pair.0 >> 24) as u8)
}

/// The even ports of one interface that one shard binds: every n-th, so that shards do not get in
/// each other's way.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) interface: MediaInterface,
    shard: u32,
    shards: u32,
    first: u32,
    /// How many there are.
    own: u32,
    /// The pair to be tried next, counted among this shard's.
    next: u32,
}

impl Range {
    pub(crate) fn new(interface: MediaInterface, shard: ShardId, shards: u8) -> Self {
        let first = u32::from(*interface.ports.start()).next_multiple_of(2);
        let last = u32::from(*interface.ports.end());
        let pairs = (last + 1).saturating_sub(first) / 2;
        let shards = u32::from(shards.max(1));
        let own = pairs.saturating_sub(u32::from(shard.0)).div_ceil(shards);
        Self {
            interface,
            shard: shard.0.into(),
            shards,
            first,
            own,
            next: 0,
        }
    }

    /// How many pairs there are.
    pub(crate) fn len(&self) -> u32 {
        self.own
    }

    /// The even port of the next pair, all in turn. There must be one.
    pub(crate) fn next(&mut self) -> u16 {
        let pair = self.next % self.own.max(1);
        self.next = (pair + 1) % self.own.max(1);
        let port = self.first + 2 * (pair * self.shards + self.shard);
        u16::try_from(port).expect("the range ends below 2^16")
    }

    /// The port that `next` gave last could not be tried: it is the next again.
    pub(crate) fn back(&mut self, port: u16) {
        self.next = ((u32::from(port) - self.first) / 2 - self.shard) / self.shards;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(ports: std::ops::RangeInclusive<u16>, shard: u8, shards: u8) -> Range {
        let interface = MediaInterface {
            id: 0,
            bind: [127, 0, 0, 1].into(),
            ports,
        };
        Range::new(interface, ShardId(shard), shards)
    }

    #[test]
    fn shards_share_a_range_without_meeting() {
        let mut seen = Vec::new();
        for shard in 0..3 {
            let mut range = range(10_001..=10_021, shard, 3);
            let count = range.len();
            seen.extend((0..count).map(|_| range.next()));
        }
        seen.sort_unstable();
        let even: Vec<u16> = (10_002..=10_020).step_by(2).collect();
        assert_eq!(seen, even, "each pair lies within the range");
        assert_eq!(range(10_001..=10_002, 0, 1).len(), 0);
        assert_eq!(range(65_534..=65_535, 0, 1).next(), 65_534);
    }

    #[test]
    fn a_port_can_be_tried_again() {
        let mut range = range(10_000..=10_099, 1, 2);
        assert_eq!((range.next(), range.next()), (10_002, 10_006));
        range.back(10_006);
        assert_eq!((range.next(), range.next()), (10_006, 10_010));
    }
}
