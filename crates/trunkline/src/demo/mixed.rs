//! Who carries a call, Microsoft or the carrier: foretold, seen, and added up.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use ambient::WallTime;
use anyhow::{Context as _, Result, bail};
use b2bua::record::CallRecord;
use routing::{DecisionRecord, Facts, Question, Snapshot};
use serde::Serialize;
use sip_msg::wire::TrunkName;
use store::{Between, Reader};

use super::calls::Outcome;
use crate::report;

/// How long the store may take for the last record.
const STORED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One call of the office, before and after.
#[derive(Clone, Debug, Serialize)]
pub struct Foretold {
    /// As it was dialled.
    pub dialled: String,
    /// The targets that `route explain` names, in order.
    pub explained: Vec<String>,
    /// The targets that were tried, in order.
    pub tried: Vec<String>,
    /// Who carried it.
    pub carried_by: Option<String>,
    /// Why not the first.
    pub because: Option<String>,
    /// Whether the record has the very decision that was explained.
    pub as_explained: bool,
}

/// The decision before the call: every trunk up, no limit reached.
pub fn explain(snapshot: &Snapshot, trunk: &str, caller: &str, dialled: &str) -> DecisionRecord {
    let question = Question {
        trunk: TrunkName::from(trunk),
        called: dialled.to_owned(),
        calling: Some(caller.to_owned()),
        headers: Vec::new(),
    };
    let facts = Facts {
        wall: WallTime::from_unix_micros(0),
        ..Facts::default()
    };
    DecisionRecord::from(&routing::explain(snapshot, &facts, &question))
}

impl Foretold {
    /// Compares what was explained with the record of the call.
    pub fn new(dialled: &str, explained: &DecisionRecord, record: &CallRecord) -> Self {
        let mut targets: Vec<String> = explained
            .attempts
            .iter()
            .map(|attempt| attempt.target.clone())
            .collect();
        targets.dedup();
        let target = |attempt: &b2bua::record::AttemptRecord| match &attempt.cloud {
            Some(_) => routing::CLOUD_CALLING.to_owned(),
            None => attempt.trunk.to_string(),
        };
        let carried =
            |attempt: &&b2bua::record::AttemptRecord| matches!(attempt.status, Some(200..=299));
        let first = record.attempts.first().filter(|first| !carried(first));
        let because = first.map(|first| {
            let cloud = first.cloud.as_ref();
            let reason = cloud.and_then(|cloud| cloud.reason.as_deref());
            let status = first.status.map(|status| status.to_string());
            let words = [status.as_deref(), reason].into_iter().flatten();
            words.collect::<Vec<_>>().join(" ")
        });
        let decision = record.decision.as_ref();
        let same = |decision: &DecisionRecord| {
            let plain = |record: &DecisionRecord| {
                let attempts = record.attempts.clone();
                (attempts, record.route.clone(), record.reject.clone())
            };
            plain(decision) == plain(explained)
        };
        Self {
            dialled: dialled.to_owned(),
            explained: targets,
            tried: record.attempts.iter().map(target).collect(),
            carried_by: record.attempts.iter().find(carried).map(target),
            because,
            as_explained: decision.is_some_and(|decision| same(decision)),
        }
    }
}

/// The calls of which it was foretold who carries them.
pub struct Mixed<'a>(pub &'a [Outcome]);

impl fmt::Display for Mixed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nMicrosoft or the carrier, as `route explain` foretold and the records say:"
        )?;
        for told in self
            .0
            .iter()
            .filter_map(|outcome| outcome.foretold.as_ref())
        {
            let nobody = || "nobody".to_owned();
            let mark = if told.as_explained {
                "ok    "
            } else {
                "FAILED"
            };
            write!(
                f,
                "  {mark}  {:<12} {:<32} carried by {}",
                told.dialled,
                told.explained.join(", "),
                told.carried_by.clone().unwrap_or_else(nobody),
            )?;
            match &told.because {
                Some(because) => writeln!(f, " ({because})")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// What `trunkline report` says of all `calls`, once their records are stored: text and JSON.
pub async fn added_up(path: &Path, calls: usize) -> Result<(String, serde_json::Value)> {
    let calls = calls as u64;
    let stored = async {
        loop {
            let count = Reader::open(path)?.count(Between::ALWAYS)?;
            if count >= calls {
                return Ok::<u64, store::StoreError>(count);
            }
            // A database tells nobody when it grows.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let count = tokio::time::timeout(STORED_WITHIN, stored).await;
    let count = count.context("the records are not stored")??;
    if count != calls {
        bail!("{calls} calls left {count} records");
    }
    Ok(report::ways(path)?)
}
