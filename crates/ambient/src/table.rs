use std::borrow::Borrow;
#[allow(
    clippy::disallowed_types,
    reason = "its order cannot be seen: a table is asked by key, and goes through in no order"
)]
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};

use rustc_hash::FxBuildHasher;

/// For keys that nobody outside chooses, such as numbers given in turn.
pub type Minted = FxBuildHasher;

/// What is found by its key in the time of one look, however much there is.
///
/// A tree of a hundred thousand entries is a dozen places of memory that nobody has looked at for a
/// while; this is one or two. In what order entries lie cannot be seen from outside, so that a run
/// can be repeated.
#[derive(Clone)]
pub struct Table<K, V, H = Minted> {
    #[allow(clippy::disallowed_types, reason = "see above")]
    entries: HashMap<K, V, H>,
}

/// For keys that peers choose: SipHash of a secret and the key, so that nobody can choose keys that
/// all lie in one place.
#[derive(Clone, Copy)]
pub struct Secret(u64);

impl Secret {
    /// This secret, which no peer may know.
    pub fn new(secret: u64) -> Self {
        Self(secret)
    }
}

impl BuildHasher for Secret {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

impl<K, V> Table<K, V, Secret> {
    /// An empty table, for keys that peers choose. Whoever knows the secret can choose keys that all
    /// lie in one place.
    pub fn keyed(secret: u64) -> Self {
        #[allow(clippy::disallowed_types, reason = "see above")]
        let entries = HashMap::with_hasher(Secret(secret));
        Self { entries }
    }
}

impl<K, V, H> Table<K, V, H> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every entry, in no order that means anything: for sums, and for what is asked of each.
    pub fn any_order(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }
}

impl<K: Eq + Hash, V, H: BuildHasher> Table<K, V, H> {
    /// The value of `key`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key)
    }

    /// Whether there is an entry of `key`.
    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.entries.contains_key(key)
    }

    /// Gives `key` this value; the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.entries.insert(key, value)
    }

    /// The value of `key`, which is made if there is none.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.entries.entry(key).or_default()
    }

    /// Removes the entry of `key`; the value it had.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key)
    }
}

/// An empty table, for keys that nobody outside chooses.
impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        #[allow(clippy::disallowed_types, reason = "see above")]
        let entries = HashMap::with_hasher(Minted::default());
        Self { entries }
    }
}

impl<K: fmt::Debug + Ord, V: fmt::Debug, H> fmt::Debug for Table<K, V, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|&(key, _)| key);
        f.debug_map().entries(entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(
            secret in any::<u64>(),
            steps in prop::collection::vec((0u8..20, any::<u8>(), 0u8..3), 0..200),
        ) {
            let mut table = Table::keyed(secret);
            let mut model = BTreeMap::new();
            for (key, value, step) in steps {
                match step {
                    0 => prop_assert_eq!(table.insert(key, value), model.insert(key, value)),
                    1 => prop_assert_eq!(table.remove(&key), model.remove(&key)),
                    _ => {
                        *table.or_default(key) ^= value;
                        *model.entry(key).or_default() ^= value;
                    }
                }
                prop_assert_eq!(table.get(&key), model.get(&key));
                prop_assert_eq!(table.contains_key(&key), model.contains_key(&key));
                prop_assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
            }
            prop_assert_eq!(format!("{table:?}"), format!("{model:?}"));
            let all: BTreeMap<_, _> = table.any_order().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(all, model);
        }
    }

    #[test]
    fn where_a_key_lies_depends_on_the_secret() {
        let hash = |secret| {
            Table::<&str, (), _>::keyed(secret)
                .entries
                .hasher()
                .hash_one("z9hG4bK1")
        };
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }
}
