//! `[[limit]]`: what calls may not do.

use serde::Deserialize;
use toml::Spanned;

use super::OneOrMany;

/// `[[limit]]`: what calls may not do. It counts all calls that one of its scopes (`route`,
/// `from`, `to`, `customer`) takes in, together; without a scope, all. A call that it keeps back is
/// refused with 503 where a later one may succeed and 403 where none will, and the limit is named;
/// one that only `to` takes in goes to the next target. Emergency calls know no limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The limit's name, as it appears in records and explanations.
    pub name: Spanned<String>,
    /// Routes whose calls it counts. Default: none.
    #[serde(default)]
    pub route: OneOrMany,
    /// Trunks from which calls count. Default: none.
    #[serde(default)]
    pub from: OneOrMany,
    /// Trunks to which calls count. Default: none.
    #[serde(default)]
    pub to: OneOrMany,
    /// Customers from whose trunks calls count. Default: none.
    #[serde(default)]
    pub customer: OneOrMany,
    /// Calls at once. Default: no limit.
    pub calls: Option<Spanned<u32>>,
    /// New calls a second. Default: no limit.
    pub calls_per_second: Option<Spanned<u32>>,
    /// Minutes a day (of UTC), charged when calls end. Default: no limit.
    pub minutes_per_day: Option<Spanned<u32>>,
    /// Money a day (of UTC), charged when calls end by the `[[rates]]` of their trunks:
    /// `"25.00 USD"`. What has no rate costs nothing. Default: no limit.
    pub spend_per_day: Option<Spanned<String>>,
    /// Countries that may be called, and nothing else: `["US", "CA"]`. Default: all.
    #[serde(default)]
    pub countries: OneOrMany,
    /// Countries that may not be called. Default: none.
    #[serde(default)]
    pub deny_countries: OneOrMany,
    /// Types of numbers that may not be called, as `called_type` of a route has them. Default:
    /// none.
    #[serde(default)]
    pub deny_types: OneOrMany,
    /// Numbers that may not be called, written as `called` of a route: `"+1900*"`. Default: none.
    #[serde(default)]
    pub deny: OneOrMany,
}
