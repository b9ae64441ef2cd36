//! How late the signalling loop was for the core's deadlines.

use std::time::Duration;

/// The upper bounds of the classes, in milliseconds.
const BOUNDS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// A histogram of delays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
    most: Duration,
}

impl Lateness {
    /// A deadline was met so late.
    pub fn note(&mut self, late: Duration) {
        let class = BOUNDS.partition_point(|bound| Duration::from_millis(*bound) < late);
        self.counts[class] += 1;
        self.sum += late;
        self.most = self.most.max(late);
    }

    /// All deadlines met.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All delays together, seconds.
    pub fn sum(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// The longest delay, microseconds.
    pub fn most_micros(&self) -> u64 {
        u64::try_from(self.most.as_micros()).unwrap_or(u64::MAX)
    }

    /// Upper bounds in seconds, the last of them infinite, each with how many delays are within it
    /// and not within the one before.
    pub fn classes(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1000.0);
        let bounds = bounds.chain([f64::INFINITY]);
        bounds.zip(self.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_counted_in_the_first_class_that_holds_it() {
        let mut lateness = Lateness::default();
        for micros in [0, 1000, 1001, 20_000, 999_999, 1_000_001] {
            lateness.note(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = lateness.classes().iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1]);
        assert_eq!(lateness.count(), 6);
        assert_eq!(lateness.most_micros(), 1_000_001);
    }
}
