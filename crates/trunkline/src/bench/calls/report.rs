//! The report of `bench calls`.

use std::fmt;

use super::{Report, Trial};
use crate::bench::picture::{Bar, Panel, Picture};

/// What the figures are no proof of.
pub(super) const CAVEATS: [&str; 4] = [
    "Loopback is no network, and the parties answer at once: delays are the gateway's and the \
     kernel's alone.",
    "No sound flows in these calls; ports are bound, opened, joined and closed for each.",
    "A cost per call falls with the rate, for waking up is shared: compare at equal rates only.",
    "One core of one machine on one day: trials that others disturbed are marked, not corrected.",
];

/// A trial in one line.
pub(super) struct Line<'a>(pub(super) &'a Trial);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = &self.0.told;
        let failed: u32 = told.failed.values().sum();
        write!(
            f,
            "  {:.0} calls/s, {:.3} CPU-s per 1,000, {failed} failed, {} sent twice, set up p99 \
             {:.1} ms, others {:.0} %{}",
            told.rate,
            self.0.cpu_s_per_1000,
            told.retransmissions,
            told.delay.p99 / 1e3,
            100.0 * told.beside,
            if self.0.fine { "" } else { "  (!)" },
        )?;
        for (why, times) in &told.failed {
            write!(f, "\n    {times} × {why}")?;
        }
        Ok(())
    }
}

/// The whole report for people.
pub(super) struct Table<'a>(pub(super) &'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let told = &report.usual.told;
        let mut row = |what: &str, value: String| writeln!(f, "{what:<36} {value}");
        row("machine", report.machine.clone())?;
        row("calls", report.transport.name().to_owned())?;
        let mark = if report.fine { "" } else { "  (!)" };
        let cost = report.usual.cpu_s_per_1000;
        row("rate", format!("{:.0} a second", told.rate))?;
        row("CPU time of 1,000 calls", format!("{cost:.3} s{mark}"))?;
        let (p50, p99) = (told.delay.p50 / 1e3, told.delay.p99 / 1e3);
        row(
            "INVITE to 200, p50 and p99",
            format!("{p50:.2} ms, {p99:.2} ms"),
        )?;
        let failed: u32 = told.failed.values().sum();
        row(
            "failed, sent twice",
            format!("{failed}, {}", told.retransmissions),
        )?;
        if let Some(octets) = report.memory_a_call {
            row("memory of a call", format!("{:.1} KiB", octets / 1024.0))?;
        }
        if let Some(highest) = &report.highest {
            let rate = highest.told.rate;
            row(
                "most without fault, one core",
                format!("{rate:.0} a second"),
            )?;
        }
        if !report.fine {
            writeln!(
                f,
                "\n(!) calls failed, messages were sent twice, or others had 15 % of the core"
            )?;
        }
        writeln!(f, "\nWhat this does not prove:")?;
        for caveat in &report.does_not_prove {
            writeln!(f, "- {caveat}")?;
        }
        Ok(())
    }
}

/// The report as a picture.
pub(super) fn picture(report: &Report) -> Picture {
    let mut trials = vec![&report.usual];
    trials.extend(&report.highest);
    let bars = |value: &dyn Fn(&Trial) -> (f64, String)| {
        let bar = |trial: &&Trial| {
            let (value, text) = value(trial);
            let mark = if trial.fine { "" } else { " (!)" };
            Bar {
                label: format!("{:.0} calls/s", trial.told.rate),
                value,
                text: text + mark,
            }
        };
        trials.iter().map(bar).collect::<Vec<_>>()
    };
    let memory = report.memory_a_call.map(|octets| Bar {
        label: "held".to_owned(),
        value: octets,
        text: format!("{:.1} KiB", octets / 1024.0),
    });
    Picture {
        title: format!("trunkline bench calls, {}", report.transport.name()),
        below: report.machine.clone(),
        panels: vec![
            Panel::new(
                "CPU time of 1,000 calls",
                bars(&|trial| {
                    let seconds = trial.cpu_s_per_1000;
                    (seconds, format!("{seconds:.3} s"))
                }),
            ),
            Panel::new(
                "INVITE to 200, 99 of 100 calls",
                bars(&|trial| {
                    let ms = trial.told.delay.p99 / 1e3;
                    (ms, format!("{ms:.2} ms"))
                }),
            ),
            Panel::new("Memory of a call", memory.into_iter().collect()),
        ],
    }
}
