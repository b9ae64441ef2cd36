//! How long datagrams gather before they are looked at: a wake-up costs as much as several packets,
//! so that under load one serves many, while few packets are carried at once.

use std::time::Duration;

use media_relay::Moment;

/// Below so many datagrams a second each is carried as it comes.
const FROM: u64 = 3_000;
/// The shortest and longest time that datagrams gather.
const LEAST: Duration = Duration::from_micros(300);
const MOST: Duration = Duration::from_millis(1);
/// The time over which the rate is taken.
const WINDOW: Duration = Duration::from_millis(20);

/// The rate of one shard, and what follows from it.
#[derive(Debug)]
pub(crate) struct Moderation {
    together: u64,
    since: Option<Moment>,
    datagrams: u64,
    gather: Option<Duration>,
    /// How long it took to carry what was taken in last.
    took: Duration,
}

impl Moderation {
    /// Lets so many datagrams gather for one wake-up.
    pub(crate) fn new(together: u64) -> Self {
        Self {
            together,
            since: None,
            datagrams: 0,
            gather: None,
            took: Duration::ZERO,
        }
    }

    /// Notes that so many datagrams were taken in from `began` to `now`.
    pub(crate) fn note(&mut self, began: Moment, now: Moment, datagrams: usize) {
        self.took = now.saturating_since(began);
        let since = *self.since.get_or_insert(now);
        self.datagrams += datagrams as u64;
        let elapsed = now.saturating_since(since);
        if elapsed < WINDOW {
            return;
        }
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let rate = self.datagrams.saturating_mul(1_000_000_000) / nanos;
        self.gather = (rate >= FROM)
            .then(|| Duration::from_nanos(self.together * 1_000_000_000 / rate).clamp(LEAST, MOST));
        self.since = Some(now);
        self.datagrams = 0;
    }

    /// How long to let datagrams gather before the next look. While the last ones were carried,
    /// others gathered already: where that took as long, they do not wait for more, so that what a
    /// stall left behind is carried without pauses.
    pub(crate) fn gather(&self) -> Option<Duration> {
        self.gather.filter(|gather| self.took < *gather)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_rate(rate: u64) -> Option<Duration> {
        gathered(32, rate)
    }

    fn gathered(together: u64, rate: u64) -> Option<Duration> {
        let mut moderation = Moderation::new(together);
        let mut now = Moment::from_nanos(1_000_000);
        for _ in 0..rate / 5 {
            now = now + Duration::from_nanos(1_000_000_000 / rate);
            moderation.note(now, now, 1);
        }
        moderation.gather()
    }

    #[test]
    fn few_packets_are_carried_at_once_and_many_together() {
        assert_eq!(at_rate(100), None);
        assert_eq!(at_rate(2_500), None);
        assert_eq!(at_rate(5_000), Some(MOST));
        assert_eq!(at_rate(10_000), Some(MOST));
        let busy = at_rate(50_000).unwrap();
        assert!((600..=680).contains(&busy.as_micros()), "{busy:?}");
        assert_eq!(at_rate(250_000), Some(LEAST));
        let twice = gathered(64, 100_000).unwrap();
        assert!((600..=680).contains(&twice.as_micros()), "{twice:?}");
    }

    #[test]
    fn what_came_during_a_long_turn_does_not_wait() {
        let mut moderation = Moderation::new(32);
        let mut now = Moment::from_nanos(1_000_000);
        for _ in 0..5_000 {
            now = now + Duration::from_micros(20);
            moderation.note(now, now, 1);
        }
        let gather = moderation.gather().expect("a busy shard gathers");
        moderation.note(now, now + gather, 90);
        assert_eq!(moderation.gather(), None);
        let next = now + gather;
        moderation.note(next, next + gather / 2, 30);
        assert!(moderation.gather().is_some());
    }

    #[test]
    fn it_ends_when_the_load_does() {
        let mut moderation = Moderation::new(32);
        let mut now = Moment::from_nanos(1_000_000);
        for _ in 0..5_000 {
            now = now + Duration::from_micros(20);
            moderation.note(now, now, 1);
        }
        assert!(moderation.gather().is_some());
        // The window that the load ended in still counts it.
        let late = now + Duration::from_millis(20);
        moderation.note(late, late, 1);
        let later = late + Duration::from_millis(20);
        moderation.note(later, later, 1);
        assert_eq!(moderation.gather(), None);
    }
}
