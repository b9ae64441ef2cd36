//! `[trunk.early]`.

use b2bua::profile::TrunkProfile;

use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Puts what the table says over the preset's values.
pub(super) fn apply(_: &raw::Early, _: &mut TrunkProfile, _: &mut Findings) {}
