//! `[trunk.register]` and `[trunk.registrar]`.

use std::time::Duration;

use b2bua::profile::{PeerProfile, Registering, RegistrarPolicy, TrunkProfile};
use sip_msg::{Scheme, Uri};
use toml::Spanned;

use super::network;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Registrars of one trunk.
const REGISTRARS_MAX: usize = 16;

/// Contacts that may be configured for one user.
const CONTACTS_MAX: u32 = 100;

/// The shortest interval that is asked for or granted.
const EXPIRES_MIN: Duration = Duration::from_secs(1);

/// Puts what the tables say over the preset's values.
pub(super) fn apply(raw: &raw::Trunk, profile: &mut TrunkProfile, findings: &mut Findings) {
    if let Some(table) = &raw.register {
        profile.register = registering(table, profile, findings);
    }
    if let Some(table) = &raw.registrar {
        profile.registrar = Some(registrar(raw, table, profile, findings));
    }
}

fn registering(
    table: &Spanned<raw::Register>,
    profile: &TrunkProfile,
    findings: &mut Findings,
) -> Option<Registering> {
    let raw = table.get_ref();
    let what = |fault: &str| format!("trunk {}: register: {fault}", profile.name);
    if profile.preset.is_microsoft() {
        findings.error(table.span(), what("Microsoft takes no registrations"));
        return None;
    }
    let Some(text) = &raw.aor else {
        let finding = findings.error(table.span(), what("`aor` is required"));
        finding.help("for example aor = \"sip:+14255550100@carrier.example\"");
        return None;
    };
    let aor = text.get_ref().parse::<Uri>().ok();
    let aor = aor.filter(|uri| {
        let sip = matches!(uri.scheme(), Scheme::Sip | Scheme::Sips);
        sip && uri.user().is_some_and(|user| !user.is_empty()) && !uri.host_str().is_empty()
    });
    let Some(aor) = aor else {
        let finding = findings.error(text.span(), what("`aor` is no SIP address with a user"));
        finding.help("for example \"sip:+14255550100@carrier.example\"");
        return None;
    };
    let registrars = registrars(raw, profile, findings);
    if registrars.is_empty() {
        findings.error(table.span(), what("neither `registrars` nor `peers`"));
    }
    if profile.auth.credentials.is_empty() {
        let finding = findings.warning(table.span(), what("there is no password to register with"));
        finding.help("set `username` and `password` in [trunk.auth]");
    }
    let mut registering = Registering::new(aor, registrars);
    let set = |time: &mut Duration, value: Option<raw::Span>| {
        if let Some(span) = value {
            *time = span.0.max(EXPIRES_MIN);
        }
    };
    set(&mut registering.expires, raw.expires);
    set(&mut registering.retry, raw.retry);
    set(&mut registering.retry_max, raw.retry_max);
    registering.required = raw.required.unwrap_or(registering.required);
    if registering.retry > registering.retry_max {
        findings.error(table.span(), what("`retry` is longer than `retry_max`"));
    }
    Some(registering)
}

fn registrars(raw: &raw::Register, profile: &TrunkProfile, findings: &mut Findings) -> Vec<Uri> {
    let name = &profile.name;
    if raw.registrars.0.is_empty() {
        return profile.peers.iter().map(|peer| peer.uri.clone()).collect();
    }
    let mut registrars = Vec::new();
    for text in raw.registrars.0.iter().take(REGISTRARS_MAX) {
        match network::peer(text.get_ref()) {
            Ok(peer) => {
                let host = match peer.host.contains(':') {
                    true => format!("[{}]", peer.host),
                    false => peer.host,
                };
                registrars.push(PeerProfile::new(&host, peer.port, peer.transport).uri);
            }
            Err(fault) => {
                let fault = format!("trunk {name}: register: registrars: {fault}");
                findings.error(text.span(), fault);
            }
        }
    }
    if let Some(beyond) = raw.registrars.0.get(REGISTRARS_MAX) {
        let fault = format!("trunk {name}: register: at most {REGISTRARS_MAX} registrars");
        findings.error(beyond.span(), fault);
    }
    registrars
}

fn registrar(
    trunk: &raw::Trunk,
    table: &Spanned<raw::Registrar>,
    profile: &TrunkProfile,
    findings: &mut Findings,
) -> RegistrarPolicy {
    let raw = table.get_ref();
    let what = |fault: &str| format!("trunk {}: registrar: {fault}", profile.name);
    if profile.preset.is_microsoft() {
        findings.error(table.span(), what("Microsoft registers nowhere"));
    } else if trunk.allow.0.is_empty() && profile.auth.demand.is_none() {
        let fault = what("anybody could register: there is neither `allow` nor a user");
        findings
            .error(table.span(), fault)
            .help("set `allow`, or users = { name = \"${PASSWORD}\" } in [trunk.auth]");
    }
    let mut policy = RegistrarPolicy::default();
    if let Some(span) = raw.min_expires {
        policy.min_expires = span.0.max(EXPIRES_MIN);
    }
    if let Some(span) = raw.max_expires {
        policy.max_expires = span.0;
    }
    if policy.min_expires > policy.max_expires {
        let fault = what("`min_expires` is longer than `max_expires`");
        findings.error(table.span(), fault);
    }
    if let Some(count) = &raw.contacts {
        if !(1..=CONTACTS_MAX).contains(count.get_ref()) {
            let fault = what(&format!("`contacts` is a number from 1 to {CONTACTS_MAX}"));
            findings.error(count.span(), fault);
        }
        policy.contacts = usize::try_from(*count.get_ref())
            .unwrap_or(usize::MAX)
            .max(1);
    }
    policy
}
