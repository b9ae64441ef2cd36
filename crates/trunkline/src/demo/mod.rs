//! The demonstration: the gateway with everybody it talks to, on one machine.

pub mod authority;
pub mod azure;
pub mod calls;
pub mod capture;
pub mod mixed;
mod plots;
pub mod report;
pub mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::resolve::Log;
use crate::{cli, daemon, output};
use world::World;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End after the calls; exit code 0 only if all went through and all audio arrived
    #[arg(long)]
    once: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Write every byte on the wire; the TLS key log goes to FILE.keylog
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Let the carrier lose one audio packet in N, to see that it is noticed
    #[arg(long, value_name = "N")]
    loss: Option<u32>,
    /// Also show the gateway's own log
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the demonstration.
pub fn run(args: &DemoArgs) -> ExitCode {
    let level = if args.verbose { "info" } else { "error" };
    let _logging = daemon::logging::start(&Log {
        level: level.to_owned(),
        json: false,
    });
    cli::block_on(async {
        match show(args).await {
            Ok(passed) => ExitCode::from(u8::from(!passed)),
            Err(error) => {
                output::error(format_args!("error: {error:#}"));
                ExitCode::from(1)
            }
        }
    })
}

async fn show(args: &DemoArgs) -> anyhow::Result<bool> {
    let quiet = args.json;
    if !quiet {
        output::line("Starting the gateway, a carrier, a PBX, and Microsoft's side twice …");
    }
    let mut world = World::start(args.pcap.as_deref(), args.loss).await?;
    if !quiet {
        output::line(report::Cast(&world));
    }
    let outcomes = calls::play(&mut world, |outcome, done, all| {
        if !quiet {
            output::line(report::Progress { outcome, done, all });
        }
    })
    .await;
    let mut violations = world.violations();
    let (ways, ways_json) = match mixed::added_up(&world.store, outcomes.len()).await {
        Ok(added_up) => added_up,
        Err(error) => {
            violations.push(format!("report: {error:#}"));
            Default::default()
        }
    };
    let passed = outcomes.iter().all(|outcome| outcome.passed) && violations.is_empty();
    if quiet {
        let mut json = report::json(&outcomes, &violations, passed);
        json["report"] = ways_json;
        output::line(json);
    } else {
        output::line(mixed::Mixed(&outcomes));
        output::progress(ways);
        output::line(report::Table {
            outcomes: &outcomes,
            violations: &violations,
            passed,
        });
    }
    if !args.once {
        if !quiet {
            output::line(report::Where(&world));
        }
        tokio::signal::ctrl_c().await?;
    }
    world.end().await?;
    Ok(passed)
}
