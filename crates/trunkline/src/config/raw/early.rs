//! `[trunk.early]`: what a caller hears and is told before the answer.

use serde::Deserialize;
use toml::Spanned;

/// `[trunk.early]`: what a caller hears and is told before the answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Early {
    /// What becomes of this trunk's provisional responses when it is called: `"forward"` passes
    /// each on, `"first"` the first alone, `"ringing"` passes 183 on as 180 without media,
    /// `"wait-for-rtp"` lets the caller hear a ringing tone while the early media is silent.
    /// Default: `"wait-for-rtp"` for `acs` and `teams`, else `"forward"`.
    pub policy: Option<Spanned<String>>,
    /// A 180 without media becomes 183 with a ringing tone made here. Default: `false`.
    pub ring_here: Option<bool>,
    /// ISO 3166 code of the country whose ringing tone callers of this trunk hear. Default: the
    /// `country` of its `numbers`, else `"US"`.
    pub tone: Option<Spanned<String>>,
    /// P-Early-Media (RFC 5009) is believed from this trunk and said to it, if it is trusted.
    /// Default: `true`.
    pub p_early_media: Option<bool>,
    /// Provisional responses that are acknowledged (100rel, RFC 3262): `"never"`, `"on-demand"`
    /// (where the other side requires them) or `"preferred"` (where it supports them). Default:
    /// `"never"` for `acs` and `teams`, which know none, else `"on-demand"`.
    pub reliable: Option<Spanned<String>>,
    /// What a caller of this trunk is answered when no target has rung within `setup_budget`:
    /// 408 or 504. Default: 504.
    pub timeout_status: Option<Spanned<u16>>,
}
