//! `[trunk.numbers]` and `[emergency]`: what routing knows of numbers beside the dial plans.

use e164::{NumberPlan, Rewrite};
use routing::{EmergencyDoc, NumberOf, NumberRule, Portability, TrunkDoc, TrunkGroup, Way};
use sip_msg::wire::TrunkName;

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Puts rules, portability and trunk groups into what routing knows of a trunk.
pub(super) fn apply(raw: &raw::Numbers, doc: &mut TrunkDoc, findings: &mut Findings) {
    let name = doc.name.clone();
    let what = |key: &str| format!("trunk {name}: numbers.{key}");
    prefixes(raw, doc, findings);
    for raw in &raw.rule {
        doc.rules.extend(rule(raw, &what("rule"), findings));
    }
    let words = ["strip", "pass"];
    let portability = choice(
        raw.portability.as_ref(),
        &what("portability"),
        &words,
        findings,
    );
    if portability.as_deref() == Some("pass") {
        doc.portability = Portability::Pass;
    }
    let words = ["called", "rn"];
    let route_by = choice(raw.route_by.as_ref(), &what("route_by"), &words, findings);
    doc.route_by_rn = route_by.as_deref() == Some("rn");
    let Some(group) = &raw.trunk_group else {
        return;
    };
    doc.trunk_group = match group.get_ref().split_once('@') {
        Some((label, context)) if is_token(label) && is_token(context) => TrunkGroup::Own {
            group: label.to_owned(),
            context: context.to_owned(),
        },
        None if group.get_ref() == "pass" => TrunkGroup::Pass,
        None if group.get_ref() == "strip" => TrunkGroup::Strip,
        _ => {
            findings
                .error(
                    group.span(),
                    format!("{}: not a trunk group", what("trunk_group")),
                )
                .help("\"strip\", \"pass\", or a group of its own: \"label@context.example\"");
            return;
        }
    };
}

fn prefixes(raw: &raw::Numbers, doc: &mut TrunkDoc, findings: &mut Findings) {
    type With = fn(NumberPlan, &str) -> Result<NumberPlan, e164::PlanError>;
    let keys: [(&str, _, With); 2] = [
        (
            "international_prefix",
            &raw.international_prefix,
            NumberPlan::with_international_prefix,
        ),
        (
            "national_prefix",
            &raw.national_prefix,
            NumberPlan::with_national_prefix,
        ),
    ];
    for (key, value, with) in keys {
        let Some(value) = value else { continue };
        match with(doc.numbers.clone(), value.get_ref()) {
            Ok(plan) => doc.numbers = plan,
            Err(fault) => {
                findings.error(
                    value.span(),
                    format!("trunk {}: numbers.{key}: {fault}", doc.name),
                );
            }
        }
    }
}

fn rule(raw: &raw::NumberRule, what: &str, findings: &mut Findings) -> Option<NumberRule> {
    let way = choice(raw.direction.as_ref(), what, &["in", "out"], findings);
    let of = choice(
        raw.of.as_ref(),
        what,
        &["called", "calling", "both"],
        findings,
    );
    match Rewrite::parse(raw.r#match.get_ref(), raw.replace.get_ref()) {
        Ok(rewrite) => Some(NumberRule {
            way: if way.as_deref() == Some("out") {
                Way::Out
            } else {
                Way::In
            },
            of: match of.as_deref() {
                Some("called") => NumberOf::Called,
                Some("calling") => NumberOf::Calling,
                _ => NumberOf::Both,
            },
            rewrite,
        }),
        Err(fault) => {
            findings.error(raw.r#match.span(), format!("{what}: {fault}"));
            None
        }
    }
}

/// A label or domain of RFC 4904 §4.
fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// `[emergency]` as routing knows it; the trunks are looked for there.
pub(super) fn emergency(raw: &raw::Emergency) -> EmergencyDoc {
    let texts = |list: &raw::OneOrMany| list.0.iter().map(|text| text.get_ref().clone()).collect();
    let names = raw.to.0.iter().map(|text| text.get_ref().as_str());
    EmergencyDoc {
        numbers: texts(&raw.numbers),
        to: names.map(TrunkName::from).collect(),
    }
}
