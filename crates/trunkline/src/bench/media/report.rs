//! The report of `bench media`: a table, a picture, and what neither shows.

use std::fmt;

use super::{Limit, Outcome, Report, Trial};
use crate::bench::picture::{Bar, Panel, Picture};

/// What the figures are no proof of.
pub(super) const CAVEATS: [&str; 4] = [
    "Loopback is no network: no interrupts of a card, no driver, no other host. A packet's way \
     through the kernel is paid half by the relay and half by the generator.",
    "The generator sends from one core; where it is the limit, the relay could do more.",
    "CPU time is that of the relay's threads; what the kernel did for it on other cores is not in it.",
    "One core of one machine on one day: trials that others disturbed are marked, not corrected.",
];

/// A trial in one line.
pub(super) struct Line<'a>(pub(super) &'a Trial);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trial = self.0;
        let measured = &trial.measured;
        write!(
            f,
            "  {:.0} packets/s, {:.2} µs each, {} of {} lost, delay p99 {:.0} µs, others {:.0} %{}",
            measured.rate,
            trial.cpu_us_a_packet,
            measured.lost,
            measured.sent,
            measured.delay.p99,
            100.0 * trial.disturbance,
            if trial.fine { "" } else { "  (!)" },
        )
    }
}

/// The whole report for people.
pub(super) struct Table<'a>(pub(super) &'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "{}", report.machine)?;
        writeln!(
            f,
            "bare system calls of one packet: {:.2} µs (receive {:.2}, send {:.2})\n",
            report.floor.packet_us(),
            report.floor.receive[0] / 1e3,
            report.floor.send[0] / 1e3,
        )?;
        for bare in &report.bare {
            writeln!(
                f,
                "forwarder that changes nothing, {}: {:.2} µs a packet, delay p99 {:.0} µs{}\n",
                bare.path,
                bare.cpu_us_a_packet,
                bare.measured.delay.p99,
                if bare.fine { "" } else { "  (!)" },
            )?;
        }
        writeln!(
            f,
            "{:<11} {:<9} {:>6} {:>9} {:>8} {:>10} {:>8} {:>7} {:>9} {:>9} {:>8} {:>9}  highest",
            "kind",
            "path",
            "calls",
            "packets/s",
            "µs each",
            "/CPU-s",
            "× floor",
            "× bare",
            "p50 µs",
            "p99 µs",
            "KiB/call",
            "opened/s",
        )?;
        for result in &report.results {
            row(f, result)?;
        }
        if !report.fine {
            writeln!(
                f,
                "\n(!) packets were lost or wrong, the generator did not keep pace, or others had \
                 15 % of a core"
            )?;
        }
        writeln!(f, "\nWhat this does not prove:")?;
        for caveat in &report.does_not_prove {
            writeln!(f, "- {caveat}")?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, result: &Outcome) -> fmt::Result {
    let usual = &result.usual;
    let memory = result
        .memory_a_call
        .map_or("-".to_owned(), |octets| format!("{:.1}", octets / 1024.0));
    let highest = result.highest.as_ref().map_or("-".to_owned(), |highest| {
        let limit = match highest.limit {
            Limit::Loss => "",
            Limit::Generator => ", the generator's limit",
            Limit::Descriptors => ", the limit of open files",
        };
        let rate = highest.trial.measured.rate;
        format!("{} calls ({rate:.0} packets/s{limit})", highest.calls)
    });
    writeln!(
        f,
        "{:<11} {:<9} {:>6} {:>9.0} {:>8.2} {:>10.0} {:>8.2} {:>7.2} {:>9.0} {:>9.0} {:>8} {:>9.0}  {}{}",
        result.kind,
        result.path,
        usual.calls,
        usual.measured.rate,
        usual.cpu_us_a_packet,
        result.packets_per_cpu_second,
        result.times_floor,
        result.times_bare,
        usual.measured.delay.p50,
        usual.measured.delay.p99,
        memory,
        usual.opened_a_second,
        highest,
        if usual.fine { "" } else { "  (!)" },
    )
}

/// The report as a picture.
pub(super) fn picture(report: &Report) -> Picture {
    let bars = |value: &dyn Fn(&Outcome) -> Option<(f64, String)>| {
        let bars = report.results.iter().filter_map(|result| {
            let (value, text) = value(result)?;
            let mark = if result.usual.fine { "" } else { " (!)" };
            Some(Bar {
                label: format!("{} {}", result.kind, result.path),
                value,
                text: text + mark,
            })
        });
        bars.collect::<Vec<_>>()
    };
    let mut cost = bars(&|result| {
        let us = result.usual.cpu_us_a_packet;
        Some((us, format!("{us:.2} µs")))
    });
    for bare in &report.bare {
        let us = bare.cpu_us_a_packet;
        cost.push(Bar {
            label: format!("forwarder {}", bare.path),
            value: us,
            text: format!("{us:.2} µs"),
        });
    }
    let floor = report.floor.packet_us();
    cost.push(Bar {
        label: "bare system calls".to_owned(),
        value: floor,
        text: format!("{floor:.2} µs"),
    });
    let panels = vec![
        Panel::new("CPU time of a packet", cost),
        Panel::new(
            "Delay, 99 of 100 packets",
            bars(&|result| {
                let us = result.usual.measured.delay.p99;
                Some((us, format!("{us:.0} µs")))
            }),
        ),
        Panel::new(
            "Memory of a call",
            bars(&|result| {
                let kib = result.memory_a_call? / 1024.0;
                Some((kib, format!("{kib:.1} KiB")))
            }),
        ),
        Panel::new(
            "Most calls with less than 0.1 % lost, one core",
            bars(&|result| {
                let highest = result.highest.as_ref()?;
                Some((f64::from(highest.calls), highest.calls.to_string()))
            }),
        ),
    ];
    Picture {
        title: "trunkline bench media".to_owned(),
        below: report.machine.clone(),
        panels,
    }
}
