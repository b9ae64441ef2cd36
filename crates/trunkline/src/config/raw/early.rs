//! `[trunk.early]`: what a caller hears before the answer.

use serde::Deserialize;

/// `[trunk.early]`: what a caller hears before the answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Early {}
