//! `[trunk.numbers]`: how a side writes telephone numbers.

use serde::Deserialize;
use toml::Spanned;

/// `numbers = { country = "US", area = "425" }`: how a side writes telephone numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// ISO 3166 code of the country whose dial plan applies.
    pub country: Option<Spanned<String>>,
    /// Area code put before local numbers.
    pub area: Option<Spanned<String>>,
    /// How numbers are written to this side: `"e164"` (+14255550100), `"digits"` (14255550100) or
    /// `"national"`. Default: `"national"` where `country` is given, else `"e164"`.
    pub style: Option<Spanned<String>>,
    /// What is dialled before an international number. Default: the country's.
    pub international_prefix: Option<Spanned<String>>,
    /// What is dialled before a national number. Default: the country's.
    pub national_prefix: Option<Spanned<String>>,
    /// `[[trunk.numbers.rule]]`: what the dial plan does not say; the first that matches is done,
    /// at most 64. Emergency numbers match none.
    #[serde(default)]
    pub rule: Vec<NumberRule>,
    /// Number portability (`npdi`, `rn`, `cic` of RFC 4694) towards the trunk: `"strip"` or
    /// `"pass"`. Default: `"strip"`.
    pub portability: Option<Spanned<String>>,
    /// What calls of the trunk are routed by: `"called"`, or `"rn"`, the routing number of a
    /// ported number. Default: `"called"`.
    pub route_by: Option<Spanned<String>>,
    /// The trunk group (RFC 4904) towards the trunk: `"strip"`, `"pass"`, or one of its own as
    /// `"label@context.example"`. Default: `"strip"`.
    pub trunk_group: Option<Spanned<String>>,
}

/// `[[trunk.numbers.rule]]`: one number rewritten.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberRule {
    /// The whole number: `*` for any characters, `?` for one.
    pub r#match: Spanned<String>,
    /// What takes its place; `$1` to `$9` are what the wildcards stood for.
    pub replace: Spanned<String>,
    /// `"in"`: as the trunk writes it, before the dial plan reads it; `"out"`: as the dial plan
    /// writes it to the trunk. Default: `"in"`.
    pub direction: Option<Spanned<String>>,
    /// `"called"`, `"calling"` or `"both"`. Default: `"both"`.
    pub of: Option<Spanned<String>>,
}
