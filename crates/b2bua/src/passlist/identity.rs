//! Who may learn who calls (RFC 3323, RFC 3325, U-03).

use sip_msg::{HeaderName, Headers, NameAddr, Uri};

use super::Phase;
use crate::profile::{IdentityPolicy, TrunkProfile, Trust};

/// Whether asserted identities of the other leg can go to `to` at all.
pub(super) fn may_cross(to: &TrunkProfile) -> bool {
    to.identity == IdentityPolicy::Keep
}

/// Whether the message asks for privacy that this trunk must not break (RFC 3325 §7: the trust
/// domain ends at an untrusted trunk).
pub(super) fn is_withheld(source: &Headers, to: &TrunkProfile) -> bool {
    let asked = source.get_all(&HeaderName::Privacy).any(|value| {
        value.split(|byte| matches!(byte, b';' | b',')).any(|word| {
            let word = word.trim_ascii();
            ["id", "user", "header"]
                .iter()
                .any(|hide| word.eq_ignore_ascii_case(hide.as_bytes()))
        })
    });
    asked && to.trust == Trust::Untrusted
}

/// Adds our own assertion where the policy says so.
pub(super) fn assert_own(phase: Phase, to: &TrunkProfile, into: &mut Headers) {
    if phase != Phase::Invite {
        return;
    }
    if let IdentityPolicy::Replace(number) = &to.identity {
        let uri =
            Uri::sip(Some(number), &to.advertised.host, None).with_param("user", Some("phone"));
        into.push(HeaderName::PAssertedIdentity, format!("<{uri}>"));
    }
}

/// The display name of `party`, the From or To of one leg, if the other leg's trunk may see it.
#[must_use]
pub fn carry_display_name(party: &NameAddr, source: &Headers, to: &TrunkProfile) -> Option<String> {
    if !may_cross(to) || is_withheld(source, to) {
        return None;
    }
    let name = party.display.as_deref()?;
    let plain = |c: char| !c.is_control() && c != '"' && c != '\\';
    let name: String = name.chars().filter(|&c| plain(c)).take(64).collect();
    (!name.trim().is_empty()).then_some(name)
}
