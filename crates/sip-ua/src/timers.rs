//! The clocks of RFC 3261 Table 4 and RFC 6026 §8.
//!
//! Which timer may run in which state is not written here: a state struct holds exactly the
//! deadlines it can own, so that "timer A while Completed" cannot be expressed.

use std::time::Duration;

use ambient::Moment;

/// The three base values of RFC 3261 Table 4, and the bounds the RFC leaves to the user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerConfig {
    /// Round-trip estimate T1. Default 500 ms.
    pub t1: Duration,
    /// Longest interval between retransmissions of a non-INVITE request or of a response, T2.
    /// Default 4 s.
    pub t2: Duration,
    /// How long a message stays in the network, T4. Default 5 s.
    pub t4: Duration,
    /// Timer C (RFC 3261 §16.6): the longest an INVITE of ours stays unanswered after its last
    /// provisional response; then it is cancelled. The RFC wants more than three minutes.
    /// Default 200 s.
    pub timer_c: Duration,
    /// How often the last provisional response is repeated while an INVITE waits for its final
    /// response (RFC 3261 §13.3.1.1). Default 60 s.
    pub provisional_refresh: Duration,
    /// How long the transaction user may leave an INVITE without a final response before it is
    /// refused with 500 in its place. Default 10 min.
    pub server_patience: Duration,
    /// How long a request waits for the records that say where it goes (RFC 3263); then it goes
    /// to what is known. Default 3 s.
    pub lookup: Duration,
}

impl Default for TimerConfig {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(200),
            provisional_refresh: Duration::from_secs(60),
            server_patience: Duration::from_secs(600),
            lookup: Duration::from_secs(3),
        }
    }
}

impl TimerConfig {
    /// 64*T1: timers B, F, H, L and M, J over unreliable transports, the wait for the ACK of a
    /// 2xx and for the final response after a CANCEL.
    pub fn sixty_four_t1(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// Timer D: how long the ACK of a refused INVITE can still be asked for.
    pub(crate) fn d(&self, transport: Reliability) -> Duration {
        match transport {
            Reliability::Reliable => Duration::ZERO,
            Reliability::Unreliable => self.sixty_four_t1().max(Duration::from_secs(32)),
        }
    }

    /// Timers I and K: how long retransmissions of an ACK or of a final response are absorbed.
    pub(crate) fn absorb(&self, transport: Reliability) -> Duration {
        match transport {
            Reliability::Reliable => Duration::ZERO,
            Reliability::Unreliable => self.t4,
        }
    }

    /// Timer J: how long a final response to a non-INVITE request is repeated on demand.
    pub(crate) fn j(&self, transport: Reliability) -> Duration {
        match transport {
            Reliability::Reliable => Duration::ZERO,
            Reliability::Unreliable => self.sixty_four_t1(),
        }
    }
}

/// Whether the transport repairs loss itself (RFC 3261 §17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reliability {
    Reliable,
    Unreliable,
}

/// What a transition needs to know of its surroundings.
#[derive(Clone, Copy)]
pub(crate) struct Pace<'a> {
    pub(crate) now: Moment,
    pub(crate) timers: &'a TimerConfig,
    pub(crate) transport: Reliability,
}

/// A message repeated at growing intervals: timers A, E, G and the 2xx of RFC 3261 §13.3.1.4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    pub(crate) at: Moment,
    interval: Duration,
}

impl Repeat {
    /// The first repetition, one T1 from now.
    pub(crate) fn start(pace: &Pace<'_>) -> Self {
        Self {
            at: pace.now + pace.timers.t1,
            interval: pace.timers.t1,
        }
    }

    /// As [`Self::start`], but only where the transport may lose messages.
    pub(crate) fn start_if_unreliable(pace: &Pace<'_>) -> Option<Self> {
        (pace.transport == Reliability::Unreliable).then(|| Self::start(pace))
    }

    /// Timer A: the interval doubles without a cap (RFC 3261 §17.1.1.2).
    pub(crate) fn doubled(self, now: Moment) -> Self {
        self.next(now, self.interval.saturating_mul(2))
    }

    /// Timers E and G: doubles up to T2.
    pub(crate) fn doubled_to(self, now: Moment, t2: Duration) -> Self {
        self.next(now, self.interval.saturating_mul(2).min(t2))
    }

    /// Timer E in Proceeding: always T2 (RFC 3261 §17.1.2.2).
    pub(crate) fn every(self, now: Moment, interval: Duration) -> Self {
        self.next(now, interval)
    }

    fn next(self, now: Moment, interval: Duration) -> Self {
        Self {
            at: now + interval,
            interval,
        }
    }
}

/// The earlier of an optional deadline and one that always exists.
pub(crate) fn earliest(repeat: Option<Repeat>, end: Moment) -> Moment {
    repeat.map_or(end, |repeat| repeat.at.min(end))
}
