//! `trunkline bench`: what this host carries, stated so that it can be stated again.
//!
//! The thing measured and what drives it are processes of their own, on a core each:
//!
//! ```text
//! bench media ─┬ orders, results ─ bench generate   packets of all calls, verified (core 1)
//!              │                        ⇅ UDP
//!              └ ports, state ──── bench device     the media plane alone (core 0)
//! ```

mod device;
mod floor;
mod generate;
mod histogram;
mod machine;
mod media;
mod picture;
mod role;
mod wire;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::output;

/// What is measured, and the hidden parts that measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Relay packets of many calls: how many, at what cost, with what delay
    #[command(after_help = "Example:  trunkline bench media --kind rtp-srtp --json media.json")]
    Media(media::MediaArgs),
    /// The media plane alone, driven by a generator
    #[command(hide = true)]
    Device(device::DeviceArgs),
    /// The generator, for any relay
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
    /// The system calls of one packet
    #[command(hide = true)]
    Floor(floor::FloorArgs),
}

/// A way of packets through the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Path {
    /// What the daemon would choose
    #[default]
    Auto,
    /// A socket for each port, waited for with epoll
    Epoll,
}

impl Path {
    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Epoll => "epoll",
        }
    }
}

/// Runs a bench or a part of one.
pub(crate) fn run(command: &BenchCommand) -> ExitCode {
    let done = match command {
        BenchCommand::Media(args) => media::run(args),
        BenchCommand::Device(args) => device::run(args).map(|()| true),
        BenchCommand::Generate(args) => generate::run(args).map(|()| true),
        BenchCommand::Floor(args) => floor::run(args).map(|()| true),
    };
    match done {
        Ok(fine) => ExitCode::from(u8::from(!fine)),
        Err(error) => {
            output::error(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
