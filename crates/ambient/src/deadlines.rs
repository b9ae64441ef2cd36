use std::collections::{BTreeMap, BTreeSet};

use crate::Moment;

/// At most one deadline for each key, in order of time; equal times go in order of key.
///
/// All operations take O(log n). The owner bounds the number of keys: it has one entry for each
/// timer of each thing it holds.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    at: BTreeMap<K, Moment>,
    order: BTreeSet<(Moment, K)>,
}

impl<K: Ord + Clone> Deadlines<K> {
    /// No deadlines.
    pub const fn new() -> Self {
        Self {
            at: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Sets the deadline of `key`, instead of the one it had.
    pub fn set(&mut self, key: K, at: Moment) {
        if let Some(before) = self.at.insert(key.clone(), at) {
            self.order.remove(&(before, key.clone()));
        }
        self.order.insert((at, key));
    }

    /// Removes the deadline of `key`; tells whether there was one.
    pub fn cancel(&mut self, key: &K) -> bool {
        let Some(at) = self.at.remove(key) else {
            return false;
        };
        self.order.remove(&(at, key.clone()))
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Moment> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Removes the earliest deadline that is not after `now` and returns its key.
    pub fn pop_due(&mut self, now: Moment) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.at.remove(&key);
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
}

impl<K: Ord + Clone> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
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
