//! `bench media`: the relay's capacity on this host.

mod report;
mod trial;

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::floor::Floor;
use super::outlet::Outlet;
use super::role::Role;
use super::wire::Kind;
use super::{Path, machine};
use crate::output;
use trial::{Bench, Trial, Unavailable, What};

/// Calls that a packet's cost and delay are measured with.
const USUAL: u16 = 500;
/// Calls whose memory is set against that of the usual number.
const FEW: u16 = 100;
/// A rate is carried where less than this share is lost.
const TOLERATED: f64 = 0.001;

/// Arguments of `bench media`.
#[derive(Debug, Args)]
pub(crate) struct MediaArgs {
    /// What the legs speak; without it every kind in turn
    #[arg(long, value_enum)]
    kind: Vec<Kind>,
    /// The path that packets take: `auto` is the one the daemon would choose, `all` each in turn
    #[arg(long, default_value = "auto")]
    path: String,
    /// Measure with so many calls, and look for no highest number
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=13_000))]
    calls: Option<u16>,
    /// Seconds of each trial, after one that is not counted
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// The core that the relay runs on
    #[arg(long)]
    device_core: Option<usize>,
    /// The core that the generator runs on
    #[arg(long)]
    generator_core: Option<usize>,
    #[command(flatten)]
    outlet: Outlet,
    /// Hold back one packet in N, to see that it is noticed
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    plant_loss: u64,
}

/// Everything that was found out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Processor, cores, kernel.
    pub(crate) machine: String,
    /// The version of this program.
    pub(crate) version: String,
    /// What the bare system calls cost in the same run.
    pub(crate) floor: Floor,
    /// A forwarder that changes nothing, on each path.
    pub(crate) bare: Vec<Trial>,
    /// Paths that cannot be had here, and why.
    pub(crate) missing: Vec<String>,
    /// A result for each kind and path.
    pub(crate) results: Vec<Outcome>,
    /// Whether every trial was undisturbed and lost nothing.
    pub(crate) fine: bool,
    /// What none of this shows.
    pub(crate) does_not_prove: Vec<String>,
}

/// What one kind of call came to on one path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    /// The path as the device named it.
    pub(crate) path: String,
    /// At a number of calls that is carried easily.
    pub(crate) usual: Trial,
    /// CPU time of a packet against the bare system calls of one.
    pub(crate) times_floor: f64,
    /// CPU time of a packet against that of the forwarder on the same path.
    pub(crate) times_bare: f64,
    /// Packets that a second of CPU time carries.
    pub(crate) packets_per_cpu_second: f64,
    /// Octets of memory that a call more takes.
    pub(crate) memory_a_call: Option<f64>,
    /// The highest number of calls.
    pub(crate) highest: Option<Highest>,
}

/// The end of the ladder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Highest {
    /// Calls that were carried with less than 0.1 % lost.
    pub(crate) calls: u16,
    /// What ended the search.
    pub(crate) limit: Limit,
    /// The trial at that number.
    pub(crate) trial: Trial,
    /// Every number tried: calls, share lost, whether it counts as carried.
    pub(crate) tried: Vec<(u16, f64, bool)>,
}

/// What a ladder ended at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// More calls lose packets.
    Loss,
    /// The generator sends no faster.
    Generator,
    /// No more sockets may be open.
    Descriptors,
}

/// Measures, prints, writes; whether everything was fine.
pub(crate) fn run(args: &MediaArgs) -> Result<bool> {
    let (device, generator) = machine::two_cores(args.device_core, args.generator_core)?;
    let bench = Bench {
        device,
        generator,
        seconds: f64::from(args.seconds),
        plant: args.plant_loss,
    };
    let kinds = if args.kind.is_empty() {
        &Kind::ALL[..]
    } else {
        &args.kind
    };
    let all = args.path == "all";
    let paths: Vec<Path> = if all {
        Path::every().collect()
    } else {
        vec![args.path.parse().map_err(anyhow::Error::msg)?]
    };
    let floor = floor(device)?;
    let (mut results, mut bare, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let calls = args.calls.unwrap_or(USUAL);
        output::error(format_args!("forwarder, {}: {calls} calls …", path.name()));
        let forwarder = match bench.gated(What::Bare, path, calls) {
            Err(error) if all && error.is::<Unavailable>() => {
                output::error(format_args!("  {error}"));
                missing.push(error.to_string());
                continue;
            }
            forwarder => forwarder?,
        };
        output::error(report::Line(&forwarder));
        for kind in kinds {
            let mut result = outcome(args, &bench, *kind, path)?;
            let cost = result.usual.cpu_us_a_packet;
            result.times_floor = cost / floor.packet_us();
            result.times_bare = cost / forwarder.cpu_us_a_packet;
            results.push(result);
        }
        bare.push(forwarder);
    }
    let report = Report {
        machine: machine::described(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        floor,
        fine: !results.is_empty() && results.iter().all(|result| result.usual.fine),
        bare,
        missing,
        results,
        does_not_prove: report::CAVEATS.map(str::to_owned).to_vec(),
    };
    let picture = || report::picture(&report).to_string();
    args.outlet.tell(&report, report::Table(&report), picture)?;
    Ok(report.fine)
}

fn outcome(args: &MediaArgs, bench: &Bench, kind: Kind, path: Path) -> Result<Outcome> {
    let calls = args.calls.unwrap_or(USUAL);
    output::error(format_args!("{kind}, {}: {calls} calls …", path.name()));
    let usual = bench.gated(What::Calls(kind), path, calls)?;
    output::error(report::Line(&usual));
    let memory_a_call = if calls > FEW && args.plant_loss == 0 {
        output::error(format_args!("{kind}: memory of {FEW} calls …"));
        let few = bench.trial(What::Calls(kind), path, FEW)?;
        let more = usual.rss as f64 - few.rss as f64;
        Some(more / f64::from(calls - FEW))
    } else {
        None
    };
    let highest = match args.calls {
        Some(_) => None,
        None => Some(ladder(bench, kind, path, &usual)?),
    };
    Ok(Outcome {
        kind,
        path: usual.path.clone(),
        times_floor: 0.0,
        times_bare: 0.0,
        packets_per_cpu_second: 1e6 / usual.cpu_us_a_packet,
        usual,
        memory_a_call,
        highest,
    })
}

/// Doubles the calls until packets are lost, then halves the gap until it is a twentieth.
fn ladder(bench: &Bench, kind: Kind, path: Path, usual: &Trial) -> Result<Highest> {
    let most = u16::try_from(machine::descriptors()?.saturating_sub(64) / 4)
        .unwrap_or(u16::MAX)
        .min(trial::MOST);
    let mut best = usual.clone();
    let mut tried = Vec::new();
    let mut too_many = None;
    let mut limit = Limit::Loss;
    loop {
        let calls = match too_many {
            None if best.calls >= most => {
                limit = Limit::Descriptors;
                break;
            }
            None => best.calls.saturating_mul(2).min(most),
            Some(end) if end - best.calls <= best.calls / 20 => break,
            Some(end) => best.calls + (end - best.calls) / 2,
        };
        output::error(format_args!("{kind}: {calls} calls …"));
        let (trial, carried) = bench.carries(What::Calls(kind), path, calls)?;
        output::error(report::Line(&trial));
        tried.push((calls, trial.measured.loss(), carried));
        if carried {
            best = trial;
        } else {
            limit = if trial.measured.kept_pace() {
                Limit::Loss
            } else {
                Limit::Generator
            };
            too_many = Some(calls);
        }
    }
    Ok(Highest {
        calls: best.calls,
        limit,
        trial: best,
        tried,
    })
}

/// What the bare system calls cost on the core that the relay ran on.
fn floor(core: usize) -> Result<Floor> {
    let mut role = Role::start("floor", &["--core".to_owned(), core.to_string()])?;
    let floor = role.hear(trial::PATIENCE)?;
    role.end()?;
    Ok(floor)
}
