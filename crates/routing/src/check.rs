//! What a document has to be before it is compiled.

use std::collections::BTreeMap;

use e164::{E164Number, country_of_numbers};
use sip_msg::wire::TrunkName;

use crate::cloud::{CLOUD_CALLING, MOST_CALLER_IDS};
use crate::compile::Route;
use crate::condition::{HeaderTest, ListIndex, NumberTest};
use crate::document::{Document, EmergencyDoc, NumberConditions, Pick, RouteDoc, TrunkDoc};
use crate::limits::{Limit, LimitDoc};
use crate::mistake::{CompileError, Place, Rule};
use crate::pattern::Pattern;
use crate::rates::RateTable;
use crate::schedule::Schedule;

/// Most routes of a document.
pub(crate) const MOST_ROUTES: usize = 100_000;
/// Most trunks of a document.
pub(crate) const MOST_TRUNKS: usize = 10_000;
/// Most lists, schedules and tables of rates, each.
const MOST_TABLES: usize = 1_000;
/// Most limits beside those of trunks.
const MOST_LIMITS: usize = 10_000;
/// Most peers of a trunk, targets of a route, and header fields a route asks for.
const MOST_PLACES: usize = 16;
/// Most rules about the numbers of a trunk.
const MOST_NUMBER_RULES: usize = 64;
/// Most emergency numbers beside those of the countries.
const MOST_EMERGENCY: usize = 100;
/// Most patterns of one list of a route.
const MOST_PATTERNS: usize = 10_000;
/// How routes speak of a list of numbers.
const LIST: &str = "list:";
/// The longest call that prices are compared by, in seconds.
const LONGEST_CALL: u32 = 86_400;

/// What routes and limits speak of.
pub(crate) struct Known<'a> {
    pub(crate) document: &'a Document,
    pub(crate) trunks: &'a BTreeMap<TrunkName, TrunkDoc>,
    pub(crate) lists: &'a BTreeMap<&'a str, usize>,
}

impl Known<'_> {
    fn has_customer(&self, customer: &String) -> bool {
        let mut trunks = self.document.trunks.iter();
        trunks.any(|trunk| trunk.customer.as_ref() == Some(customer))
    }
}

pub(crate) fn mistake(place: Place, field: &'static str, item: usize, rule: Rule) -> CompileError {
    CompileError {
        place,
        field,
        item,
        rule,
    }
}

/// Things by their names, each of which is given once.
pub(crate) fn names<'a, T>(
    things: &'a [(String, T)],
    place: fn(usize) -> Place,
    errors: &mut Vec<CompileError>,
) -> BTreeMap<&'a str, usize> {
    let mut known = BTreeMap::new();
    if things.len() > MOST_TABLES {
        errors.push(mistake(place(MOST_TABLES), "name", 0, Rule::TooMany));
    }
    for (index, (name, _)) in things.iter().enumerate() {
        if name.is_empty() || known.insert(name.as_str(), index).is_some() {
            errors.push(mistake(place(index), "name", 0, Rule::Name));
        }
    }
    known
}

pub(crate) fn schedules(document: &Document, errors: &mut Vec<CompileError>) -> Vec<Schedule> {
    let docs = &document.schedules;
    if docs.len() > MOST_TABLES {
        errors.push(mistake(
            Place::Schedule(MOST_TABLES),
            "name",
            0,
            Rule::TooMany,
        ));
    }
    let mut schedules = Vec::with_capacity(docs.len());
    for (index, doc) in docs.iter().enumerate() {
        let place = Place::Schedule(index);
        let twice = docs[..index].iter().any(|other| other.name == doc.name);
        if doc.name.is_empty() || twice {
            errors.push(mistake(place, "name", 0, Rule::Name));
        }
        match Schedule::compile(doc) {
            Ok(schedule) => schedules.push(schedule),
            Err(faults) => errors.extend(
                faults
                    .into_iter()
                    .map(|(field, item, fault)| mistake(place, field, item, fault.into())),
            ),
        }
    }
    schedules
}

pub(crate) fn trunks(
    document: &Document,
    rates: &BTreeMap<&str, usize>,
    errors: &mut Vec<CompileError>,
) -> BTreeMap<TrunkName, TrunkDoc> {
    let mut trunks = BTreeMap::new();
    for (index, trunk) in document.trunks.iter().enumerate() {
        let place = Place::Trunk(index);
        let known = trunks.insert(trunk.name.clone(), trunk.clone()).is_some();
        let reserved = trunk.name.as_str() == CLOUD_CALLING;
        if known || reserved || trunk.name.as_str().is_empty() {
            errors.push(mistake(place, "name", 0, Rule::Name));
        }
        if trunk.peers.len() > MOST_PLACES {
            errors.push(mistake(place, "peers", MOST_PLACES, Rule::TooMany));
        }
        if trunk.rules.len() > MOST_NUMBER_RULES {
            errors.push(mistake(place, "numbers", MOST_NUMBER_RULES, Rule::TooMany));
        }
        if let Some(name) = &trunk.rates
            && !rates.contains_key(name.as_str())
        {
            errors.push(mistake(place, "rates", 0, Rule::UnknownRates));
        }
        for (item, peer) in trunk.peers.iter().enumerate() {
            if sip_msg::Host::parse(&peer.host).is_none() {
                errors.push(mistake(place, "peers", item, Rule::Host));
            }
        }
    }
    trunks
}

/// Adds the target that Azure Cloud Calling is, where it is one.
pub(crate) fn cloud(
    document: &Document,
    rates: &BTreeMap<&str, usize>,
    trunks: &mut BTreeMap<TrunkName, TrunkDoc>,
    errors: &mut Vec<CompileError>,
) {
    let Some(cloud) = &document.cloud else { return };
    let place = Place::Cloud;
    match trunks.get(&cloud.trunk) {
        None => errors.push(mistake(place, "trunk", 0, Rule::UnknownTrunk)),
        Some(trunk) => {
            let target = cloud.target(trunk);
            trunks.insert(target.name.clone(), target);
        }
    }
    if cloud.caller_ids.is_empty() {
        errors.push(mistake(place, "caller_ids", 0, Rule::NoCallerId));
    }
    if cloud.caller_ids.len() > MOST_CALLER_IDS {
        errors.push(mistake(place, "caller_ids", MOST_CALLER_IDS, Rule::TooMany));
    }
    if let Some(name) = &cloud.rates
        && !rates.contains_key(name.as_str())
    {
        errors.push(mistake(place, "rates", 0, Rule::UnknownRates));
    }
}

pub(crate) fn routes(known: &Known<'_>, errors: &mut Vec<CompileError>) -> Vec<Route> {
    let docs = &known.document.routes;
    let mut names = BTreeMap::new();
    let mut routes = Vec::with_capacity(docs.len());
    for (index, doc) in docs.iter().enumerate() {
        let place = Place::Route(index);
        if doc.name.is_empty() || names.insert(doc.name.as_str(), index).is_some() {
            errors.push(mistake(place, "name", 0, Rule::Name));
        }
        check_trunks_known(place, "from", &doc.from, known, errors);
        for (item, customer) in doc.customers.iter().enumerate() {
            if !known.has_customer(customer) {
                errors.push(mistake(place, "customers", item, Rule::UnknownCustomer));
            }
        }
        check_targets(place, doc, known, errors);
        let called = (doc.called.as_slice(), &doc.called_is);
        let called = number_test(place, ["called", "called_countries"], called, known, errors);
        let calling = (doc.calling.as_slice(), &doc.calling_is);
        let calling = number_test(
            place,
            ["calling", "calling_countries"],
            calling,
            known,
            errors,
        );
        routes.push(Route {
            name: doc.name.as_str().into(),
            called,
            calling,
            during: named_schedules(place, "during", &doc.during, known, errors),
            outside: named_schedules(place, "outside", &doc.outside, known, errors),
            headers: header_tests(place, &doc.headers, errors),
            caller_id: caller_id(place, doc.caller_id.as_deref(), errors),
            doc: doc.clone(),
        });
    }
    routes
}

fn number_test(
    place: Place,
    [field, countries]: [&'static str; 2],
    (texts, is): (&[String], &NumberConditions),
    known: &Known<'_>,
    errors: &mut Vec<CompileError>,
) -> NumberTest {
    let mut test = NumberTest {
        is: is.clone(),
        ..NumberTest::default()
    };
    for (item, country) in is.countries.iter().enumerate() {
        if country_of_numbers(country).is_none() {
            errors.push(mistake(place, countries, item, Rule::Country));
        }
    }
    if texts.len() > MOST_PATTERNS {
        errors.push(mistake(place, field, MOST_PATTERNS, Rule::TooMany));
        return test;
    }
    for (item, text) in texts.iter().enumerate() {
        let read = match text.strip_prefix(LIST) {
            Some(name) => {
                let list = known.lists.get(name.trim()).copied();
                let list = list.and_then(|list| ListIndex::try_from(list).ok());
                list.map(|list| test.lists.push(list))
                    .ok_or(Rule::UnknownList)
            }
            None => Pattern::parse(text)
                .map(|pattern| test.patterns.push(pattern))
                .map_err(Rule::Pattern),
        };
        if let Err(rule) = read {
            errors.push(mistake(place, field, item, rule));
        }
    }
    test
}

fn named_schedules(
    place: Place,
    field: &'static str,
    names: &[String],
    known: &Known<'_>,
    errors: &mut Vec<CompileError>,
) -> Vec<u32> {
    let mut found = Vec::with_capacity(names.len());
    for (item, name) in names.iter().enumerate() {
        let mut all = (0..).zip(&known.document.schedules);
        match all.find(|(_, doc)| doc.name == *name) {
            Some((index, _)) => found.push(index),
            None => errors.push(mistake(place, field, item, Rule::UnknownSchedule)),
        }
    }
    found
}

fn header_tests(place: Place, texts: &[String], errors: &mut Vec<CompileError>) -> Vec<HeaderTest> {
    if texts.len() > MOST_PLACES {
        errors.push(mistake(place, "headers", MOST_PLACES, Rule::TooMany));
        return Vec::new();
    }
    let mut tests = Vec::with_capacity(texts.len());
    for (item, text) in texts.iter().enumerate() {
        match HeaderTest::parse(text) {
            Some(test) => tests.push(test),
            None => errors.push(mistake(place, "headers", item, Rule::Header)),
        }
    }
    tests
}

fn caller_id(
    place: Place,
    number: Option<&str>,
    errors: &mut Vec<CompileError>,
) -> Option<E164Number> {
    let read = E164Number::parse(number?);
    if read.is_err() {
        errors.push(mistake(place, "caller_id", 0, Rule::CallerId));
    }
    read.ok()
}

fn check_targets(place: Place, doc: &RouteDoc, known: &Known<'_>, errors: &mut Vec<CompileError>) {
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
    check_trunks_named(place, &doc.to, known.trunks, errors);
    match &doc.pick {
        Pick::InOrder => {}
        Pick::ByWeight(weights) => {
            if weights.len() != doc.to.len() || weights.iter().all(|weight| *weight == 0) {
                errors.push(mistake(place, "weights", 0, Rule::Weights));
            }
        }
        Pick::LeastCost { seconds } => {
            if *seconds == 0 || *seconds > LONGEST_CALL {
                errors.push(mistake(place, "cost_of", 0, Rule::TooMany));
            }
            let tables = doc.to.iter().filter_map(|name| rates_of(known, name));
            let currencies: Vec<_> = tables.filter_map(RateTable::currency).collect();
            if currencies.is_empty() {
                errors.push(mistake(place, "pick", 0, Rule::NoRates));
            }
            if currencies.windows(2).any(|pair| pair[0] != pair[1]) {
                errors.push(mistake(place, "pick", 0, Rule::Currency));
            }
        }
    }
}

fn rates_of<'a>(known: &Known<'a>, trunk: &TrunkName) -> Option<&'a RateTable> {
    let name = known.trunks.get(trunk)?.rates.as_ref()?;
    let mut tables = known.document.rates.iter();
    tables.find(|(own, _)| own == name).map(|(_, table)| table)
}

fn check_trunks_known(
    place: Place,
    field: &'static str,
    names: &[TrunkName],
    known: &Known<'_>,
    errors: &mut Vec<CompileError>,
) {
    for (item, name) in names.iter().enumerate() {
        if field == "from" && name.as_str() == CLOUD_CALLING {
            errors.push(mistake(place, field, item, Rule::CloudCalling));
        } else if !known.trunks.contains_key(name) {
            errors.push(mistake(place, field, item, Rule::UnknownTrunk));
        }
    }
}

pub(crate) fn limits(known: &Known<'_>, errors: &mut Vec<CompileError>) -> Vec<Limit> {
    let docs = &known.document.limits;
    if docs.len() > MOST_LIMITS {
        errors.push(mistake(Place::Limit(MOST_LIMITS), "name", 0, Rule::TooMany));
        return Vec::new();
    }
    let mut names = BTreeMap::new();
    let mut limits = Vec::with_capacity(docs.len());
    for (index, doc) in docs.iter().enumerate() {
        let place = Place::Limit(index);
        if doc.name.is_empty() || names.insert(doc.name.as_str(), index).is_some() {
            errors.push(mistake(place, "name", 0, Rule::Name));
        }
        if doc.limits_nothing() {
            errors.push(mistake(place, "name", 0, Rule::NoLimit));
        }
        check_scopes(place, doc, known, errors);
        let mut countries = |field, list: &[String]| {
            let mut found = Vec::with_capacity(list.len());
            for (item, country) in list.iter().enumerate() {
                match country_of_numbers(country) {
                    Some(iso) => found.push(iso),
                    None => errors.push(mistake(place, field, item, Rule::Country)),
                }
            }
            found
        };
        let allowed = countries("countries", &doc.countries);
        let denied = countries("deny_countries", &doc.deny_countries);
        limits.push(Limit {
            name: doc.name.as_str().into(),
            deny: read_patterns(place, "deny", &doc.deny, errors),
            countries: allowed,
            deny_countries: denied,
            doc: doc.clone(),
        });
    }
    limits
}

fn check_scopes(place: Place, doc: &LimitDoc, known: &Known<'_>, errors: &mut Vec<CompileError>) {
    for (item, name) in doc.routes.iter().enumerate() {
        let mut routes = known.document.routes.iter();
        if !routes.any(|route| route.name == *name) {
            errors.push(mistake(place, "routes", item, Rule::UnknownRoute));
        }
    }
    for (item, customer) in doc.customers.iter().enumerate() {
        if !known.has_customer(customer) {
            errors.push(mistake(place, "customers", item, Rule::UnknownCustomer));
        }
    }
    check_trunks_known(place, "from", &doc.from, known, errors);
    check_trunks_known(place, "to", &doc.to, known, errors);
    if let Some(spend) = doc.spend_per_day {
        let tables = known.document.rates.iter();
        let foreign = |(_, table): &(String, RateTable)| {
            table.currency().is_some_and(|own| own != spend.currency)
        };
        let trunks = known.trunks.values();
        let mut charged = trunks.filter(|trunk| doc.to.is_empty() || doc.to.contains(&trunk.name));
        let in_use = |name: &String| charged.any(|trunk| trunk.rates.as_ref() == Some(name));
        let mut in_use = in_use;
        if tables
            .filter(|table| foreign(table))
            .any(|(name, _)| in_use(name))
        {
            errors.push(mistake(place, "spend_per_day", 0, Rule::Currency));
        }
    }
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

pub(crate) fn emergency(
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
    for (item, name) in emergency.to.iter().enumerate() {
        if name.as_str() == CLOUD_CALLING {
            errors.push(mistake(place, "to", item, Rule::CloudCalling));
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
