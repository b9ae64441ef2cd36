//! What a reload changes, in words an operator knows. Secrets are never shown.

use std::collections::BTreeMap;
use std::fmt;

use super::wiring::Keys;
use crate::config::Config;
use crate::config::certificates::Leaf;
use crate::config::resolve::Trunk;

/// One difference between the configuration in use and the one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A trunk that was not there.
    TrunkAdded(String),
    /// A trunk that is gone: it takes no new calls, and its last calls end by themselves.
    TrunkRemoved(String),
    /// A trunk with other settings, and which.
    TrunkChanged(String, Vec<String>),
    /// A route that was not there.
    RouteAdded(String),
    /// A route that is gone.
    RouteRemoved(String),
    /// A route with other contents.
    RouteChanged(String),
    /// Routes stand in another order.
    RoutesReordered,
    /// What callers hear when nobody takes their call.
    Announcements,
    /// Emergency numbers, or where their calls go.
    Emergency,
    /// A table that routes or trunks speak of.
    Table(&'static str),
    /// A limit of the whole gateway.
    Limit(String),
    /// Another certificate under this name: serial number and end, before and after.
    Certificate(String, Option<String>, Option<String>),
    /// Other trusted roots.
    Roots,
}

impl Difference {
    /// What it is about, as one word for `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TrunkAdded(_) => "trunk-added",
            Self::TrunkRemoved(_) => "trunk-removed",
            Self::TrunkChanged(..) => "trunk-changed",
            Self::RouteAdded(_) => "route-added",
            Self::RouteRemoved(_) => "route-removed",
            Self::RouteChanged(_) => "route-changed",
            Self::RoutesReordered => "routes-reordered",
            Self::Announcements => "announcements",
            Self::Emergency => "emergency",
            Self::Table(_) => "table",
            Self::Limit(_) => "limit",
            Self::Certificate(..) => "certificate",
            Self::Roots => "roots",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrunkAdded(name) => write!(f, "+ trunk {name}"),
            Self::TrunkRemoved(name) => write!(f, "- trunk {name}, once its calls have ended"),
            Self::TrunkChanged(name, keys) => write!(f, "~ trunk {name}: {}", keys.join(", ")),
            Self::RouteAdded(name) => write!(f, "+ route {name}"),
            Self::RouteRemoved(name) => write!(f, "- route {name}"),
            Self::RouteChanged(name) => write!(f, "~ route {name}"),
            Self::RoutesReordered => f.write_str("~ the order of the routes"),
            Self::Announcements => f.write_str("~ announcements"),
            Self::Emergency => f.write_str("~ emergency numbers or their trunks"),
            Self::Table(what) => write!(f, "~ {what}"),
            Self::Limit(what) => write!(f, "~ {what}"),
            Self::Certificate(name, before, after) => {
                let shown = |leaf: &Option<String>| leaf.clone().unwrap_or_else(|| "none".into());
                write!(
                    f,
                    "~ certificate {name}: {} → {}",
                    shown(before),
                    shown(after)
                )
            }
            Self::Roots => f.write_str("~ the trusted roots"),
        }
    }
}

/// Everything that differs, trunks first.
pub fn differences(before: (&Config, &Keys), after: (&Config, &Keys)) -> Vec<Difference> {
    let mut found = Vec::new();
    trunks(before.0, after.0, &mut found);
    routes(before.0, after.0, &mut found);
    limits(before.0, after.0, &mut found);
    certificates(before, after, &mut found);
    let cloud = |config: &Config| {
        let cloud = config.cloud.as_ref();
        cloud.map(|cloud| {
            let limits = (cloud.calls_per_number, cloud.ring_timeout);
            (cloud.doc.clone(), limits)
        })
    };
    if cloud(before.0) != cloud(after.0) {
        found.push(Difference::Table("[cloud_calling]"));
    }
    found
}

fn trunks(before: &Config, after: &Config, found: &mut Vec<Difference>) {
    let name = |trunk: &Trunk| trunk.name.as_str().to_owned();
    for trunk in &before.trunks {
        match after.trunks.iter().find(|other| other.name == trunk.name) {
            None => found.push(Difference::TrunkRemoved(name(trunk))),
            Some(other) => {
                let keys = changed_keys((before, trunk), (after, other));
                if !keys.is_empty() {
                    found.push(Difference::TrunkChanged(name(trunk), keys));
                }
            }
        }
    }
    for trunk in &after.trunks {
        if before.trunks.iter().all(|other| other.name != trunk.name) {
            found.push(Difference::TrunkAdded(name(trunk)));
        }
    }
}

fn changed_keys(
    (old_config, old): (&Config, &Trunk),
    (new_config, new): (&Config, &Trunk),
) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut compare = |key: &str, same: bool| {
        if !same {
            keys.push(key.to_owned());
        }
    };
    let certificate = |config: &Config, trunk: &Trunk| {
        let index = trunk.certificate?;
        Some(config.certificates.get(index)?.name.clone())
    };
    compare("preset", old.preset == new.preset);
    compare("peers", old.peers == new.peers);
    compare("listen", old.listeners == new.listeners);
    compare("interface", old.interface == new.interface);
    compare(
        "certificate",
        certificate(old_config, old) == certificate(new_config, new),
    );
    compare("fqdn", old.fqdn == new.fqdn);
    compare("customer", old.customer == new.customer);
    let doc = |config: &Config, name: &str| {
        let mut trunks = config.routing.trunks.iter();
        trunks
            .find(|doc| doc.name.as_str() == name)
            .map(|doc| format!("{doc:?}"))
    };
    let name = old.name.as_str();
    compare("numbers", doc(old_config, name) == doc(new_config, name));
    compare("connection", same(&old.flow, &new.flow));
    compare("rates", old.rates == new.rates);
    let (old, new) = (&old.profile, &new.profile);
    compare("allow", old.allow == new.allow);
    compare("peer_names", old.expected_names == new.expected_names);
    compare("srtp", old.srtp == new.srtp);
    compare("codecs", old.codecs == new.codecs);
    compare("calls", old.limits.calls == new.limits.calls);
    compare(
        "calls_per_second",
        old.limits.calls_per_second == new.limits.calls_per_second,
    );
    compare("options", old.options == new.options);
    compare("timers", old.timers == new.timers);
    compare("auth", old.auth == new.auth);
    compare("register", old.register == new.register);
    compare("registrar", old.registrar == new.registrar);
    if keys.is_empty() && !same(old, new) {
        keys.push("its feature tables".to_owned());
    }
    keys
}

/// Whether two values print alike: secrets print as nothing, so they never show here.
fn same(one: &impl fmt::Debug, other: &impl fmt::Debug) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

fn routes(before: &Config, after: &Config, found: &mut Vec<Difference>) {
    let (old, new) = (&before.routing.routes, &after.routing.routes);
    for route in old {
        match new.iter().find(|other| other.name == route.name) {
            None => found.push(Difference::RouteRemoved(route.name.clone())),
            Some(other) if !same(other, route) => {
                found.push(Difference::RouteChanged(route.name.clone()));
            }
            Some(_) => {}
        }
    }
    for route in new {
        if old.iter().all(|other| other.name != route.name) {
            found.push(Difference::RouteAdded(route.name.clone()));
        }
    }
    let order = |routes: &[routing::RouteDoc], others: &[routing::RouteDoc]| -> Vec<String> {
        let kept = routes
            .iter()
            .filter(|route| others.iter().any(|other| other.name == route.name));
        kept.map(|route| route.name.clone()).collect()
    };
    let announced = |config: &Config| -> Vec<_> {
        let all = config.announcements.iter();
        all.map(|one| (one.name.clone(), one.file.clone(), one.times))
            .collect()
    };
    if announced(before) != announced(after) {
        found.push(Difference::Announcements);
    }
    if !same(&before.routing.emergency, &after.routing.emergency) {
        found.push(Difference::Emergency);
    }
    let (one, other) = (&before.routing, &after.routing);
    for (what, equal) in [
        ("lists of numbers", one.lists == other.lists),
        ("the inventory", one.owners == other.owners),
        ("rates", one.rates == other.rates),
        ("schedules", one.schedules == other.schedules),
        ("limits", one.limits == other.limits),
        ("the shadow", same(&before.shadow, &after.shadow)),
    ] {
        if !equal {
            found.push(Difference::Table(what));
        }
    }
    if order(old, new) != order(new, old) {
        found.push(Difference::RoutesReordered);
    }
}

fn limits(before: &Config, after: &Config, found: &mut Vec<Difference>) {
    let shown = |limit: Option<u32>| limit.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let mut compare = |key: &str, old: Option<u32>, new: Option<u32>| {
        if old != new {
            found.push(Difference::Limit(format!(
                "gateway {key}: {} → {}",
                shown(old),
                shown(new)
            )));
        }
    };
    compare("calls", Some(before.calls_max), Some(after.calls_max));
    compare(
        "calls_per_second",
        before.calls_per_second,
        after.calls_per_second,
    );
}

fn certificates(before: (&Config, &Keys), after: (&Config, &Keys), found: &mut Vec<Difference>) {
    let leaves = |(config, keys): (&Config, &Keys)| -> BTreeMap<String, String> {
        let names = config.certificates.iter().map(|files| files.name.clone());
        let shown = keys.identities.iter().map(|identity| {
            Leaf::of(identity.chain())
                .map_or_else(|| "unreadable".to_owned(), |leaf| leaf.to_string())
        });
        names.zip(shown).collect()
    };
    let (old, new) = (leaves(before), leaves(after));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        if old.get(name) != new.get(name) {
            found.push(Difference::Certificate(
                name.clone(),
                old.get(name).cloned(),
                new.get(name).cloned(),
            ));
        }
    }
    if before.1.roots_digest != after.1.roots_digest {
        found.push(Difference::Roots);
    }
}
