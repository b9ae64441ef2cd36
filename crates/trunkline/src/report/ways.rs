//! Where calls went, and why not where they were to go first: from their records.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use routing::{CLOUD_CALLING, Currency, DecisionRecord, Money};
use serde::{Deserialize, Serialize};
use store::{Between, Reader, StoreError};

/// Most different ways that are told apart; the rest is one.
const MOST_WAYS: usize = 10_000;
const MILLISECONDS_OF_MINUTE: f64 = 60_000.0;

/// What matters here of a call record.
#[derive(Deserialize)]
struct Recorded {
    route: Option<String>,
    answered: Option<serde::de::IgnoredAny>,
    talk_ms: u64,
    cost: Option<String>,
    attempts: Vec<Attempt>,
    decision: Option<DecisionRecord>,
    shadow: Option<DecisionRecord>,
}

#[derive(Deserialize)]
struct Attempt {
    trunk: String,
    #[serde(default)]
    cloud_calling: Option<serde::de::IgnoredAny>,
    status: Option<u16>,
    failure: Option<String>,
}

impl Attempt {
    fn target(&self) -> String {
        match self.cloud_calling {
            Some(_) => CLOUD_CALLING.to_owned(),
            None => self.trunk.clone(),
        }
    }

    fn carried(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }

    /// Why it came to nothing.
    fn because(&self) -> String {
        let status = self.status.map(|status| status.to_string());
        let failure = self.failure.clone();
        let both = [status, failure].into_iter().flatten();
        let both: Vec<String> = both.collect();
        if both.is_empty() {
            "given up".to_owned()
        } else {
            both.join(" ")
        }
    }
}

/// A way calls took.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Way {
    /// The route; none of a call that no route took.
    route: Option<String>,
    /// The target that was tried first.
    first: Option<String>,
    /// Who carried it in the end.
    carried_by: Option<String>,
    /// Why it was not the first, or nobody.
    because: Option<String>,
}

impl Way {
    fn of(record: &Recorded) -> Self {
        let first = record.attempts.first();
        let carrier = record.attempts.iter().find(|attempt| attempt.carried());
        let carrier = carrier.filter(|_| record.answered.is_some());
        let refused = || {
            let decision = record.decision.as_ref()?;
            Some(decision.reject.as_ref()?.reason.clone())
        };
        let because = match (first, carrier) {
            (Some(first), _) if !first.carried() => Some(first.because()),
            (Some(_), Some(_)) => None,
            (Some(_), None) => Some("hung up".to_owned()),
            (None, _) => refused().or_else(|| Some("refused".to_owned())),
        };
        Self {
            route: record.route.clone(),
            first: first.map(Attempt::target),
            carried_by: carrier.map(Attempt::target),
            because,
        }
    }

    fn rest() -> Self {
        Self {
            route: Some("(others)".to_owned()),
            first: None,
            carried_by: None,
            because: None,
        }
    }
}

/// Calls that went the same way.
#[derive(Debug, Default, Serialize)]
pub(super) struct Sum {
    calls: u64,
    minutes: f64,
    cost: BTreeMap<Currency, String>,
    #[serde(skip)]
    micros: BTreeMap<Currency, u64>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Ways {
    sums: BTreeMap<Way, Sum>,
    /// What the configuration beside this one would have made of calls, by the two first targets.
    shadowed: BTreeMap<(&'static str, String, String), u64>,
}

impl Ways {
    /// Adds up the records of some days.
    pub(super) fn read(reader: &Reader, between: Between) -> Result<Self, StoreError> {
        let mut ways = Self::default();
        reader.records(between, |record| {
            if let Ok(record) = serde_json::from_str(record) {
                ways.add(&record);
            }
            ControlFlow::Continue(())
        })?;
        for sum in ways.sums.values_mut() {
            let all = sum.micros.iter();
            sum.cost = all
                .map(|(currency, micros)| (*currency, routing::decimal(*micros)))
                .collect();
        }
        Ok(ways)
    }

    fn add(&mut self, record: &Recorded) {
        let mut way = Way::of(record);
        if self.sums.len() >= MOST_WAYS && !self.sums.contains_key(&way) {
            way = Way::rest();
        }
        let sum = self.sums.entry(way).or_default();
        sum.calls += 1;
        sum.minutes += record.talk_ms as f64 / MILLISECONDS_OF_MINUTE;
        if let Some(price) = record.cost.as_deref().and_then(Money::parse) {
            let micros = sum.micros.entry(price.currency).or_default();
            *micros = micros.saturating_add(price.micros);
        }
        if let (Some(decision), Some(shadow)) = (&record.decision, &record.shadow) {
            let difference = decision.compare(shadow).as_str();
            let key = (difference, led(decision), led(shadow));
            if self.shadowed.len() < MOST_WAYS || self.shadowed.contains_key(&key) {
                *self.shadowed.entry(key).or_default() += 1;
            }
        }
    }

    /// A line for each way, those of most calls first.
    pub(super) fn table(&self) -> String {
        let mut text = "Where calls went\n".to_owned();
        if self.sums.is_empty() {
            text.push_str("  none\n\n");
            return text;
        }
        let mut sums: Vec<(&Way, &Sum)> = self.sums.iter().collect();
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.calls));
        let none = || "-".to_owned();
        for (way, sum) in sums {
            let route = way.route.clone().unwrap_or_else(none);
            let first = way.first.clone().unwrap_or_else(none);
            let there = match (&way.first, &way.carried_by) {
                (Some(first), Some(carrier)) if first == carrier => first.clone(),
                (_, Some(carrier)) => format!("{first} → {carrier}"),
                (_, None) => format!("{first} → nobody"),
            };
            let because = way.because.as_ref();
            let because = because.map_or_else(String::new, |why| format!(" ({why})"));
            let money = sum
                .cost
                .iter()
                .map(|(currency, sum)| format!("{sum} {currency}"));
            let money = money.collect::<Vec<_>>().join(" + ");
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  {:>9}  {:>9.1} min  {money:>12}  {route}: {there}{because}",
                sum.calls, sum.minutes,
            );
        }
        text.push('\n');
        if !self.shadowed.is_empty() {
            text.push_str("What the shadow would have made of them\n");
            for ((difference, live, shadow), calls) in &self.shadowed {
                let _ = writeln!(text, "  {calls:>9}  {difference:<9}  {live} → {shadow}");
            }
            text.push('\n');
        }
        text
    }

    /// As one JSON object.
    pub(super) fn json(&self) -> serde_json::Value {
        let ways = self.sums.iter().map(|(way, sum)| {
            let mut line = serde_json::json!(way);
            line["calls"] = sum.calls.into();
            line["minutes"] = sum.minutes.into();
            line["cost"] = serde_json::json!(sum.cost);
            line
        });
        let shadowed = self.shadowed.iter();
        let shadowed = shadowed.map(|((difference, live, shadow), calls)| {
            serde_json::json!({
                "difference": difference, "live": live, "shadow": shadow, "calls": calls,
            })
        });
        serde_json::json!({
            "count": "ways",
            "ways": ways.collect::<Vec<_>>(),
            "shadow": shadowed.collect::<Vec<_>>(),
        })
    }
}

/// What a decision leads to first.
fn led(decision: &DecisionRecord) -> String {
    let refused = decision.reject.as_ref();
    let first = decision
        .attempts
        .first()
        .map(|attempt| attempt.target.clone());
    match (first, refused) {
        (Some(trunk), _) => trunk,
        (None, Some(reject)) => format!("{}: {}", reject.status, reject.reason),
        (None, None) => "announcement".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(records: &[serde_json::Value]) -> Ways {
        let mut ways = Ways::default();
        for record in records {
            ways.add(&serde_json::from_value(record.clone()).expect("a record"));
        }
        ways
    }

    fn record(attempts: serde_json::Value, answered: bool) -> serde_json::Value {
        serde_json::json!({
            "route": "out", "answered": answered.then_some("2026-11-01T00:00:00Z"),
            "talk_ms": 30_000, "cost": answered.then_some("0.05 USD"), "attempts": attempts,
            "decision": null, "shadow": null,
        })
    }

    #[test]
    fn a_way_says_why_it_is_not_the_first() {
        let cloud = |status: u16| serde_json::json!({"trunk": "acs", "cloud_calling": {}, "status": status, "failure": (status > 299).then_some("user")});
        let carrier = serde_json::json!({"trunk": "carrier", "status": 200, "failure": null});
        let ways = added(&[
            record(serde_json::json!([cloud(200)]), true),
            record(serde_json::json!([carrier]), true),
            record(serde_json::json!([cloud(486), carrier]), true),
            record(serde_json::json!([]), false),
        ]);
        let table = ways.table();
        for line in [
            "out: cloud-calling\n",
            "out: carrier\n",
            "out: cloud-calling → carrier (486 user)\n",
            "out: - → nobody (refused)\n",
        ] {
            assert!(table.contains(line), "{line}: {table}");
        }
        let sum: u64 = ways.sums.values().map(|sum| sum.calls).sum();
        assert_eq!(sum, 4);
    }
}
