//! The `trunkline` binary: reads the command line and hands over.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Messages are parsed on one thread and freed on another, thousands a second: the system's
/// allocator takes a lock for each of these, and keeps what a burst of calls took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    trunkline::cli::main()
}
