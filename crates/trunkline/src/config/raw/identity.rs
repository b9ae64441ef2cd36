//! `[trunk.identity]`: who the calling party is said to be.

use serde::Deserialize;
use toml::Spanned;

use super::OneOrMany;

/// `[trunk.identity]`: who the calling party is said to be. What is told concerns messages to the
/// trunk; `screen` concerns calls that come from it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Whether the trunk is inside the operator's trust domain (RFC 3325): what it asserts is
    /// believed, and it is told what callers want kept private. Default: `true` for `acs`,
    /// `teams` and `pbx`, `false` for `carrier`.
    pub trusted: Option<bool>,
    /// P-Asserted-Identity: `"keep"`, `"strip"`, `"from"` (the number in From) or
    /// `"replace:+14255550100"`. Default: `"keep"`.
    pub asserted: Option<Spanned<String>>,
    /// P-Preferred-Identity: `"keep"`, `"strip"`, `"from"` or `"replace:+14255550100"`.
    /// Default: `"strip"`.
    pub preferred: Option<Spanned<String>>,
    /// Privacy: `"honour"` (identities are withheld from untrusted trunks), `"strip"` (no wish for
    /// privacy counts or is told) or `"add"` (`Privacy: id` in every call). Default: `"honour"`.
    pub privacy: Option<Spanned<String>>,
    /// From: `"keep"`, `"asserted"` (the asserted number where there is one), `"anonymise"` or
    /// `"replace:+14255550100"`. Default: `"keep"`.
    pub from: Option<Spanned<String>>,
    /// Numbers that calls of the trunk may show: `"+14255550100-+14255550199"`, `"+1206555*"`.
    /// Default: any.
    #[serde(default)]
    pub screen: OneOrMany,
    /// Calls that show another number: `"reject"` (403), `"replace:+14255550100"` or `"pass"`.
    /// Emergency calls always pass. Default: `"reject"`.
    pub unscreened: Option<Spanned<String>>,
    /// Identity (RFC 8224) and `verstat`: `"by-trust"` (between trusted trunks), `"pass"` or
    /// `"strip"`. Default: `"by-trust"`.
    pub signatures: Option<Spanned<String>>,
}
