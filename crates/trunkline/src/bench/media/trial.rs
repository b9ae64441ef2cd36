//! One trial: a fresh relay, a fresh generator, so many calls.

use std::time::Duration;

use anyhow::{Result, bail};
use media_io::PathChoice;
use serde::{Deserialize, Serialize};

use super::TOLERATED;
use crate::bench::Path;
use crate::bench::role::Role;
use crate::bench::wire::{Ends, Kind, Measured, Opened, Order, Plan, State};

/// The most calls: four ports each, from 10,000 up.
pub(super) const MOST: u16 = 13_000;
/// How long a part may take beyond what it was told to.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// A share of either core's time that others may have.
const DISTURBED: f64 = 0.15;
/// How often a trial that was disturbed is tried again.
const TRIES: usize = 3;

/// Where and how trials run.
pub(super) struct Bench {
    pub(super) device: usize,
    pub(super) generator: usize,
    pub(super) seconds: f64,
    pub(super) plant: u64,
}

/// What is driven.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A forwarder that changes nothing.
    Bare,
    /// The relay.
    Calls(Kind),
}

/// What a trial came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) calls: u16,
    /// The path as the device named it.
    pub(crate) path: String,
    /// What the generator measured.
    pub(crate) measured: Measured,
    /// CPU time of the relay for a packet, µs.
    pub(crate) cpu_us_a_packet: f64,
    /// The share of its core that the relay had.
    pub(crate) core_share: f64,
    /// Calls that were opened a second: ports bound, two legs, joined.
    pub(crate) opened_a_second: f64,
    /// Octets of the relay that were resident at the end.
    pub(crate) rss: u64,
    /// Nothing lost, nothing wrong, nobody else there.
    pub(crate) fine: bool,
    /// The greatest share of either core that others had.
    pub(crate) disturbance: f64,
}

impl Bench {
    /// One trial, as it comes.
    pub(super) fn trial(&self, what: What, path: Path, calls: u16) -> Result<Trial> {
        let mut generator = Role::start(
            "generate",
            &["--core".to_owned(), self.generator.to_string()],
        )?;
        let ends: Ends = generator.hear(PATIENCE)?;
        let kind = match what {
            What::Bare => Kind::RtpRtp,
            What::Calls(kind) => kind,
        };
        let core = self.device.to_string();
        let calls_text = calls.to_string();
        let arguments = [
            ["--kind", kind.name()],
            ["--path", path.name()],
            ["--core", &core],
            ["--calls", &calls_text],
        ];
        let mut arguments: Vec<_> = arguments.concat().into_iter().map(str::to_owned).collect();
        if matches!(what, What::Bare) {
            arguments.push("--bare".to_owned());
        }
        let mut device = Role::start("device", &arguments)?;
        device.say(&ends)?;
        let opened: Opened = device.hear(PATIENCE)?;
        if path.name() != opened.path && path.0 != PathChoice::Auto {
            let (wish, found, reason) = (path.name(), opened.path, opened.reason);
            bail!("{wish} cannot be had, only {found}: {reason}");
        }
        generator.say(&Plan {
            kind,
            calls: opened.calls,
        })?;
        generator.say(&Order {
            seconds: self.seconds,
            plant: self.plant,
            pids: vec![device.pid()],
            core: Some(self.device),
            ..Order::default()
        })?;
        let patience = PATIENCE + Duration::from_secs_f64(4.0 * self.seconds);
        let measured: Measured = generator.hear(patience)?;
        device.say(&"how are you")?;
        let state: State = device.hear(PATIENCE)?;
        generator.end()?;
        device.end()?;
        let cpu = measured.cpu_us.iter().sum::<f64>();
        let disturbance = measured.disturbance();
        Ok(Trial {
            calls,
            path: opened.path,
            cpu_us_a_packet: measured.cpu_per_packet(),
            core_share: cpu / 1e6 / measured.seconds,
            opened_a_second: f64::from(calls) / opened.seconds,
            rss: state.rss,
            fine: measured.lost == 0
                && measured.wrong == 0
                && measured.duplicates == 0
                && measured.kept_pace()
                && disturbance < DISTURBED,
            disturbance,
            measured,
        })
    }

    /// A trial that is repeated while it was disturbed; the last one where all were.
    pub(super) fn gated(&self, what: What, path: Path, calls: u16) -> Result<Trial> {
        let mut trial = self.trial(what, path, calls)?;
        for _ in 1..TRIES {
            if trial.fine || self.plant > 0 {
                break;
            }
            let again = self.trial(what, path, calls)?;
            if again.fine || again.disturbance <= trial.disturbance {
                trial = again;
            }
        }
        Ok(trial)
    }

    /// Whether so many calls are carried: one trial of three is enough, since others can only take
    /// away.
    pub(super) fn carries(&self, what: What, path: Path, calls: u16) -> Result<(Trial, bool)> {
        let mut tries = 1;
        loop {
            let trial = self.trial(what, path, calls)?;
            let measured = &trial.measured;
            let carried =
                measured.loss() < TOLERATED && measured.wrong == 0 && measured.kept_pace();
            if carried || tries == TRIES || trial.disturbance < DISTURBED {
                return Ok((trial, carried));
            }
            tries += 1;
        }
    }
}
