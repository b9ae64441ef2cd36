//! Playing many rows at once, printing what came of them, and hunting mutants.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::mutant::{Mutant, Passed};
use super::trial::{Interference, Trial, locked};
use super::{Play, Playing, Row};

/// A row that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(100);
/// Rows at once on each core: they wait more than they work.
const AT_ONCE: usize = 4;

/// What came of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The requirement is met.
    Pass,
    /// It is not.
    Fail,
    /// It cannot be seen here.
    NotTestable,
}

impl Verdict {
    /// As it is printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotTestable => "not testable here",
        }
    }
}

/// One playing of a row.
#[derive(Clone, Debug)]
pub struct Report {
    /// The row.
    pub row: &'static Row,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// What was seen.
    pub detail: String,
    /// What passed the man in the middle.
    pub trail: Vec<Passed>,
    /// What may explain a failure.
    pub log: String,
}

/// Plays one row.
#[must_use]
pub fn play(row: &'static Row, interference: Interference) -> Report {
    let start = Instant::now();
    let report = |verdict, detail: String, trail, log| Report {
        row,
        verdict,
        took: start.elapsed(),
        detail,
        trail,
        log,
    };
    match row.play {
        Play::Impossible(why) => {
            report(Verdict::NotTestable, why.to_owned(), vec![], String::new())
        }
        Play::Virtual(play) => match caught(play) {
            Ok(detail) => report(
                Verdict::Pass,
                format!("virtual time; {detail}"),
                vec![],
                String::new(),
            ),
            Err(detail) => report(Verdict::Fail, detail, vec![], String::new()),
        },
        Play::Wire(play) => {
            let trial = Trial::new(interference);
            let common = std::sync::Arc::clone(&trial.common);
            let (verdict, detail) = match conduct(play, trial) {
                Ok(detail) => (Verdict::Pass, detail),
                Err(detail) => (Verdict::Fail, detail),
            };
            report(verdict, detail, common.trail(), common.logged())
        }
    }
}

/// Plays over real sockets to the end: what was seen, or why it failed.
pub(super) fn conduct(play: fn(Trial) -> Playing, trial: Trial) -> Result<String, String> {
    caught(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let played = async { tokio::time::timeout(PATIENCE, play(trial)).await };
        let outcome = runtime.block_on(played);
        runtime.shutdown_background();
        outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("not over within {PATIENCE:?}")))
    })
}

/// A panic of what is shared with the other tests is a failure like any other.
fn caught(play: impl FnOnce() -> anyhow::Result<String>) -> Result<String, String> {
    match std::panic::catch_unwind(AssertUnwindSafe(play)) {
        Ok(Ok(detail)) => Ok(detail),
        Ok(Err(fault)) => Err(format!("{fault:#}")),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic".to_owned())),
    }
}

/// Does something to each item, several at once; results in the order of the items.
fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once().min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let at = index_of(items, item);
                    let result = work(item);
                    locked(&results).insert(at, result);
                }
            });
        }
    });
    results
        .into_inner()
        .map(|all| all.into_values().collect())
        .unwrap_or_default()
}

fn at_once() -> usize {
    std::thread::available_parallelism().map_or(AT_ONCE, |cores| cores.get() * AT_ONCE)
}

fn index_of<T>(items: &[T], item: &T) -> usize {
    items
        .iter()
        .position(|one| std::ptr::eq(one, item))
        .unwrap_or_default()
}

/// Plays rows, several at once, telling of each as it ends.
#[must_use]
pub fn run(
    rows: &[&'static Row],
    between: Interference,
    mut tell: impl FnMut(&Report) + Send,
) -> Vec<Report> {
    let tell = Mutex::new(&mut tell);
    side_by_side(rows, |row| {
        let report = play(row, between);
        (*locked(&tell))(&report);
        report
    })
}

/// One line of the table.
#[must_use]
pub fn line(report: &Report) -> String {
    let seconds = report.took.as_secs_f64();
    let Report {
        row,
        verdict,
        detail,
        ..
    } = report;
    format!(
        "{} · {} · {} · {seconds:.1} · {detail}",
        row.id,
        row.requirement,
        verdict.word()
    )
}

/// All of it, as a list of objects.
#[must_use]
pub fn json(reports: &[Report]) -> serde_json::Value {
    let one = |report: &Report| {
        json!({
            "id": report.row.id,
            "requirement": report.row.requirement,
            "verdict": report.verdict.word().to_lowercase(),
            "seconds": report.took.as_secs_f64(),
            "detail": report.detail,
        })
    };
    reports.iter().map(one).collect()
}

/// What came of one mutant.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The row it was made for.
    pub row: &'static str,
    /// The mutant.
    pub mutant: &'static Mutant,
    /// Rows it was played against.
    pub against: usize,
    /// Rows that turned red.
    pub red: BTreeSet<&'static str>,
    /// Why its own row turned red.
    pub why: String,
    /// How long that took.
    pub took: Duration,
}

impl Hunt {
    /// Whether its own row noticed it.
    #[must_use]
    pub fn caught(&self) -> bool {
        self.red.contains(self.row)
    }

    /// Rows that turned red and should not have.
    #[must_use]
    pub fn outside(&self) -> Vec<&'static str> {
        let mut red: Vec<_> = self.red.iter().copied().collect();
        red.retain(|id| *id != self.row && !self.mutant.group.contains(id));
        red
    }

    /// Whether it did what it is there for.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.caught() && self.outside().is_empty()
    }
}

/// Plays every mutant of `rows` against its own row and every row of `others` that goes through
/// what it changes.
///
/// A row outside the mutant's group that turns red is played once more: a busy machine is no
/// finding.
///
/// # Errors
/// A row fails with a man in the middle who changes nothing, or the table cannot be written.
pub fn hunt(
    others: &[&'static Row],
    rows: &[&'static Row],
    out: &mut (impl Write + Send),
) -> anyhow::Result<Vec<Hunt>> {
    let named = |row: &Row, list: &[&Row]| list.iter().any(|one| one.id == row.id);
    let own = rows.iter().filter(|row| !named(row, others));
    let wire: Vec<&'static Row> = others
        .iter()
        .chain(own)
        .copied()
        .filter(|row| matches!(row.play, Play::Wire(_)))
        .collect();
    let control = side_by_side(&wire, |row| {
        let first = play(row, Interference::Witness);
        match first.verdict {
            Verdict::Fail => play(row, Interference::Witness),
            Verdict::Pass | Verdict::NotTestable => first,
        }
    });
    for report in &control {
        if report.verdict == Verdict::Fail {
            writeln!(
                out,
                "with a man in the middle who changes nothing: {}",
                line(report)
            )?;
        }
    }
    let sound: Vec<&Report> = control
        .iter()
        .filter(|one| one.verdict == Verdict::Pass)
        .collect();
    let mut hunts = Vec::new();
    for row in rows {
        for mutant in row.mutants {
            let against: Vec<&'static Row> = sound
                .iter()
                .filter(|report| report.row.id == row.id || named(report.row, others))
                .filter(|report| mutant.change.touches(&report.trail))
                .map(|report| report.row)
                .collect();
            let hunt = hunt_one(row, mutant, &against);
            writeln!(out, "{}", told(&hunt))?;
            out.flush()?;
            hunts.push(hunt);
        }
    }
    anyhow::ensure!(
        sound.len() == control.len(),
        "rows fail with a man in the middle"
    );
    Ok(hunts)
}

fn hunt_one(row: &'static Row, mutant: &'static Mutant, against: &[&'static Row]) -> Hunt {
    let start = Instant::now();
    let change = Interference::Change(&mutant.change);
    let reports = side_by_side(against, |victim| {
        let first = play(victim, change);
        let expected = victim.id == row.id || mutant.group.contains(&victim.id);
        if first.verdict == Verdict::Fail && !expected {
            return play(victim, change);
        }
        first
    });
    let red = reports
        .iter()
        .filter(|report| report.verdict == Verdict::Fail);
    let why = red.clone().find(|report| report.row.id == row.id);
    Hunt {
        row: row.id,
        mutant,
        against: against.len(),
        red: red.map(|report| report.row.id).collect(),
        why: why.map(|report| report.detail.clone()).unwrap_or_default(),
        took: start.elapsed(),
    }
}

/// All mutants, as a list of objects.
#[must_use]
pub fn hunts_json(hunts: &[Hunt]) -> serde_json::Value {
    let one = |hunt: &Hunt| {
        json!({
            "id": hunt.row,
            "mutant": hunt.mutant.what,
            "verdict": if hunt.is_fine() { "caught" } else { "fail" },
            "group": hunt.mutant.group,
            "against": hunt.against,
            "red": hunt.red,
            "outside": hunt.outside(),
            "seconds": hunt.took.as_secs_f64(),
            "detail": hunt.why,
        })
    };
    hunts.iter().map(one).collect()
}

/// One line of the mutants' table.
#[must_use]
pub fn told(hunt: &Hunt) -> String {
    let red: Vec<&str> = hunt.red.iter().copied().collect();
    let verdict = match (hunt.caught(), hunt.outside()) {
        (false, _) => "NOT CAUGHT".to_owned(),
        (true, outside) if outside.is_empty() => "caught".to_owned(),
        (true, outside) => format!("caught, but OUTSIDE ITS GROUP: {}", outside.join(" ")),
    };
    format!(
        "{} · {} · {verdict} · {:.0} · {} of {} rows red: {} · {}",
        hunt.row,
        hunt.mutant.what,
        hunt.took.as_secs_f64(),
        red.len(),
        hunt.against,
        red.join(" "),
        hunt.why.lines().next().unwrap_or_default(),
    )
}
