//! `[trunk.auth]`: digest authentication towards this trunk and of its requests.

use serde::Deserialize;

/// `[trunk.auth]`: digest authentication towards this trunk and of its requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {}
