//! `[trunk.session]`: session timers.

use serde::Deserialize;

/// `[trunk.session]`: session timers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {}
