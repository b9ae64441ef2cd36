//! `[trunk.reasons]`.

use std::collections::BTreeMap;

use b2bua::failure::Cause;
use b2bua::profile::TrunkProfile;
use sip_msg::StatusCode;
use toml::Spanned;

use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Reasons, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let cause = |value: u16| Cause::new(u8::try_from(value).ok()?);
    let what = format!("trunk {name}: reasons.causes");
    let causes = pairs(&raw.causes, &what, "a cause is 1 to 127", cause, findings);
    profile.reasons.causes.extend(causes);
    let refusal = |value: u16| StatusCode::new(value).filter(|status| status.code() >= 400);
    let what = format!("trunk {name}: reasons.statuses");
    let statuses = pairs(
        &raw.statuses,
        &what,
        "a refusal is 400 to 699",
        refusal,
        findings,
    );
    profile.reasons.statuses.extend(statuses);
    for (key, list, advances) in [("stop", &raw.stop, false), ("next", &raw.next, true)] {
        let Some(list) = list else { continue };
        let what = format!("trunk {name}: reasons.{key}");
        for code in list.get_ref() {
            let Some(status) = refusal(*code) else {
                findings.error(list.span(), format!("{what}: a refusal is 400 to 699"));
                continue;
            };
            let before = profile.reasons.advances.insert(status, advances);
            if before.is_some_and(|before| before != advances) {
                let fault = format!("{what}: {code} cannot both stop and go on");
                findings.error(list.span(), fault);
            }
        }
    }
}

fn pairs<T>(
    raw: &BTreeMap<Spanned<String>, Spanned<u16>>,
    what: &str,
    rule: &str,
    read: impl Fn(u16) -> Option<T>,
    findings: &mut Findings,
) -> Vec<(T, T)> {
    let mut found = Vec::new();
    for (from, to) in raw {
        let given = from.get_ref().parse().ok().and_then(&read);
        match (given, read(*to.get_ref())) {
            (Some(given), Some(meant)) => found.push((given, meant)),
            (None, _) => {
                findings.error(from.span(), format!("{what}: {rule}"));
            }
            (Some(_), None) => {
                findings.error(to.span(), format!("{what}: {rule}"));
            }
        }
    }
    found
}
