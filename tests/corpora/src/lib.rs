//! Where tests find the test material that is not part of this repository.
//!
//! The material lies in `../shared/corpora` and `../shared/acceptance` beside the checkout, or where
//! `TRUNKLINE_CORPORA` and `TRUNKLINE_ACCEPTANCE` say.
//! A test that needs a folder which is not there calls [`folder`], gets `None`, returns, and the
//! skip is counted by `tests/run` through the file named in `TRUNKLINE_SKIPPED`. A test that judges
//! many cases tells what came of them with [`tally`]; `tests/run` prints it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The corpus folder `name`, or `None` (counted as one skip) where it is not there.
pub fn folder(name: &str) -> Option<PathBuf> {
    found("TRUNKLINE_CORPORA", "corpora", name)
}

/// The folder `name` of what the product is accepted by, or `None` (counted as one skip).
pub fn acceptance(name: &str) -> Option<PathBuf> {
    found("TRUNKLINE_ACCEPTANCE", "acceptance", name)
}

fn found(variable: &str, shelf: &str, name: &str) -> Option<PathBuf> {
    let root = std::env::var_os(variable).map_or_else(
        || {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../../shared")
                .join(shelf)
        },
        PathBuf::from,
    );
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    skip(&format!("{shelf} {name} is not there"));
    None
}

/// Counts one skipped case and says why.
pub fn skip(reason: &str) {
    note("TRUNKLINE_SKIPPED", &format!("{reason}\n"));
}

/// Says that `count` cases of `corpus` had this verdict.
pub fn tally(corpus: &str, verdict: &str, count: usize) {
    let line = format!("{corpus}: {count} {verdict}\n");
    note("TRUNKLINE_VERDICTS", &line);
}

/// Appends to the file that the variable names, if it names one.
fn note(variable: &str, line: &str) {
    let Some(log) = std::env::var_os(variable) else {
        return;
    };
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(log) {
        // Losing a line of a count must not fail the test that is counted.
        let _ = file.write_all(line.as_bytes());
    }
}
