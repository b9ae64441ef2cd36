//! Header rules of the operator, done.

use std::borrow::Cow;
use std::net::IpAddr;

use sip_msg::{HeaderName, Headers, NameAddr};

use super::{Phase, Taken};
use crate::profile::{HeaderAction, HeaderRule, TrunkProfile, Trust, Way};

/// Octets of the longest value that a rule lets pass.
const LONGEST: usize = 1024;

/// Most fields of one name that a rule lets pass.
const MOST_FIELDS: usize = 16;

/// Does a rule about what a trunk says.
pub(super) fn take(
    rule: &HeaderRule,
    headers: &mut Cow<'_, Headers>,
    passes: &mut Vec<HeaderName>,
) {
    let name = rule.name();
    match rule.action() {
        HeaderAction::Remove => {
            if headers.contains(name) {
                headers.to_mut().remove(name);
            }
        }
        HeaderAction::Rewrite(_) => {
            if headers.contains(name) {
                rewrite(rule, None, headers.to_mut());
            }
        }
        HeaderAction::Add(value) => {
            headers.to_mut().push(name.clone(), value.as_bytes());
            passes.push(name.clone());
        }
        HeaderAction::Pass => passes.push(name.clone()),
    }
}

/// Does the rules about what `to` is sent, and lets pass what both sides' rules name.
pub(super) fn give(phase: Phase, source: &Taken<'_>, to: &TrunkProfile, into: &mut Headers) {
    if to.trust == Trust::Trusted {
        for name in source.passes() {
            pass(name, source.headers(), into);
        }
    }
    for rule in to.headers.rules(Way::Out, phase) {
        let name = rule.name();
        match rule.action() {
            HeaderAction::Add(value) => into.push(name.clone(), value.as_bytes()),
            HeaderAction::Remove => {
                into.remove(name);
            }
            HeaderAction::Rewrite(_) => rewrite(rule, Some(source.headers()), into),
            HeaderAction::Pass => pass(name, source.headers(), into),
        }
    }
}

/// Copies the fields of that name, once, but for values that tell of the other leg.
fn pass(name: &HeaderName, source: &Headers, into: &mut Headers) {
    if into.contains(name) {
        return;
    }
    let fitting = source
        .get_all(name)
        .filter(|value| value.len() <= LONGEST && !betrays(value, source));
    for value in fitting.take(MOST_FIELDS) {
        into.push(name.clone(), value);
    }
}

/// Rewrites the values that match. A result that would tell of the leg that `other` came on is
/// taken out with its field.
fn rewrite(rule: &HeaderRule, other: Option<&Headers>, headers: &mut Headers) {
    let HeaderAction::Rewrite(rewrite) = rule.action() else {
        return;
    };
    let name = rule.name();
    let values: Vec<Vec<u8>> = headers.get_all(name).map(<[u8]>::to_vec).collect();
    if values.is_empty() {
        return;
    }
    headers.remove(name);
    for value in values {
        let rewritten = std::str::from_utf8(&value)
            .ok()
            .and_then(|text| rewrite.apply(text));
        match rewritten {
            Some(text) => {
                let told = |other| !rewrite.is_constant() && betrays(text.as_bytes(), other);
                if !other.is_some_and(told) && text.len() <= LONGEST {
                    headers.push(name.clone(), text.as_bytes());
                }
            }
            None => headers.push(name.clone(), value),
        }
    }
}

/// Whether `value` holds a host, tag, branch or Call-ID of the leg that the message with the
/// fields `of` came on, or an address of anybody.
pub(super) fn betrays(value: &[u8], of: &Headers) -> bool {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || ".:[]".contains(c)));
    words.any(is_address) || tokens(of).iter().any(|token| text.contains(&**token))
}

fn is_address(word: &str) -> bool {
    let bare = word.trim_matches(['[', ']', '.', ':']);
    let host = bare.rsplit_once(':').map_or(bare, |(host, _)| host);
    let is = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    // A lone number or `a:b` is no address; IPv6 has at least two colons.
    (bare.contains('.') && (is(bare) || is(host))) || (bare.matches(':').count() > 1 && is(bare))
}

/// What names one leg: in lower case, and long enough to be no accident.
fn tokens(of: &Headers) -> Vec<String> {
    const SHORTEST: usize = 4;
    let mut found = Vec::new();
    let mut add = |token: &str| {
        if token.len() >= SHORTEST {
            found.push(token.to_ascii_lowercase());
        }
    };
    for via in of.vias().unwrap_or_default() {
        via.sent_by_host()
            .into_iter()
            .for_each(|host| add(&host.to_string()));
        via.branch().into_iter().for_each(&mut add);
    }
    if let Ok(call_id) = of.call_id() {
        add(call_id);
    }
    let addresses = [
        HeaderName::From,
        HeaderName::To,
        HeaderName::Contact,
        HeaderName::RecordRoute,
        HeaderName::Route,
    ];
    for name in addresses {
        for item in of.items(&name) {
            if let Ok(address) = NameAddr::parse(item.to_vec()) {
                add(address.uri.host_str());
                address.tag().into_iter().for_each(&mut add);
            }
        }
    }
    found
}
