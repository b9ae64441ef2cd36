//! `bench calls`: what a call costs the whole gateway, set up and torn down.

mod gateway;
mod report;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::machine;
use super::outlet::Outlet;
use super::parties::{Errand, Told};
use super::role::Role;
use crate::output;
use gateway::{Gateway, Net};

pub(crate) use gateway::{GatewayArgs, run as gateway};

/// Calls a second that the cost of a call is measured at.
const USUAL: f64 = 500.0;
/// Fewer calls a second would be waited for in vain.
const LEAST: f64 = 0.1;
/// The ladder ends here: no port is left for more.
const MOST: f64 = 16_000.0;
/// A share of a core's time that others may have.
const DISTURBED: f64 = 0.15;
/// How often a trial that was disturbed is tried again.
const TRIES: usize = 3;
/// Seconds of calls that nothing is counted of: connections are made, memory is taken.
const WARM: f64 = 1.0;
/// Transactions over UDP are remembered for 32 s (RFC 3261 §17).
const REMEMBERED: Duration = Duration::from_secs(34);

/// Arguments of `bench calls`.
#[derive(Debug, Args)]
pub(crate) struct CallsArgs {
    /// Calls a second; without it 500, and then the highest number is looked for
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Seconds of each trial
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// How the called party is reached; the caller uses UDP
    #[arg(long, value_enum, default_value_t)]
    transport: Far,
    /// Also the memory of a call that is up, by holding twice so many; takes over a minute
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3500))]
    held: Option<u32>,
    /// The core that the gateway runs on
    #[arg(long)]
    device_core: Option<usize>,
    /// The core that the parties run on
    #[arg(long)]
    generator_core: Option<usize>,
    #[command(flatten)]
    outlet: Outlet,
}

/// How the called party is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Far {
    /// Datagrams
    #[default]
    Udp,
    /// One TLS connection
    Tls,
}

/// Calls a second, as they can be asked for.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate| (LEAST..=MOST).contains(rate));
    rate.ok_or_else(|| format!("calls a second are a number from {LEAST} to {MOST}"))
}

/// Calls a second that were tried, and whether they were carried.
type Rungs = Vec<(f64, bool)>;

impl Far {
    fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP→UDP",
            Self::Tls => "UDP→TLS",
        }
    }
}

/// Everything that was found out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) version: String,
    pub(crate) transport: Far,
    /// At the rate asked for.
    pub(crate) usual: Trial,
    /// The highest rate at which every call went through and nothing was sent twice.
    pub(crate) highest: Option<Trial>,
    /// Every rate tried, and whether it was carried.
    pub(crate) tried: Vec<(f64, bool)>,
    /// Octets of memory that a call more takes while it is up.
    pub(crate) memory_a_call: Option<f64>,
    /// Whether the trial at the rate asked for was clean.
    pub(crate) fine: bool,
    pub(crate) does_not_prove: Vec<String>,
}

/// What one trial came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// What the parties counted.
    pub(crate) told: Told,
    /// CPU time of the gateway for 1,000 calls, in seconds.
    pub(crate) cpu_s_per_1000: f64,
    /// Every call through, nothing sent twice, others had less than 15 % of the gateway's core.
    pub(crate) fine: bool,
}

/// Measures, prints, writes; whether everything was fine.
pub(crate) fn run(args: &CallsArgs) -> Result<bool> {
    let mut lab = Lab::start(args)?;
    let rate = args.rate.unwrap_or(USUAL);
    lab.warm(rate)?;
    let usual = lab.gated(rate)?;
    let (highest, tried) = match args.rate {
        Some(_) => (None, Vec::new()),
        None => lab.ladder(&usual)?,
    };
    let memory_a_call = match args.held {
        Some(calls) => {
            drop(lab);
            let mut lab = Lab::start(args)?;
            Some(lab.memory(calls)?)
        }
        None => None,
    };
    let report = Report {
        machine: machine::described(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        transport: args.transport,
        fine: usual.fine,
        usual,
        highest,
        tried,
        memory_a_call,
        does_not_prove: report::CAVEATS.map(str::to_owned).to_vec(),
    };
    let picture = || report::picture(&report).to_string();
    args.outlet.tell(&report, report::Table(&report), picture)?;
    Ok(report.fine)
}

/// A gateway between its parties.
struct Lab {
    gateway: Gateway,
    parties: Role,
    core: usize,
    seconds: f64,
    name: &'static str,
}

impl Lab {
    fn start(args: &CallsArgs) -> Result<Self> {
        let (device, generator) = machine::two_cores(args.device_core, args.generator_core)?;
        let net = Net::free()?;
        let secure = args.transport == Far::Tls;
        let (gateway, transport) = Gateway::start(net, secure, device)?;
        let arguments = [
            ("--core", generator.to_string()),
            ("--caller", net.caller().to_string()),
            ("--called", net.called().to_string()),
            ("--gateway", net.gateway().to_string()),
        ];
        let arguments: Vec<String> = arguments
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect();
        let mut lab = Self {
            gateway,
            parties: Role::start("parties", &arguments)?,
            core: device,
            seconds: f64::from(args.seconds),
            name: args.transport.name(),
        };
        lab.parties.say(&transport)?;
        let _: String = lab.parties.hear(Duration::from_secs(10))?;
        lab.ask(&Errand::Ping)?;
        Ok(lab)
    }

    fn ask(&mut self, errand: &Errand) -> Result<Told> {
        self.parties.say(errand)?;
        let patience = Duration::from_secs_f64(120.0 + 2.0 * self.seconds);
        let told = self.parties.hear(patience);
        self.gateway.check()?;
        told
    }

    fn warm(&mut self, rate: f64) -> Result<()> {
        let calls = (rate * WARM).ceil() as u32;
        self.call(calls, rate, Some(0.0)).map(|_| ())
    }

    fn call(&mut self, calls: u32, rate: f64, hold: Option<f64>) -> Result<Told> {
        self.ask(&Errand::Call {
            calls,
            rate,
            hold,
            pids: vec![self.gateway.pid()],
            core: Some(self.core),
        })
    }

    fn trial(&mut self, rate: f64) -> Result<Trial> {
        output::error(format_args!("{}: {rate:.0} calls/s …", self.name));
        let calls = (rate * self.seconds).ceil() as u32;
        let told = self.call(calls, rate, Some(0.0))?;
        let trial = Trial {
            cpu_s_per_1000: told.cpu_us.iter().sum::<f64>() / 1e3 / f64::from(told.ended.max(1)),
            fine: told.spotless() && told.beside < DISTURBED,
            told,
        };
        output::error(report::Line(&trial));
        Ok(trial)
    }

    /// A trial that is repeated while others disturbed it.
    fn gated(&mut self, rate: f64) -> Result<Trial> {
        let mut trial = self.trial(rate)?;
        for _ in 1..TRIES {
            if trial.fine {
                break;
            }
            let again = self.trial(rate)?;
            if again.fine || again.told.beside <= trial.told.beside {
                trial = again;
            }
        }
        Ok(trial)
    }

    /// Doubles the rate until a call fails or a message is sent twice, then halves the gap until
    /// it is a tenth.
    fn ladder(&mut self, usual: &Trial) -> Result<(Option<Trial>, Rungs)> {
        let mut best = usual.told.spotless().then(|| usual.clone());
        let mut reached = best.as_ref().map_or(USUAL / 8.0, |_| USUAL);
        let (mut tried, mut end) = (Vec::new(), None);
        loop {
            let rate = match end {
                None if reached >= MOST => break,
                None => 2.0 * reached,
                Some(end) if end - reached <= 0.1 * reached => break,
                Some(end) => f64::midpoint(reached, end).round(),
            };
            let (trial, carried) = self.carries(rate)?;
            tried.push((rate, carried));
            if carried {
                (reached, best) = (rate, Some(trial));
            } else {
                end = Some(rate);
            }
        }
        Ok((best, tried))
    }

    /// Whether so many calls a second are carried; one trial of three is enough, since others can
    /// only take away.
    fn carries(&mut self, rate: f64) -> Result<(Trial, bool)> {
        let mut tries = 1;
        loop {
            let trial = self.trial(rate)?;
            let carried = trial.told.spotless() && trial.told.rate >= 0.98 * rate;
            if carried || tries == TRIES || trial.told.beside < DISTURBED {
                return Ok((trial, carried));
            }
            tries += 1;
        }
    }

    /// Octets that each of so many calls more takes. The first as many leave the memory of their
    /// transactions to the second.
    fn memory(&mut self, calls: u32) -> Result<f64> {
        let rate = 200.0;
        let mut rss = [0.0; 2];
        for (n, octets) in rss.iter_mut().enumerate() {
            let all = calls * (n as u32 + 1);
            output::error(format_args!("{}: memory of {all} calls …", self.name));
            let told = self.call(calls, rate, None)?;
            anyhow::ensure!(told.failed.is_empty(), "calls failed: {:?}", told.failed);
            // Nothing tells from outside when the last transaction has been forgotten.
            std::thread::sleep(REMEMBERED);
            *octets = machine::rss(self.gateway.pid())? as f64;
        }
        let told = self.ask(&Errand::Hang { rate })?;
        anyhow::ensure!(told.failed.is_empty(), "calls failed: {:?}", told.failed);
        Ok((rss[1] - rss[0]) / f64::from(calls))
    }
}
