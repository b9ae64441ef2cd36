//! Standard output and error: the only place that prints.

use std::fmt::Display;
use std::io::Write;

/// Writes one line to standard output. A reader that went away (`| head`) is no error of ours.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes text to standard output as it is and flushes, for progress on one line.
pub fn progress(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{text}");
    let _ = out.flush();
}

/// Writes one line to standard error.
pub fn error(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
