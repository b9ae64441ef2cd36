//! Which routes a number can match, without looking at the others.

use std::collections::BTreeMap;

use crate::pattern::{Kind, Pattern, Shape, numeric};

/// Position of a route in the document.
pub(crate) type RouteIndex = u32;

/// Routes by the patterns of one number.
#[derive(Debug, Default, Clone)]
pub(crate) struct PatternIndex {
    exact: BTreeMap<Box<str>, Vec<RouteIndex>>,
    /// Keyed by the literal beginning; patterns with wildcards elsewhere are checked again by the
    /// caller.
    prefix: BTreeMap<Box<str>, Vec<RouteIndex>>,
    longest_prefix: usize,
    ranges: BTreeMap<(bool, u8), Intervals>,
}

impl PatternIndex {
    pub(crate) fn insert(&mut self, pattern: &Pattern, route: RouteIndex) {
        match &pattern.kind {
            Kind::Exact => self
                .exact
                .entry(pattern.as_str().into())
                .or_default()
                .push(route),
            Kind::Prefix(literal) | Kind::Glob(literal) => {
                self.longest_prefix = self.longest_prefix.max(literal.len());
                self.prefix.entry(literal.clone()).or_default().push(route);
            }
            Kind::Range(range) => {
                let Shape { plus, digits } = range.shape;
                let interval = Interval {
                    first: range.first,
                    last: range.last,
                    route,
                };
                self.ranges
                    .entry((plus, digits))
                    .or_default()
                    .sorted
                    .push(interval);
            }
        }
    }

    /// An index of these.
    pub(crate) fn of<'a>(entries: impl Iterator<Item = (&'a Pattern, RouteIndex)>) -> Self {
        let mut index = Self::default();
        entries.for_each(|(pattern, entry)| index.insert(pattern, entry));
        index.seal();
        index
    }

    /// Makes ranges searchable; once, after the last insertion.
    pub(crate) fn seal(&mut self) {
        self.ranges.values_mut().for_each(Intervals::seal);
    }

    /// Adds every route that may match; in no order, possibly twice.
    pub(crate) fn candidates(&self, number: &str, out: &mut Vec<RouteIndex>) {
        out.extend(self.exact.get(number).into_iter().flatten());
        for end in 0..=number.len().min(self.longest_prefix) {
            let Some(beginning) = number.get(..end) else {
                continue;
            };
            out.extend(self.prefix.get(beginning).into_iter().flatten());
        }
        if let Some((shape, value)) = numeric(number)
            && let Some(intervals) = self.ranges.get(&(shape.plus, shape.digits))
        {
            intervals.containing(value, out);
        }
    }

    /// The most special entry: the number itself, the narrowest range, the longest prefix. Only
    /// where no pattern has wildcards but at its end.
    pub(crate) fn most_special(&self, number: &str) -> Option<RouteIndex> {
        if let Some(found) = self.exact.get(number) {
            return found.first().copied();
        }
        if let Some((shape, value)) = numeric(number)
            && let Some(intervals) = self.ranges.get(&(shape.plus, shape.digits))
            && let Some(found) = intervals.narrowest(value)
        {
            return Some(found);
        }
        let longest = number.len().min(self.longest_prefix);
        let beginnings = (0..=longest).rev().filter_map(|end| number.get(..end));
        let mut found = beginnings.filter_map(|beginning| self.prefix.get(beginning));
        found.next().and_then(|found| found.first().copied())
    }
}

#[derive(Debug, Clone, Copy)]
struct Interval {
    first: u64,
    last: u64,
    route: RouteIndex,
}

/// Intervals sorted by their first end, as an implicit balanced tree: the node of a slice is its
/// middle, and `reach` there is the greatest last end within the slice.
#[derive(Debug, Default, Clone)]
struct Intervals {
    sorted: Vec<Interval>,
    reach: Vec<u64>,
}

impl Intervals {
    fn seal(&mut self) {
        self.sorted
            .sort_by_key(|interval| (interval.first, interval.route));
        self.reach = vec![0; self.sorted.len()];
        let end = self.sorted.len();
        self.fill(0, end);
    }

    fn fill(&mut self, start: usize, end: usize) -> u64 {
        if start == end {
            return 0;
        }
        let middle = start.midpoint(end);
        let below = self.fill(start, middle).max(self.fill(middle + 1, end));
        self.reach[middle] = below.max(self.sorted[middle].last);
        self.reach[middle]
    }

    fn containing(&self, value: u64, out: &mut Vec<RouteIndex>) {
        self.search(0, self.sorted.len(), value, &mut |found| {
            out.push(found.route);
        });
    }

    fn narrowest(&self, value: u64) -> Option<RouteIndex> {
        let mut best: Option<Interval> = None;
        let width = |interval: &Interval| interval.last - interval.first;
        self.search(0, self.sorted.len(), value, &mut |found| {
            if best.is_none_or(|best| width(&found) < width(&best)) {
                best = Some(found);
            }
        });
        best.map(|found| found.route)
    }

    // As deep as the logarithm of the number of ranges.
    fn search(&self, start: usize, end: usize, value: u64, found: &mut impl FnMut(Interval)) {
        let middle = start.midpoint(end);
        if start == end || self.reach[middle] < value {
            return;
        }
        self.search(start, middle, value, found);
        let interval = self.sorted[middle];
        if interval.first <= value {
            if value <= interval.last {
                found(interval);
            }
            self.search(middle + 1, end, value, found);
        }
    }
}
