//! What is there, what is wanted, and what turns the one into the other.

use std::collections::BTreeMap;

use acs_client::sip_routing::{SipConfiguration, SipPatch, SipTrunk, SipTrunkRoute};
use serde::Serialize;

use super::effect::Effects;
use crate::config::resolve::{Acs, VoiceRoute};

/// How descriptions of routes begin that were written from here.
const MARK: &str = "Managed by Trunkline";

/// What is done to one trunk or route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Add,
    /// It is there, and otherwise.
    Change,
    /// It goes.
    Delete,
    /// The routes that stay change places.
    Order,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// `trunk`, `route` or `routes`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// What it is now; nothing where it is new.
    pub from: Option<String>,
    /// What it becomes; nothing where it goes.
    pub to: Option<String>,
    /// What that does to calls.
    pub effect: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is there.
    pub current: SipConfiguration,
    /// What is to be there.
    pub target: SipConfiguration,
    /// The differences.
    pub changes: Vec<Change>,
    /// Why it cannot be done without `--prune`.
    pub clashes: Vec<String>,
}

impl Plan {
    /// What Azure is asked to change.
    pub fn patch(&self) -> SipPatch {
        SipPatch::between(&self.current, &self.target)
    }
}

/// Names in the case Azure keeps them in.
pub fn normal(mut configuration: SipConfiguration) -> SipConfiguration {
    let trunks = std::mem::take(&mut configuration.trunks);
    configuration.trunks = trunks
        .into_iter()
        .map(|(fqdn, trunk)| (fqdn.to_ascii_lowercase(), trunk))
        .collect();
    for route in &mut configuration.routes {
        for trunk in &mut route.trunks {
            trunk.make_ascii_lowercase();
        }
    }
    configuration
}

/// A route as it is written to Azure.
fn written(route: &VoiceRoute) -> SipTrunkRoute {
    // A route's name is at most 250 characters, so this is far below 1024.
    let description = format!(
        "{MARK}: [[route]] \"{}\" of its configuration.",
        route.route
    );
    SipTrunkRoute {
        name: route.name.clone(),
        description,
        number_pattern: route.pattern.clone(),
        trunks: route.trunks.clone(),
    }
}

/// Whether a route was written from this configuration or an earlier one: it says so, and leads
/// nowhere but here. Another gateway's routes say so, too, and lead there.
fn is_ours(route: &SipTrunkRoute, wanted: &Acs) -> bool {
    route.description.starts_with(MARK)
        && route
            .trunks
            .iter()
            .all(|trunk| wanted.trunks.contains_key(trunk))
}

/// What `wanted` asks for, put into what is there. What was not created from here stays, unless
/// `prune`; routes of others keep their places before or after ours.
pub fn plan(current: &SipConfiguration, wanted: &Acs, prune: bool) -> Plan {
    let current = normal(current.clone());
    let own: BTreeMap<String, SipTrunk> = wanted
        .trunks
        .iter()
        .map(|(fqdn, port)| {
            let trunk = SipTrunk {
                sip_signaling_port: *port,
            };
            (fqdn.clone(), trunk)
        })
        .collect();
    let mut target = SipConfiguration::default();
    if !prune {
        target.trunks.clone_from(&current.trunks);
    }
    target.trunks.extend(own);
    let ours: Vec<SipTrunkRoute> = wanted.routes.iter().map(written).collect();
    let first = current
        .routes
        .iter()
        .position(|route| is_ours(route, wanted));
    let mut clashes = Vec::new();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (at, route) in current.routes.iter().enumerate() {
        if prune || is_ours(route, wanted) {
            continue;
        }
        let same = |own: &&SipTrunkRoute| own.name.to_lowercase() == route.name.to_lowercase();
        if ours.iter().any(|own| same(&own)) {
            clashes.push(format!(
                "Azure has a route `{}` that was not created from here: rename the [[route]], or \
                 replace all such routes with --prune",
                route.name
            ));
        } else if first.is_none_or(|first| at < first) {
            before.push(route.clone());
        } else {
            after.push(route.clone());
        }
    }
    target.routes = before;
    target.routes.extend(ours);
    target.routes.append(&mut after);
    between(current, target, clashes)
}

/// The plan that brings back `saved`, whole.
pub fn restore(current: &SipConfiguration, saved: &SipConfiguration) -> Plan {
    between(normal(current.clone()), normal(saved.clone()), Vec::new())
}

fn between(current: SipConfiguration, target: SipConfiguration, clashes: Vec<String>) -> Plan {
    let effects = Effects::new(&current, &target);
    let mut changes = trunks(&current, &target);
    changes.extend(routes(&current, &target, &effects));
    Plan {
        current,
        target,
        changes,
        clashes,
    }
}

fn trunks(current: &SipConfiguration, target: &SipConfiguration) -> Vec<Change> {
    let mut changes = Vec::new();
    let port = |trunk: &SipTrunk| format!("port {}", trunk.sip_signaling_port);
    let change = |action, name: &String, from, to, effect: String| Change {
        action,
        what: "trunk",
        name: name.clone(),
        from,
        to,
        effect,
    };
    for (fqdn, trunk) in &target.trunks {
        match current.trunks.get(fqdn) {
            None => changes.push(change(
                Action::Add,
                fqdn,
                None,
                Some(port(trunk)),
                "Azure answers this gateway, takes its calls, and can send it calls; that takes some \
                 minutes, an hour where another resource had the name"
                    .to_owned(),
            )),
            Some(old) if old != trunk => changes.push(change(
                Action::Change,
                fqdn,
                Some(port(old)),
                Some(port(trunk)),
                format!(
                    "Azure calls at port {} instead of {}",
                    trunk.sip_signaling_port, old.sip_signaling_port
                ),
            )),
            Some(_) => {}
        }
    }
    for (fqdn, trunk) in &current.trunks {
        if !target.trunks.contains_key(fqdn) {
            changes.push(change(
                Action::Delete,
                fqdn,
                Some(port(trunk)),
                None,
                "Azure refuses this gateway's calls and sends it none".to_owned(),
            ));
        }
    }
    changes
}

fn shown(route: &SipTrunkRoute) -> String {
    let trunks = if route.trunks.is_empty() {
        "nowhere".to_owned()
    } else {
        route.trunks.join(", ")
    };
    format!("{} to {trunks}", route.number_pattern)
}

fn routes(current: &SipConfiguration, target: &SipConfiguration, effects: &Effects) -> Vec<Change> {
    let mut changes = Vec::new();
    let find = |among: &SipConfiguration, name: &str| {
        let mut routes = among.routes.iter().enumerate();
        routes
            .find(|(_, route)| route.name == name)
            .map(|(at, route)| (at, route.clone()))
    };
    let change = |action, name: &String, from, to, effect| Change {
        action,
        what: "route",
        name: name.clone(),
        from,
        to,
        effect,
    };
    for (at, route) in target.routes.iter().enumerate() {
        let to = Some(shown(route));
        match find(current, &route.name) {
            None => {
                let effect = effects.comes(at);
                changes.push(change(Action::Add, &route.name, None, to, effect));
            }
            Some((_, old)) if old != *route => {
                let same = shown(&old) == shown(route);
                let effect = if same {
                    "only its description: no call goes elsewhere".to_owned()
                } else {
                    effects.comes(at)
                };
                changes.push(change(
                    Action::Change,
                    &route.name,
                    Some(shown(&old)),
                    to,
                    effect,
                ));
            }
            Some(_) => {}
        }
    }
    for (at, route) in current.routes.iter().enumerate() {
        if find(target, &route.name).is_none() {
            let effect = effects.goes(at);
            changes.push(change(
                Action::Delete,
                &route.name,
                Some(shown(route)),
                None,
                effect,
            ));
        }
    }
    let stay = |these: &SipConfiguration, those: &SipConfiguration| -> Vec<String> {
        let routes = these.routes.iter();
        routes
            .filter(|route| find(those, &route.name).is_some())
            .map(|route| route.name.clone())
            .collect()
    };
    let (old, new) = (stay(current, target), stay(target, current));
    if old != new {
        changes.push(Change {
            action: Action::Order,
            what: "routes",
            name: "order".to_owned(),
            from: Some(old.join(", ")),
            to: Some(new.join(", ")),
            effect: "where two match one number, the first of them takes the call".to_owned(),
        });
    }
    changes
}
