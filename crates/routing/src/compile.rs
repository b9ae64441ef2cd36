//! From a document to a snapshot that answers quickly.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sip_msg::wire::TrunkName;
use thiserror::Error;

use crate::cover;
use crate::document::{Document, EmergencyDoc, RouteDoc, TrunkDoc};
use crate::hash;
use crate::index::{PatternIndex, RouteIndex};
use crate::pattern::{Pattern, PatternError};

/// Most routes of a document.
const MOST_ROUTES: usize = 100_000;
/// Most trunks of a document.
const MOST_TRUNKS: usize = 10_000;
/// Most peers of a trunk, and most targets of a route.
const MOST_PLACES: usize = 16;
/// Most rules about the numbers of a trunk.
const MOST_NUMBER_RULES: usize = 64;
/// Most emergency numbers beside those of the countries.
const MOST_EMERGENCY: usize = 100;
/// Most patterns of one list of a route.
const MOST_PATTERNS: usize = 10_000;

/// What a mistake of a document is in, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The document as a whole.
    Document,
    /// A trunk.
    Trunk(usize),
    /// A route.
    Route(usize),
    /// The order of trunks for emergency calls.
    Emergency,
}

/// What a document may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rule {
    /// Two trunks or two routes with one name, or none.
    #[error("names are not empty and given once")]
    Name,
    /// A trunk that is not in the document.
    #[error("no trunk has this name")]
    UnknownTrunk,
    /// A route that leads nowhere.
    #[error("a route names targets or an announcement, or a status to refuse with, not both")]
    NoTarget,
    /// A trunk without peers as a target.
    #[error("the trunk has no peers to send a call to")]
    NoPeers,
    /// One trunk twice among the targets.
    #[error("a trunk is a target once")]
    TargetTwice,
    /// A status that is no refusal.
    #[error("a call is refused with 400 to 699")]
    Status,
    /// What no emergency number is.
    #[error("an emergency number is 2 to 6 digits")]
    EmergencyNumber,
    /// A host that no Request-URI can have.
    #[error("not a host name or address")]
    Host,
    /// A pattern that cannot be read.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// A list beyond its bound.
    #[error("too many")]
    TooMany,
}

/// One mistake of a document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place:?}: {field}[{item}]: {rule}")]
pub struct CompileError {
    /// Trunk or route.
    pub place: Place,
    /// Key of the document: `name`, `peers`, `from`, `called`, `calling`, `to`, `reject`.
    pub field: &'static str,
    /// Which item of a list, from 0.
    pub item: usize,
    /// What is wrong.
    pub rule: Rule,
}

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

/// A route with its patterns read.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) doc: RouteDoc,
    pub(crate) called: Vec<Pattern>,
    pub(crate) calling: Vec<Pattern>,
}

/// Routes of one origin by the more selective of their two numbers.
#[derive(Debug, Default, Clone)]
pub(crate) struct OriginIndex {
    pub(crate) called: PatternIndex,
    pub(crate) calling: PatternIndex,
    pub(crate) always: Vec<RouteIndex>,
}

impl OriginIndex {
    fn insert(&mut self, route: &Route, index: RouteIndex) {
        let restricts =
            |patterns: &[Pattern]| !patterns.is_empty() && !patterns.iter().any(Pattern::is_any);
        if restricts(&route.called) {
            route
                .called
                .iter()
                .for_each(|pattern| self.called.insert(pattern, index));
        } else if restricts(&route.calling) {
            route
                .calling
                .iter()
                .for_each(|pattern| self.calling.insert(pattern, index));
        } else {
            self.always.push(index);
        }
    }

    pub(crate) fn candidates(
        &self,
        called: &str,
        calling: Option<&str>,
        out: &mut Vec<RouteIndex>,
    ) {
        self.called.candidates(called, out);
        if let Some(calling) = calling {
            self.calling.candidates(calling, out);
        }
        // In document order: nothing after the first of these can win against it.
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
        let trunks = check_trunks(document, &mut errors);
        let routes = check_routes(document, &trunks, &mut errors);
        check_emergency(&document.emergency, &trunks, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let (mut any_origin, mut by_origin) = (OriginIndex::default(), BTreeMap::new());
        for (index, route) in (0..).zip(&routes) {
            if route.doc.from.is_empty() {
                any_origin.insert(route, index);
            }
            for origin in &route.doc.from {
                let entry: &mut OriginIndex = by_origin.entry(origin.clone()).or_default();
                entry.insert(route, index);
            }
        }
        for index in by_origin.values_mut().chain([&mut any_origin]) {
            index.called.seal();
            index.calling.seal();
        }
        let hash = hash::of(document);
        let mut snapshot = Self {
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

    /// Routes that may match, in document order, each once.
    pub(crate) fn candidates(
        &self,
        origin: &TrunkName,
        called: &str,
        calling: Option<&str>,
    ) -> Vec<RouteIndex> {
        let mut found = Vec::new();
        self.any_origin.candidates(called, calling, &mut found);
        if let Some(index) = self.by_origin.get(origin) {
            index.candidates(called, calling, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn mistake(place: Place, field: &'static str, item: usize, rule: Rule) -> CompileError {
    CompileError {
        place,
        field,
        item,
        rule,
    }
}

fn check_trunks(
    document: &Document,
    errors: &mut Vec<CompileError>,
) -> BTreeMap<TrunkName, TrunkDoc> {
    let mut trunks = BTreeMap::new();
    for (index, trunk) in document.trunks.iter().enumerate() {
        let place = Place::Trunk(index);
        let known = trunks.insert(trunk.name.clone(), trunk.clone()).is_some();
        if known || trunk.name.as_str().is_empty() {
            errors.push(mistake(place, "name", 0, Rule::Name));
        }
        if trunk.peers.len() > MOST_PLACES {
            errors.push(mistake(place, "peers", MOST_PLACES, Rule::TooMany));
        }
        if trunk.rules.len() > MOST_NUMBER_RULES {
            errors.push(mistake(place, "numbers", MOST_NUMBER_RULES, Rule::TooMany));
        }
        for (item, peer) in trunk.peers.iter().enumerate() {
            if sip_msg::Host::parse(&peer.host).is_none() {
                errors.push(mistake(place, "peers", item, Rule::Host));
            }
        }
    }
    trunks
}

fn check_routes(
    document: &Document,
    trunks: &BTreeMap<TrunkName, TrunkDoc>,
    errors: &mut Vec<CompileError>,
) -> Vec<Route> {
    let mut names = BTreeMap::new();
    let mut routes = Vec::with_capacity(document.routes.len());
    for (index, doc) in document.routes.iter().enumerate() {
        let place = Place::Route(index);
        if doc.name.is_empty() || names.insert(doc.name.as_str(), index).is_some() {
            errors.push(mistake(place, "name", 0, Rule::Name));
        }
        for (item, origin) in doc.from.iter().enumerate() {
            if !trunks.contains_key(origin) {
                errors.push(mistake(place, "from", item, Rule::UnknownTrunk));
            }
        }
        check_targets(place, doc, trunks, errors);
        let called = read_patterns(place, "called", &doc.called, errors);
        let calling = read_patterns(place, "calling", &doc.calling, errors);
        let name = doc.name.as_str().into();
        routes.push(Route {
            name,
            doc: doc.clone(),
            called,
            calling,
        });
    }
    routes
}

fn check_targets(
    place: Place,
    doc: &RouteDoc,
    trunks: &BTreeMap<TrunkName, TrunkDoc>,
    errors: &mut Vec<CompileError>,
) {
    let leads_somewhere = !doc.to.is_empty() || doc.announcement.is_some();
    if leads_somewhere == doc.reject.is_some() {
        errors.push(mistake(place, "to", 0, Rule::NoTarget));
    }
    if doc.to.len() > MOST_PLACES {
        errors.push(mistake(place, "to", MOST_PLACES, Rule::TooMany));
    }
    if doc.reject.is_some_and(|status| status.code() < 400) {
        errors.push(mistake(place, "reject", 0, Rule::Status));
    }
    check_trunks_named(place, &doc.to, trunks, errors);
}

fn check_trunks_named(
    place: Place,
    targets: &[TrunkName],
    trunks: &BTreeMap<TrunkName, TrunkDoc>,
    errors: &mut Vec<CompileError>,
) {
    for (item, target) in targets.iter().enumerate() {
        let rule = match trunks.get(target) {
            None => Rule::UnknownTrunk,
            Some(trunk) if trunk.peers.is_empty() => Rule::NoPeers,
            Some(_) if targets[..item].contains(target) => Rule::TargetTwice,
            Some(_) => continue,
        };
        errors.push(mistake(place, "to", item, rule));
    }
}

fn check_emergency(
    emergency: &EmergencyDoc,
    trunks: &BTreeMap<TrunkName, TrunkDoc>,
    errors: &mut Vec<CompileError>,
) {
    let place = Place::Emergency;
    if emergency.to.len() > MOST_PLACES {
        errors.push(mistake(place, "to", MOST_PLACES, Rule::TooMany));
    }
    if emergency.numbers.len() > MOST_EMERGENCY {
        errors.push(mistake(place, "numbers", MOST_EMERGENCY, Rule::TooMany));
    }
    for (item, number) in emergency.numbers.iter().enumerate() {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !(2..=6).contains(&number.len()) {
            errors.push(mistake(place, "numbers", item, Rule::EmergencyNumber));
        }
    }
    check_trunks_named(place, &emergency.to, trunks, errors);
}

fn read_patterns(
    place: Place,
    field: &'static str,
    texts: &[String],
    errors: &mut Vec<CompileError>,
) -> Vec<Pattern> {
    if texts.len() > MOST_PATTERNS {
        errors.push(mistake(place, field, MOST_PATTERNS, Rule::TooMany));
        return Vec::new();
    }
    let mut patterns = Vec::with_capacity(texts.len());
    for (item, text) in texts.iter().enumerate() {
        match Pattern::parse(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => errors.push(mistake(place, field, item, Rule::Pattern(error))),
        }
    }
    patterns
}
