//! `[trunk.identity]`: who the calling party is said to be.

use serde::Deserialize;

/// `[trunk.identity]`: who the calling party is said to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {}
