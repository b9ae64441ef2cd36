//! Which slot a pair of ports has, a leg's or a pair of sockets': what is asked first of every packet.

use crate::PortPairId;

/// No slot: the relay has far fewer.
const NONE: u32 = u32::MAX;
/// Places of a line of memory.
const LINE: u32 = 8;
/// Places of the smallest table.
const LEAST: usize = 16;

/// From pairs of ports to numbers below 2^32 − 1: open addressing in a table that is at most half
/// full, so that a look is a multiplication and, nearly always, one line of memory.
///
/// The pairs are numbered by us, not by peers, so nobody can make them meet.
#[derive(Debug, Default)]
pub struct Slots {
    /// Pair and slot; a power of two of them, or none.
    places: Vec<(u32, u32)>,
    used: usize,
}

impl Slots {
    /// How many pairs are in it.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The slot of a pair.
    pub fn get(&self, ports: PortPairId) -> Option<u32> {
        let (_, slot) = *self.places.get(self.place_of(ports.0)?)?;
        (slot != NONE).then_some(slot)
    }

    /// Puts a pair in that is not there.
    pub fn insert(&mut self, ports: PortPairId, slot: u32) {
        if 2 * (self.used + 1) > self.places.len() {
            self.grow();
        }
        self.used += 1;
        self.put(ports.0, slot);
    }

    /// Takes a pair out; its slot, if it was there.
    pub fn remove(&mut self, ports: PortPairId) -> Option<u32> {
        let hole = self.place_of(ports.0)?;
        let (_, slot) = self.places[hole];
        if slot == NONE {
            return None;
        }
        self.used -= 1;
        self.close_up(hole);
        Some(slot)
    }

    /// Frees a place.
    fn close_up(&mut self, mut hole: usize) {
        // Whoever had to step past this place moves up, or it would no longer be found.
        let mut next = hole;
        loop {
            self.places[hole].1 = NONE;
            loop {
                next = self.after(next);
                let (pair, slot) = self.places[next];
                if slot == NONE {
                    return;
                }
                let home = self.home(pair);
                let stays = if hole <= next {
                    hole < home && home <= next
                } else {
                    hole < home || home <= next
                };
                if !stays {
                    break;
                }
            }
            self.places[hole] = self.places[next];
            hole = next;
        }
    }

    /// Where the pair is, or else the free place where the search for it ends.
    fn place_of(&self, pair: u32) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(pair);
        while self.places[at].1 != NONE && self.places[at].0 != pair {
            at = self.after(at);
        }
        Some(at)
    }

    fn put(&mut self, pair: u32, slot: u32) {
        if let Some(at) = self.place_of(pair) {
            self.places[at] = (pair, slot);
        }
    }

    fn grow(&mut self) {
        let room = (2 * self.places.len()).max(LEAST);
        let old = std::mem::replace(&mut self.places, vec![(0, NONE); room]);
        for (pair, slot) in old.into_iter().filter(|(_, slot)| *slot != NONE) {
            self.put(pair, slot);
        }
    }

    /// Where a pair belongs. Pairs that follow each other in eights share a line of memory; which,
    /// say the top bits of a product with 2^32 by the golden ratio, which spreads what follows each
    /// other.
    fn home(&self, pair: u32) -> usize {
        let (line, within) = (pair / LINE, pair % LINE);
        let spread = line.wrapping_mul(0x9e37_79b9);
        let bits = (self.places.len() as u32 / LINE).trailing_zeros();
        let line = u64::from(spread) << bits >> 32;
        line as usize * LINE as usize + within as usize
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u32..40, 0u32..3, any::<bool>()), 0..400)) {
            let (mut slots, mut model) = (Slots::default(), BTreeMap::new());
            for (at, (number, shard, insert)) in (0u32..).zip(steps) {
                let pair = PortPairId(shard << 24 | number);
                if !insert {
                    prop_assert_eq!(slots.remove(pair), model.remove(&pair));
                } else if let Entry::Vacant(entry) = model.entry(pair) {
                    slots.insert(pair, at);
                    entry.insert(at);
                }
                prop_assert!(2 * model.len() <= slots.places.len());
                prop_assert_eq!(slots.len(), model.len());
                for pair in (0..3).flat_map(|shard| (0..40).map(move |n| PortPairId(shard << 24 | n))) {
                    prop_assert_eq!(slots.get(pair), model.get(&pair).copied());
                }
            }
        }
    }

    #[test]
    fn pairs_in_a_row_are_found_at_once() {
        let mut slots = Slots::default();
        for number in 0..20_000 {
            slots.insert(PortPairId(3 << 24 | number), number);
        }
        let steps = (0..20_000).map(|number| {
            let pair = 3 << 24 | number;
            let (home, at) = (slots.home(pair), slots.place_of(pair).unwrap());
            at.wrapping_sub(home) & (slots.places.len() - 1)
        });
        assert!(steps.max() <= Some(2));
    }
}
