//! `trunkline route replay`: recorded calls decided again, with the facts of their time, by this
//! configuration and by another one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use routing::{Currency, Facts, Money, Outcome, Question, Snapshot, decide};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::{cli, output};

/// Most broken lines that are told.
const MOST_ERRORS: usize = 20;
/// Most different ways to change that are told apart; the rest is one.
const MOST_CHANGES: usize = 10_000;
const MILLISECONDS: u64 = 1_000;

/// Arguments of `route replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Recorded calls: the file that `[gateway] records` names, or lines of
    /// `{"question": …, "facts": …}`
    calls: PathBuf,
    /// The configuration to compare with
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// The configuration that calls are decided by today
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/trunkline/trunkline.toml"
    )]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One line of the file: a call record, or a question and its facts.
#[derive(Deserialize)]
struct Line {
    /// `null` in the record of a call that was refused before it came to be routed.
    #[serde(deserialize_with = "Option::deserialize")]
    question: Option<Question>,
    facts: Facts,
    answered: Option<IgnoredAny>,
    talk_ms: Option<u64>,
}

impl Line {
    /// Seconds talked, begun ones counted; `None` of a call that was not answered.
    fn talked(&self) -> Option<u64> {
        let talked = self.talk_ms.unwrap_or(0);
        let answered = self.answered.is_some() || talked > 0;
        answered.then(|| talked.div_ceil(MILLISECONDS))
    }
}

/// Where a call goes: what changes are told by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Destination {
    To {
        trunk: String,
        route: String,
    },
    Announcement {
        route: String,
    },
    Refused {
        status: u16,
        reason: String,
    },
    /// More kinds of change than are told apart.
    Other,
}

impl Destination {
    fn text(&self) -> String {
        match self {
            Self::To { trunk, route } => format!("{trunk} ({route})"),
            Self::Announcement { route } => format!("announcement ({route})"),
            Self::Refused { status, reason } => format!("{status}: {reason}"),
            Self::Other => "other".to_owned(),
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

type Sums = BTreeMap<Currency, u64>;

/// Calls that go the same two ways.
#[derive(Debug, Default)]
struct Group {
    calls: u64,
    before: Sums,
    after: Sums,
}

/// What a replay found.
#[derive(Debug, Default)]
struct Findings {
    calls: u64,
    /// Calls that were refused before they came to be routed, by either configuration.
    unasked: u64,
    moved: u64,
    newly_refused: u64,
    newly_routed: u64,
    before: Sums,
    after: Sums,
    changes: BTreeMap<(Destination, Destination), Group>,
}

/// Runs the command. Exit code 0: no call is refused that was routed; 1: some are; 2: wrong usage
/// or broken lines.
pub fn run(args: &ReplayArgs) -> ExitCode {
    let snapshots = [&args.config, &args.with].map(|path| {
        let reading = cli::routes(path)?;
        Snapshot::compile(&reading.config.routing).map_err(|_| {
            cli::report(&reading);
            ExitCode::from(2)
        })
    });
    let (old, new) = match snapshots {
        [Ok(old), Ok(new)] => (old, new),
        [Err(code), _] | [_, Err(code)] => return code,
    };
    let findings = match replay(&args.calls, &old, &new) {
        Ok(findings) => findings,
        Err(errors) => {
            for error in errors {
                output::error(format_args!("error: {}{error}", args.calls.display()));
            }
            return ExitCode::from(2);
        }
    };
    if args.json {
        output::line(json_of(&findings));
    } else {
        print(&findings);
    }
    ExitCode::from(u8::from(findings.newly_refused > 0))
}

/// Every call of the file, by both snapshots.
fn replay(path: &PathBuf, old: &Snapshot, new: &Snapshot) -> Result<Findings, Vec<String>> {
    let file = File::open(path).map_err(|error| vec![format!(": {error}")])?;
    let (mut findings, mut errors) = (Findings::default(), Vec::new());
    for (number, line) in (1_u64..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| vec![format!(":{number}: {error}")])?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<Line>(&line) {
            Ok(line) => match &line.question {
                None => findings.unasked += 1,
                Some(question) => findings.add(
                    decided(old, &line.facts, question, line.talked()),
                    decided(new, &line.facts, question, line.talked()),
                ),
            },
            Err(error) => errors.push(format!(":{number}: {error}")),
        }
        if errors.len() == MOST_ERRORS {
            break;
        }
    }
    if errors.is_empty() {
        Ok(findings)
    } else {
        Err(errors)
    }
}

/// Where a call goes first, and what so many seconds of it cost there.
fn decided(
    snapshot: &Snapshot,
    facts: &Facts,
    question: &Question,
    talked: Option<u64>,
) -> (Destination, Option<Money>) {
    match decide(snapshot, facts, question).outcome {
        Outcome::Route(plan) => {
            let route = plan.route.to_string();
            let Some(first) = plan.attempts.first() else {
                return (Destination::Announcement { route }, None);
            };
            let price = first.tariff.zip(talked).map(|(tariff, talked)| Money {
                micros: tariff.price(talked),
                ..tariff.per_minute
            });
            let trunk = first.target().to_owned();
            (Destination::To { trunk, route }, price)
        }
        Outcome::Reject { status, reason } => {
            let (status, reason) = (status.code(), reason.to_string());
            (Destination::Refused { status, reason }, None)
        }
    }
}

impl Findings {
    fn add(
        &mut self,
        (before, cost_before): (Destination, Option<Money>),
        (after, cost_after): (Destination, Option<Money>),
    ) {
        self.calls += 1;
        add(&mut self.before, cost_before);
        add(&mut self.after, cost_after);
        if before == after && cost_before == cost_after {
            return;
        }
        self.moved += u64::from(before != after);
        match (before.is_refused(), after.is_refused()) {
            (false, true) => self.newly_refused += 1,
            (true, false) => self.newly_routed += 1,
            (true, true) | (false, false) => {}
        }
        let mut key = (before, after);
        if self.changes.len() >= MOST_CHANGES && !self.changes.contains_key(&key) {
            key = (Destination::Other, Destination::Other);
        }
        let group = self.changes.entry(key).or_default();
        group.calls += 1;
        add(&mut group.before, cost_before);
        add(&mut group.after, cost_after);
    }

    /// Changes, those of most calls first.
    fn sorted(&self) -> Vec<(&(Destination, Destination), &Group)> {
        let mut all: Vec<_> = self.changes.iter().collect();
        all.sort_by_key(|(_, group)| std::cmp::Reverse(group.calls));
        all
    }
}

fn add(sums: &mut Sums, price: Option<Money>) {
    if let Some(Money { micros, currency }) = price {
        let sum = sums.entry(currency).or_default();
        *sum = sum.saturating_add(micros);
    }
}

fn shown(sums: &Sums) -> String {
    let all = sums.iter().map(|(currency, micros)| {
        let money = Money {
            micros: *micros,
            currency: *currency,
        };
        money.to_string()
    });
    let all: Vec<String> = all.collect();
    if all.is_empty() {
        "-".to_owned()
    } else {
        all.join(" + ")
    }
}

fn print(findings: &Findings) {
    let Findings {
        calls,
        moved,
        newly_refused,
        newly_routed,
        ..
    } = findings;
    output::line(format_args!(
        "{calls} calls: {moved} go elsewhere, {newly_refused} are refused that were routed, \
         {newly_routed} are routed that were refused"
    ));
    if findings.unasked > 0 {
        let unasked = findings.unasked;
        output::line(format_args!(
            "{unasked} more were refused before they came to be routed"
        ));
    }
    let (before, after) = (shown(&findings.before), shown(&findings.after));
    output::line(format_args!("cost: {before} → {after}"));
    for ((from, to), group) in findings.sorted() {
        output::line(format_args!(
            "{:>9}  {} → {}  {} → {}",
            group.calls,
            from.text(),
            to.text(),
            shown(&group.before),
            shown(&group.after),
        ));
    }
}

fn json_of(findings: &Findings) -> Value {
    let sums = |sums: &Sums| -> Value {
        let all = sums.iter();
        let all = all.map(|(currency, micros)| (currency.to_string(), routing::decimal(*micros)));
        all.collect::<BTreeMap<_, _>>().into_iter().collect()
    };
    let destination = |destination: &Destination| match destination {
        Destination::To { trunk, route } => json!({ "trunk": trunk, "route": route }),
        Destination::Announcement { route } => json!({ "announcement": true, "route": route }),
        Destination::Refused { status, reason } => json!({ "status": status, "reason": reason }),
        Destination::Other => json!({}),
    };
    let changes: Vec<Value> = findings
        .sorted()
        .into_iter()
        .map(|((from, to), group)| {
            json!({
                "calls": group.calls,
                "from": destination(from),
                "to": destination(to),
                "cost_before": sums(&group.before),
                "cost_after": sums(&group.after),
            })
        })
        .collect();
    json!({
        "calls": findings.calls,
        "unasked": findings.unasked,
        "moved": findings.moved,
        "newly_refused": findings.newly_refused,
        "newly_routed": findings.newly_routed,
        "cost_before": sums(&findings.before),
        "cost_after": sums(&findings.after),
        "changes": changes,
    })
}

#[cfg(test)]
mod tests {
    use routing::{Document, PeerDoc, RateTable, RouteDoc, TrunkDoc};
    use sip_msg::TransportKind;

    use super::*;

    fn snapshot(to: &str, premium: bool) -> Snapshot {
        let peer = |host: &str| PeerDoc {
            host: host.to_owned(),
            port: None,
            transport: TransportKind::Udp,
        };
        let mut document = Document::default();
        for (name, rate) in [("pbx", "9.99"), ("cheap", "0.01"), ("dear", "0.05")] {
            let table = format!("prefix,rate_per_minute,currency\n1,{rate},USD\n");
            let table = RateTable::read(&table).unwrap();
            document.rates.push((name.to_owned(), table));
            let mut trunk = TrunkDoc::new(name, vec![peer("192.0.2.1")]);
            trunk.rates = Some(name.to_owned());
            document.trunks.push(trunk);
        }
        let mut route = RouteDoc {
            name: "out".to_owned(),
            to: vec![to.into()],
            ..RouteDoc::default()
        };
        if !premium {
            route.called = vec!["+1425*".to_owned()];
        }
        document.routes = vec![route];
        Snapshot::compile(&document).unwrap()
    }

    fn replayed(lines: &str) -> Result<Findings, Vec<String>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
        let path = file.path().to_owned();
        replay(&path, &snapshot("dear", true), &snapshot("cheap", false))
    }

    const FACTS: &str = r#""facts":{"v":1,"peers":[],"room":[],"wall_us":0,"draw":7}"#;

    #[test]
    fn what_changes_is_counted_and_priced() {
        let record = format!(
            r#"{{"from_trunk":"pbx","question":{{"v":1,"trunk":"pbx","called":"+14255550100"}},"talk_ms":59500,"route":"x",{FACTS}}}"#
        );
        let question =
            format!(r#"{{"question":{{"v":1,"trunk":"pbx","called":"+19005550100"}},{FACTS}}}"#);
        let unasked = format!(r#"{{"question":null,{FACTS}}}"#);
        let lines = format!("{record}\n{record}\n\n{unasked}\n{question}\n");
        let findings = replayed(&lines).unwrap();
        assert_eq!((findings.calls, findings.moved), (3, 3));
        assert_eq!(findings.unasked, 1);
        assert_eq!((findings.newly_refused, findings.newly_routed), (1, 0));
        let json = json_of(&findings);
        assert_eq!(json["cost_before"]["USD"], "0.10");
        assert_eq!(json["cost_after"]["USD"], "0.02");
        assert_eq!(json["changes"][0]["calls"], 2);
        assert_eq!(json["changes"][0]["to"]["trunk"], "cheap");
        assert_eq!(json["changes"][1]["to"]["reason"], "no route matches");
    }

    #[test]
    fn broken_lines_are_named_and_nothing_is_half_replayed() {
        let errors = replayed(&format!("{{}}\nhello\n{{{FACTS}}}\n")).unwrap_err();
        assert_eq!(errors.len(), 3);
        assert!(
            errors[0].starts_with(":1: missing field `question`"),
            "{errors:?}"
        );
        assert!(
            errors[2].starts_with(":3: missing field `question`"),
            "{errors:?}"
        );
    }
}
