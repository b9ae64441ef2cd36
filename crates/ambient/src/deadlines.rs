use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use crate::table::{Minted, Secret};
use crate::{Moment, Table};

/// Entries that count no more are cleared away once there are more of them than of the others and
/// these.
const CLUTTER: usize = 64;

/// At most one deadline for each key, in order of time; equal times go in order of key.
///
/// Setting a deadline takes constant time where it is not among the next ones, as most are not:
/// timers are set to be cancelled. The owner bounds the number of keys: it has one entry for each
/// timer of each thing it holds.
#[derive(Clone)]
pub struct Deadlines<K: Ord, H = Minted> {
    at: Table<K, Moment, H>,
    /// All deadlines, and some that were moved or cancelled since; the first is never one of those.
    queue: BinaryHeap<Reverse<(Moment, K)>>,
}

impl<K: Ord + Hash + Clone> Deadlines<K> {
    /// No deadlines, of keys that nobody outside chooses.
    pub fn new() -> Self {
        Self {
            at: Table::default(),
            queue: BinaryHeap::new(),
        }
    }
}

impl<K: Ord + Hash + Clone> Deadlines<K, Secret> {
    /// No deadlines, of keys that peers choose: see [`Table::keyed`].
    pub fn keyed(secret: u64) -> Self {
        Self {
            at: Table::keyed(secret),
            queue: BinaryHeap::new(),
        }
    }
}

impl<K: Ord + Hash + Clone, H: BuildHasher> Deadlines<K, H> {
    /// Sets the deadline of `key`, instead of the one it had.
    pub fn set(&mut self, key: K, at: Moment) {
        if self.at.insert(key.clone(), at) != Some(at) {
            self.queue.push(Reverse((at, key)));
            self.tidy();
        }
    }

    /// Removes the deadline of `key`; tells whether there was one.
    pub fn cancel(&mut self, key: &K) -> bool {
        let known = self.at.remove(key).is_some();
        self.tidy();
        known
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Moment> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Removes the earliest deadline that is not after `now` and returns its key.
    pub fn pop_due(&mut self, now: Moment) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, key)) = self.queue.pop()?;
        self.at.remove(&key);
        self.tidy();
        Some(key)
    }

    /// The deadline of `key`.
    pub fn deadline(&self, key: &K) -> Option<Moment> {
        self.at.get(key).copied()
    }

    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    fn tidy(&mut self) {
        let counts =
            |at: &Table<K, Moment, H>, (moment, key): &(Moment, K)| at.get(key) == Some(moment);
        while let Some(Reverse(first)) = self.queue.peek()
            && !counts(&self.at, first)
        {
            self.queue.pop();
        }
        if self.queue.len() > 2 * self.at.len() + CLUTTER {
            self.queue.retain(|Reverse(entry)| counts(&self.at, entry));
        }
    }
}

impl<K: fmt::Debug + Ord, H> fmt::Debug for Deadlines<K, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(f)
    }
}

impl<K: Ord + Hash + Clone> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn due_keys_come_in_order_and_once() {
        let mut deadlines = Deadlines::new();
        deadlines.set("late", at(30));
        deadlines.set("moved", at(5));
        deadlines.set("early", at(10));
        deadlines.set("moved", at(20));
        assert_eq!(deadlines.next(), Some(at(10)));
        assert_eq!(deadlines.pop_due(at(9)), None);
        assert_eq!(deadlines.pop_due(at(20)), Some("early"));
        assert_eq!(deadlines.pop_due(at(20)), Some("moved"));
        assert_eq!(deadlines.pop_due(at(20)), None);
        assert!(deadlines.cancel(&"late"));
        assert!(!deadlines.cancel(&"late"));
        assert!(deadlines.is_empty());
    }

    #[test]
    fn what_counts_no_more_is_cleared_away() {
        let mut deadlines = Deadlines::new();
        deadlines.set(0, at(1));
        for time in 0..10_000 {
            deadlines.set(1, at(1_000 + time));
            deadlines.set(2, at(1_000));
            deadlines.cancel(&2);
        }
        assert!(deadlines.queue.len() <= 2 * deadlines.len() + CLUTTER + 1);
        assert_eq!(deadlines.pop_due(Moment::MAX), Some(0));
        assert_eq!(deadlines.next(), Some(at(10_999)));
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(steps in prop::collection::vec((0u8..20, 0u64..50, any::<bool>()), 0..200)) {
            let mut deadlines = Deadlines::new();
            let mut model = BTreeMap::new();
            for (key, time, set) in steps {
                if set {
                    deadlines.set(key, at(time));
                    model.insert(key, at(time));
                } else {
                    prop_assert_eq!(deadlines.cancel(&key), model.remove(&key).is_some());
                }
                prop_assert_eq!(deadlines.len(), model.len());
                prop_assert_eq!(deadlines.next(), model.values().min().copied());
                prop_assert_eq!(deadlines.deadline(&key), model.get(&key).copied());
            }
            let mut expected: Vec<_> = model.into_iter().map(|(key, time)| (time, key)).collect();
            expected.sort();
            let popped: Vec<_> = std::iter::from_fn(|| deadlines.pop_due(Moment::MAX)).collect();
            prop_assert_eq!(popped, expected.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
        }
    }
}
