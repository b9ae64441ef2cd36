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

/// Runs a command of the operator's against the daemon of `lab` and gives exit code, output and
/// errors.
///
/// # Panics
/// The binary cannot be run.
#[must_use]
pub fn operate(lab: &Lab, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary())
        .args(arguments)
        .arg("-c")
        .arg(lab.path("trunkline.toml"))
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("it was not killed");
    (code, text(&output.stdout), text(&output.stderr))
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
