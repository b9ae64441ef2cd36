//! What calls of today have cost already, for a daemon that starts in the middle of the day.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use ambient::WallTime;
use b2bua::Spent;
use routing::{Money, Snapshot};
use serde::Deserialize;
use store::{Between, Reader};

const MICROS_OF_DAY: u64 = 86_400_000_000;
const MILLISECONDS: u64 = 1_000;

/// What matters here of a call record.
#[derive(Deserialize)]
struct Charged {
    talk_ms: u64,
    cost: Option<String>,
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
struct Attempt {
    limits: Vec<String>,
}

/// Sums up the calls of today (UTC) that are stored, for each limit by day that there is. A store
/// that cannot be read leaves the limits untouched, and says so.
pub(super) fn today(store: &Path, routes: &Snapshot, now: WallTime) -> Vec<Spent> {
    let by_day = |limit: &&routing::LimitDoc| {
        limit.minutes_per_day.is_some() || limit.spend_per_day.is_some()
    };
    let mut sums: BTreeMap<&str, (u64, u64)> = routes
        .limits()
        .filter(by_day)
        .map(|limit| (limit.name.as_str(), (0, 0)))
        .collect();
    if sums.is_empty() || !store.exists() {
        return Vec::new();
    }
    let day = now.as_unix_micros() / MICROS_OF_DAY;
    if let Err(error) = add_up(store, day, &mut sums) {
        tracing::error!(%error, store = %store.display(), "what was spent today is not known");
    }
    let spent = sums.into_iter().filter(|(_, sum)| *sum != (0, 0));
    spent
        .map(|(limit, (seconds, micros))| {
            tracing::info!(limit, seconds, micros, "spent today already");
            Spent {
                limit: limit.into(),
                day,
                seconds,
                micros,
            }
        })
        .collect()
}

fn add_up(
    store: &Path,
    day: u64,
    sums: &mut BTreeMap<&str, (u64, u64)>,
) -> Result<(), store::StoreError> {
    let between = Between {
        from: i64::try_from(day * MICROS_OF_DAY).unwrap_or(i64::MAX),
        until: i64::MAX,
    };
    Reader::open(store)?.records(between, |record| {
        // A record of another version has charged limits of another version.
        if let Ok(charged) = serde_json::from_str::<Charged>(record) {
            add(&charged, sums);
        }
        ControlFlow::Continue(())
    })
}

fn add(charged: &Charged, sums: &mut BTreeMap<&str, (u64, u64)>) {
    let price = charged.cost.as_deref().and_then(Money::parse);
    let limits = charged.attempts.last().map(|attempt| &attempt.limits);
    for limit in limits.into_iter().flatten() {
        if let Some((seconds, micros)) = sums.get_mut(limit.as_str()) {
            *seconds = seconds.saturating_add(charged.talk_ms / MILLISECONDS);
            *micros = micros.saturating_add(price.map_or(0, |price| price.micros));
        }
    }
}
