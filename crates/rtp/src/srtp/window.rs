//! The list of packet indexes seen (RFC 3711 §3.3.2).

/// Remembers which of the last [`ReplayWindow::WIDTH`] packet indexes were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    highest: u64,
    /// Bit n: `highest - n` was used. Two halves, so that the type stays aligned to eight octets.
    seen: [u64; 2],
}

/// Why an index may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError {
    /// It is older than the window reaches.
    TooOld,
    /// It was used.
    Used,
}

impl ReplayWindow {
    /// How many indexes are remembered; RFC 3711 asks for 64 at least.
    pub const WIDTH: u64 = 128;

    /// A window of a stream that does not exist yet.
    pub(super) const NOTHING: Self = Self {
        highest: 0,
        seen: [0; 2],
    };

    /// A window in which only `index` was used.
    pub fn starting_at(index: u64) -> Self {
        Self {
            highest: index,
            seen: [1, 0],
        }
    }

    /// The window whose highest used index is `highest`; `seen` has bit n for `highest - n`.
    pub fn from_parts(highest: u64, seen: u128) -> Self {
        Self {
            highest,
            seen: [seen as u64, (seen >> 64) as u64],
        }
    }

    /// The highest used index.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Bit n: the index n below the highest was used.
    pub fn seen(&self) -> u128 {
        u128::from(self.seen[1]) << 64 | u128::from(self.seen[0])
    }

    /// Whether `index` may still be used. Changes nothing, so that it can be asked before
    /// authentication.
    pub fn check(&self, index: u64) -> Result<(), WindowError> {
        let Some(age) = self.highest.checked_sub(index) else {
            return Ok(());
        };
        if age >= Self::WIDTH {
            return Err(WindowError::TooOld);
        }
        if self.seen() >> age & 1 == 1 {
            Err(WindowError::Used)
        } else {
            Ok(())
        }
    }

    /// Marks `index` as used.
    pub fn insert(&mut self, index: u64) {
        let seen = match self.highest.checked_sub(index) {
            Some(age) if age < Self::WIDTH => self.seen() | 1 << age,
            Some(_) => return,
            None => {
                let ahead = index - self.highest;
                self.highest = index;
                if ahead < Self::WIDTH {
                    self.seen() << ahead | 1
                } else {
                    1
                }
            }
        };
        *self = Self::from_parts(self.highest, seen);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edge_of_the_window() {
        let mut window = ReplayWindow::starting_at(1000);
        assert_eq!(window.check(1000), Err(WindowError::Used));
        assert_eq!(window.check(1000 - 127), Ok(()));
        assert_eq!(window.check(1000 - 128), Err(WindowError::TooOld));
        for age in [63, 64, 65, 127] {
            window.insert(1000 - age);
            assert_eq!(window.check(1000 - age), Err(WindowError::Used), "{age}");
        }
        window.insert(1000 + 500);
        assert_eq!(window.check(1000), Err(WindowError::TooOld));
        assert_eq!(window.check(1499), Ok(()));
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(steps in proptest::collection::vec(-150i64..200, 1..300)) {
            let mut window = ReplayWindow::starting_at(10_000);
            let mut used = BTreeSet::from([10_000u64]);
            let mut highest = 10_000u64;
            for step in steps {
                let index = highest.checked_add_signed(step).unwrap();
                let right = if index + ReplayWindow::WIDTH <= highest {
                    Err(WindowError::TooOld)
                } else if used.contains(&index) {
                    Err(WindowError::Used)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(index), right);
                if right.is_ok() {
                    window.insert(index);
                    used.insert(index);
                    highest = highest.max(index);
                }
                prop_assert_eq!(window.highest(), highest);
            }
        }
    }
}
