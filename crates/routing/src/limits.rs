//! What calls may not do: too many, too fast, too long, too dear, or to the wrong places.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use e164::NumberType;
use serde::{Deserialize, Serialize};
use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;

use crate::document::TrunkDoc;
use crate::money::{Money, Tariff};
use crate::numbers::Numbers;
use crate::pattern::Pattern;

/// A limit as an operator wrote it. It counts all calls that one of its scopes takes in, together;
/// a limit without scopes counts all calls. Emergency calls know no limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitDoc {
    /// Its name, unique.
    pub name: String,
    /// Calls of these routes.
    pub routes: Vec<String>,
    /// Calls from these trunks.
    pub from: Vec<TrunkName>,
    /// Calls to these trunks. Where only this scope takes a call in, the next target is tried.
    pub to: Vec<TrunkName>,
    /// Calls from trunks of these customers.
    pub customers: Vec<String>,
    /// Most calls at once.
    pub calls: Option<u32>,
    /// Most new calls a second.
    pub calls_per_second: Option<u32>,
    /// Most minutes a day, the day of UTC.
    pub minutes_per_day: Option<u32>,
    /// Most money a day, the day of UTC, as rate tables have it. What has no rate costs nothing.
    pub spend_per_day: Option<Money>,
    /// Countries that may be called; where given, nothing else may.
    pub countries: Vec<String>,
    /// Countries that may not be called.
    pub deny_countries: Vec<String>,
    /// Types of numbers that may not be called.
    pub deny_types: Vec<NumberType>,
    /// Patterns of numbers that may not be called.
    pub deny: Vec<String>,
}

impl LimitDoc {
    /// Whether it counts calls and not only judges numbers.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.calls.is_some()
            || self.calls_per_second.is_some()
            || self.minutes_per_day.is_some()
            || self.spend_per_day.is_some()
    }

    pub(crate) fn limits_nothing(&self) -> bool {
        !self.counts()
            && self.countries.is_empty()
            && self.deny_countries.is_empty()
            && self.deny_types.is_empty()
            && self.deny.is_empty()
    }
}

/// What is left of a limit at the moment of a call; `None` where it has no such bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Remaining {
    /// Further calls at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// Further new calls now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<u32>,
    /// Seconds of this day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Money of this day, in millionths of the limit's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spend: Option<u64>,
}

/// Which rule of a limit keeps a call back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitRule {
    /// `calls`.
    Calls,
    /// `calls_per_second`.
    CallsPerSecond,
    /// `minutes_per_day`.
    MinutesPerDay,
    /// `spend_per_day`.
    SpendPerDay,
    /// `countries`: the called number is in none of them.
    Countries,
    /// `deny_countries`.
    DenyCountries,
    /// `deny_types`.
    DenyTypes,
    /// `deny`.
    Deny,
}

impl LimitRule {
    /// What a caller is refused with: 503 where a later call may succeed, 403 where none will.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Calls | Self::CallsPerSecond | Self::MinutesPerDay | Self::SpendPerDay => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Countries | Self::DenyCountries | Self::DenyTypes | Self::Deny => {
                StatusCode::FORBIDDEN
            }
        }
    }

    /// The rule's key in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::CallsPerSecond => "calls_per_second",
            Self::MinutesPerDay => "minutes_per_day",
            Self::SpendPerDay => "spend_per_day",
            Self::Countries => "countries",
            Self::DenyCountries => "deny_countries",
            Self::DenyTypes => "deny_types",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for LimitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calls => "as many calls at once as it may have",
            Self::CallsPerSecond => "as many calls a second as it may have",
            Self::MinutesPerDay => "the minutes of the day are used up",
            Self::SpendPerDay => "the money of the day is spent",
            Self::Countries => "the called number is in none of its countries",
            Self::DenyCountries => "the country of the called number is denied",
            Self::DenyTypes => "the type of the called number is denied",
            Self::Deny => "the called number is denied",
        })
    }
}

/// A limit ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    pub(crate) name: Arc<str>,
    pub(crate) doc: LimitDoc,
    pub(crate) deny: Vec<Pattern>,
    pub(crate) countries: Vec<&'static str>,
    pub(crate) deny_countries: Vec<&'static str>,
}

impl Limit {
    /// Why the called number may not be called at all.
    fn denies(&self, numbers: &Numbers<'_>) -> Option<LimitRule> {
        let class = numbers.called_is.class;
        let is_in = |list: &[&str]| class.country.is_some_and(|country| list.contains(&country));
        if !self.countries.is_empty() && !is_in(&self.countries) {
            return Some(LimitRule::Countries);
        }
        if is_in(&self.deny_countries) {
            return Some(LimitRule::DenyCountries);
        }
        if self.doc.deny_types.contains(&class.kind) {
            return Some(LimitRule::DenyTypes);
        }
        let denied = |pattern: &Pattern| pattern.matches(&numbers.called_text);
        self.deny.iter().any(denied).then_some(LimitRule::Deny)
    }

    /// What of it is used up; with a tariff, whether what is left pays for the first increment.
    fn exhausted(&self, left: Remaining, tariff: Option<&Tariff>) -> Option<LimitRule> {
        let first = tariff.map_or(0, |tariff| tariff.price(0));
        if left.calls == Some(0) {
            Some(LimitRule::Calls)
        } else if left.starts == Some(0) {
            Some(LimitRule::CallsPerSecond)
        } else if left.seconds == Some(0) {
            Some(LimitRule::MinutesPerDay)
        } else if left.spend.is_some_and(|spend| spend == 0 || spend < first) {
            Some(LimitRule::SpendPerDay)
        } else {
            None
        }
    }

    pub(crate) fn keeps_back(
        &self,
        left: &BTreeMap<Arc<str>, Remaining>,
        numbers: &Numbers<'_>,
        tariff: Option<&Tariff>,
    ) -> Option<LimitRule> {
        self.denies(numbers).or_else(|| {
            let left = left.get(&self.name).copied().unwrap_or_default();
            self.exhausted(left, tariff)
        })
    }
}

/// Position of a limit in the document.
pub(crate) type LimitIndex = u32;

/// Limits by what they take in.
#[derive(Debug, Default, Clone)]
pub(crate) struct Limits {
    pub(crate) all: Vec<Limit>,
    everywhere: Vec<LimitIndex>,
    by_origin: BTreeMap<TrunkName, Vec<LimitIndex>>,
    by_customer: BTreeMap<String, Vec<LimitIndex>>,
    by_route: BTreeMap<String, Vec<LimitIndex>>,
    by_target: BTreeMap<TrunkName, Vec<LimitIndex>>,
}

impl Limits {
    pub(crate) fn new(all: Vec<Limit>) -> Self {
        let mut limits = Self::default();
        for (index, limit) in (0..).zip(&all) {
            let doc = &limit.doc;
            let scoped = [&doc.from, &doc.to].iter().any(|trunks| !trunks.is_empty())
                || [&doc.routes, &doc.customers]
                    .iter()
                    .any(|names| !names.is_empty());
            if !scoped {
                limits.everywhere.push(index);
            }
            for name in &doc.from {
                limits
                    .by_origin
                    .entry(name.clone())
                    .or_default()
                    .push(index);
            }
            for name in &doc.customers {
                limits
                    .by_customer
                    .entry(name.clone())
                    .or_default()
                    .push(index);
            }
            for name in &doc.routes {
                limits.by_route.entry(name.clone()).or_default().push(index);
            }
            for name in &doc.to {
                limits
                    .by_target
                    .entry(name.clone())
                    .or_default()
                    .push(index);
            }
        }
        limits.all = all;
        limits
    }

    /// Limits that hold for a call of that origin and route, whatever its target.
    pub(crate) fn of_call(&self, origin: &TrunkDoc, route: &str) -> Vec<&Limit> {
        let customer = origin.customer.as_ref();
        let lists = [
            Some(&self.everywhere),
            self.by_origin.get(&origin.name),
            customer.and_then(|customer| self.by_customer.get(customer)),
            self.by_route.get(route),
        ];
        let mut found: Vec<LimitIndex> = lists.into_iter().flatten().flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        self.named(&found)
    }

    /// Limits that hold for calls to that target.
    pub(crate) fn of_target(&self, target: &TrunkName) -> Vec<&Limit> {
        self.by_target
            .get(target)
            .map_or_else(Vec::new, |found| self.named(found))
    }

    fn named(&self, found: &[LimitIndex]) -> Vec<&Limit> {
        found
            .iter()
            .filter_map(|index| self.all.get(*index as usize))
            .collect()
    }
}
