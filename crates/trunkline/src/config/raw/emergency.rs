//! `[emergency]`: where calls for help go.

use serde::Deserialize;

use super::OneOrMany;

/// `[emergency]`: where calls for help go. 112 and 911 are known everywhere, others by the
/// `country` of the trunk that the call comes from. No limit of calls holds for them, and the
/// caller's number is never withheld, screened or replaced.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// Further numbers: `["933", "1669"]`. Default: none.
    #[serde(default)]
    pub numbers: OneOrMany,
    /// Trunks to try, in this order, whatever the routes say. Default: the routes decide.
    #[serde(default)]
    pub to: OneOrMany,
}
