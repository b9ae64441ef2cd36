//! The `trunkline` binary: reads the command line and hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    trunkline::cli::main()
}
