//! `[trunk.hold]`: what hold looks and sounds like.

use serde::Deserialize;
use toml::Spanned;

/// `[trunk.hold]`: what hold looks and sounds like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// How hold is written to this trunk: `"standard"` (all directions of RFC 3264), `"inactive"`
    /// (nothing but that), `"sendonly"` (never `inactive`) or `"null-address"` (RFC 2543). All of
    /// them are understood. Default: `"standard"`; for `acs` and `teams` `"inactive"`, and
    /// nothing else.
    pub dialect: Option<Spanned<String>>,
    /// What a party of this trunk hears that is held by one that sends nothing: `"none"`,
    /// `"silence"` or `"tone"`. Default: `"none"`.
    pub music: Option<Spanned<String>>,
}
