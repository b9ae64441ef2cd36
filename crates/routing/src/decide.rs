//! The decision itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ambient::WallTime;
use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;

use crate::compile::{Route, Snapshot};
use crate::document::{NumberOf, PeerDoc, TrunkDoc};
use crate::numbers::{LONGEST_NUMBER, Numbers, Written, written};
use crate::pattern::Pattern;
use crate::plan::{Attempt, Decision, Outcome, RejectReason, RoutePlan};
use crate::step::{PassedOver, Step};

/// Which call it is about.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// The trunk it comes from.
    pub trunk: TrunkName,
    /// User of the Request-URI as received, or the number of a `tel:` URI.
    pub called: String,
    /// The caller's number as received; `None` when withheld or not given.
    pub calling: Option<String>,
}

impl fmt::Debug for Question {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question(from {})", self.trunk)
    }
}

/// What is true at the moment of the call; kept in its record, so that the decision can be made
/// again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Whether a peer of a trunk answers; one that is not mentioned does.
    pub up: BTreeMap<(TrunkName, usize), bool>,
    /// How many more calls a trunk may carry; one that is not mentioned has no limit.
    pub room: BTreeMap<TrunkName, u32>,
    /// The time of day.
    pub wall: WallTime,
    /// One random draw, for rules that share load.
    pub draw: u64,
}

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

/// The trunks whose facts [`decide`] looks at for this call: the targets of the route that takes
/// it. Facts about others may be left out; [`explain`] and a replay agree all the same.
#[must_use]
pub fn concerned<'a>(snapshot: &'a Snapshot, question: &Question) -> &'a [TrunkName] {
    let found = || {
        let origin = snapshot.trunks.get(&question.trunk)?;
        if question.called.len() > LONGEST_NUMBER {
            return None;
        }
        let numbers = Numbers::read(snapshot, origin, question, &mut Vec::new());
        if numbers.emergency && !snapshot.emergency.to.is_empty() {
            return Some(snapshot.emergency.to.as_slice());
        }
        let calling = numbers.calling_text.as_deref();
        let candidates = snapshot.candidates(&origin.name, &numbers.called_text, calling);
        let mut routes = candidates
            .into_iter()
            .filter_map(|index| snapshot.routes.get(index as usize));
        let taker = routes.find(|route| matches(route, &numbers).is_ok())?;
        Some(taker.doc.to.as_slice())
    };
    found().unwrap_or_default()
}

/// The name that stands for a route where an emergency call has its own order of trunks.
const EMERGENCY: &str = "emergency";

/// Where a call is to go.
struct Targets<'a> {
    name: Arc<str>,
    to: &'a [TrunkName],
    hairpin: bool,
    announcement: Option<&'a str>,
}

fn run(snapshot: &Snapshot, facts: &Facts, question: &Question, all: bool) -> Decision {
    let mut steps = Vec::new();
    let reject = |status, reason, steps| Decision {
        outcome: Outcome::Reject { status, reason },
        steps,
    };
    let Some(origin) = snapshot.trunks.get(&question.trunk) else {
        return reject(StatusCode::FORBIDDEN, RejectReason::UnknownOrigin, steps);
    };
    if question.called.len() > LONGEST_NUMBER {
        return reject(StatusCode::NOT_FOUND, RejectReason::NumberTooLong, steps);
    }
    let numbers = Numbers::read(snapshot, origin, question, &mut steps);
    if numbers.emergency {
        let own_order = !snapshot.emergency.to.is_empty();
        steps.push(Step::Emergency { own_order });
        if own_order {
            let (name, to) = (Arc::from(EMERGENCY), &snapshot.emergency.to);
            let targets = Targets {
                name,
                to,
                hairpin: false,
                announcement: None,
            };
            return follow(snapshot, facts, &targets, &numbers, steps);
        }
    }
    let candidates = if all {
        (0..snapshot.routes.len()).collect()
    } else {
        let calling = numbers.calling_text.as_deref();
        let found = snapshot.candidates(&numbers.origin.name, &numbers.called_text, calling);
        found
            .into_iter()
            .map(|index| index as usize)
            .collect::<Vec<_>>()
    };
    for route in candidates
        .into_iter()
        .filter_map(|index| snapshot.routes.get(index))
    {
        match matches(route, &numbers) {
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
    reject(StatusCode::NOT_FOUND, RejectReason::NoRoute, steps)
}

/// The pattern the called number matches, or why the route does not match.
fn matches<'a>(route: &'a Route, numbers: &Numbers<'_>) -> Result<Option<&'a Pattern>, PassedOver> {
    let from = &route.doc.from;
    if !from.is_empty() && !from.contains(&numbers.origin.name) {
        return Err(PassedOver::Origin {
            trunk: numbers.origin.name.clone(),
            from: from.clone(),
        });
    }
    let groups = &route.doc.trunk_groups;
    if !groups.is_empty() && !groups.iter().any(|group| numbers.is_for_group(group)) {
        return Err(PassedOver::TrunkGroup);
    }
    let called = route
        .called
        .iter()
        .find(|pattern| pattern.matches(&numbers.called_text));
    if called.is_none() && !route.called.is_empty() {
        return Err(PassedOver::Called);
    }
    if !route.calling.is_empty() {
        let calling = numbers
            .calling_text
            .as_deref()
            .ok_or(PassedOver::NoCalling)?;
        if !route.calling.iter().any(|pattern| pattern.matches(calling)) {
            return Err(PassedOver::Calling);
        }
    }
    Ok(called)
}

/// What the route that matches comes to.
fn refuse_or_follow(
    snapshot: &Snapshot,
    facts: &Facts,
    route: &Route,
    numbers: &Numbers<'_>,
    mut steps: Vec<Step>,
) -> Decision {
    let name = route.name.clone();
    if let Some(status) = route.doc.reject {
        steps.push(Step::Refused {
            route: name.clone(),
            status,
        });
        let reason = RejectReason::ByRoute(name);
        return Decision {
            outcome: Outcome::Reject { status, reason },
            steps,
        };
    }
    let targets = Targets {
        name,
        to: &route.doc.to,
        hairpin: route.doc.hairpin,
        announcement: route.doc.announcement.as_deref(),
    };
    follow(snapshot, facts, &targets, numbers, steps)
}

/// What the targets come to.
fn follow(
    snapshot: &Snapshot,
    facts: &Facts,
    targets: &Targets<'_>,
    numbers: &Numbers<'_>,
    mut steps: Vec<Step>,
) -> Decision {
    let name = targets.name.clone();
    let (mut attempts, mut last) = (Vec::new(), Vec::new());
    let mut full = false;
    for trunk in targets
        .to
        .iter()
        .filter_map(|target| snapshot.trunks.get(target))
    {
        if trunk.name == numbers.origin.name && !targets.hairpin {
            steps.push(Step::IsOrigin {
                trunk: trunk.name.clone(),
            });
            continue;
        }
        if facts.room.get(&trunk.name) == Some(&0) && !numbers.emergency {
            full = true;
            steps.push(Step::NoRoom {
                trunk: trunk.name.clone(),
            });
            continue;
        }
        let to_user = written(trunk, &numbers.called, NumberOf::Called);
        if to_user.number != numbers.called_text {
            let step = Step::Writes {
                trunk: trunk.name.clone(),
                called: to_user.number.clone(),
            };
            steps.push(step);
        }
        for (peer, doc) in trunk.peers.iter().enumerate() {
            let attempt = attempt(trunk, peer, doc, &to_user, numbers);
            if facts.up.get(&(trunk.name.clone(), peer)) == Some(&false) {
                let step = Step::PeerDown {
                    trunk: trunk.name.clone(),
                    host: doc.host.clone(),
                };
                steps.push(step);
                last.push(attempt);
            } else {
                attempts.push(attempt);
            }
        }
    }
    attempts.append(&mut last);
    let announcement: Option<Arc<str>> = targets.announcement.map(Arc::from);
    if let Some(name) = announcement.clone() {
        steps.push(Step::Announces { name });
    }
    let outcome = if attempts.is_empty() && announcement.is_none() {
        let reason = if full {
            RejectReason::NoRoom(name)
        } else {
            RejectReason::OnlyOrigin(name)
        };
        Outcome::Reject {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason,
        }
    } else {
        Outcome::Route(RoutePlan {
            route: name,
            attempts,
            announcement,
        })
    };
    Decision { outcome, steps }
}

fn attempt(
    trunk: &TrunkDoc,
    peer: usize,
    doc: &PeerDoc,
    to_user: &Written,
    numbers: &Numbers<'_>,
) -> Attempt {
    let calling = numbers.calling.as_ref();
    let from_user = calling.map(|calling| written(trunk, calling, NumberOf::Calling));
    Attempt {
        trunk: trunk.name.clone(),
        peer,
        request_uri: numbers.request_uri(trunk, doc, &to_user.number),
        to_user: to_user.number.clone(),
        rewritten: numbers.are_rewritten(to_user, from_user.as_ref()),
        from_user: from_user.map(|from| from.number),
        from_host: trunk.from_host.clone(),
        hop: None,
    }
}
