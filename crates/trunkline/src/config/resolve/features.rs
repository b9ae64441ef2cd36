//! Every `[trunk.<feature>]` table, put over the preset's values of a trunk's profile.

use b2bua::profile::TrunkProfile;

use super::{
    auth, context, dtmf, early, headers, hold, identity, media, reasons, redirect, register,
    session, transfer,
};
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Applies all feature tables of one trunk. Each feature changes its own part of the profile.
pub(super) fn apply(raw: &raw::Trunk, profile: &mut TrunkProfile, findings: &mut Findings) {
    auth::apply(&raw.auth, profile, findings);
    dtmf::apply(&raw.dtmf, profile, findings);
    early::apply(&raw.early, raw.numbers.as_ref(), profile, findings);
    context::apply(&raw.context, profile, findings);
    headers::apply(&raw.headers, profile, findings);
    hold::apply(&raw.hold, profile, findings);
    identity::apply(&raw.identity, profile, findings);
    media::apply(&raw.media, profile, findings);
    redirect::apply(&raw.redirect, profile, findings);
    reasons::apply(&raw.reasons, profile, findings);
    register::apply(raw, profile, findings);
    session::apply(&raw.session, profile, findings);
    transfer::apply(&raw.transfer, profile, findings);
}
