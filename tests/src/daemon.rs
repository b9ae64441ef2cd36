//! The daemon under test: the binary users run, as a process.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::lab::Lab;
use crate::process::Process;

/// The binary: where `tests/run` built it, or where cargo put it.
///
/// # Panics
/// There is none; `cargo build --release` makes it.
#[must_use]
pub fn binary() -> PathBuf {
    let path = std::env::var_os("TRUNKLINE_BIN").map_or_else(
        || {
            let mut path = std::env::current_exe().expect("a test has a path");
            path.pop();
            // Test programs are one folder further down.
            if path.ends_with("deps") {
                path.pop();
            }
            path.join("trunkline")
        },
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is not there; cargo build --release makes it",
        path.display()
    );
    path
}

/// Starts the daemon with this configuration and waits until it serves.
#[must_use]
pub fn start(lab: &Lab, configuration: &str) -> Process {
    let file = lab.write("trunkline.toml", configuration);
    let mut daemon = Process::start(
        "trunkline",
        Command::new(binary()).arg("run").arg("-c").arg(file),
    );
    daemon.wait_for("serving", Duration::from_secs(10));
    daemon
}
