//! `[trunk.early]`.

use std::sync::Arc;

use b2bua::profile::{EarlyPolicy, Reliable, TrunkProfile};
use sip_msg::StatusCode;
use toml::Spanned;

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Puts what the table says over the preset's values.
pub(super) fn apply(
    raw: &raw::Early,
    numbers: Option<&raw::Numbers>,
    profile: &mut TrunkProfile,
    findings: &mut Findings,
) {
    let name = profile.name.clone();
    let what = |key: &str| format!("trunk {name}: early.{key}");
    let names = EarlyPolicy::ALL.map(EarlyPolicy::as_str);
    if let Some(word) = choice(raw.policy.as_ref(), &what("policy"), &names, findings) {
        let mut known = EarlyPolicy::ALL.into_iter();
        let chosen = known.find(|policy| policy.as_str() == word);
        profile.early.policy = chosen.unwrap_or(profile.early.policy);
    }
    let names = Reliable::ALL.map(Reliable::as_str);
    if let Some(word) = choice(raw.reliable.as_ref(), &what("reliable"), &names, findings) {
        let mut known = Reliable::ALL.into_iter();
        let chosen = known.find(|reliable| reliable.as_str() == word);
        profile.early.reliable = chosen.unwrap_or(profile.early.reliable);
        if let (Some(word), true) = (&raw.reliable, profile.preset.is_microsoft())
            && profile.early.reliable != Reliable::Never
        {
            findings.error(
                word.span(),
                format!("{}: Microsoft knows no 100rel", what("reliable")),
            );
        }
    }
    let country = numbers.and_then(|numbers| numbers.country.as_ref());
    if let Some(country) = raw.tone.as_ref().or(country) {
        tone(country, &what("tone"), profile, findings);
    }
    profile.early.ring_here = raw.ring_here.unwrap_or(profile.early.ring_here);
    profile.early.p_early_media = raw.p_early_media.unwrap_or(profile.early.p_early_media);
    if let Some(code) = &raw.timeout_status {
        match StatusCode::new(*code.get_ref()) {
            Some(status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::SERVER_TIMEOUT)) => {
                profile.early.timeout_status = status;
            }
            Some(_) | None => {
                findings
                    .error(
                        code.span(),
                        format!(
                            "{}: {} is not known",
                            what("timeout_status"),
                            code.get_ref()
                        ),
                    )
                    .help("408 or 504: on nothing else does Microsoft try its next gateway");
            }
        }
    }
}

fn tone(
    country: &Spanned<String>,
    what: &str,
    profile: &mut TrunkProfile,
    findings: &mut Findings,
) {
    let text = country.get_ref();
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        profile.early.tone_country = Arc::from(text.to_ascii_uppercase());
    } else {
        findings
            .error(country.span(), format!("{what}: `{text}` is no country"))
            .help("an ISO 3166 code of two letters, such as \"US\" or \"DE\"");
    }
}
