//! Structured logs of the daemon's own doings, to standard error.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::lines::{Batch, Door, Lines};
use crate::config::resolve::Log;

/// Octets that may wait to be written. Lines beyond are lost, and it is said how many.
const ROOM: usize = 1 << 20;

/// Keeps the lines coming; dropping it writes what is left.
#[derive(Debug)]
#[must_use = "lines that are not written yet are lost without it"]
pub struct Logging(#[expect(dead_code, reason = "held to be dropped")] Option<Lines>);

/// Sets up logging for this process; a second call in one process changes nothing.
pub fn start(log: &Log) -> Logging {
    // Libraries speak up only about what is wrong; the level asked for is ours.
    let filter = EnvFilter::new(format!(
        "warn,trunkline={0},sip_transport={0},media_io={0},acs_sim={0}",
        log.level
    ));
    let lines = Lines::start("log", ROOM, print).ok();
    // Without a thread for it, a line is written by whoever says it.
    let writer = match &lines {
        Some(lines) => BoxMakeWriter::new(Said(lines.door())),
        None => BoxMakeWriter::new(io::stderr),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    let _ = if log.json {
        builder.json().flatten_event(true).finish().try_init()
    } else {
        builder.finish().try_init()
    };
    Logging(lines)
}

fn print(batch: &Batch) {
    let mut to = io::stderr().lock();
    // A log that cannot be written has nowhere to say so.
    let _ = to.write_all(&batch.text);
    if batch.lost > 0 {
        let lost = batch.lost;
        let _ = writeln!(
            to,
            "{lost} lines of this log were lost: it is read too slowly"
        );
    }
}

/// Takes the subscriber's lines, which come whole.
struct Said(Door);

impl<'a> MakeWriter<'a> for Said {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Said {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Lines that find no room are counted, and told of in their place.
        let _ = self.0.put(|text| text.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
