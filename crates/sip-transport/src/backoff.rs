//! When a peer that could not be reached may be tried again.

use std::time::Duration;

use tokio::time::Instant;

/// Doubling pauses between connection attempts, so that a dead peer costs a bounded number of
/// attempts and many gateways do not return to it in step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    failures: u32,
    until: Instant,
}

/// The shape of the pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconnectPolicy {
    /// Pause after the first failure.
    pub first: Duration,
    /// Longest pause.
    pub longest: Duration,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The pause after a failure at `now`. `draw` is a random value of 0..=255 which moves the
    /// pause between one half and the whole of its nominal length.
    pub(crate) fn after_failure(
        previous: Option<Self>,
        policy: ReconnectPolicy,
        now: Instant,
        draw: u8,
    ) -> Self {
        let failures = previous.map_or(1, |backoff| backoff.failures.saturating_add(1));
        let doublings = (failures - 1).min(16);
        let nominal = policy
            .first
            .saturating_mul(1 << doublings)
            .min(policy.longest);
        let pause = nominal / 2 + nominal / 2 * u32::from(draw) / 255;
        Self {
            failures,
            until: now + pause,
        }
    }

    /// Whether another attempt is allowed.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = ReconnectPolicy {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(10),
        };
        let now = Instant::now();
        let mut backoff = None;
        let mut pauses = Vec::new();
        for _ in 0..40 {
            let next = Backoff::after_failure(backoff, policy, now, 255);
            pauses.push((next.until - now).as_secs());
            backoff = Some(next);
        }
        assert_eq!(pauses[..5], [1, 2, 4, 8, 10]);
        assert_eq!(pauses[39], 10);
    }

    #[test]
    fn jitter_moves_the_pause_between_half_and_whole() {
        let policy = ReconnectPolicy {
            first: Duration::from_secs(4),
            longest: Duration::from_secs(4),
        };
        let now = Instant::now();
        let shortest = Backoff::after_failure(None, policy, now, 0);
        assert_eq!(shortest.until - now, Duration::from_secs(2));
        assert!(!shortest.is_over(now + Duration::from_millis(1999)));
        assert!(shortest.is_over(now + Duration::from_secs(2)));
    }
}
