//! `[[route]]`.

use serde::Deserialize;
use toml::Spanned;

use super::OneOrMany;

/// `[[route]]`: which calls go where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The route's name, as it appears in records and explanations.
    pub name: Spanned<String>,
    /// Trunks the call may come from. Default: any.
    #[serde(default)]
    pub from: OneOrMany,
    /// Called numbers: `"+1800*"`, `"+14255550100-+14255550199"`, `"+1425555????"`. Default: any.
    #[serde(default)]
    pub called: OneOrMany,
    /// Calling numbers, written alike. Default: any.
    #[serde(default)]
    pub calling: OneOrMany,
    /// Trunk groups that the called number names (RFC 4904): `"label"` or
    /// `"label@context.example"`. Default: any number, with a trunk group or without.
    #[serde(default)]
    pub trunk_group: OneOrMany,
    /// The customer whose calls it is for: it takes calls of that customer's trunks and may name
    /// no other's. Default: that of the trunks it names.
    pub customer: Option<Spanned<String>>,
    /// Trunks to try, in this order: `["acs", "office-pbx"]`. The next is tried when one is away,
    /// overloaded or at its limit, never when a user was reached. Default: none, where there is an
    /// `announcement`.
    #[serde(default)]
    pub to: OneOrMany,
    /// Name of the `[[announcement]]` that the caller hears when no target takes its call, before
    /// it is refused. Default: none, the caller is refused at once.
    pub announcement: Option<Spanned<String>>,
}
