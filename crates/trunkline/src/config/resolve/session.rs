//! `[trunk.session]`.

use b2bua::profile::{RefreshMethod, RefresherChoice, SessionPolicy, TrunkProfile};

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Session, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let policy = &mut profile.session;
    if let Some(least) = &raw.min_se {
        policy.min_se = least.get_ref().0;
        if policy.min_se < SessionPolicy::LEAST {
            findings.error(
                least.span(),
                format!("trunk {name}: session: `min_se` is 90s or longer (RFC 4028)"),
            );
        }
    }
    if let Some(expires) = &raw.expires {
        policy.expires = Some(expires.get_ref().0);
        if expires.get_ref().0 < policy.min_se {
            findings.error(
                expires.span(),
                format!("trunk {name}: session: `expires` is shorter than `min_se`"),
            );
        }
    }
    let what = |key: &str| format!("trunk {name}: session: {key}");
    let refresher = ["auto", "us", "peer"];
    let refresher = choice(
        raw.refresher.as_ref(),
        &what("refresher"),
        &refresher,
        findings,
    );
    policy.refresher = match refresher.as_deref() {
        None => policy.refresher,
        Some("us") => RefresherChoice::Us,
        Some("peer") => RefresherChoice::Peer,
        Some(_) => RefresherChoice::Auto,
    };
    let method = ["reinvite", "update"];
    let method = choice(raw.method.as_ref(), &what("method"), &method, findings);
    policy.method = match method.as_deref() {
        None => policy.method,
        Some("update") => RefreshMethod::Update,
        Some(_) => RefreshMethod::Reinvite,
    };
    if let Some(method) = &raw.method
        && policy.method == RefreshMethod::Update
        && profile.preset.is_microsoft()
    {
        findings.error(
            method.span(),
            format!("trunk {name}: session: Microsoft takes no UPDATE"),
        );
    }
}
