//! `[trunk.dtmf]`: how digits travel.

use serde::Deserialize;
use toml::Spanned;

/// `[trunk.dtmf]`: how digits travel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dtmf {
    /// How this trunk sends and takes digits: `"rfc4733"` (telephone events), `"info"`
    /// (`application/dtmf-relay`) or `"inband"` (tones). Default: `"rfc4733"`; `acs` and `teams`
    /// know nothing else.
    pub mode: Option<Spanned<String>>,
}
