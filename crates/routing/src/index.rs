//! Which routes a number can match, without looking at the others.

use std::collections::BTreeMap;

use fst::raw::Output;

use crate::pattern::{Kind, Pattern, Shape, numeric};

/// Position of a route in the document.
pub(crate) type RouteIndex = u32;

/// Routes by the patterns of one number.
#[derive(Debug, Default, Clone)]
pub(crate) struct PatternIndex {
    exact: Texts,
    /// Keyed by the literal beginning; patterns with wildcards elsewhere are checked again by the
    /// caller.
    prefix: Texts,
    ranges: BTreeMap<(bool, u8), Intervals>,
}

impl PatternIndex {
    pub(crate) fn insert(&mut self, pattern: &Pattern, route: RouteIndex) {
        match &pattern.kind {
            Kind::Exact => self.exact.insert(pattern.as_str(), route),
            Kind::Prefix(literal) | Kind::Glob(literal) => self.prefix.insert(literal, route),
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

    /// Makes it searchable; once, after the last insertion.
    pub(crate) fn seal(&mut self) {
        self.exact.seal();
        self.prefix.seal();
        self.ranges.values_mut().for_each(Intervals::seal);
    }

    /// Adds every route that may match; in no order, possibly twice.
    pub(crate) fn candidates(&self, number: &str, out: &mut Vec<RouteIndex>) {
        out.extend(self.exact.get(number));
        self.prefix.beginnings(number, |found| out.extend(found));
        if let Some((shape, value)) = numeric(number)
            && let Some(intervals) = self.ranges.get(&(shape.plus, shape.digits))
        {
            intervals.containing(value, out);
        }
    }

    /// The most special entry: the number itself, the narrowest range, the longest prefix. Only
    /// where no pattern has wildcards but at its end.
    pub(crate) fn most_special(&self, number: &str) -> Option<RouteIndex> {
        if let Some(found) = self.exact.get(number).first() {
            return Some(*found);
        }
        if let Some((shape, value)) = numeric(number)
            && let Some(intervals) = self.ranges.get(&(shape.plus, shape.digits))
            && let Some(found) = intervals.narrowest(value)
        {
            return Some(found);
        }
        let mut longest = None;
        self.prefix
            .beginnings(number, |found| longest = found.first().copied());
        longest
    }
}

/// Texts, each with the routes that have it: sealed into an automaton that is asked one character
/// at a time, so that a look-up costs the same however many texts there are.
#[derive(Debug, Default, Clone)]
struct Texts {
    /// Before it is sealed.
    open: BTreeMap<Box<str>, Vec<RouteIndex>>,
    automaton: Option<fst::Map<Vec<u8>>>,
    /// What the automaton's values count.
    routes: Vec<Box<[RouteIndex]>>,
}

impl Texts {
    fn insert(&mut self, text: &str, route: RouteIndex) {
        self.open.entry(text.into()).or_default().push(route);
    }

    fn seal(&mut self) {
        let open = std::mem::take(&mut self.open);
        if open.is_empty() {
            return;
        }
        let keys = (0_u64..)
            .zip(open.keys())
            .map(|(at, text)| (text.as_bytes(), at));
        let automaton = fst::Map::from_iter(keys).expect("a map's keys are sorted, each once");
        self.automaton = Some(automaton);
        self.routes = open.into_values().map(Vec::into_boxed_slice).collect();
    }

    fn at(&self, value: u64) -> &[RouteIndex] {
        let at = usize::try_from(value).ok();
        at.and_then(|at| self.routes.get(at))
            .map_or(&[], |found| found)
    }

    /// The routes of exactly this text.
    fn get(&self, text: &str) -> &[RouteIndex] {
        let automaton = self.automaton.as_ref();
        let found = automaton.and_then(|automaton| automaton.get(text));
        found.map_or(&[], |value| self.at(value))
    }

    /// The routes of every text that `number` begins with, the shortest first.
    fn beginnings<'a>(&'a self, number: &str, mut found: impl FnMut(&'a [RouteIndex])) {
        let Some(automaton) = &self.automaton else {
            return;
        };
        let automaton = automaton.as_fst();
        let (mut node, mut sum) = (automaton.root(), Output::zero());
        if node.is_final() {
            found(self.at(node.final_output().value()));
        }
        for byte in number.bytes() {
            let Some(at) = node.find_input(byte) else {
                return;
            };
            let transition = node.transition(at);
            sum = sum.cat(transition.out);
            node = automaton.node(transition.addr);
            if node.is_final() {
                found(self.at(sum.cat(node.final_output()).value()));
            }
        }
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
