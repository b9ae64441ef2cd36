//! `trunkline bench`: what this host carries, stated so that it can be stated again.
//!
//! The thing measured and what drives it are processes of their own, on a core each:
//!
//! ```text
//! bench media ─┬ orders, results ─ bench generate   packets of all calls, verified (core 1)
//!              │                        ⇅ UDP
//!              └ ports, state ──── bench device     the media plane alone (core 0)
//!
//! bench calls ─┬ errands, counts ─ bench parties    who calls and who is called (core 1)
//!              │                        ⇅ SIP
//!              └ configuration ─── run              the whole gateway (core 0)
//! ```

mod calls;
mod device;
mod floor;
mod generate;
mod histogram;
mod machine;
mod media;
mod outlet;
mod parties;
mod picture;
mod role;
mod wire;

use std::process::ExitCode;
use std::str::FromStr;

use clap::Subcommand;
use media_io::{PathChoice, PathKind};

use crate::output;

/// What is measured, and the hidden parts that measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Relay packets of many calls: how many, at what cost, with what delay
    #[command(after_help = "Example:  trunkline bench media --kind rtp-srtp --json media.json")]
    Media(media::MediaArgs),
    /// Set calls up and end them: what one costs, how many a second
    #[command(after_help = "Example:  trunkline bench calls --rate 500 --transport tls")]
    Calls(calls::CallsArgs),
    /// The media plane alone, driven by a generator
    #[command(hide = true)]
    Device(device::DeviceArgs),
    /// The generator, for any relay
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
    /// The system calls of one packet
    #[command(hide = true)]
    Floor(floor::FloorArgs),
    /// The daemon, on one core
    #[command(hide = true)]
    Gateway(calls::GatewayArgs),
    /// Those who call and are called
    #[command(hide = true)]
    Parties(parties::PartiesArgs),
}

/// A way of packets through the kernel, by the names that the media plane gives its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path(pub(crate) PathChoice);

impl Path {
    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            PathChoice::Auto => "auto",
            PathChoice::Prefer(kind) => kind.name(),
        }
    }

    /// All that can be wished for.
    pub(crate) fn every() -> impl Iterator<Item = Self> {
        let kinds = PathKind::ALL.into_iter().map(PathChoice::Prefer);
        kinds.map(Self)
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "auto" {
            return Ok(Self(PathChoice::Auto));
        }
        let kind = PathKind::named(name).ok_or_else(|| {
            let known: Vec<_> = Self::every().map(Self::name).collect();
            format!("auto, {} are known", known.join(", "))
        })?;
        Ok(Self(PathChoice::Prefer(kind)))
    }
}

/// Runs a bench or a part of one.
pub(crate) fn run(command: &BenchCommand) -> ExitCode {
    let done = match command {
        BenchCommand::Media(args) => media::run(args),
        BenchCommand::Calls(args) => calls::run(args),
        BenchCommand::Device(args) => device::run(args).map(|()| true),
        BenchCommand::Generate(args) => generate::run(args).map(|()| true),
        BenchCommand::Floor(args) => floor::run(args).map(|()| true),
        BenchCommand::Gateway(args) => calls::gateway(args).map(|()| true),
        BenchCommand::Parties(args) => parties::run(args).map(|()| true),
    };
    match done {
        Ok(fine) => ExitCode::from(u8::from(!fine)),
        Err(error) => {
            output::error(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
