use std::hash::{BuildHasher, Hash};

use smallvec::SmallVec;

use crate::table::{Secret, Table};

/// Finds values by words that peers choose, such as branches and Call-IDs.
///
/// The words are not kept here, only what a secret makes of them: whoever finds a value says whether
/// it is the one meant. So nothing of the words is looked at when there are too many for their
/// place, which would take as long as looking for each of them.
#[derive(Clone)]
pub struct Words<V> {
    secret: Secret,
    alike: Table<u64, SmallVec<[V; 1]>>,
    len: usize,
}

impl<V: Copy + Eq> Words<V> {
    /// No words yet. Whoever knows the secret can choose words that are all alike.
    pub fn new(secret: u64) -> Self {
        Self {
            secret: Secret::new(secret),
            alike: Table::default(),
            len: 0,
        }
    }

    /// `word` leads to `value`, before what it led to until now.
    pub fn insert(&mut self, word: &(impl Hash + ?Sized), value: V) {
        self.alike
            .or_default(self.secret.hash_one(word))
            .push(value);
        self.len += 1;
    }

    /// `word` does not lead to `value` any more.
    pub fn remove(&mut self, word: &(impl Hash + ?Sized), value: V) {
        let word = self.secret.hash_one(word);
        if let Some(alike) = self.alike.get_mut(&word) {
            let before = alike.len();
            alike.retain(|other| *other != value);
            self.len -= before - alike.len();
            if alike.is_empty() {
                self.alike.remove(&word);
            }
        }
    }

    /// What `word` leads to, the latest first, if `is` says that it is meant.
    pub fn find(&self, word: &(impl Hash + ?Sized), is: impl Fn(V) -> bool) -> Option<V> {
        let alike = self.alike.get(&self.secret.hash_one(word))?;
        alike.iter().rev().copied().find(|value| is(*value))
    }

    /// How many values words lead to.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no word leads anywhere.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<V> std::fmt::Debug for Words<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn alike_is_not_the_same() {
        let mut words = Words::new(1);
        words.insert("a", 1);
        words.insert("a", 2);
        assert_eq!(words.find("a", |_| true), Some(2));
        assert_eq!(words.find("a", |value| value == 1), Some(1));
        assert_eq!(words.find("a", |_| false), None);
        assert_eq!(words.find("b", |_| true), None);
    }

    proptest! {
        #[test]
        fn it_is_a_list_of_words(
            secret in any::<u64>(),
            steps in prop::collection::vec((0u8..9, 0u8..4, any::<bool>()), 0..200),
        ) {
            let mut words = Words::new(secret);
            let mut model: Vec<(u8, u8)> = Vec::new();
            for (word, value, insert) in steps {
                if insert {
                    words.insert(&word, value);
                    model.push((word, value));
                } else {
                    words.remove(&word, value);
                    model.retain(|known| *known != (word, value));
                }
                let latest = model.iter().rev().find(|(known, _)| *known == word);
                prop_assert_eq!(words.find(&word, |_| true), latest.map(|(_, value)| *value));
                prop_assert_eq!((words.len(), words.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }
}
