//! `trunkline report`: what the store says of the calls of some days.

mod ways;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::json;
use store::{Between, Counting, Day, Reader};

use crate::{config, output};
use ways::Ways;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The configuration file that names the store
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/trunkline/trunkline.toml"
    )]
    config: PathBuf,
    /// The store itself, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Calls that ended on or after this day (UTC), or within this time: 2026-11-01, 7d
    #[arg(long, value_name = "DAY", default_value = "7d", value_parser = since)]
    since: i64,
    /// Calls that ended on or before this day (UTC); default: until now
    #[arg(long, value_name = "DAY", value_parser = until)]
    until: Option<i64>,
    /// What is counted
    #[arg(long, value_enum, default_value = "all")]
    count: Count,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Count {
    /// Calls, each once
    Calls,
    /// Participants, as a query over Azure's ACSCallSummary counts them
    Participants,
    /// Calls by where they went and why, with what they cost
    Ways,
    /// One after the other
    All,
}

/// Runs the command. Exit code 0: there is a report; 2: there is no store, or wrong usage.
pub fn run(args: &ReportArgs) -> ExitCode {
    let path = match place(args) {
        Ok(path) => path,
        Err(text) => {
            output::error(format_args!("error: {text}"));
            return ExitCode::from(2);
        }
    };
    let between = Between {
        from: args.since,
        until: args.until.unwrap_or(i64::MAX),
    };
    match totals(&path, args.count, between) {
        Ok((tables, ways)) if args.json => {
            let tables = tables.iter();
            let tables = tables.map(|(counting, days)| json!({"count": counting, "days": days}));
            let ways = ways.iter().map(Ways::json);
            output::line(json!(tables.chain(ways).collect::<Vec<_>>()));
            ExitCode::SUCCESS
        }
        Ok((tables, ways)) => {
            for (counting, days) in &tables {
                output::progress(table(*counting, days));
            }
            if let Some(ways) = ways {
                output::progress(ways.table());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::error(format_args!("error: {}: {error}", path.display()));
            ExitCode::from(2)
        }
    }
}

/// Where all stored calls went: the table, and the same as JSON.
///
/// # Errors
/// The store cannot be read.
pub fn ways(path: &std::path::Path) -> Result<(String, serde_json::Value), store::StoreError> {
    let ways = Ways::read(&Reader::open(path)?, Between::ALWAYS)?;
    Ok((ways.table(), ways.json()))
}

/// The file of the store.
fn place(args: &ReportArgs) -> Result<PathBuf, String> {
    if let Some(path) = &args.store {
        return Ok(path.clone());
    }
    let file = args.config.display();
    let reading = config::read(&args.config).map_err(|error| format!("{file}: {error}"))?;
    let store = reading.config.store.map(|store| store.path);
    store.ok_or_else(|| format!("{file}: there is no [store]; add one, or say --store FILE"))
}

/// Days by what is counted, and the ways calls took.
type Totals = (Vec<(Counting, Vec<Day>)>, Option<Ways>);

fn totals(
    path: &std::path::Path,
    count: Count,
    between: Between,
) -> Result<Totals, store::StoreError> {
    let reader = Reader::open(path)?;
    let countings: &[Counting] = match count {
        Count::Calls => &[Counting::Calls],
        Count::Participants => &[Counting::Participants],
        Count::Ways => &[],
        Count::All => &[Counting::Calls, Counting::Participants],
    };
    let tables = countings.iter();
    let tables = tables.map(|&counting| Ok((counting, reader.by_day(counting, between)?)));
    let tables = tables.collect::<Result<_, store::StoreError>>()?;
    let ways = match count {
        Count::Ways | Count::All => Some(Ways::read(&reader, between)?),
        Count::Calls | Count::Participants => None,
    };
    Ok((tables, ways))
}

/// A heading, a line for each day and kind of call, and their sum.
fn table(counting: Counting, days: &[Day]) -> String {
    let mut text = match counting {
        Counting::Calls => "Calls, each once\n".to_owned(),
        Counting::Participants => {
            "Participants: rows of ACSCallSummary, each with the length of its whole call\n"
                .to_owned()
        }
    };
    let line = |text: &mut String, day: &str, kind: &str, total, average: f64, minutes: f64| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {day:<10}  {kind:<5}  {total:>9}  {average:>11.1}  {minutes:>11.1}"
        );
    };
    if days.is_empty() {
        text.push_str("  none\n\n");
        return text;
    }
    text.push_str("  day         type       total    average s      minutes\n");
    for day in days {
        line(
            &mut text,
            &day.day,
            &day.call_type,
            day.total,
            day.average_seconds,
            day.minutes,
        );
    }
    let total: u64 = days.iter().map(|day| day.total).sum();
    let minutes: f64 = days.iter().map(|day| day.minutes).sum();
    // Each day has at least one call.
    let average = minutes * 60.0 / total as f64;
    line(&mut text, "sum", "", total, average, minutes);
    text.push('\n');
    text
}

/// The beginning of a day, or a length of time back from now, as microseconds since the epoch.
fn since(text: &str) -> Result<i64, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let start = now.unwrap_or_default().saturating_sub(span);
        return Ok(i64::try_from(start.as_micros()).unwrap_or(i64::MAX));
    }
    midnight(day(text)?)
}

/// The end of a day.
fn until(text: &str) -> Result<i64, String> {
    let next = day(text)?.checked_add(1.day());
    midnight(next.map_err(|error| error.to_string())?)
}

fn day(text: &str) -> Result<Date, String> {
    let wrong = |_| "a day is written 2026-11-01, a length of time 7d".to_owned();
    text.parse().map_err(wrong)
}

fn midnight(day: Date) -> Result<i64, String> {
    let at = day.to_zoned(TimeZone::UTC);
    let at = at.map_err(|error| error.to_string())?;
    Ok(Timestamp::from(at).as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_in_utc() {
        let day = 24 * 3600 * 1_000_000;
        assert_eq!(since("2026-01-02"), Ok(1_767_312_000_000_000));
        assert_eq!(until("2026-01-01"), Ok(1_767_312_000_000_000));
        let (week, fortnight) = (since("7d").unwrap(), since("14d").unwrap());
        assert!((6 * day..8 * day).contains(&(week - fortnight)));
        for wrong in ["", "yesterday", "2026-13-01", "01.11.2026"] {
            assert!(since(wrong).is_err(), "{wrong}");
            assert!(until(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_table_ends_with_its_sum() {
        let day = |kind: &str, total, minutes| Day {
            day: "2026-01-02".to_owned(),
            call_type: kind.to_owned(),
            total,
            average_seconds: minutes * 60.0 / total as f64,
            minutes,
        };
        let text = table(Counting::Calls, &[day("Group", 2, 3.0), day("P2P", 1, 0.5)]);
        assert_eq!(
            text,
            "Calls, each once\n\
             \x20 day         type       total    average s      minutes\n\
             \x20 2026-01-02  Group          2         90.0          3.0\n\
             \x20 2026-01-02  P2P            1         30.0          0.5\n\
             \x20 sum                        3         70.0          3.5\n\n"
        );
        assert!(table(Counting::Participants, &[]).ends_with("  none\n\n"));
    }
}
