use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds since an origin the shell chose (its start).
///
/// Arithmetic saturates at both ends of the 584-year range. An `Option` of it takes no more room:
/// what is kept of a call holds dozens of moments that may not have come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(
    /// One more than the nanoseconds.
    NonZeroU64,
);

impl Moment {
    /// The clock's origin.
    pub const ZERO: Self = Self::from_nanos(0);
    /// The last moment that can be expressed; no clock gets there.
    pub const MAX: Self = Self::from_nanos(u64::MAX);

    /// The moment `nanos` nanoseconds after the origin; [`Moment::MAX`] for the last two of them.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// The time from `earlier` to `self`; zero if `earlier` is the later one.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Moment").field(&self.as_nanos()).finish()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(nanos(rhs)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(nanos(rhs)))
    }
}

/// A point in civil time, in microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Displays as RFC 3339 in UTC with milliseconds.
/// An `Option` of it takes no more room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(
    /// One more than the microseconds.
    NonZeroU64,
);

/// Seconds from the NTP era (1900) to the Unix epoch (1970), RFC 5905 figure 4.
const NTP_OFFSET: u64 = 2_208_988_800;

impl WallTime {
    /// The Unix epoch.
    pub const UNIX_EPOCH: Self = Self::from_unix_micros(0);

    /// The time `micros` microseconds after the Unix epoch.
    pub const fn from_unix_micros(micros: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_unix_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// The 64-bit NTP timestamp (seconds in the upper half, 2^-32 seconds in the lower) an RTCP
    /// sender report carries, RFC 3550 §6.4.1. Wraps in 2036 as NTP itself does.
    pub const fn ntp(self) -> u64 {
        let seconds = self.as_unix_micros() / 1_000_000 + NTP_OFFSET;
        let fraction = ((self.as_unix_micros() % 1_000_000) << 32) / 1_000_000;
        (seconds << 32) | fraction
    }

    /// The time from `earlier` to `self`; zero if `earlier` is the later one.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Default for WallTime {
    fn default() -> Self {
        Self::UNIX_EPOCH
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.as_unix_micros();
        f.debug_tuple("WallTime").field(&micros).finish()
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(micros(rhs)))
    }
}

impl Sub<Duration> for WallTime {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self::from_unix_micros(self.as_unix_micros().saturating_sub(micros(rhs)))
    }
}

/// Year, month and day of a number of days after 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from 1 March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let since_0000_03_01 = days + 719_468;
    let era = since_0000_03_01 / DAYS_IN_400_YEARS;
    let day_of_era = since_0000_03_01 % DAYS_IN_400_YEARS;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_unix_micros() / 1_000;
        let seconds = millis / 1_000;
        let (year, month, day) = civil(seconds / 86_400);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            seconds / 3_600 % 24,
            seconds / 60 % 60,
            seconds % 60,
            millis % 1_000
        )
    }
}

/// Both clocks, read together: what every input carries.
///
/// Timers run on `moment`. `wall` is for records, RTCP reports and deadlines that outlive the
/// process; a jump of it moves no running timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub moment: Moment,
    /// The civil clock.
    pub wall: WallTime,
}

impl Now {
    /// What the civil clock shows at `moment`, if neither clock is set until then.
    pub fn wall_at(self, moment: Moment) -> WallTime {
        if moment >= self.moment {
            self.wall + moment.saturating_since(self.moment)
        } else {
            self.wall - self.moment.saturating_since(moment)
        }
    }

    /// The moment at which the civil clock shows `wall`, if neither clock is set until then.
    ///
    /// A time before the monotonic clock's origin gives [`Moment::ZERO`].
    pub fn moment_at(self, wall: WallTime) -> Moment {
        if wall >= self.wall {
            self.moment + wall.saturating_since(self.wall)
        } else {
            self.moment - self.wall.saturating_since(wall)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_prints_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999_999, "2000-02-29T23:59:59.999Z"),
            (1_709_164_800_001_000, "2024-02-29T00:00:00.001Z"),
            (1_798_761_599_123_456, "2026-12-31T23:59:59.123Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(WallTime::from_unix_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn ntp_of_the_epoch_and_of_half_a_second() {
        assert_eq!(WallTime::UNIX_EPOCH.ntp(), 2_208_988_800 << 32);
        assert_eq!(
            WallTime::from_unix_micros(500_000).ntp() & 0xFFFF_FFFF,
            1 << 31
        );
    }

    #[test]
    fn clocks_convert_both_ways() {
        let now = Now {
            moment: Moment::from_nanos(5_000_000_000),
            wall: WallTime::from_unix_micros(1_000_000_000),
        };
        let later = now.moment + Duration::from_secs(7);
        assert_eq!(now.moment_at(now.wall_at(later)), later);
        let earlier = now.moment - Duration::from_secs(3);
        assert_eq!(now.moment_at(now.wall_at(earlier)), earlier);
        assert_eq!(now.moment_at(WallTime::UNIX_EPOCH), Moment::ZERO);
    }

    #[test]
    fn moments_saturate() {
        assert_eq!(Moment::MAX + Duration::MAX, Moment::MAX);
        assert_eq!(Moment::ZERO - Duration::from_nanos(1), Moment::ZERO);
        assert_eq!(Moment::ZERO.saturating_since(Moment::MAX), Duration::ZERO);
    }
}
