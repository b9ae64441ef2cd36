//! `[trunk.redirect]`.

use b2bua::profile::{RedirectTarget, TrunkProfile};

use crate::config::diagnostic::Findings;
use crate::config::raw;

/// The most targets that a call may be told to follow.
const MAX: u8 = 20;

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Redirect, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let redirect = &mut profile.redirect;
    redirect.follow = raw.follow.unwrap_or(redirect.follow);
    redirect.announce = raw.announce.unwrap_or(redirect.announce);
    if let Some(max) = &raw.max {
        if *max.get_ref() <= MAX {
            redirect.max = usize::from(*max.get_ref());
        } else {
            findings.error(
                max.span(),
                format!("trunk {name}: redirect.max: at most {MAX}"),
            );
        }
    }
    for text in &raw.allow.0 {
        match RedirectTarget::parse(text.get_ref()) {
            Some(target) => redirect.allow.push(target),
            None => {
                findings
                    .error(
                        text.span(),
                        format!(
                            "trunk {name}: redirect.allow: `{}` is no host, domain or network",
                            text.get_ref()
                        ),
                    )
                    .help("for example \"*.carrier.example\" or \"198.51.100.0/28\"");
            }
        }
    }
}
