//! `[trunk.register]`: registration with this trunk's registrar, or of its phones here.

use serde::Deserialize;

/// `[trunk.register]`: registration with this trunk's registrar, or of its phones here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {}
