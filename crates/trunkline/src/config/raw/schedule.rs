//! `[[schedule]]`: times that routes speak of.

use serde::Deserialize;
use toml::Spanned;

use super::OneOrMany;

/// `[[schedule]]`: times that routes hold `during` or `outside` of. Weekdays, hours and dates hold
/// together; what is left out holds always.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The schedule's name.
    pub name: Spanned<String>,
    /// The time zone, by its name in the IANA database: `"Europe/Berlin"`. The database is the
    /// program's own.
    pub zone: Spanned<String>,
    /// Weekdays: `"mon-fri"`, `["mon", "wed"]`. Default: every day.
    #[serde(default)]
    pub days: OneOrMany,
    /// Times of day, the end left out: `"09:00-17:30"`; `"22:00-06:00"` goes into the next day and
    /// belongs to the one it begins on. Default: all day.
    #[serde(default)]
    pub hours: OneOrMany,
    /// Dates: `"2026-12-24"`, `"2026-12-24/2027-01-01"` with both ends, every year `"12-25"`.
    /// Default: every date.
    #[serde(default)]
    pub dates: OneOrMany,
}
