//! `[trunk.redirect]`: what is done with a 3xx response of the trunk.

use serde::Deserialize;
use toml::Spanned;

use super::OneOrMany;

/// `[trunk.redirect]`: what is done with a 300, 301 or 302 of the trunk. None ever crosses to the
/// caller.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// The targets it names are tried. Default: `true`.
    pub follow: Option<bool>,
    /// Targets that one call follows at most, 0 to 20. Default: 5.
    pub max: Option<Spanned<u8>>,
    /// Hosts beyond the peers of the trunks that a target may name: `"sbc.carrier.example"`,
    /// `"*.carrier.example"`, `"198.51.100.0/28"`. Default: none.
    #[serde(default)]
    pub allow: OneOrMany,
    /// The caller is told with 181 that the call is being forwarded. Default: `false`.
    pub announce: Option<bool>,
}
