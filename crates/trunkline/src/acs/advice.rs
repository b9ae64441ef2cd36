//! What is allowed and yet hardly meant.

use acs_client::sip_routing::SipConfiguration;
use routing::{Facts, Outcome, Question, Snapshot};
use sip_msg::wire::TrunkName;

use super::language::{Found, Judge, find, is_catch_all};
use crate::config::Config;
use crate::config::resolve::Acs;

/// Everything to say about `target`, which Azure is to have.
pub fn advice(target: &SipConfiguration, wanted: &Acs, config: &Config) -> Vec<String> {
    let judges: Vec<Option<Judge>> = target
        .routes
        .iter()
        .map(|route| Judge::new(&route.number_pattern))
        .collect();
    let mut warnings = Vec::new();
    alone(target, &judges, &mut warnings);
    let ours = |name: &str| wanted.routes.iter().find(|route| route.name == name);
    for (at, route) in target.routes.iter().enumerate() {
        let (Some(voice), Some(judge)) = (ours(&route.name), &judges[at]) else {
            continue;
        };
        for (before, earlier) in target.routes[..at].iter().enumerate() {
            let Some(other) = judges[before]
                .as_ref()
                .filter(|_| ours(&earlier.name).is_none())
            else {
                continue;
            };
            if let Found::Number(number) = find(&[other, judge], 1, |of| of[0] && of[1]) {
                warnings.push(format!(
                    "Azure's route `{}` was not created from here and takes {number} before \
                     `{}` does, against the order of this configuration",
                    earlier.name, route.name
                ));
            }
        }
        let example = find(&[judge], 8, |of| of[0]);
        if let Some(number) = example.number() {
            warnings.extend(decided(config, wanted, &voice.trunk, &voice.route, &number));
        }
    }
    warnings.extend(emergency(target, &judges, config));
    warnings
}

/// What can be said of a route without knowing whose it is.
fn alone(target: &SipConfiguration, judges: &[Option<Judge>], warnings: &mut Vec<String>) {
    let mut earlier: Vec<&Judge> = Vec::new();
    for (route, judge) in target.routes.iter().zip(judges) {
        let name = &route.name;
        let Some(judge) = judge else {
            warnings.push(format!(
                "route `{name}`: its pattern {} can only be judged by Azure",
                route.number_pattern
            ));
            continue;
        };
        if is_catch_all(judge) == Some(true) {
            warnings.push(format!(
                "route `{name}` takes every number: Azure Cloud Calling carries no call any more, \
                 whatever caller id it has"
            ));
        }
        let only: Vec<&Judge> = std::iter::once(judge)
            .chain(earlier.iter().copied())
            .collect();
        if find(&[judge], 1, |of| of[0]) == Found::None {
            warnings.push(format!(
                "route `{name}`: no number matches its pattern {}",
                route.number_pattern
            ));
        } else if find(&only, 1, |of| of[0] && !of[1..].contains(&true)) == Found::None {
            warnings.push(format!(
                "route `{name}` can never match: the routes before it take all its calls"
            ));
        }
        if route.trunks.is_empty() {
            warnings.push(format!("route `{name}` names no trunk: its calls fail"));
        }
        earlier.push(judge);
    }
}

/// Whether the gateway's own order decides for the same route.
fn decided(config: &Config, acs: &Acs, trunk: &str, route: &str, number: &str) -> Option<String> {
    let snapshot = Snapshot::compile(&config.routing).ok()?;
    let question = Question {
        trunk: TrunkName::from(trunk),
        called: number.to_owned(),
        calling: None,
        headers: Vec::new(),
    };
    let facts = Facts::default();
    // What depends on the caller, too, is not decided by a number.
    if acs
        .routes
        .iter()
        .any(|voice| voice.route == route && voice.depends)
    {
        // Told where the file is checked.
        return None;
    }
    match routing::decide(&snapshot, &facts, &question).outcome {
        Outcome::Route(plan) if *plan.route == *route => None,
        Outcome::Route(plan) => Some(format!(
            "Azure's route `{route}` sends {number} here, and this gateway's route `{}` takes it \
             first",
            plan.route
        )),
        Outcome::Reject { status, reason, .. } => Some(format!(
            "Azure's route `{route}` sends {number} here, and this gateway refuses it: {} \
             ({reason})",
            status.code()
        )),
    }
}

/// A gateway that carries calls for help is no use to Azure's callers where Azure does not send
/// them.
fn emergency(
    target: &SipConfiguration,
    judges: &[Option<Judge>],
    config: &Config,
) -> Option<String> {
    if config.routing.emergency.to.is_empty() || target.routes.is_empty() {
        return None;
    }
    let taken = |number: &str| judges.iter().flatten().any(|judge| judge.matches(number));
    let missing: Vec<&str> = ["112", "911"]
        .into_iter()
        .filter(|number| !taken(number))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "calls for help from Azure to {} match no route: add a [[route]] from the acs trunk with \
             called = [\"112\", \"911\"]",
            missing.join(" and ")
        )
    })
}
