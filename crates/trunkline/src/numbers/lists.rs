//! `numbers list`, `import` and `export`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use e164::NumberType;
use routing::Owner;
use serde_json::{Value, json};
use store::inventory::{
    Changes, Entry, Field, Imported, Inventory, Origin, State, Stored, kind_from_name, list,
};

use super::{Place, broken, inventory, live, now, time};
use crate::azure::Stop;
use crate::output;

/// Arguments of `numbers list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    place: Place,
    /// Ask Azure instead of the store
    #[arg(long)]
    azure: bool,
    /// Only numbers of this owner: microsoft, carrier, ported
    #[arg(long, value_name = "OWNER", value_parser = owner)]
    owner: Option<Owner>,
    /// Only numbers of this type: geographic, toll-free, mobile, short-code, …
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<NumberType>,
    /// Also numbers that were given up
    #[arg(long)]
    all: bool,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `numbers import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Comma-separated values; the first line names the columns: number, owner, type, country,
    /// calling, sms, assignment, monthly_cost, currency, state
    #[arg(value_name = "FILE", required_unless_present = "azure")]
    file: Option<PathBuf>,
    /// Read the numbers bought from Azure
    #[arg(long, conflicts_with_all = ["file", "complete"])]
    azure: bool,
    /// The file is everything its source has: what it had before and has no more was given up
    #[arg(long)]
    complete: bool,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `numbers export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file to write, which must not be there yet; standard output when left out
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Also numbers that were given up
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
}

fn owner(text: &str) -> Result<Owner, String> {
    Owner::from_name(text).ok_or_else(|| "microsoft, carrier or ported".to_owned())
}

pub(super) fn kind(text: &str) -> Result<NumberType, String> {
    kind_from_name(text).ok_or_else(|| "geographic, toll-free, mobile, short-code, …".to_owned())
}

/// Runs `numbers list`.
pub(super) async fn list(args: &ListArgs) -> Result<u8, Stop> {
    let numbers = if args.azure {
        let config = args.place.config()?;
        let client = args.place.client(&config)?;
        let (at, listed) = (now(), live::numbers(&client).await?);
        let entries = listed.into_iter().filter_map(|listed| listed.over(None));
        entries
            .map(|entry| Stored {
                entry,
                source: Origin::Azure.name().to_owned(),
                seen: at,
            })
            .collect()
    } else {
        stored(&args.place)?
    };
    let wanted = |stored: &&Stored| {
        let entry = &stored.entry;
        let owned = args.owner.is_none_or(|owner| owner == entry.owner);
        let of_kind = args.kind.is_none_or(|kind| kind == entry.kind);
        owned && of_kind && (args.all || entry.state != State::Released)
    };
    let numbers: Vec<&Stored> = numbers.iter().filter(wanted).collect();
    if args.json {
        let all: Vec<Value> = numbers.iter().map(|stored| object(stored)).collect();
        output::line(json!(all));
        return Ok(0);
    }
    output::line(
        "number            type         owner      country  calling   sms       assignment   \
         monthly cost  state      source, last seen",
    );
    for stored in &numbers {
        let entry = &stored.entry;
        let cost = entry.text(Field::Cost);
        output::line(format_args!(
            "{:<16}  {:<11}  {:<9}  {:<7}  {:<8}  {:<8}  {:<11}  {cost:>12}  {:<9}  {}, {}",
            entry.number,
            entry.kind.as_str(),
            entry.owner.as_str(),
            entry.country,
            entry.calling.as_str(),
            entry.sms.as_str(),
            entry.assignment.as_str(),
            entry.state.as_str(),
            stored.source,
            time(stored.seen),
        ));
    }
    output::line(format_args!("{} numbers", numbers.len()));
    Ok(0)
}

/// The inventory of a store that is there.
pub(super) fn stored(place: &Place) -> Result<Vec<Stored>, Stop> {
    let path = place.path()?;
    if !path.exists() {
        let shown = path.display();
        return Err(Stop::usage(format!(
            "{shown} is not there yet; trunkline numbers import makes it"
        )));
    }
    let read = Inventory::read(&path).and_then(|inventory| inventory.numbers());
    read.map_err(|error| broken(&path, &error))
}

fn object(stored: &Stored) -> Value {
    let mut object = entry(&stored.entry);
    object["source"] = json!(stored.source);
    object["last_seen"] = json!(time(stored.seen));
    object
}

/// A number as a JSON object.
pub(super) fn entry(entry: &Entry) -> Value {
    json!({
        "number": entry.number,
        "type": entry.kind.as_str(),
        "owner": entry.owner.as_str(),
        "country": entry.country,
        "calling": entry.calling.as_str(),
        "sms": entry.sms.as_str(),
        "assignment": entry.assignment.as_str(),
        "monthly_cost": entry.cost.map(|cost| routing::decimal(cost.micros)),
        "currency": entry.cost.map(|cost| cost.currency.to_string()),
        "state": entry.state.as_str(),
    })
}

/// Runs `numbers import`.
pub(super) async fn import(args: &ImportArgs) -> Result<u8, Stop> {
    let path = args.place.path()?;
    let (origin, rows) = match &args.file {
        Some(file) => {
            let shown = file.display();
            let text = fs::read_to_string(file)
                .map_err(|error| Stop::usage(format!("{shown}: {error}")))?;
            let read = match list::read(&text) {
                Ok(read) => read,
                Err(mistakes) => return Ok(refused(args, &shown.to_string(), &mistakes)),
            };
            for column in &read.ignored {
                output::error(format_args!(
                    "warning: {shown}: the column `{column}` means nothing here"
                ));
            }
            let name = file.file_name().unwrap_or(file.as_os_str());
            let origin = Origin::File {
                name: name.to_string_lossy().into_owned(),
                complete: args.complete,
            };
            (origin, read.rows)
        }
        None => {
            let config = args.place.config()?;
            let listed = live::numbers(&args.place.client(&config)?).await?;
            (Origin::Azure, (1..).zip(listed).collect())
        }
    };
    let imported = inventory(&path)?.import(&origin, rows, now(), args.dry_run);
    match imported.map_err(|error| broken(&path, &error))? {
        Imported::Refused(mistakes) => {
            let shown = args.file.as_ref().map(|file| file.display().to_string());
            let shown = shown.unwrap_or_else(|| "Azure's list".to_owned());
            Ok(refused(args, &shown, &mistakes))
        }
        Imported::Whole(changes) => {
            show(args, &changes);
            Ok(0)
        }
    }
}

fn refused(args: &ImportArgs, shown: &str, mistakes: &[list::Mistake]) -> u8 {
    if args.json {
        let told = mistakes.iter();
        let told = told.map(|one| json!({"line": one.line, "message": one.fault.to_string()}));
        output::line(json!({
            "imported": false, "source": shown, "mistakes": told.collect::<Vec<_>>(),
        }));
    }
    for mistake in mistakes {
        output::error(format_args!("error: {shown}:{mistake}"));
    }
    output::error("nothing was imported");
    1
}

fn show(args: &ImportArgs, changes: &Changes) {
    for odd in &changes.odd {
        output::error(format_args!("warning: Azure's number {odd}"));
    }
    if args.json {
        let changed = changes.changed.iter().map(|change| {
            json!({
                "number": change.number, "what": change.field.as_str(),
                "from": change.from, "to": change.to,
            })
        });
        output::line(json!({
            "imported": !args.dry_run,
            "added": changes.added,
            "changed": changed.collect::<Vec<_>>(),
            "released": changes.released,
            "same": changes.same,
        }));
        return;
    }
    for number in &changes.added {
        output::line(format_args!("+ {number}"));
    }
    for change in &changes.changed {
        let (number, field) = (&change.number, change.field.as_str());
        let shown = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
        let (from, to) = (shown(&change.from), shown(&change.to));
        output::line(format_args!("~ {number}  {field}: {from} → {to}"));
    }
    for number in &changes.released {
        output::line(format_args!("- {number}  its source has it no more"));
    }
    let changed: std::collections::BTreeSet<&str> = changes
        .changed
        .iter()
        .map(|change| &*change.number)
        .collect();
    output::line(format_args!(
        "{} new, {} changed, {} given up, {} as before{}",
        changes.added.len(),
        changed.len(),
        changes.released.len(),
        changes.same,
        if args.dry_run {
            "; nothing was written"
        } else {
            ""
        },
    ));
}

/// Runs `numbers export`.
pub(super) fn export(args: &ExportArgs) -> Result<u8, Stop> {
    let mut numbers = stored(&args.place)?;
    numbers.retain(|stored| args.all || stored.entry.state != State::Released);
    let text = list::write(&numbers, time);
    let Some(file) = &args.file else {
        output::progress(text);
        return Ok(0);
    };
    let shown = file.display();
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Stop::usage(format!("{shown}: {error}")))?;
    output::line(format_args!("{} numbers in {shown}", numbers.len()));
    Ok(0)
}
