//! `[trunk.transfer]`: REFER, Replaces and redirection.

use serde::Deserialize;

/// `[trunk.transfer]`: REFER, Replaces and redirection.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {}
