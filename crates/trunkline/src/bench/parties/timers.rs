//! What is due when. A timer is never taken back: whoever it wakes looks whether it still matters.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// RFC 3261's estimate of a round trip (§17.1.1.1).
pub(super) const T1: Duration = Duration::from_millis(500);
/// The longest time between two retransmissions but for an INVITE's (§17.1.2.2).
pub(super) const T2: Duration = Duration::from_secs(4);

/// What is to be looked at, by the number of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The 200 of a called party, for its ACK.
    Answer(usize),
    /// A BYE, for its response.
    Bye(usize),
    /// A call that was held long enough.
    Hang(usize),
    /// An INVITE, for any response.
    Invite(usize),
}

/// Everything that is due some time.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, What)>>);

impl Timers {
    /// Adds one.
    pub(super) fn set(&mut self, at: Instant, what: What) {
        self.0.push(Reverse((at, what)));
    }

    /// The next one that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<What> {
        let Reverse((at, what)) = self.0.peek().copied()?;
        (at <= now).then(|| {
            self.0.pop();
            what
        })
    }

    /// When the next one is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }
}
