//! Durations counted by size: 64 classes to each doubling, so no point is off by more than 1.6 %.

use super::wire::Delay;

const FINE: u32 = 7;
/// The first durations have a class each; above, a doubling has half as many.
const CLASSES: usize = 1 << FINE;
const DOUBLINGS: usize = 40;

/// Durations in ns, up to some hours.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; CLASSES * DOUBLINGS].into_boxed_slice(),
            total: 0,
            max: 0,
        }
    }

    /// Counts one.
    pub(crate) fn record(&mut self, nanos: u64) {
        let last = self.counts.len() - 1;
        self.counts[class(nanos).min(last)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// The smallest duration in µs that at least this share is not above; 0 of nothing.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(class).min(self.max) as f64 / 1e3;
            }
        }
        0.0
    }

    /// The points that reports show.
    pub(crate) fn delay(&self) -> Delay {
        Delay {
            p50: self.at(0.5),
            p99: self.at(0.99),
            max: self.max as f64 / 1e3,
        }
    }
}

fn class(nanos: u64) -> usize {
    if nanos < CLASSES as u64 {
        return nanos as usize;
    }
    let half = CLASSES / 2;
    let doubling = (nanos.ilog2() - FINE) as usize;
    CLASSES + doubling * half + ((nanos >> (doubling + 1)) as usize - half)
}

/// The greatest duration of a class.
fn upper(class: usize) -> u64 {
    if class < CLASSES {
        return class as u64;
    }
    let half = CLASSES / 2;
    let (doubling, rest) = ((class - CLASSES) / half, (class - CLASSES) % half);
    (((half + rest + 1) as u64) << (doubling + 1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_each_other_and_hold_what_they_say() {
        let mut before = 0;
        for nanos in 0..100_000u64 {
            let class = class(nanos);
            assert!(class == before || class == before + 1, "{nanos} in {class}");
            before = class;
        }
        let far = (0..1000u64).map(|n| n * n * 1_000_003);
        for nanos in (0..100_000).chain(far) {
            let class = class(nanos);
            assert!(upper(class) >= nanos, "{nanos} in {class}");
            assert!(class == 0 || upper(class - 1) < nanos, "{nanos} in {class}");
        }
    }

    #[test]
    fn points_are_found_within_two_of_a_hundred() {
        let mut all = Histogram::new();
        assert_eq!(all.delay(), Delay::default());
        for micros in 1..=1000u64 {
            all.record(1000 * micros);
        }
        let delay = all.delay();
        assert!((500.0..=516.0).contains(&delay.p50), "{delay:?}");
        assert!((990.0..=1000.0).contains(&delay.p99), "{delay:?}");
        assert_eq!(delay.max, 1000.0);
    }
}
