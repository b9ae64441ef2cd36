//! What a route that takes a call comes to: its targets in order, with their prices, without those
//! that have no room.

use std::cmp::Reverse;
use std::sync::Arc;

use e164::{E164Number, Normalised};
use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;

use crate::cloud::{self, CLOUD_CALLING, NotCarried};
use crate::compile::{Route, Snapshot};
use crate::document::{NumberOf, PeerDoc, Pick, TrunkDoc};
use crate::facts::Facts;
use crate::limits::{Limit, LimitRule};
use crate::money::Tariff;
use crate::numbers::{Numbers, Written, written};
use crate::plan::{Attempt, Decision, Outcome, RejectReason, RoutePlan};
use crate::step::Step;

/// The name that stands for a route where an emergency call has its own order of trunks.
const EMERGENCY: &str = "emergency";

/// Where a call is to go.
pub(crate) struct Targets<'a> {
    name: Arc<str>,
    to: &'a [TrunkName],
    pick: &'a Pick,
    hairpin: bool,
    announcement: Option<&'a str>,
    caller_id: Option<&'a E164Number>,
}

impl<'a> Targets<'a> {
    /// Those of calls for help.
    pub(crate) fn of_emergency(snapshot: &'a Snapshot) -> Self {
        Self {
            name: Arc::from(EMERGENCY),
            to: &snapshot.emergency.to,
            pick: &Pick::InOrder,
            hairpin: false,
            announcement: None,
            caller_id: None,
        }
    }

    /// The caller that the route shows.
    pub(crate) fn caller_id(&self) -> Option<&'a E164Number> {
        self.caller_id
    }

    /// Those of a route.
    pub(crate) fn of_route(route: &'a Route) -> Self {
        Self {
            name: route.name.clone(),
            to: &route.doc.to,
            pick: &route.doc.pick,
            hairpin: route.doc.hairpin,
            announcement: route.doc.announcement.as_deref(),
            caller_id: route.caller_id.as_ref(),
        }
    }
}

/// A target and what a call to it costs.
struct Target<'a> {
    trunk: &'a TrunkDoc,
    tariff: Option<Tariff>,
}

/// What has become of the targets so far.
#[derive(Default)]
struct Tried {
    attempts: Vec<Attempt>,
    /// Peers that are down go last.
    last: Vec<Attempt>,
    full: bool,
    /// The first limit that kept a target back.
    limited: Option<(Arc<str>, LimitRule)>,
}

/// Follows the targets, unless a limit keeps the whole call back.
pub(crate) fn follow(
    snapshot: &Snapshot,
    facts: &Facts,
    targets: &Targets<'_>,
    numbers: &Numbers<'_>,
    mut steps: Vec<Step>,
) -> Decision {
    let limits = if numbers.emergency {
        Vec::new()
    } else {
        snapshot.limits.of_call(numbers.origin, &targets.name)
    };
    if let Some((limit, rule)) = first_kept_back(&limits, facts, numbers, None) {
        steps.push(Step::LimitReached {
            limit: limit.clone(),
            rule,
        });
        return Decision::refuse(rule.status(), RejectReason::Limit { limit, rule }, steps);
    }
    let mut tried = Tried::default();
    for target in in_order(snapshot, facts, targets, numbers, &mut steps) {
        consider(
            snapshot, facts, targets, numbers, &limits, &target, &mut tried, &mut steps,
        );
    }
    let Tried {
        mut attempts,
        mut last,
        full,
        limited,
    } = tried;
    attempts.append(&mut last);
    let announcement: Option<Arc<str>> = targets.announcement.map(Arc::from);
    if let Some(name) = announcement.clone() {
        steps.push(Step::Announces { name });
    }
    if attempts.is_empty() && announcement.is_none() {
        let name = targets.name.clone();
        let (status, reason) = match limited {
            _ if full => (StatusCode::SERVICE_UNAVAILABLE, RejectReason::NoRoom(name)),
            Some((limit, rule)) => (rule.status(), RejectReason::Limit { limit, rule }),
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                RejectReason::OnlyOrigin(name),
            ),
        };
        return Decision::refuse(status, reason, steps);
    }
    let plan = RoutePlan {
        route: targets.name.clone(),
        attempts,
        announcement,
    };
    Decision {
        outcome: Outcome::Route(plan),
        steps,
    }
}

fn first_kept_back(
    limits: &[&Limit],
    facts: &Facts,
    numbers: &Numbers<'_>,
    tariff: Option<&Tariff>,
) -> Option<(Arc<str>, LimitRule)> {
    limits.iter().find_map(|limit| {
        let rule = limit.keeps_back(&facts.limits, numbers, tariff)?;
        Some((limit.name.clone(), rule))
    })
}

/// The targets in the order they are tried.
fn in_order<'a>(
    snapshot: &'a Snapshot,
    facts: &Facts,
    targets: &Targets<'_>,
    numbers: &Numbers<'_>,
    steps: &mut Vec<Step>,
) -> Vec<Target<'a>> {
    let digits = numbers.called_text.strip_prefix('+');
    let with_tariff = |name: &TrunkName| {
        let trunk = snapshot.trunks.get(name)?;
        let rates = trunk
            .rates
            .as_ref()
            .and_then(|name| snapshot.rates.get(name));
        let tariff = rates.zip(digits);
        let tariff = tariff.and_then(|(rates, digits)| rates.tariff(digits, facts.wall));
        Some(Target { trunk, tariff })
    };
    let mut all: Vec<Target<'a>> = targets.to.iter().filter_map(with_tariff).collect();
    match targets.pick {
        Pick::InOrder => {}
        Pick::ByWeight(weights) => {
            all = drawn(all, weights, facts.draw);
            let order = all.iter().map(|target| target.trunk.name.clone());
            steps.push(Step::Drawn {
                order: order.collect(),
            });
        }
        Pick::LeastCost { seconds } => {
            let price = |tariff: Tariff| Reverse(tariff.price(u64::from(*seconds)));
            all.sort_by_key(|target| Reverse(target.tariff.map(price)));
        }
    }
    let by_cost = matches!(targets.pick, Pick::LeastCost { .. });
    for Target { trunk, tariff } in &all {
        if by_cost || tariff.is_some() {
            steps.push(Step::Costs {
                trunk: trunk.name.clone(),
                tariff: *tariff,
            });
        }
    }
    all
}

/// Draws one target after the other by weight; those that weigh nothing come last, as written.
fn drawn<'a>(mut left: Vec<Target<'a>>, weights: &[u32], draw: u64) -> Vec<Target<'a>> {
    let mut weights: Vec<u64> = weights.iter().map(|weight| u64::from(*weight)).collect();
    weights.resize(left.len(), 0);
    let (mut order, mut state) = (Vec::with_capacity(left.len()), draw);
    while !left.is_empty() {
        let total: u64 = weights.iter().sum();
        let at = if total == 0 {
            0
        } else {
            let scaled = u128::from(mix(&mut state)) * u128::from(total);
            let mut point = u64::try_from(scaled >> 64).unwrap_or(0);
            let hit = weights.iter().position(|weight| {
                let hit = point < *weight;
                point = point.saturating_sub(*weight);
                hit
            });
            hit.unwrap_or(0)
        };
        weights.remove(at);
        order.push(left.remove(at));
    }
    order
}

/// One number of the sequence that a draw stands for (`SplitMix64`).
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = *state;
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[allow(clippy::too_many_arguments, reason = "the state of one loop")]
fn consider(
    snapshot: &Snapshot,
    facts: &Facts,
    targets: &Targets<'_>,
    numbers: &Numbers<'_>,
    of_call: &[&Limit],
    target: &Target<'_>,
    tried: &mut Tried,
    steps: &mut Vec<Step>,
) {
    let Target { trunk, tariff } = target;
    let name = || trunk.name.clone();
    // Azure Cloud Calling is reached over a trunk that has its own peers, health and limits.
    let cloud = snapshot.cloud.as_ref();
    let cloud = cloud.filter(|_| trunk.name.as_str() == CLOUD_CALLING);
    let carrier = snapshot.carrier(&trunk.name);
    if *carrier == numbers.origin.name && !targets.hairpin {
        steps.push(Step::IsOrigin { trunk: name() });
        return;
    }
    if !numbers.emergency {
        if facts.room.get(carrier) == Some(&0) {
            tried.full = true;
            steps.push(Step::NoRoom { trunk: name() });
            return;
        }
        let mut own = snapshot.limits.of_target(&trunk.name);
        if cloud.is_some() {
            own.extend(snapshot.limits.of_target(carrier));
        }
        let kept_back = first_kept_back(of_call, facts, numbers, tariff.as_ref())
            .or_else(|| first_kept_back(&own, facts, numbers, tariff.as_ref()));
        if let Some((limit, rule)) = kept_back {
            steps.push(Step::Limited {
                trunk: name(),
                limit: limit.clone(),
                rule,
            });
            tried.limited.get_or_insert((limit, rule));
            return;
        }
    }
    let (cloud, to_user) = match cloud.map(|cloud| cloud::call(cloud, facts, targets, numbers)) {
        None => (None, written(trunk, &numbers.called, NumberOf::Called)),
        Some(Ok((call, marker))) => (Some(call), marker),
        Some(Err(why)) => {
            tried.full |= why == NotCarried::CallerIds;
            steps.push(Step::NotCarried { why });
            return;
        }
    };
    if let Some(first) = cloud.as_ref().and_then(|call| call.caller_ids.first()) {
        let number = first.to_wire();
        steps.push(Step::ShowsCaller { number });
    }
    if cloud.is_none() && to_user.number != numbers.called_text {
        steps.push(Step::Writes {
            trunk: name(),
            called: to_user.number.clone(),
        });
    }
    let caller = caller(targets, numbers);
    for (peer, doc) in trunk.peers.iter().enumerate() {
        let mut attempt = attempt(target, (peer, doc), &to_user, numbers, caller.as_ref());
        attempt.trunk.clone_from(carrier);
        attempt.cloud.clone_from(&cloud);
        if facts.up.get(&(carrier.clone(), peer)) == Some(&false) {
            steps.push(Step::PeerDown {
                trunk: name(),
                host: doc.host.clone(),
            });
            tried.last.push(attempt);
        } else {
            tried.attempts.push(attempt);
        }
    }
}

/// Who is said to call, where the route says it.
fn caller(targets: &Targets<'_>, numbers: &Numbers<'_>) -> Option<Normalised> {
    let own = targets.caller_id.filter(|_| !numbers.emergency);
    own.map(|number| Normalised::E164(*number))
}

fn attempt(
    Target { trunk, tariff }: &Target<'_>,
    (peer, doc): (usize, &PeerDoc),
    to_user: &Written,
    numbers: &Numbers<'_>,
    caller: Option<&Normalised>,
) -> Attempt {
    let calling = caller.or(numbers.calling.as_ref());
    let from_user = calling.map(|calling| written(trunk, calling, NumberOf::Calling));
    Attempt {
        trunk: trunk.name.clone(),
        peer,
        request_uri: numbers.request_uri(trunk, doc, &to_user.number),
        to_user: to_user.number.clone(),
        rewritten: caller.is_some() || numbers.are_rewritten(to_user, from_user.as_ref()),
        from_user: from_user.map(|from| from.number),
        from_host: trunk.from_host.clone(),
        presented: caller.is_some(),
        tariff: *tariff,
        cloud: None,
        hop: None,
    }
}
