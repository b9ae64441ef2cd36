//! Files of numbers and prices: `[[number_list]]`, `[inventory]`, `[[rates]]`.

use serde::Deserialize;
use toml::Spanned;

/// `[[number_list]]`: numbers in a file, for routes that speak of `"list:NAME"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberList {
    /// The list's name.
    pub name: Spanned<String>,
    /// One number (`+14255550100`), prefix (`+1800*`) or range (`+14255550100-+14255550199`) a
    /// line, at most a million; `#` begins a comment. Broken lines are named, all at once.
    pub file: Spanned<String>,
}

/// `[inventory]`: who owns which number.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Comma-separated values whose first line names the columns: `number` (a number, prefix or
    /// range), `owner` (`microsoft`, `carrier` or `ported`), and any others. The most special
    /// line holds. Default: nobody's numbers are known.
    pub file: Option<Spanned<String>>,
    /// The inventory of the `[store]` instead, which `trunkline numbers` keeps; it is read at the
    /// start and at a reload. Numbers that were given up are nobody's. Not together with `file`.
    /// Default: false.
    pub store: Option<Spanned<bool>>,
}

/// `[[rates]]`: what calls towards a trunk cost.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// The table's name, which trunks give as `rates`.
    pub name: Spanned<String>,
    /// Comma-separated values whose first line names the columns: `prefix`, `rate_per_minute`,
    /// `currency`, and as wanted `initial` and `subsequent` (billing increments in seconds,
    /// default 1), `valid_from` and `valid_to` (dates in UTC, both days included; default: for
    /// ever). The longest prefix counts. Broken lines, overlaps and gaps are named, all at once,
    /// and nothing of such a table is taken.
    pub file: Spanned<String>,
}
