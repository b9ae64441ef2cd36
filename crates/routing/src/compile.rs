//! From a document to a snapshot that answers quickly.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use e164::{E164Number, NumberType};
use sip_msg::wire::TrunkName;

use crate::check::{self, MOST_ROUTES, MOST_TRUNKS, mistake};
use crate::cloud::CloudDoc;
use crate::condition::{HeaderTest, ListIndex, NumberTest};
use crate::cover;
use crate::document::{Document, EmergencyDoc, RouteDoc, TrunkDoc};
use crate::hash;
use crate::index::{PatternIndex, RouteIndex};
use crate::limits::{LimitDoc, Limits};
use crate::list::{NumberOwners, Owner};
use crate::mistake::{CompileError, Place, Rule};
use crate::numbers::Numbers;
use crate::rates::RateTable;
use crate::schedule::Schedule;

/// Something a document may do and hardly means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// The route concerned, from 0.
    pub route: usize,
    /// What about it.
    pub kind: WarningKind,
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind {
    /// The route can never match: this earlier one takes all its calls.
    Shadowed {
        /// The earlier route, from 0.
        by: usize,
    },
    /// This earlier route takes some numbers of a range it overlaps and leads elsewhere.
    Ambiguous {
        /// The earlier route, from 0.
        with: usize,
    },
    /// This target is skipped for calls that come from it, which `from` names.
    TargetIsOrigin {
        /// Which item of `to`, from 0.
        target: usize,
    },
}

/// A route with everything in it read.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) doc: RouteDoc,
    pub(crate) called: NumberTest,
    pub(crate) calling: NumberTest,
    pub(crate) during: Vec<u32>,
    pub(crate) outside: Vec<u32>,
    pub(crate) headers: Vec<HeaderTest>,
    pub(crate) caller_id: Option<E164Number>,
}

impl Route {
    /// Whether it takes every call of its origins.
    fn is_open(&self) -> bool {
        let doc = &self.doc;
        !self.called.restricts()
            && self.called.is.is_empty()
            && doc.calling.is_empty()
            && self.calling.is.is_empty()
            && [
                doc.trunk_groups.len(),
                doc.headers.len(),
                doc.during.len(),
                doc.outside.len(),
            ] == [0; 4]
    }
}

/// What of a call routes are found by.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Probe<'a> {
    pub(crate) called: &'a str,
    pub(crate) called_lists: &'a [ListIndex],
    pub(crate) country: Option<&'a str>,
    pub(crate) kind: Option<NumberType>,
    pub(crate) calling: Option<&'a str>,
    pub(crate) calling_lists: &'a [ListIndex],
}

impl<'a> Probe<'a> {
    fn of(numbers: &'a Numbers<'_>) -> Self {
        let calling = numbers.calling_is.as_ref();
        Self {
            called: &numbers.called_text,
            called_lists: &numbers.called_is.lists,
            country: numbers.called_is.class.country,
            kind: Some(numbers.called_is.class.kind),
            calling: numbers.calling_text.as_deref(),
            calling_lists: calling.map_or(&[], |calling| &calling.lists),
        }
    }
}

type By<K> = BTreeMap<K, Vec<RouteIndex>>;

/// Routes of one origin, each by what leaves most calls out.
#[derive(Debug, Default, Clone)]
pub(crate) struct OriginIndex {
    called: PatternIndex,
    called_lists: By<ListIndex>,
    countries: By<String>,
    kinds: By<NumberType>,
    calling: PatternIndex,
    calling_lists: By<ListIndex>,
    always: Vec<RouteIndex>,
    /// A route among `always` takes every call: none after it is ever asked.
    closed: bool,
}

impl OriginIndex {
    fn insert(&mut self, route: &Route, index: RouteIndex) {
        let (called, calling) = (&route.called, &route.calling);
        let number = |patterns: &mut PatternIndex, lists: &mut By<ListIndex>, test: &NumberTest| {
            for pattern in &test.patterns {
                patterns.insert(pattern, index);
            }
            for list in &test.lists {
                lists.entry(*list).or_default().push(index);
            }
        };
        if called.restricts() {
            number(&mut self.called, &mut self.called_lists, called);
        } else if !called.is.countries.is_empty() {
            for country in &called.is.countries {
                let key = country.to_ascii_uppercase();
                self.countries.entry(key).or_default().push(index);
            }
        } else if !called.is.types.is_empty() {
            for kind in &called.is.types {
                self.kinds.entry(*kind).or_default().push(index);
            }
        } else if calling.restricts() {
            number(&mut self.calling, &mut self.calling_lists, calling);
        } else if !self.closed {
            self.always.push(index);
            self.closed = route.is_open();
        }
    }

    fn seal(&mut self) {
        self.called.seal();
        self.calling.seal();
    }

    /// Adds every route that may match; in no order, possibly twice.
    pub(crate) fn candidates(&self, probe: &Probe<'_>, out: &mut Vec<RouteIndex>) {
        self.called.candidates(probe.called, out);
        if let Some(calling) = probe.calling {
            self.calling.candidates(calling, out);
        }
        for (lists, by) in [
            (probe.called_lists, &self.called_lists),
            (probe.calling_lists, &self.calling_lists),
        ] {
            if !by.is_empty() {
                out.extend(lists.iter().filter_map(|list| by.get(list)).flatten());
            }
        }
        let country = probe.country.filter(|_| !self.countries.is_empty());
        out.extend(
            country
                .and_then(|country| self.countries.get(country))
                .into_iter()
                .flatten(),
        );
        let kind = probe.kind.filter(|_| !self.kinds.is_empty());
        out.extend(
            kind.and_then(|kind| self.kinds.get(&kind))
                .into_iter()
                .flatten(),
        );
        out.extend(&self.always);
    }
}

/// A compiled document. Immutable; share it behind an `Arc`.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) trunks: BTreeMap<TrunkName, TrunkDoc>,
    pub(crate) routes: Vec<Route>,
    pub(crate) emergency: EmergencyDoc,
    pub(crate) any_origin: OriginIndex,
    pub(crate) by_origin: BTreeMap<TrunkName, OriginIndex>,
    /// Which lists a number is in.
    pub(crate) in_lists: PatternIndex,
    pub(crate) owners: NumberOwners,
    /// Which entry of `owners` a number has.
    pub(crate) owned: PatternIndex,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) rates: BTreeMap<String, RateTable>,
    pub(crate) limits: Limits,
    pub(crate) cloud: Option<CloudDoc>,
    header_names: Vec<String>,
    hash: [u8; 32],
    warnings: Vec<Warning>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trunks, routes) = (self.trunks.len(), self.routes.len());
        write!(f, "Snapshot({trunks} trunks, {routes} routes)")
    }
}

impl Snapshot {
    /// Compiles a document.
    ///
    /// # Errors
    /// Every mistake of the document, in its order.
    pub fn compile(document: &Document) -> Result<Self, Vec<CompileError>> {
        let mut errors = Vec::new();
        if document.routes.len() > MOST_ROUTES {
            errors.push(mistake(Place::Document, "route", 0, Rule::TooMany));
        }
        if document.trunks.len() > MOST_TRUNKS {
            errors.push(mistake(Place::Document, "trunk", 0, Rule::TooMany));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        e164::prepare();
        let lists = check::names(&document.lists, Place::List, &mut errors);
        let rates = check::names(&document.rates, Place::Rates, &mut errors);
        let mut trunks = check::trunks(document, &rates, &mut errors);
        check::cloud(document, &rates, &mut trunks, &mut errors);
        let schedules = check::schedules(document, &mut errors);
        let known = check::Known {
            document,
            trunks: &trunks,
            lists: &lists,
        };
        let routes = check::routes(&known, &mut errors);
        check::emergency(&document.emergency, &trunks, &mut errors);
        let limits = check::limits(&known, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let (any_origin, by_origin) = by_origin(&trunks, &routes);
        let hash = hash::of(document);
        let header_names = routes
            .iter()
            .flat_map(|route| &route.headers)
            .map(|test| test.name.to_ascii_lowercase())
            .collect::<BTreeSet<_>>();
        let lists = document.lists.iter().map(|(_, list)| &list.patterns);
        let lists = (0..).zip(lists);
        let in_lists = lists.flat_map(|(index, list)| list.iter().map(move |one| (one, index)));
        let owned = (0..).zip(document.owners.entries.iter());
        let mut snapshot = Self {
            in_lists: PatternIndex::of(in_lists),
            owned: PatternIndex::of(owned.map(|(index, (pattern, _))| (pattern, index))),
            owners: document.owners.clone(),
            schedules,
            rates: document.rates.iter().cloned().collect(),
            limits: Limits::new(limits),
            cloud: document.cloud.clone(),
            header_names: header_names.into_iter().collect(),
            trunks,
            routes,
            emergency: document.emergency.clone(),
            any_origin,
            by_origin,
            hash,
            warnings: Vec::new(),
        };
        snapshot.warnings = cover::warnings(&snapshot);
        Ok(snapshot)
    }

    /// SHA-256 of the document's content: equal documents have equal hashes, in every version of
    /// this crate that reads them alike.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// What the document hardly means.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// A trunk by name.
    #[must_use]
    pub fn trunk(&self, name: &TrunkName) -> Option<&TrunkDoc> {
        self.trunks.get(name)
    }

    /// Whose a normalised number is, as conditions of routes see it.
    #[must_use]
    pub fn owner(&self, number: &str) -> Option<Owner> {
        let owner = self.owned.most_special(number)?;
        let (_, owner) = self.owners.entries.get(usize::try_from(owner).ok()?)?;
        Some(*owner)
    }

    /// How many routes there are.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// The name of a route, from 0 in document order.
    #[must_use]
    pub fn route_name(&self, route: usize) -> Option<&str> {
        self.routes.get(route).map(|route| &*route.name)
    }

    /// The header fields that routes look at, in lower case: what a
    /// [`Question`](crate::Question) has to say of a call.
    #[must_use]
    pub fn header_names(&self) -> &[String] {
        &self.header_names
    }

    /// The limits, in document order.
    pub fn limits(&self) -> impl Iterator<Item = &LimitDoc> {
        self.limits.all.iter().map(|limit| &limit.doc)
    }

    /// The names of the limits that count a call of that origin over that route to that trunk;
    /// each once.
    #[must_use]
    pub fn counting(&self, origin: &TrunkName, route: &str, target: &TrunkName) -> Vec<Arc<str>> {
        let Some(origin) = self.trunks.get(origin) else {
            return Vec::new();
        };
        let of_target = self.limits.of_target(target);
        let of_call = self.limits.of_call(origin, route);
        let all = of_call.into_iter().chain(of_target);
        let names = all.filter(|limit| limit.doc.counts());
        let names: BTreeSet<_> = names.map(|limit| limit.name.clone()).collect();
        names.into_iter().collect()
    }

    /// Routes that may match, in document order, each once.
    pub(crate) fn candidates(&self, numbers: &Numbers<'_>) -> Vec<RouteIndex> {
        let (mut found, probe) = (Vec::new(), Probe::of(numbers));
        self.any_origin.candidates(&probe, &mut found);
        if let Some(index) = self.by_origin.get(&numbers.origin.name) {
            index.candidates(&probe, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Routes by the trunk a call comes from, and those of every trunk.
fn by_origin(
    trunks: &BTreeMap<TrunkName, TrunkDoc>,
    routes: &[Route],
) -> (OriginIndex, BTreeMap<TrunkName, OriginIndex>) {
    let (mut any, mut by_origin) = (OriginIndex::default(), BTreeMap::new());
    for (index, route) in (0..).zip(routes) {
        let doc = &route.doc;
        let of_customers = trunks.values().filter(|trunk| {
            let own = trunk.customer.as_ref();
            own.is_some_and(|own| doc.customers.contains(own))
        });
        let origins: Vec<&TrunkName> = match (doc.from.is_empty(), doc.customers.is_empty()) {
            (true, true) => {
                any.insert(route, index);
                continue;
            }
            (true, false) => of_customers.map(|trunk| &trunk.name).collect(),
            (false, _) => doc.from.iter().collect(),
        };
        for origin in origins {
            let entry: &mut OriginIndex = by_origin.entry(origin.clone()).or_default();
            entry.insert(route, index);
        }
    }
    by_origin
        .values_mut()
        .chain([&mut any])
        .for_each(OriginIndex::seal);
    (any, by_origin)
}
