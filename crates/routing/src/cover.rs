//! Routes that another one makes useless.

use crate::compile::{Route, Snapshot, Warning, WarningKind};
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
    let calling = route.calling.first().map(samples);
    let calling = calling.as_ref().map(|[first, _]| first.as_str());
    let called = route.called.first().map_or_else(Default::default, samples);
    let origins = [&snapshot.any_origin].into_iter();
    let own = route
        .doc
        .from
        .first()
        .and_then(|origin| snapshot.by_origin.get(origin));
    for origin in origins.chain(own) {
        for called in &called {
            origin.candidates(called, calling, &mut found);
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
        && list_covers(&earlier.called, &later.called)
        && calling_covers(earlier, later)
}

/// A route without trunk groups takes every call, one with some only calls that name them.
fn groups_cover(earlier: &Route, later: &Route) -> bool {
    let groups = &earlier.doc.trunk_groups;
    groups.is_empty() || *groups == later.doc.trunk_groups
}

fn calling_covers(earlier: &Route, later: &Route) -> bool {
    // A pattern never matches a call without a calling number; an empty list does.
    earlier.calling.is_empty()
        || (!later.calling.is_empty() && list_covers(&earlier.calling, &later.calling))
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
        let crossing = |later: &Pattern| earlier.called.iter().any(|outer| crosses(outer, later));
        later.called.iter().any(crossing)
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
