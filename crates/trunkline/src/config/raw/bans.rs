//! `[bans]`: sources that scan or guess.

use serde::Deserialize;
use toml::Spanned;

use super::Span;

/// `[bans]`: sources that scan or guess are not heard for a while. Wrong passwords count against
/// everybody; requests that belong to no trunk or show no password where one is demanded count
/// against addresses that no trunk names in `peers` or `allow`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bans {
    /// Failures within `window` after which a source is banned; 0 bans nobody. Default: 20.
    pub failures: Option<Spanned<u32>>,
    /// Default: `"1m"`.
    pub window: Option<Span>,
    /// How long a ban lasts. Default: `"10m"`.
    pub duration: Option<Span>,
    /// Sources that are remembered at once; of more, the one heard longest ago is forgotten.
    /// Default: 4096.
    pub sources: Option<Spanned<u32>>,
}
