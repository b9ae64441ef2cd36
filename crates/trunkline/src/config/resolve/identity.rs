//! `[trunk.identity]`.

use std::sync::Arc;

use b2bua::profile::{
    Assertion, Caller, Preference, Privacy, Signatures, TrunkProfile, Trust, Unscreened,
};
use e164::E164Number;
use routing::Pattern;
use toml::Spanned;

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Most ranges of one trunk's own numbers.
const MOST_RANGES: usize = 10_000;

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Identity, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let what = |key: &str| format!("trunk {name}: identity.{key}");
    if let Some(trusted) = raw.trusted {
        profile.trust = if trusted {
            Trust::Trusted
        } else {
            Trust::Untrusted
        };
    }
    let policy = &mut profile.identity;
    let words = ["keep", "strip", "from"];
    match word(raw.asserted.as_ref(), &what("asserted"), &words, findings) {
        Some(Word::Number(number)) => policy.asserted = Assertion::Replace(number),
        Some(Word::Of("strip")) => policy.asserted = Assertion::Strip,
        Some(Word::Of("from")) => policy.asserted = Assertion::From,
        Some(Word::Of(_)) => policy.asserted = Assertion::Keep,
        None => {}
    }
    match word(raw.preferred.as_ref(), &what("preferred"), &words, findings) {
        Some(Word::Number(number)) => policy.preferred = Preference::Replace(number),
        Some(Word::Of("keep")) => policy.preferred = Preference::Keep,
        Some(Word::Of("from")) => policy.preferred = Preference::From,
        Some(Word::Of(_)) => policy.preferred = Preference::Strip,
        None => {}
    }
    let words = ["keep", "asserted", "anonymise"];
    match word(raw.from.as_ref(), &what("from"), &words, findings) {
        Some(Word::Number(number)) => policy.from = Caller::Replace(number),
        Some(Word::Of("asserted")) => policy.from = Caller::Asserted,
        Some(Word::Of("anonymise")) => policy.from = Caller::Anonymise,
        Some(Word::Of(_)) => policy.from = Caller::Keep,
        None => {}
    }
    let words = ["reject", "pass"];
    match word(
        raw.unscreened.as_ref(),
        &what("unscreened"),
        &words,
        findings,
    ) {
        Some(Word::Number(number)) => policy.unscreened = Unscreened::Replace(number),
        Some(Word::Of("pass")) => policy.unscreened = Unscreened::Pass,
        Some(Word::Of(_)) => policy.unscreened = Unscreened::Reject,
        None => {}
    }
    let words = ["honour", "strip", "add"];
    match choice(raw.privacy.as_ref(), &what("privacy"), &words, findings).as_deref() {
        Some("strip") => policy.privacy = Privacy::Strip,
        Some("add") => policy.privacy = Privacy::Add,
        Some(_) => policy.privacy = Privacy::Honour,
        None => {}
    }
    let words = ["by-trust", "pass", "strip"];
    match choice(
        raw.signatures.as_ref(),
        &what("signatures"),
        &words,
        findings,
    )
    .as_deref()
    {
        Some("pass") => policy.signatures = Signatures::Pass,
        Some("strip") => policy.signatures = Signatures::Strip,
        Some(_) => policy.signatures = Signatures::ByTrust,
        None => {}
    }
    screen(raw, profile, findings);
    signed_and_changed(raw, profile, findings);
}

fn screen(raw: &raw::Identity, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    for text in raw.screen.0.iter().take(MOST_RANGES) {
        match Pattern::parse(text.get_ref()) {
            Ok(pattern) => profile.identity.screen.push(pattern),
            Err(fault) => {
                findings.error(
                    text.span(),
                    format!("trunk {name}: identity.screen: {fault}"),
                );
            }
        }
    }
    if let Some(beyond) = raw.screen.0.get(MOST_RANGES) {
        findings.error(
            beyond.span(),
            format!("trunk {name}: identity.screen: at most {MOST_RANGES} ranges"),
        );
    }
    if let Some(unscreened) = raw.unscreened.as_ref().filter(|_| raw.screen.0.is_empty()) {
        findings.warning(
            unscreened.span(),
            format!("trunk {name}: identity.unscreened: without `screen` it has no use"),
        );
    }
}

/// A signature says which number called; one that is shown another number does not verify.
fn signed_and_changed(raw: &raw::Identity, profile: &TrunkProfile, findings: &mut Findings) {
    let Some(signatures) = &raw.signatures else {
        return;
    };
    if profile.identity.signatures == Signatures::Pass && profile.identity.breaks_signatures() {
        findings.warning(
            signatures.span(),
            format!(
                "trunk {}: signed identities will not verify there: `from` or `asserted` changes \
                 the number",
                profile.name
            ),
        );
    }
}

/// One of a few words, or a number of ours.
enum Word<'w> {
    Of(&'w str),
    Number(Arc<str>),
}

fn word<'w>(
    value: Option<&Spanned<String>>,
    what: &str,
    known: &[&'w str],
    findings: &mut Findings,
) -> Option<Word<'w>> {
    let text = value?;
    let Some(number) = text.get_ref().strip_prefix("replace:") else {
        let found = choice(value, what, known, findings)?;
        return known
            .iter()
            .find(|word| **word == found)
            .map(|word| Word::Of(word));
    };
    match E164Number::parse(number.trim()) {
        Ok(number) => Some(Word::Number(Arc::from(number.to_wire()))),
        Err(fault) => {
            findings
                .error(text.span(), format!("{what}: {fault}"))
                .help("for example \"replace:+14255550100\"");
            None
        }
    }
}
