//! `[trunk.headers]`: header fields of a trunk.

use serde::Deserialize;
use toml::Spanned;

use super::OneOrMany;

/// `[trunk.headers]`: how redirections are told, and rules of the operator.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    /// How the trunk is told who redirected a call: `"history-info"`, `"diversion"`, `"both"` or
    /// `"none"`. Default: `"history-info"` for `acs` and `teams`, `"both"` for `pbx`, `"none"` for
    /// `carrier`.
    pub diversion: Option<Spanned<String>>,
    /// Whether every message to the trunk has `X-MS-SBC`, which tells Microsoft the make of the
    /// gateway. Default: `true` for `acs` and `teams`, else `false`.
    pub x_ms_sbc: Option<bool>,
    /// `[[trunk.headers.rule]]`: rules, done in the order written; at most 64.
    #[serde(default)]
    pub rule: Vec<Spanned<HeaderRule>>,
}

/// `[[trunk.headers.rule]]`: one rule about one header field.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// The header field.
    pub name: Spanned<String>,
    /// `"add"`, `"remove"`, `"rewrite"` or `"pass"` (let it cross although it is not on the pass
    /// list).
    pub action: Spanned<String>,
    /// `"in"`: messages of the trunk; `"out"`: messages to it. Default: `"out"`.
    pub direction: Option<Spanned<String>>,
    /// The messages: `"invite"`, `"provisional"`, `"answer"`, `"failure"`, `"ending"` (BYE and
    /// CANCEL). Default: all.
    #[serde(default)]
    pub messages: OneOrMany,
    /// With `"add"`: the value.
    pub value: Option<Spanned<String>>,
    /// With `"rewrite"`: the whole value, `*` for any characters, `?` for one.
    pub r#match: Option<Spanned<String>>,
    /// With `"rewrite"`: what takes its place; `$1` to `$9` are what the wildcards stood for.
    pub replace: Option<Spanned<String>>,
}
