//! `[trunk.hold]`.

use b2bua::profile::{HoldMusic, TrunkProfile};
use sdp::HoldDialect;

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Hold, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let what = |key: &str| format!("trunk {name}: hold: {key}");
    let known = ["standard", "inactive", "sendonly", "null-address"];
    let dialect = choice(raw.dialect.as_ref(), &what("dialect"), &known, findings);
    profile.hold.dialect = match dialect.as_deref() {
        None => profile.hold.dialect,
        Some("inactive") => HoldDialect::InactiveOnly,
        Some("sendonly") => HoldDialect::SendOnly,
        Some("null-address") => HoldDialect::NullAddress,
        Some(_) => HoldDialect::Standard,
    };
    let known = ["none", "silence", "tone"];
    let music = choice(raw.music.as_ref(), &what("music"), &known, findings);
    profile.hold.music = match music.as_deref() {
        None => profile.hold.music,
        Some("silence") => HoldMusic::Silence,
        Some("tone") => HoldMusic::Tone,
        Some(_) => HoldMusic::None,
    };
    let inactive = profile.hold.dialect == HoldDialect::InactiveOnly;
    if let Some(dialect) = &raw.dialect
        && profile.preset.is_microsoft()
        && !inactive
    {
        findings.error(
            dialect.span(),
            format!("trunk {name}: hold: Microsoft understands nothing but `inactive`"),
        );
    }
    if let Some(music) = &raw.music
        && inactive
        && profile.hold.music != HoldMusic::None
    {
        findings.error(
            music.span(),
            format!("trunk {name}: hold: a party that is held as `inactive` hears nothing"),
        );
    }
}
