//! What the commands that speak to Azure have in common: the client, the question before a change,
//! the exit codes.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use acs_client::{Client, Settings};

use crate::config::resolve::Resource;
use crate::config::{self, Config};
use crate::{cli, output};

/// What a command cannot go on after, and its exit code: 1 it is not fine, 2 wrong usage or
/// configuration.
#[derive(Debug)]
pub(crate) struct Stop(pub(crate) u8, pub(crate) String);

impl Stop {
    /// Azure did not do what it was asked for.
    pub(crate) fn azure(error: &acs_client::Error) -> Self {
        Self(1, error.to_string())
    }

    /// Wrong usage or configuration.
    pub(crate) fn usage(why: impl Into<String>) -> Self {
        Self(2, why.into())
    }
}

/// Runs a command's work to its exit code.
pub(crate) fn run(work: impl Future<Output = Result<u8, Stop>>) -> ExitCode {
    cli::block_on(async {
        match work.await {
            Ok(code) => ExitCode::from(code),
            Err(Stop(code, why)) => {
                output::error(format_args!("error: {why}"));
                ExitCode::from(code)
            }
        }
    })
}

/// A configuration without mistakes.
pub(crate) fn configuration(path: &Path) -> Result<Config, Stop> {
    let shown = path.display();
    let reading = config::read(path).map_err(|error| Stop::usage(format!("{shown}: {error}")))?;
    if reading.findings.has_errors() {
        cli::report(&reading);
        return Err(Stop::usage(format!("{shown} has errors")));
    }
    Ok(reading.config)
}

/// A client of the resource.
pub(crate) fn client(resource: &Resource) -> Result<Client, Stop> {
    let mut settings = Settings {
        timeout: resource.timeout,
        ..Settings::default()
    };
    if let Some(file) = &resource.roots {
        let roots = std::fs::read(file);
        let told = |error| Stop::usage(format!("{}: {error}", file.display()));
        settings.roots = Some(roots.map_err(told)?);
    }
    let connection = resource.connection.connection().clone();
    Client::new(connection, settings).map_err(|error| Stop::usage(format!("{error}")))
}

/// Asks on a terminal, unless `yes` says it already. `otherwise` is what holds after a no.
pub(crate) fn agreed(question: &str, yes: bool, json: bool, otherwise: &str) -> Result<(), Stop> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    if json || !stdin.is_terminal() {
        return Err(Stop::usage("nobody is here to be asked: say --yes"));
    }
    output::progress(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        (Ok(_) | Err(_), _) => Err(Stop(1, otherwise.to_owned())),
    }
}
