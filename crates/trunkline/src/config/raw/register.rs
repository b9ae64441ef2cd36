//! `[trunk.register]`: registration of this gateway with the trunk.

use serde::Deserialize;
use toml::Spanned;

use super::{OneOrMany, Span};

/// `[trunk.register]`: registration of this gateway with the trunk (RFC 3261 §10.2), for trunks
/// that want it. `[trunk.auth]` has the password.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The address of record: `"sip:+14255550100@carrier.example"`. Needed.
    pub aor: Option<Spanned<String>>,
    /// Where to register, in this order; the next when one fails. Default: `peers`.
    #[serde(default)]
    pub registrars: OneOrMany,
    /// How long a registration is asked to hold; it is renewed when 80 to 90 % of what was granted
    /// is over. Default: `"1h"`.
    pub expires: Option<Span>,
    /// The pause after all registrars have failed once; each further round doubles it. Default:
    /// `"30s"`.
    pub retry: Option<Span>,
    /// The longest such pause, and the one after a refused password. Default: `"10m"`.
    pub retry_max: Option<Span>,
    /// Whether calls go to the trunk only while it is registered. Default: `false`.
    pub required: Option<bool>,
}
