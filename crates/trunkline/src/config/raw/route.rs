//! `[[route]]`.

use serde::Deserialize;
use toml::Spanned;

use super::{OneOrMany, Span};

/// `[[route]]`: which calls go where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The route's name, as it appears in records and explanations.
    pub name: Spanned<String>,
    /// Trunks the call may come from. Default: any.
    #[serde(default)]
    pub from: OneOrMany,
    /// Customers whose calls it takes: those that the trunk a call comes from belongs to. Default:
    /// any, and none.
    #[serde(default)]
    pub from_customer: OneOrMany,
    /// Called numbers: `"+1800*"`, `"+14255550100-+14255550199"`, `"+1425555????"`, or those of a
    /// `[[number_list]]`: `"list:NAME"`. Default: any.
    #[serde(default)]
    pub called: OneOrMany,
    /// Types of called numbers: `"geographic"`, `"mobile"`, `"toll-free"`, `"premium"`,
    /// `"shared-cost"`, `"voip"`, `"personal"`, `"pager"`, `"company"`, `"voicemail"`,
    /// `"short-code"`, `"emergency"`, `"unknown"`. North American mobile numbers are geographic.
    /// Default: any.
    #[serde(default)]
    pub called_type: OneOrMany,
    /// Countries of called numbers: `["US", "CA"]`. Default: any.
    #[serde(default)]
    pub called_country: OneOrMany,
    /// Owners of called numbers in the `[inventory]`: `"microsoft"`, `"carrier"`, `"ported"`.
    /// Default: any, and none.
    #[serde(default)]
    pub called_owner: OneOrMany,
    /// Calling numbers, written as `called`. Default: any, and none.
    #[serde(default)]
    pub calling: OneOrMany,
    /// Types of calling numbers. Default: any.
    #[serde(default)]
    pub calling_type: OneOrMany,
    /// Countries of calling numbers. Default: any.
    #[serde(default)]
    pub calling_country: OneOrMany,
    /// Owners of calling numbers. Default: any, and none.
    #[serde(default)]
    pub calling_owner: OneOrMany,
    /// Schedules, of which one holds. Default: always.
    #[serde(default)]
    pub during: OneOrMany,
    /// Schedules, of which none holds. Default: none.
    #[serde(default)]
    pub outside: OneOrMany,
    /// Header fields of the call, all of them, with `*` and `?` as wildcards:
    /// `"X-MS-Custom-Queue: sales*"`; at most 16. Default: none.
    #[serde(default)]
    pub header: OneOrMany,
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
    /// In which order targets are tried: `"order"` as written, `"weight"` drawn by `weights`,
    /// `"cost"` the cheapest first by the `[[rates]]` of the trunks. Default: `"order"`.
    pub pick: Option<Spanned<String>>,
    /// One weight for each target, for `pick = "weight"`: `[70, 30]`; those of 0 come last.
    /// Default: all alike.
    pub weights: Option<Spanned<Vec<u32>>>,
    /// Length of the call that prices are compared by, for `pick = "cost"`. Default: `"3m"`.
    pub cost_of: Option<Spanned<Span>>,
    /// The caller that targets are told, whoever calls: `"+14255550100"`. Emergency calls keep
    /// theirs. Default: the caller's own.
    pub caller_id: Option<Spanned<String>>,
    /// Name of the `[[announcement]]` that the caller hears when no target takes its call, before
    /// it is refused. Default: none, the caller is refused at once.
    pub announcement: Option<Spanned<String>>,
}
