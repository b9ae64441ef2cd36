//! The one place that asks the operating system for the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ambient::{Moment, Now, WallTime};

/// Monotonic time since the process began, beside wall time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts at [`Moment::ZERO`] now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The time, in both forms.
    pub fn now(&self) -> Now {
        let since = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            moment: Moment::from_nanos(since),
            wall: WallTime::from_unix_micros(u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)),
        }
    }

    /// The operating system's name for a moment of ours.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.start + moment.saturating_since(Moment::ZERO)
    }
}
