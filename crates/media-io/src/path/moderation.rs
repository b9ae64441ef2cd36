//! How long datagrams gather before they are looked at: a wake-up costs as much as several packets,
//! so that under load one serves many, while few packets are carried at once.

use std::time::Duration;

use media_relay::Moment;

/// Below so many datagrams a second each is carried as it comes.
const FROM: u64 = 3_000;
/// Datagrams that one wake-up should serve.
const TOGETHER: u64 = 64;
/// The shortest and longest time that datagrams gather.
const LEAST: Duration = Duration::from_micros(300);
const MOST: Duration = Duration::from_millis(1);
/// The time over which the rate is taken.
const WINDOW: Duration = Duration::from_millis(20);

/// The rate of one shard, and what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Moderation {
    since: Option<Moment>,
    datagrams: u64,
    gather: Option<Duration>,
}

impl Moderation {
    /// Notes that so many datagrams were taken in, up to `now`.
    pub(crate) fn note(&mut self, now: Moment, datagrams: usize) {
        let since = *self.since.get_or_insert(now);
        self.datagrams += datagrams as u64;
        let elapsed = now.saturating_since(since);
        if elapsed < WINDOW {
            return;
        }
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let rate = self.datagrams.saturating_mul(1_000_000_000) / nanos;
        self.gather = (rate >= FROM)
            .then(|| Duration::from_nanos(TOGETHER * 1_000_000_000 / rate).clamp(LEAST, MOST));
        self.since = Some(now);
        self.datagrams = 0;
    }

    /// How long to let datagrams gather before the next look.
    pub(crate) fn gather(&self) -> Option<Duration> {
        self.gather
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_rate(rate: u64) -> Option<Duration> {
        let mut moderation = Moderation::default();
        let mut now = Moment::from_nanos(1_000_000);
        for _ in 0..rate / 5 {
            now = now + Duration::from_nanos(1_000_000_000 / rate);
            moderation.note(now, 1);
        }
        moderation.gather()
    }

    #[test]
    fn few_packets_are_carried_at_once_and_many_together() {
        assert_eq!(at_rate(100), None);
        assert_eq!(at_rate(2_500), None);
        assert_eq!(at_rate(5_000), Some(MOST));
        let busy = at_rate(100_000).unwrap();
        assert!((600..=680).contains(&busy.as_micros()), "{busy:?}");
        assert_eq!(at_rate(250_000), Some(LEAST));
    }

    #[test]
    fn it_ends_when_the_load_does() {
        let mut moderation = Moderation::default();
        let mut now = Moment::from_nanos(1_000_000);
        for _ in 0..5_000 {
            now = now + Duration::from_micros(20);
            moderation.note(now, 1);
        }
        assert!(moderation.gather().is_some());
        // The window that the load ended in still counts it.
        moderation.note(now + Duration::from_millis(20), 1);
        moderation.note(now + Duration::from_millis(40), 1);
        assert_eq!(moderation.gather(), None);
    }
}
