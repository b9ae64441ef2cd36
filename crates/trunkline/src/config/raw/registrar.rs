//! `[trunk.registrar]`: the trunk's exchange or telephones register here.

use serde::Deserialize;
use toml::Spanned;

use super::Span;

/// `[trunk.registrar]`: the trunk's exchange or telephones register here (RFC 3261 §10.3), and
/// calls go to where they registered from. Such a trunk needs no `peers`; without `allow` it may
/// register from anywhere, and needs `users` in `[trunk.auth]` then.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registrar {
    /// A shorter interval is refused with 423. Default: `"60s"`.
    pub min_expires: Option<Span>,
    /// A longer one is granted as this. Default: `"1h"`.
    pub max_expires: Option<Span>,
    /// Contacts that one user may have at once; a further one takes the place of the oldest.
    /// Default: 4.
    pub contacts: Option<Spanned<u32>>,
}
