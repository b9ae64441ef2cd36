//! Routes that another one makes useless.

use crate::compile::{Probe, Route, Snapshot, Warning, WarningKind};
use crate::condition::NumberTest;
use crate::pattern::{Kind, Pattern, Range};

/// Looks at each route against the earlier ones that match a number of its own.
pub(crate) fn warnings(snapshot: &Snapshot) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, route) in snapshot.routes.iter().enumerate() {
        let earlier = earlier(snapshot, index, route);
        let routes = &snapshot.routes;
        if let Some(by) = earlier
            .iter()
            .copied()
            .find(|&other| covers(&routes[other], route))
        {
            warnings.push(Warning {
                route: index,
                kind: WarningKind::Shadowed { by },
            });
        } else {
            let overlapping = |&other: &usize| overlaps(&routes[other], route);
            if let Some(with) = earlier.iter().copied().find(overlapping) {
                warnings.push(Warning {
                    route: index,
                    kind: WarningKind::Ambiguous { with },
                });
            }
        }
        for (target, trunk) in route.doc.to.iter().enumerate() {
            if !route.doc.hairpin && route.doc.from.contains(trunk) {
                let kind = WarningKind::TargetIsOrigin { target };
                warnings.push(Warning { route: index, kind });
            }
        }
    }
    warnings
}

/// Earlier routes that match one of the ends of this route's first patterns.
fn earlier(snapshot: &Snapshot, index: usize, route: &Route) -> Vec<usize> {
    let mut found = Vec::new();
    let calling = route.calling.patterns.first().map(samples);
    let calling = calling.as_ref().map(|[first, _]| first.as_str());
    let called = route.called.patterns.first();
    let called = called.map_or_else(Default::default, samples);
    let country = route.called.is.countries.first();
    let country = country.map(|country| country.to_ascii_uppercase());
    let origins = [&snapshot.any_origin].into_iter();
    let first = match (route.doc.from.first(), route.doc.customers.first()) {
        (Some(origin), _) => Some(origin),
        (None, Some(customer)) => {
            let mut trunks = snapshot.trunks.values();
            let own = trunks.find(|trunk| trunk.customer.as_ref() == Some(customer));
            own.map(|trunk| &trunk.name)
        }
        (None, None) => None,
    };
    let own = first.and_then(|origin| snapshot.by_origin.get(origin));
    for origin in origins.chain(own) {
        for called in &called {
            let probe = Probe {
                called,
                called_lists: &route.called.lists,
                country: country.as_deref(),
                kind: route.called.is.types.first().copied(),
                calling,
                calling_lists: &route.calling.lists,
            };
            origin.candidates(&probe, &mut found);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .map(|other| other as usize)
        .take_while(|&other| other < index)
        .collect()
}

/// Two numbers a pattern matches; an earlier pattern that covers it matches both.
fn samples(pattern: &Pattern) -> [String; 2] {
    match &pattern.kind {
        Kind::Exact => [pattern.as_str().to_owned(), pattern.as_str().to_owned()],
        Kind::Prefix(literal) => [literal.to_string(), literal.to_string()],
        Kind::Range(range) => [written(range, range.first), written(range, range.last)],
        Kind::Glob(_) => {
            let sample = pattern.as_str().replace('*', "").replace('?', "0");
            [sample.clone(), sample]
        }
    }
}

fn written(range: &Range, value: u64) -> String {
    let plus = if range.shape.plus { "+" } else { "" };
    format!(
        "{plus}{value:0width$}",
        width = usize::from(range.shape.digits)
    )
}

/// Whether `earlier` takes every call of `later`.
fn covers(earlier: &Route, later: &Route) -> bool {
    let origins = earlier.doc.from.is_empty()
        || (!later.doc.from.is_empty()
            && later
                .doc
                .from
                .iter()
                .all(|origin| earlier.doc.from.contains(origin)));
    origins
        && groups_cover(earlier, later)
        && numbers_cover(&earlier.called, &later.called)
        && calling_covers(earlier, later)
        && conditions_cover(earlier, later)
}

/// A condition is met by every call that meets the same one; of other ones nobody can tell.
fn conditions_cover(earlier: &Route, later: &Route) -> bool {
    fn covers<T: PartialEq>(earlier: &[T], later: &[T]) -> bool {
        earlier.is_empty() || earlier == later
    }
    let (one, other) = (&earlier.doc, &later.doc);
    covers(&one.customers, &other.customers)
        && covers(&one.during, &other.during)
        && covers(&one.outside, &other.outside)
        && covers(&one.headers, &other.headers)
}

/// A route without trunk groups takes every call, one with some only calls that name them.
fn groups_cover(earlier: &Route, later: &Route) -> bool {
    let groups = &earlier.doc.trunk_groups;
    groups.is_empty() || *groups == later.doc.trunk_groups
}

fn calling_covers(earlier: &Route, later: &Route) -> bool {
    // A pattern never matches a call without a calling number; an empty list does.
    let asks = |route: &Route| !route.doc.calling.is_empty() || !route.calling.is.is_empty();
    !asks(earlier) || (asks(later) && numbers_cover(&earlier.calling, &later.calling))
}

fn numbers_cover(earlier: &NumberTest, later: &NumberTest) -> bool {
    fn covers<T: PartialEq>(earlier: &[T], later: &[T]) -> bool {
        earlier.is_empty() || earlier == later
    }
    let is = covers(&earlier.is.types, &later.is.types)
        && covers(&earlier.is.countries, &later.is.countries)
        && covers(&earlier.is.owners, &later.is.owners);
    let numbers = if earlier.lists.is_empty() && later.lists.is_empty() {
        list_covers(&earlier.patterns, &later.patterns)
    } else {
        !earlier.restricts() || (earlier.lists == later.lists && earlier.patterns == later.patterns)
    };
    is && numbers
}

fn list_covers(earlier: &[Pattern], later: &[Pattern]) -> bool {
    if earlier.is_empty() || earlier.iter().any(Pattern::is_any) {
        return true;
    }
    let covered = |inner: &Pattern| earlier.iter().any(|outer| pattern_covers(outer, inner));
    !later.is_empty() && later.iter().all(covered)
}

/// Whether every number `inner` matches is matched by `outer`; false when that is not plain.
fn pattern_covers(outer: &Pattern, inner: &Pattern) -> bool {
    if outer.as_str() == inner.as_str() || outer.is_any() {
        return true;
    }
    match (&outer.kind, &inner.kind) {
        (_, Kind::Exact) => outer.matches(inner.as_str()),
        (Kind::Prefix(outer), Kind::Prefix(inner) | Kind::Glob(inner)) => {
            inner.starts_with(&**outer)
        }
        (Kind::Prefix(prefix), Kind::Range(range)) => {
            written(range, range.first).starts_with(&**prefix)
                && written(range, range.last).starts_with(&**prefix)
        }
        (Kind::Range(outer), Kind::Range(inner)) => {
            outer.shape == inner.shape && outer.first <= inner.first && inner.last <= outer.last
        }
        _ => false,
    }
}

/// Whether ranges of both routes share some numbers, neither containing the other, and calls from
/// one origin meet both.
fn overlaps(earlier: &Route, later: &Route) -> bool {
    let origins = earlier.doc.from.is_empty()
        || later.doc.from.is_empty()
        || later
            .doc
            .from
            .iter()
            .any(|origin| earlier.doc.from.contains(origin));
    let same_end = earlier.doc.to == later.doc.to
        && earlier.doc.announcement == later.doc.announcement
        && earlier.doc.reject == later.doc.reject;
    origins && !same_end && {
        let outer = &earlier.called.patterns;
        let crossing = |later: &Pattern| outer.iter().any(|outer| crosses(outer, later));
        later.called.patterns.iter().any(crossing)
    }
}

fn crosses(one: &Pattern, other: &Pattern) -> bool {
    let (Kind::Range(one), Kind::Range(other)) = (&one.kind, &other.kind) else {
        return false;
    };
    let disjoint = one.last < other.first || other.last < one.first;
    let contains =
        |outer: &Range, inner: &Range| outer.first <= inner.first && inner.last <= outer.last;
    one.shape == other.shape && !disjoint && !contains(one, other) && !contains(other, one)
}
