//! The decision itself.

use ambient::WallTime;
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
    find(snapshot, facts.wall, question).decide(facts)
}

/// Decides one call as [`decide`] does, and says of every route before the one that matches why it
/// does not.
#[must_use]
pub fn explain(snapshot: &Snapshot, facts: &Facts, question: &Question) -> Decision {
    look(snapshot, facts.wall, question, true).decide(facts)
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
    find(snapshot, facts.wall, question).concerned()
}

/// A call whose numbers are read and whose route is found. Nothing is left but to follow that by
/// the facts of the moment.
pub struct Found<'a> {
    snapshot: &'a Snapshot,
    outlook: Outlook<'a>,
    steps: Vec<Step>,
}

enum Outlook<'a> {
    /// No route takes the call.
    None(StatusCode, RejectReason),
    /// A call for help, for which there is an order of its own.
    Emergency(Numbers<'a>),
    /// The first route that matches.
    Route(&'a Route, Numbers<'a>),
}

/// Finds the route of a call that comes at `wall`: [`Found::decide`] gives what [`decide`] would.
#[must_use]
pub fn find<'a>(snapshot: &'a Snapshot, wall: WallTime, question: &Question) -> Found<'a> {
    look(snapshot, wall, question, false)
}

impl<'a> Found<'a> {
    /// The trunks and limits whose facts [`Found::decide`] looks at.
    #[must_use]
    pub fn concerned(&self) -> Concerned<'a> {
        let snapshot = self.snapshot;
        let (taker, origin) = match &self.outlook {
            Outlook::None(..) => return Concerned::default(),
            Outlook::Emergency(_) => {
                return Concerned {
                    trunks: Cow::Borrowed(&snapshot.emergency.to),
                    ..Concerned::default()
                };
            }
            Outlook::Route(taker, numbers) => (*taker, numbers.origin),
        };
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
        Concerned {
            trunks,
            limits,
            cloud,
        }
    }

    /// Follows the route by the facts.
    #[must_use]
    pub fn decide(self, facts: &Facts) -> Decision {
        let (snapshot, steps) = (self.snapshot, self.steps);
        match self.outlook {
            Outlook::None(status, reason) => Decision::refuse(status, reason, steps),
            Outlook::Emergency(numbers) => {
                let targets = Targets::of_emergency(snapshot);
                follow(snapshot, facts, &targets, &numbers, steps)
            }
            Outlook::Route(route, numbers) => {
                refuse_or_follow(snapshot, facts, route, &numbers, steps)
            }
        }
    }
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

fn look<'a>(snapshot: &'a Snapshot, wall: WallTime, question: &Question, all: bool) -> Found<'a> {
    let mut steps = Vec::new();
    let outlook = outlook(snapshot, wall, question, all, &mut steps);
    Found {
        snapshot,
        outlook,
        steps,
    }
}

fn outlook<'a>(
    snapshot: &'a Snapshot,
    wall: WallTime,
    question: &Question,
    all: bool,
    steps: &mut Vec<Step>,
) -> Outlook<'a> {
    let Some(origin) = snapshot.trunks.get(&question.trunk) else {
        return Outlook::None(StatusCode::FORBIDDEN, RejectReason::UnknownOrigin);
    };
    if question.called.len() > LONGEST_NUMBER {
        return Outlook::None(StatusCode::NOT_FOUND, RejectReason::NumberTooLong);
    }
    let numbers = Numbers::read(snapshot, origin, question, steps);
    if numbers.emergency {
        let own_order = !snapshot.emergency.to.is_empty();
        steps.push(Step::Emergency { own_order });
        if own_order {
            return Outlook::Emergency(numbers);
        }
    }
    for route in candidates(snapshot, &numbers, all) {
        match matches(snapshot, wall, question, route, &numbers) {
            Ok(pattern) => {
                steps.push(Step::Matched {
                    route: route.name.clone(),
                    called: numbers.called_text.clone(),
                    pattern: pattern.map(|pattern| pattern.as_str().to_owned()),
                });
                return Outlook::Route(route, numbers);
            }
            Err(why) => steps.push(Step::PassedOver {
                route: route.name.clone(),
                why,
            }),
        }
    }
    steps.push(Step::NoRoute);
    Outlook::None(StatusCode::NOT_FOUND, RejectReason::NoRoute)
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
