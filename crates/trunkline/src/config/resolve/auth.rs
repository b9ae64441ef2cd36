//! `[trunk.auth]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use b2bua::profile::{Algorithm, Credentials, Demand, Password, TrunkProfile};
use toml::Spanned;

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// The realm of a trunk by which nobody is known.
const REALM: &str = "trunkline";

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512256];

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Auth, profile: &mut TrunkProfile, findings: &mut Findings) {
    profile.auth.credentials = credentials(raw, profile, findings).into_iter().collect();
    profile.auth.demand = demand(raw, profile, findings).map(Arc::new);
}

fn credentials(
    raw: &raw::Auth,
    profile: &TrunkProfile,
    findings: &mut Findings,
) -> Option<Credentials> {
    let what = |key: &str| format!("trunk {}: auth: {key}", profile.name);
    let (username, password) = match (&raw.username, &raw.password) {
        (Some(username), Some(password)) => (username, password),
        (Some(alone), None) => {
            findings.error(alone.span(), what("`username` without `password`"));
            return None;
        }
        (None, Some(alone)) => {
            findings.error(alone.span(), what("`password` without `username`"));
            return None;
        }
        (None, None) => {
            let unused = [&raw.realm, &raw.weakest];
            if let Some(key) = unused.into_iter().flatten().next() {
                findings.warning(key.span(), what("of no use without `username`"));
            }
            return None;
        }
    };
    filled(username, &what("username"), findings)?;
    filled(password, &what("password"), findings)?;
    let weakest = algorithm(raw.weakest.as_ref(), &what("weakest"), findings);
    Some(Credentials {
        realm: raw.realm.as_ref().map(|realm| realm.get_ref().clone()),
        username: username.get_ref().clone(),
        password: Password::new(password.get_ref().as_str()),
        weakest: weakest.unwrap_or(Algorithm::Md5),
    })
}

fn demand(raw: &raw::Auth, profile: &TrunkProfile, findings: &mut Findings) -> Option<Demand> {
    let what = |key: &str| format!("trunk {}: auth: {key}", profile.name);
    if raw.users.is_empty() {
        if let Some(realm) = &raw.own_realm {
            findings.warning(realm.span(), what("of no use without `users`"));
        }
        return None;
    }
    if profile.preset.is_microsoft() {
        let first = raw.users.values().next()?;
        findings.error(first.span(), what("Microsoft answers no challenges"));
    }
    let mut users = BTreeMap::new();
    for (user, password) in &raw.users {
        filled(password, &what(user), findings);
        users.insert(user.clone(), Password::new(password.get_ref().as_str()));
    }
    let own = raw.own_realm.as_ref().map(|realm| realm.get_ref().as_str());
    let host = Some(&*profile.advertised.host).filter(|host| !host.is_empty());
    let mut demand = Demand::new(own.or(host).unwrap_or(REALM), users);
    let mut algorithms = Vec::new();
    for text in &raw.algorithms.0 {
        algorithms.extend(algorithm(Some(text), &what("algorithms"), findings));
    }
    if !algorithms.is_empty() {
        demand.algorithms = algorithms;
    }
    if let Some(span) = raw.nonce_lifetime {
        demand.nonce_lifetime = span.0;
    }
    Some(demand)
}

/// An empty secret is a variable that was forgotten.
fn filled(value: &Spanned<String>, what: &str, findings: &mut Findings) -> Option<()> {
    if value.get_ref().is_empty() {
        findings.error(value.span(), format!("{what} is empty"));
        return None;
    }
    Some(())
}

fn algorithm(
    value: Option<&Spanned<String>>,
    what: &str,
    findings: &mut Findings,
) -> Option<Algorithm> {
    let names = ALGORITHMS.map(Algorithm::as_str);
    let chosen = choice(value, what, &names, findings)?;
    ALGORITHMS
        .into_iter()
        .find(|known| known.as_str() == chosen)
}
