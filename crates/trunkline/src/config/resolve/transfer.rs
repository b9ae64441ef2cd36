//! `[trunk.transfer]`.

use b2bua::profile::TrunkProfile;

use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Transfer, profile: &mut TrunkProfile, _: &mut Findings) {
    let policy = &mut profile.transfer;
    policy.refer = raw.refer.unwrap_or(policy.refer);
    policy.replaces = raw.replaces.unwrap_or(policy.replaces);
    policy.timeout = raw.timeout.map_or(policy.timeout, |span| span.0);
    policy.departure = raw.departure.map_or(policy.departure, |span| span.0);
    policy.ringback = raw.ringback.unwrap_or(policy.ringback);
}
