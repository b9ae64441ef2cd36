//! `[trunk.reasons]`: what causes and statuses of a trunk mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// `[trunk.reasons]`: causes and statuses of the trunk that are read as others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasons {
    /// Q.850 causes, 1 to 127: `{ 34 = 17 }`. Default: none.
    #[serde(default)]
    pub causes: BTreeMap<Spanned<String>, Spanned<u16>>,
    /// Final responses of 400 to 699 to calls: `{ 480 = 486 }`. Default: none.
    #[serde(default)]
    pub statuses: BTreeMap<Spanned<String>, Spanned<u16>>,
    /// Final responses of 400 to 699, as `statuses` has left them, that end the call: `[404]`.
    /// Default: those by which the called party was reached, or is known not to exist.
    pub stop: Option<Spanned<Vec<u16>>>,
    /// Final responses after which the next target is tried all the same: `[486, 603]`. Default:
    /// those of a trunk that is away or overloaded.
    pub next: Option<Spanned<Vec<u16>>>,
}
