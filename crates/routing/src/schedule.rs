//! When a route holds: times of day, weekdays and dates in a time zone.

use ambient::WallTime;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use thiserror::Error;

/// A schedule as an operator wrote it. Conditions left empty hold always; those given hold all
/// together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleDoc {
    /// Its name, unique.
    pub name: String,
    /// The time zone, by its name in the IANA database: `Europe/Berlin`.
    pub zone: String,
    /// Weekdays: `mon`, or `mon-fri`.
    pub days: Vec<String>,
    /// Times of day: `09:00-17:30`, the end left out; `22:00-06:00` goes into the next day, and
    /// belongs to the one it begins on.
    pub hours: Vec<String>,
    /// Dates: `2026-12-24`, `2026-12-24/2027-01-01` with both ends, and every year `12-25`.
    pub dates: Vec<String>,
}

/// Why a schedule cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// Not in the database of time zones.
    #[error("not a time zone, such as Europe/Berlin")]
    Zone,
    /// Not weekdays.
    #[error("weekdays are written mon or mon-fri")]
    Days,
    /// Not a span of a day.
    #[error("times are written 09:00-17:30")]
    Hours,
    /// Not dates.
    #[error("dates are written 2026-12-24, 2026-12-24/2027-01-01 or, for every year, 12-25")]
    Dates,
}

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: u16 = 24 * 60;

#[derive(Debug, Clone, Copy)]
enum Dates {
    Between(Date, Date),
    EveryYear(i8, i8),
}

/// A schedule ready to be asked. The database of time zones is the program's own, so that a
/// decision does not hang on the machine it is made on.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    zone: TimeZone,
    /// By days since Monday.
    days: [bool; 7],
    /// Minutes of the day, the end before the beginning where it is in the next day.
    hours: Vec<(u16, u16)>,
    dates: Vec<Dates>,
}

impl Schedule {
    /// Reads a schedule; for each mistake the key and the item.
    pub(crate) fn compile(
        doc: &ScheduleDoc,
    ) -> Result<Self, Vec<(&'static str, usize, ScheduleError)>> {
        let mut errors = Vec::new();
        let zone = TimeZoneDatabase::bundled()
            .get(&doc.zone)
            .unwrap_or_else(|_| {
                errors.push(("zone", 0, ScheduleError::Zone));
                TimeZone::UTC
            });
        let mut days = [doc.days.is_empty(); 7];
        for (item, text) in doc.days.iter().enumerate() {
            match weekdays(text) {
                Some(named) => named.for_each(|day| days[day % 7] = true),
                None => errors.push(("days", item, ScheduleError::Days)),
            }
        }
        let mut spans = Vec::new();
        for (item, text) in doc.hours.iter().enumerate() {
            match hours(text) {
                Some(span) => spans.push(span),
                None => errors.push(("hours", item, ScheduleError::Hours)),
            }
        }
        let mut dates = Vec::new();
        for (item, text) in doc.dates.iter().enumerate() {
            match self::dates(text) {
                Some(found) => dates.push(found),
                None => errors.push(("dates", item, ScheduleError::Dates)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            zone,
            days,
            hours: spans,
            dates,
        })
    }

    /// Whether the schedule holds at that time.
    pub(crate) fn holds(&self, wall: WallTime) -> bool {
        let micros = i64::try_from(wall.as_unix_micros()).unwrap_or(i64::MAX);
        let Ok(at) = Timestamp::from_microsecond(micros) else {
            return false;
        };
        let local = self.zone.to_datetime(at);
        if self.hours.is_empty() {
            return self.is_day(local.date());
        }
        let minute = minute_of(local);
        self.hours.iter().any(|&(from, to)| {
            let overnight = to <= from;
            let today = minute >= from && (overnight || minute < to);
            let since_yesterday = overnight && minute < to;
            today && self.is_day(local.date())
                || since_yesterday && local.date().yesterday().is_ok_and(|day| self.is_day(day))
        })
    }

    fn is_day(&self, date: Date) -> bool {
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        let dated = |dates: &Dates| match *dates {
            Dates::Between(first, last) => (first..=last).contains(&date),
            Dates::EveryYear(month, day) => date.month() == month && date.day() == day,
        };
        self.days[weekday % 7] && (self.dates.is_empty() || self.dates.iter().any(dated))
    }
}

fn minute_of(at: DateTime) -> u16 {
    let minutes = i16::from(at.hour()) * 60 + i16::from(at.minute());
    u16::try_from(minutes).unwrap_or(0)
}

/// Days since Monday; beyond Sunday they go on from Monday.
fn weekdays(text: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let day = |name: &str| {
        let name = name.trim();
        WEEKDAYS
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))
    };
    let (first, last) = (day(first)?, day(last)?);
    Some(if last < first {
        first..=last + 7
    } else {
        first..=last
    })
}

fn hours(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (time(from.trim())?, time(to.trim())?);
    (from < MINUTES_OF_DAY && from != to).then_some((from, to))
}

/// Minutes since midnight; 24:00 is the end of the day.
fn time(text: &str) -> Option<u16> {
    if text == "24:00" {
        return Some(MINUTES_OF_DAY);
    }
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let time = Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?;
    Some(minute_of(time.on(1970, 1, 1)))
}

fn dates(text: &str) -> Option<Dates> {
    if let Some((first, last)) = text.split_once('/') {
        let (first, last): (Date, Date) = (date(first.trim())?, date(last.trim())?);
        return (first <= last).then_some(Dates::Between(first, last));
    }
    if let Some(date) = date(text) {
        return Some(Dates::Between(date, date));
    }
    let (month, day) = text.split_once('-')?;
    // A leap year has every day there can be.
    let known = Date::new(2024, month.parse().ok()?, day.parse().ok()?).ok()?;
    Some(Dates::EveryYear(known.month(), known.day()))
}

fn date(text: &str) -> Option<Date> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

/// The first second of a date in UTC, since the Unix epoch.
pub(crate) fn start_of(text: &str) -> Option<i64> {
    let start = date(text)?.to_zoned(TimeZone::UTC).ok()?;
    Some(start.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(zone: &str, days: &[&str], hours: &[&str], dates: &[&str]) -> ScheduleDoc {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        ScheduleDoc {
            name: "s".to_owned(),
            zone: zone.to_owned(),
            days: texts(days),
            hours: texts(hours),
            dates: texts(dates),
        }
    }

    fn holds(doc: &ScheduleDoc, at: &str) -> bool {
        let at: Timestamp = at.parse().unwrap();
        let micros = u64::try_from(at.as_microsecond()).unwrap();
        Schedule::compile(doc)
            .unwrap()
            .holds(WallTime::from_unix_micros(micros))
    }

    #[test]
    fn office_hours_follow_the_clock_of_their_place() {
        let office = schedule("Europe/Berlin", &["mon-fri"], &["09:00-17:30"], &[]);
        // Friday, winter and summer.
        assert!(holds(&office, "2026-11-20T08:00:00Z"));
        assert!(!holds(&office, "2026-11-20T07:59:59Z"));
        assert!(!holds(&office, "2026-11-20T16:30:00Z"));
        assert!(holds(&office, "2026-07-17T07:00:00Z"));
        assert!(!holds(&office, "2026-11-21T08:00:00Z"), "a Saturday");
    }

    #[test]
    fn a_night_belongs_to_the_day_it_begins_on() {
        let night = schedule("UTC", &["fri"], &["22:00-06:00"], &[]);
        assert!(holds(&night, "2026-11-20T23:00:00Z"));
        assert!(holds(&night, "2026-11-21T05:59:00Z"));
        assert!(!holds(&night, "2026-11-20T05:00:00Z"));
        assert!(!holds(&night, "2026-11-21T22:30:00Z"));
    }

    #[test]
    fn the_hour_that_is_skipped_or_comes_twice_is_told_by_its_clock() {
        let two = schedule("Europe/Berlin", &[], &["02:00-03:00"], &[]);
        // 2026-10-25: 02:30 comes twice; 2026-03-29: never.
        assert!(holds(&two, "2026-10-25T00:30:00Z"));
        assert!(holds(&two, "2026-10-25T01:30:00Z"));
        assert!(!holds(&two, "2026-03-29T01:00:00Z"));
        assert!(!holds(&two, "2026-03-29T00:59:00Z"));
    }

    #[test]
    fn dates_are_single_ranges_or_every_year() {
        let holidays = schedule("UTC", &[], &[], &["12-25", "2026-12-31/2027-01-02"]);
        assert!(holds(&holidays, "2030-12-25T12:00:00Z"));
        assert!(holds(&holidays, "2027-01-02T23:59:59Z"));
        assert!(!holds(&holidays, "2027-01-03T00:00:00Z"));
        let around = schedule("UTC", &["sat-mon"], &[], &[]);
        assert!(holds(&around, "2026-11-22T12:00:00Z"));
        assert!(!holds(&around, "2026-11-24T12:00:00Z"));
    }

    #[test]
    fn every_mistake_has_its_place() {
        let wrong = schedule(
            "Mars/Base",
            &["mon", "mo"],
            &["9-17", "24:00-01:00", "00:00-24:00", "10:00-10:00"],
            &["02-30", "2026-02-29", "02-29", "2026-02-02/2026-02-01"],
        );
        let errors = Schedule::compile(&wrong).unwrap_err();
        let places: Vec<_> = errors.iter().map(|(key, item, _)| (*key, *item)).collect();
        let expected = [
            ("zone", 0),
            ("days", 1),
            ("hours", 0),
            ("hours", 1),
            ("hours", 3),
            ("dates", 0),
            ("dates", 1),
            ("dates", 3),
        ];
        assert_eq!(places, expected);
    }
}
