//! `[trunk.headers]`.

use std::sync::Arc;

use b2bua::passlist::Phase;
use b2bua::profile::{HeaderAction, HeaderRule, MOST_RULES, Redirections, TrunkProfile, Way};
use e164::Rewrite;
use toml::Spanned;

use super::choice;
use crate::config::diagnostic::{Findings, nearest};
use crate::config::raw;

const MESSAGES: [(&str, Phase); 5] = [
    ("invite", Phase::Invite),
    ("provisional", Phase::Provisional),
    ("answer", Phase::Answer),
    ("failure", Phase::Failure),
    ("ending", Phase::Ending),
];

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Headers, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let words = ["history-info", "diversion", "both", "none"];
    let what = format!("trunk {name}: headers.diversion");
    let form = choice(raw.diversion.as_ref(), &what, &words, findings);
    if let Some(form) = form.as_deref().and_then(Redirections::from_name) {
        profile.headers.redirections = form;
    }
    profile.x_ms_sbc = raw.x_ms_sbc.unwrap_or(profile.x_ms_sbc);
    if let Some(beyond) = raw.rule.get(MOST_RULES) {
        findings.error(
            beyond.span(),
            format!("trunk {name}: headers.rule: at most {MOST_RULES} rules"),
        );
    }
    let what = format!("trunk {name}: headers.rule");
    for raw in raw.rule.iter().take(MOST_RULES) {
        profile.headers.rules.extend(rule(raw, &what, findings));
    }
}

fn rule(raw: &Spanned<raw::HeaderRule>, what: &str, findings: &mut Findings) -> Option<HeaderRule> {
    let rule = raw.get_ref();
    let direction = choice(rule.direction.as_ref(), what, &["in", "out"], findings);
    let way = match direction.as_deref() {
        Some("in") => Way::In,
        _ => Way::Out,
    };
    let mut phases = Vec::new();
    for text in &rule.messages.0 {
        let known = MESSAGES.iter().find(|(word, _)| word == text.get_ref());
        match known {
            Some((_, phase)) => phases.push(*phase),
            None => {
                let words = MESSAGES.map(|(word, _)| word);
                let finding = findings.error(
                    text.span(),
                    format!("{what}: messages: `{}` is not known", text.get_ref()),
                );
                finding.help(match nearest(text.get_ref(), words) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("one of {}", words.join(", ")),
                });
            }
        }
    }
    let action = action(rule, what, findings)?;
    match HeaderRule::new(way, rule.name.get_ref(), phases, action) {
        Ok(rule) => Some(rule),
        Err(fault) => {
            findings.error(rule.name.span(), format!("{what}: {fault}"));
            None
        }
    }
}

fn action(rule: &raw::HeaderRule, what: &str, findings: &mut Findings) -> Option<HeaderAction> {
    let words = ["add", "remove", "rewrite", "pass"];
    let word = choice(Some(&rule.action), what, &words, findings)?;
    let needed: &[(&str, Option<&Spanned<String>>)] = match word.as_str() {
        "add" => &[("value", rule.value.as_ref())],
        "rewrite" => &[
            ("match", rule.r#match.as_ref()),
            ("replace", rule.replace.as_ref()),
        ],
        _ => &[],
    };
    if let Some((missing, _)) = needed.iter().find(|(_, value)| value.is_none()) {
        findings.error(
            rule.action.span(),
            format!("{what}: `{word}` needs `{missing}`"),
        );
        return None;
    }
    match (word.as_str(), &rule.value, &rule.r#match, &rule.replace) {
        ("add", Some(value), _, _) => Some(HeaderAction::Add(Arc::from(value.get_ref().as_str()))),
        ("rewrite", _, Some(pattern), Some(replacement)) => {
            match Rewrite::parse(pattern.get_ref(), replacement.get_ref()) {
                Ok(rewrite) => Some(HeaderAction::Rewrite(rewrite)),
                Err(fault) => {
                    findings.error(pattern.span(), format!("{what}: {fault}"));
                    None
                }
            }
        }
        ("pass", ..) => Some(HeaderAction::Pass),
        _ => Some(HeaderAction::Remove),
    }
}
