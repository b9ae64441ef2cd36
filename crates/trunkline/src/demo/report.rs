//! What the demonstration shows: who is there, progress, one table, where to look next.

use std::fmt;

use serde_json::{Value, json};

use super::calls::{Outcome, Way};
use super::world::World;

/// Who is there and where.
pub struct Cast<'a>(pub &'a World);

impl fmt::Display for Cast<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, place) in &self.0.cast {
            writeln!(f, "  {name:<8} {place}")?;
        }
        write!(f, "\nCalls, with three seconds of audio each way:")
    }
}

/// One call has ended.
pub struct Progress<'a> {
    /// How.
    pub outcome: &'a Outcome,
    /// How many have ended by now.
    pub done: usize,
    /// How many there are.
    pub all: usize,
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.outcome.passed {
            "ok    "
        } else {
            "FAILED"
        };
        let (done, all) = (self.done, self.all);
        write!(
            f,
            "  [{done:>2}/{all}] {mark}  {:<20} {}",
            self.outcome.name, self.outcome.result
        )
    }
}

/// All of it.
pub struct Table<'a> {
    /// The calls.
    pub outcomes: &'a [Outcome],
    /// What Microsoft's sides hold against the gateway.
    pub violations: &'a [String],
    /// The verdict.
    pub passed: bool,
}

const HEADINGS: [&str; 7] = ["call", "from", "to", "route", "set-up", "a → b", "b → a"];

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 7]> = self.outcomes.iter().map(row).collect();
        let mut widths = HEADINGS.map(|heading| heading.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        writeln!(f)?;
        line(f, &HEADINGS.map(str::to_owned), &widths)?;
        line(f, &widths.map(|width| "─".repeat(width)), &widths)?;
        for row in &rows {
            line(f, row, &widths)?;
        }
        writeln!(f)?;
        for outcome in self.outcomes.iter().filter(|outcome| !outcome.passed) {
            writeln!(f, "FAILED  {}: {}", outcome.name, outcome.result)?;
        }
        for violation in self.violations {
            writeln!(f, "AGAINST MICROSOFT'S RULES  {violation}")?;
        }
        if self.passed {
            let (sent, lost) = audio_sum(self.outcomes);
            write!(
                f,
                "All {} calls went as they should; {sent} audio packets sent, {lost} lost, 0 corrupt.",
                self.outcomes.len()
            )
        } else {
            write!(f, "Not everything went as it should.")
        }
    }
}

fn audio_sum(outcomes: &[Outcome]) -> (u32, u32) {
    let ways = outcomes
        .iter()
        .filter_map(|outcome| outcome.audio.as_ref())
        .flatten();
    ways.fold((0, 0), |(sent, lost), way| {
        (sent + way.audio.sent, lost + way.audio.lost)
    })
}

fn row(outcome: &Outcome) -> [String; 7] {
    let way = |index: usize| {
        outcome.audio.as_ref().map_or_else(
            || "–".to_owned(),
            |ways| {
                let audio = ways[index].audio;
                let mut text = format!("{}/{}", audio.received, audio.sent);
                if audio.corrupt > 0 {
                    text.push_str(&format!(" {} corrupt", audio.corrupt));
                }
                text
            },
        )
    };
    [
        outcome.name.to_owned(),
        outcome.from.to_owned(),
        outcome.to.to_owned(),
        outcome.route.clone().unwrap_or_else(|| "–".to_owned()),
        outcome.setup.map_or_else(
            || "–".to_owned(),
            |setup| format!("{} ms", setup.as_millis()),
        ),
        way(0),
        way(1),
    ]
}

fn line(f: &mut fmt::Formatter<'_>, cells: &[String; 7], widths: &[usize; 7]) -> fmt::Result {
    let mut text = String::from(" ");
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let pad = " ".repeat(width - cell.chars().count());
        // Numbers stand at the right of their column, words at the left.
        if index >= 4 {
            text.push_str(&format!(" {pad}{cell} "))
        } else {
            text.push_str(&format!(" {cell}{pad} "))
        }
    }
    writeln!(f, "{}", text.trim_end())
}

/// Where to look next.
pub struct Where<'a>(pub &'a World);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.0;
        writeln!(f)?;
        writeln!(f, "The gateway goes on running.")?;
        writeln!(f, "  metrics        http://{}/metrics", world.pages)?;
        writeln!(f, "  health         http://{}/healthz", world.pages)?;
        writeln!(f, "  configuration  {}", world.configuration.display())?;
        writeln!(
            f,
            "  a decision     trunkline route explain +14255550123 --via contoso-telecom -c {}",
            world.configuration.display()
        )?;
        write!(f, "Ctrl-C ends it.")
    }
}

/// The machine's version.
pub fn json(outcomes: &[Outcome], violations: &[String], passed: bool) -> Value {
    let calls: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "name": outcome.name,
                "from": outcome.from,
                "to": outcome.to,
                "route": outcome.route,
                "result": outcome.result,
                "foretold": outcome.foretold,
                "passed": outcome.passed,
                "setup_ms": outcome.setup.map(|setup| setup.as_millis() as u64),
                "audio": outcome.audio.as_ref().map(|[a_to_b, b_to_a]| {
                    json!({ "a_to_b": audio(a_to_b), "b_to_a": audio(b_to_a) })
                }),
            })
        })
        .collect();
    json!({ "passed": passed, "calls": calls, "violations": violations })
}

fn audio(way: &Way) -> Value {
    json!({
        "sent": way.audio.sent,
        "received": way.audio.received,
        "lost": way.audio.lost,
        "corrupt": way.audio.corrupt,
        "duplicated": way.audio.duplicated,
        "ssrc_sent": way.ssrc_sent,
        "ssrcs_heard": way.ssrcs_heard,
        "payload_sha256": way.payload_sha256,
    })
}
