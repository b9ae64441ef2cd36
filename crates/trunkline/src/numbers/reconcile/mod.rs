//! `numbers reconcile`: whether Azure, the carriers, the inventory and the routes agree.

mod judge;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ambient::WallTime;
use clap::Args;
use routing::{Facts, Outcome, Question, Snapshot};
use serde_json::{Value, json};
use store::inventory::{Entry, Inventory, Listed, State, list};

use self::judge::{Named, Routes, Sides, judge};
use super::{Place, broken, live, now};
use crate::azure::Stop;
use crate::config::Config;
use crate::output;

/// Arguments of `numbers reconcile`.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    #[command(flatten)]
    place: Place,
    /// A carrier's list of its numbers, comma-separated values with the column `number` and any of
    /// those of `import`; may be repeated. Each is everything that carrier has
    #[arg(long, value_name = "FILE")]
    carrier: Vec<PathBuf>,
    /// Leave Azure unasked
    #[arg(long)]
    no_azure: bool,
    /// Leave the routes unasked
    #[arg(long)]
    no_routes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Most numbers of a range in a route that are looked at one by one.
const WIDEST: u64 = 1_000;

/// Runs `numbers reconcile`.
pub(super) async fn run(args: &ReconcileArgs) -> Result<u8, Stop> {
    let config = args.place.config()?;
    let inventory = inventory(args, &config)?;
    let carriers = carriers(&args.carrier)?;
    let azure = match config.azure.is_some() && !args.no_azure {
        true => Some(live::numbers(&args.place.client(&config)?).await?),
        false => None,
    };
    let routes = match args.no_routes {
        true => None,
        false => Some(routes(&config, &inventory)?),
    };
    let sides = Sides {
        inventory: &inventory,
        azure: azure.as_deref(),
        carriers: &carriers,
        routes: routes.as_ref(),
    };
    let found = judge(&sides);
    let count = |side: Option<usize>| side.map_or(Value::Null, Value::from);
    if args.json {
        output::line(json!({
            "agree": found.is_empty(),
            "asked": {
                "azure": count(azure.as_ref().map(Vec::len)),
                "inventory": inventory.len(),
                "carriers": carriers.iter().map(|(name, listed)| (name.clone(), listed.len()))
                    .collect::<BTreeMap<_, _>>(),
                "routes": routes.is_some(),
            },
            "disagreements": found.iter().map(|one| json!({
                "number": one.number, "about": one.about.as_str(), "says": one.says,
                "message": one.sentence,
            })).collect::<Vec<_>>(),
        }));
        return Ok(u8::from(!found.is_empty()));
    }
    for one in &found {
        output::line(format_args!(
            "{:<16}  {:<12}  {}",
            one.number,
            one.about.as_str(),
            one.sentence
        ));
    }
    let asked = |what: &str, side: Option<usize>| match side {
        Some(count) => format!("{what} ({count})"),
        None => format!("{what} (not asked)"),
    };
    let carried = carriers
        .iter()
        .map(|(name, listed)| asked(name, Some(listed.len())));
    let mut sides = vec![
        asked("inventory", Some(inventory.len())),
        asked("Azure", azure.as_ref().map(Vec::len)),
    ];
    sides.extend(carried);
    let verdict = match found.len() {
        0 => "they agree".to_owned(),
        many => format!("{many} disagreements"),
    };
    output::line(format_args!("{}: {verdict}", sides.join(", ")));
    Ok(u8::from(!found.is_empty()))
}

/// The gateway's inventory: the store's, or else the numbers of `[inventory] file`.
fn inventory(args: &ReconcileArgs, config: &Config) -> Result<Vec<Entry>, Stop> {
    let entries = |numbers: Vec<store::inventory::Stored>| {
        let numbers = numbers.into_iter().map(|stored| stored.entry);
        numbers
            .filter(|entry| entry.state != State::Released)
            .collect()
    };
    if let Some(path) = args.place.stored(config) {
        if !path.exists() && args.place.store.is_none() {
            return Ok(Vec::new());
        }
        let read = Inventory::read(&path).and_then(|inventory| inventory.numbers());
        return read.map(entries).map_err(|error| broken(&path, &error));
    }
    let Some(file) = &config.inventory else {
        return Err(Stop::usage(format!(
            "{}: there is neither a [store] nor an [inventory] file to compare with",
            args.place.config.display()
        )));
    };
    let listed = read(file)?.into_iter();
    Ok(listed.filter_map(|listed| listed.over(None)).collect())
}

fn read(file: &Path) -> Result<Vec<Listed>, Stop> {
    let shown = file.display();
    let text =
        fs::read_to_string(file).map_err(|error| Stop::usage(format!("{shown}: {error}")))?;
    let list = list::read(&text).map_err(|mistakes| {
        for mistake in &mistakes {
            output::error(format_args!("error: {shown}:{mistake}"));
        }
        Stop::usage(format!("{shown} cannot be compared with"))
    })?;
    Ok(list.rows.into_iter().map(|(_, listed)| listed).collect())
}

fn carriers(files: &[PathBuf]) -> Result<Vec<(String, Vec<Listed>)>, Stop> {
    let read = |file: &PathBuf| {
        let name = file.file_name().unwrap_or(file.as_os_str());
        Ok((name.to_string_lossy().into_owned(), read(file)?))
    };
    files.iter().map(read).collect()
}

/// What the routes do with the numbers.
fn routes(config: &Config, inventory: &[Entry]) -> Result<Routes, Stop> {
    let snapshot = Snapshot::compile(&config.routing)
        .map_err(|_| Stop::usage("the routes of the configuration do not compile"))?;
    let outside: Vec<_> = config
        .trunks
        .iter()
        .filter(|trunk| trunk.preset == b2bua::profile::Preset::Carrier)
        .collect();
    let facts = Facts {
        wall: WallTime::from_unix_micros(now().unsigned_abs()),
        ..Facts::default()
    };
    let mut routes = Routes {
        led: led(config),
        caller_ids: caller_ids(config),
        ..Routes::default()
    };
    for entry in inventory {
        if let Some(owner) = snapshot.owner(&entry.number) {
            routes.owners.insert(entry.number.clone(), owner);
        }
        let reached = outside.iter().any(|trunk| {
            let question = Question {
                trunk: trunk.name.clone(),
                called: entry.number.clone(),
                calling: None,
                headers: Vec::new(),
            };
            let decision = routing::decide(&snapshot, &facts, &question);
            matches!(decision.outcome, Outcome::Route(_))
        });
        if !reached && !outside.is_empty() {
            routes.unreached.insert(entry.number.clone());
        }
    }
    routes.knows_owners = config.routing.owners != routing::NumberOwners::default();
    Ok(routes)
}

/// Numbers that routes lead to the operator's own side: written one by one, or in short ranges.
fn led(config: &Config) -> Vec<Named> {
    let own = |name: &sip_msg::wire::TrunkName| {
        let mut trunks = config.trunks.iter();
        let trunk = trunks.find(|trunk| trunk.name == *name);
        trunk.is_some_and(|trunk| trunk.preset != b2bua::profile::Preset::Carrier)
    };
    let mut named = Vec::new();
    for route in &config.routing.routes {
        if route.to.is_empty() || !route.to.iter().all(own) {
            continue;
        }
        for pattern in &route.called {
            named.extend(single(pattern).into_iter().map(|number| Named {
                number,
                by: format!("route `{}`", route.name),
            }));
        }
    }
    named
}

/// The numbers of a pattern that is one number or a short range of E.164.
fn single(pattern: &str) -> Vec<String> {
    let digits = |text: &str| -> Option<u64> {
        let digits = text.trim().strip_prefix('+')?;
        let fits = digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| digits.parse().ok()).flatten()
    };
    let (first, last) = pattern.split_once('-').unwrap_or((pattern, pattern));
    match (digits(first), digits(last)) {
        (Some(first), Some(last)) if last >= first && last - first < WIDEST => {
            (first..=last).map(|number| format!("+{number}")).collect()
        }
        _ => Vec::new(),
    }
}

/// Numbers that calls are said to come from.
fn caller_ids(config: &Config) -> Vec<Named> {
    let bought = config.caller_ids.iter().map(|number| Named {
        number: number.clone(),
        by: judge::CLOUD_CALLING.to_owned(),
    });
    let shown = config.routing.routes.iter().filter_map(|route| {
        Some(Named {
            number: route.caller_id.clone()?,
            by: format!("route `{}`", route.name),
        })
    });
    bought.chain(shown).collect()
}
