//! `trunkline acs diff` and `apply`: Azure's SIP routing from the same configuration.
//!
//! Exit codes of `diff`: 0 Azure is as the configuration wants it, 1 it is not, or did not answer,
//! 2 wrong usage or configuration; of `apply`: 0 it is now, 1 it is not, 2 as above.

pub mod advice;
mod apply;
mod effect;
pub mod language;
pub mod pattern;
pub mod plan;
mod saved;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use acs_client::Client;
use acs_client::sip_routing::SipConfiguration;
use clap::Args;
use serde_json::json;

use crate::azure::{self, Stop};
use crate::config::Config;
use crate::config::resolve::Acs;
use crate::output;
use plan::{Action, Plan};

/// Arguments of `acs diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/trunkline/trunkline.toml"
    )]
    config: PathBuf,
    /// Also delete the trunks and routes that were not created from here
    #[arg(long)]
    prune: bool,
    /// Compare with what was saved in this file instead of the configuration
    #[arg(long, value_name = "FILE", conflicts_with = "prune")]
    restore: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `acs apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    diff: DiffArgs,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
}

/// Everything a command needs, read and checked.
#[derive(Debug)]
struct Desk {
    config: Config,
    acs: Acs,
    client: Client,
    saved: Option<SipConfiguration>,
}

/// Runs `acs diff`.
pub fn diff(args: &DiffArgs) -> ExitCode {
    run(args, async |desk| {
        let (plan, warnings) = compared(&desk, args).await?;
        show(args.json, &desk, &plan, &warnings, None);
        let same = plan.changes.is_empty() && plan.clashes.is_empty();
        Ok(u8::from(!same))
    })
}

/// Runs `acs apply`.
pub fn apply(args: &ApplyArgs) -> ExitCode {
    run(&args.diff, async |desk| apply::run(&desk, args).await)
}

fn run(args: &DiffArgs, work: impl AsyncFnOnce(Desk) -> Result<u8, Stop>) -> ExitCode {
    azure::run(async { work(desk(args)?).await })
}

fn desk(args: &DiffArgs) -> Result<Desk, Stop> {
    let config = azure::configuration(&args.config)?;
    let (Some(acs), Some(azure)) = (config.acs.clone(), &config.azure) else {
        let why = format!("{} has no [acs] section", args.config.display());
        return Err(Stop::usage(why));
    };
    let saved = match &args.restore {
        Some(file) => {
            let endpoint = azure.connection.connection().endpoint();
            let saved = saved::read(file, &endpoint);
            Some(saved.map_err(|why| Stop::usage(format!("{}: {why}", file.display())))?)
        }
        None => None,
    };
    let client = azure::client(azure)?;
    Ok(Desk {
        config,
        acs,
        client,
        saved,
    })
}

/// Reads what Azure has and says what is to change.
async fn compared(desk: &Desk, args: &DiffArgs) -> Result<(Plan, Vec<String>), Stop> {
    let current = desk.client.sip_configuration().await;
    let current = current.map_err(|error| Stop::azure(&error))?;
    Ok(planned(desk, args, &current))
}

fn planned(desk: &Desk, args: &DiffArgs, current: &SipConfiguration) -> (Plan, Vec<String>) {
    match &desk.saved {
        Some(saved) => (plan::restore(current, saved), Vec::new()),
        None => {
            let plan = plan::plan(current, &desk.acs, args.prune);
            let warnings = advice::advice(&plan.target, &desk.acs, &desk.config);
            (plan, warnings)
        }
    }
}

/// What became of a change.
#[derive(Clone, Debug)]
struct Applied {
    /// Where the state before is kept.
    saved: PathBuf,
}

fn show(as_json: bool, desk: &Desk, plan: &Plan, warnings: &[String], applied: Option<&Applied>) {
    let endpoint = desk.client.endpoint();
    if as_json {
        output::line(json!({
            "endpoint": endpoint,
            "same": plan.changes.is_empty(),
            "changes": plan.changes,
            "clashes": plan.clashes,
            "warnings": warnings,
            "patch": plan.patch(),
            "applied": applied.is_some(),
            "saved": applied.map(|applied| applied.saved.display().to_string()),
        }));
        return;
    }
    for clash in &plan.clashes {
        output::error(format_args!("error: {clash}"));
    }
    if plan.changes.is_empty() {
        output::line(format_args!("{endpoint}: as the configuration wants it"));
    } else {
        output::line(format_args!("{endpoint}:"));
    }
    for change in &plan.changes {
        let sign = match change.action {
            Action::Add => '+',
            Action::Change | Action::Order => '~',
            Action::Delete => '-',
        };
        output::line(format_args!("{sign} {} {}", change.what, change.name));
        for (sign, text) in [('-', &change.from), ('+', &change.to)] {
            if let Some(text) = text {
                output::line(format_args!("    {sign} {text}"));
            }
        }
        output::line(format_args!("    calls: {}", change.effect));
    }
    for warning in warnings {
        output::error(format_args!("warning: {warning}"));
    }
}
