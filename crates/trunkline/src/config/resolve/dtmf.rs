//! `[trunk.dtmf]`.

use b2bua::profile::{DtmfMode, TrunkProfile};

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Dtmf, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let known = ["rfc4733", "info", "inband"];
    let what = format!("trunk {name}: dtmf: mode");
    let mode = choice(raw.mode.as_ref(), &what, &known, findings);
    profile.dtmf.mode = match mode.as_deref() {
        None => profile.dtmf.mode,
        Some("info") => DtmfMode::Info,
        Some("inband") => DtmfMode::Inband,
        Some(_) => DtmfMode::Rfc4733,
    };
    if let Some(mode) = &raw.mode
        && profile.preset.is_microsoft()
        && profile.dtmf.mode != DtmfMode::Rfc4733
    {
        findings.error(
            mode.span(),
            format!("trunk {name}: dtmf: Microsoft sends and takes telephone events only"),
        );
    }
}
