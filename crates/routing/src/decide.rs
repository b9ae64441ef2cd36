//! The decision itself.

use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;

use std::borrow::Cow;
use std::sync::Arc;

use crate::cloud::CLOUD_CALLING;
use crate::compile::{Route, Snapshot};
use crate::condition::matches;
use crate::facts::{Facts, Question};
use crate::limits::Limit;
use crate::numbers::{LONGEST_NUMBER, Numbers};
use crate::plan::{Decision, Outcome, RejectReason};
use crate::step::Step;
use crate::targets::{Targets, follow};

/// Decides one call. Takes time with the number of routes that can match, not with all of them.
#[must_use]
pub fn decide(snapshot: &Snapshot, facts: &Facts, question: &Question) -> Decision {
    run(snapshot, facts, question, false)
}

/// Decides one call as [`decide`] does, and says of every route before the one that matches why it
/// does not.
#[must_use]
pub fn explain(snapshot: &Snapshot, facts: &Facts, question: &Question) -> Decision {
    run(snapshot, facts, question, true)
}

/// What the facts of a call are about. Facts about other trunks and limits may be left out;
/// [`decide`], [`explain`] and a replay agree all the same.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Concerned<'a> {
    /// The targets of the route that takes the call.
    pub trunks: Cow<'a, [TrunkName]>,
    /// Names of the limits that count it, on its way in or to one of the targets; each once.
    pub limits: Vec<&'a Arc<str>>,
    /// Whether it may be carried by Azure Cloud Calling, from one of its caller ids.
    pub cloud: bool,
}

/// The trunks and limits whose facts [`decide`] looks at for this call. Of `facts` it looks at the
/// time of day alone.
#[must_use]
pub fn concerned<'a>(snapshot: &'a Snapshot, facts: &Facts, question: &Question) -> Concerned<'a> {
    let found = || {
        let origin = snapshot.trunks.get(&question.trunk)?;
        if question.called.len() > LONGEST_NUMBER {
            return None;
        }
        let numbers = Numbers::read(snapshot, origin, question, &mut Vec::new());
        if numbers.emergency && !snapshot.emergency.to.is_empty() {
            return Some(Concerned {
                trunks: Cow::Borrowed(&snapshot.emergency.to),
                limits: Vec::new(),
                cloud: false,
            });
        }
        let mut routes = candidates(snapshot, &numbers, false);
        let taker =
            routes.find(|route| matches(snapshot, facts, question, route, &numbers).is_ok())?;
        let targets = taker.doc.to.as_slice();
        let cloud = targets.iter().any(|name| name.as_str() == CLOUD_CALLING);
        let trunks = if cloud {
            let carriers = targets.iter().map(|name| snapshot.carrier(name));
            Cow::Owned(carriers.cloned().collect())
        } else {
            Cow::Borrowed(targets)
        };
        let of_targets = targets
            .iter()
            .chain(trunks.iter())
            .flat_map(|name| snapshot.limits.of_target(name));
        let of_call = snapshot.limits.of_call(origin, &taker.name);
        let counting = |limit: &&Limit| limit.doc.counts();
        let limits = of_call.into_iter().chain(of_targets).filter(counting);
        let mut limits: Vec<_> = limits.map(|limit| &limit.name).collect();
        limits.sort_unstable();
        limits.dedup();
        Some(Concerned {
            trunks,
            limits,
            cloud,
        })
    };
    found().unwrap_or_default()
}

/// Routes that may take the call, in document order; with `all`, every one.
fn candidates<'a>(
    snapshot: &'a Snapshot,
    numbers: &Numbers<'_>,
    all: bool,
) -> impl Iterator<Item = &'a Route> + use<'a> {
    let found: Vec<u32> = if all {
        (0..).take(snapshot.routes.len()).collect()
    } else {
        snapshot.candidates(numbers)
    };
    found
        .into_iter()
        .filter_map(|index| snapshot.routes.get(index as usize))
}

fn run(snapshot: &Snapshot, facts: &Facts, question: &Question, all: bool) -> Decision {
    let mut steps = Vec::new();
    let Some(origin) = snapshot.trunks.get(&question.trunk) else {
        return Decision::refuse(StatusCode::FORBIDDEN, RejectReason::UnknownOrigin, steps);
    };
    if question.called.len() > LONGEST_NUMBER {
        return Decision::refuse(StatusCode::NOT_FOUND, RejectReason::NumberTooLong, steps);
    }
    let numbers = Numbers::read(snapshot, origin, question, &mut steps);
    if numbers.emergency {
        let own_order = !snapshot.emergency.to.is_empty();
        steps.push(Step::Emergency { own_order });
        if own_order {
            let targets = Targets::of_emergency(snapshot);
            return follow(snapshot, facts, &targets, &numbers, steps);
        }
    }
    for route in candidates(snapshot, &numbers, all) {
        match matches(snapshot, facts, question, route, &numbers) {
            Ok(pattern) => {
                steps.push(Step::Matched {
                    route: route.name.clone(),
                    called: numbers.called_text.clone(),
                    pattern: pattern.map(|pattern| pattern.as_str().to_owned()),
                });
                return refuse_or_follow(snapshot, facts, route, &numbers, steps);
            }
            Err(why) => steps.push(Step::PassedOver {
                route: route.name.clone(),
                why,
            }),
        }
    }
    steps.push(Step::NoRoute);
    Decision::refuse(StatusCode::NOT_FOUND, RejectReason::NoRoute, steps)
}

/// What the route that matches comes to.
fn refuse_or_follow(
    snapshot: &Snapshot,
    facts: &Facts,
    route: &Route,
    numbers: &Numbers<'_>,
    mut steps: Vec<Step>,
) -> Decision {
    if let Some(status) = route.doc.reject {
        let name = route.name.clone();
        steps.push(Step::Refused {
            route: name.clone(),
            status,
        });
        return Decision::refuse(status, RejectReason::ByRoute(name), steps);
    }
    follow(snapshot, facts, &Targets::of_route(route), numbers, steps)
}

impl Decision {
    pub(crate) fn refuse(status: StatusCode, reason: RejectReason, steps: Vec<Step>) -> Self {
        Self {
            outcome: Outcome::Reject { status, reason },
            steps,
        }
    }
}
