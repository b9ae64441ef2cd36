//! Registrations both ways, passwords and bans, as pages and metrics show them.

use b2bua::metrics::Metrics;
use b2bua::registration::RegistrationState;
use serde_json::{Value, json};
use sip_msg::wire::TrunkName;

/// How this gateway's registration with a trunk stands; `null` where there is none.
pub(super) fn registration_json(metrics: &Metrics, trunk: &TrunkName) -> Value {
    let mut registrations = metrics.registrations.iter();
    let Some(view) = registrations.find(|view| view.trunk == *trunk) else {
        return Value::Null;
    };
    let (state, until, status) = match view.state {
        RegistrationState::Trying => ("trying", None, None),
        RegistrationState::Registered { until } => ("registered", Some(until.to_string()), None),
        RegistrationState::Failed { status } => ("failed", None, status),
        RegistrationState::Withdrawn => ("withdrawn", None, None),
    };
    json!({
        "state": state,
        "registrar": view.registrar.as_ref().map(ToString::to_string),
        "until": until,
        "status": status.map(sip_msg::StatusCode::code),
    })
}

/// What a trunk has registered here.
pub(super) fn registered_json(metrics: &Metrics, trunk: &TrunkName) -> Value {
    let bindings = metrics.bindings.iter();
    let own = bindings.filter(|binding| binding.trunk == *trunk);
    let shown = own.map(|binding| {
        json!({
            "user": binding.user.to_string(),
            "from": format!("{}:{}", binding.transport.uri_token(), binding.received),
            "left_s": binding.left.as_secs(),
        })
    });
    Value::Array(shown.collect())
}

/// Sources that are not heard.
pub(super) fn banned_json(metrics: &Metrics) -> Value {
    let banned = metrics.banned.iter();
    let shown =
        banned.map(|ban| json!({ "source": ban.source.to_string(), "left_s": ban.left.as_secs() }));
    Value::Array(shown.collect())
}

/// Whether each registration of this gateway holds, by trunk.
pub(super) fn holding(metrics: &Metrics) -> impl Iterator<Item = (&str, bool)> {
    metrics.registrations.iter().map(|view| {
        let holds = matches!(view.state, RegistrationState::Registered { .. });
        (view.trunk.as_str(), holds)
    })
}

/// What is counted of passwords, registrations and bans.
pub(super) fn counted(metrics: &Metrics) -> [(&'static str, u64); 10] {
    let (auth, bans) = (&metrics.auth, &metrics.bans);
    [
        ("challenged", auth.challenged),
        ("authenticated", auth.authenticated),
        ("stale_nonce", auth.stale),
        ("wrong_password", auth.wrong),
        ("register_refused", metrics.counts.registers_refused),
        ("contact_displaced", metrics.displaced),
        ("failure_counted", bans.failures),
        ("source_banned", bans.bans),
        ("banned_unheard", bans.unheard),
        ("source_forgotten", bans.forgotten),
    ]
}
