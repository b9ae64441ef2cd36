//! Where a report goes: to the terminal, into a file, into a picture.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use crate::output;

/// What is made of a report.
#[derive(Debug, Args)]
pub(crate) struct Outlet {
    /// Write the report as JSON; `-` prints it instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the report
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Outlet {
    /// Prints the report and writes it where it is wanted.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub(crate) fn tell(
        &self,
        report: &impl Serialize,
        table: impl Display,
        picture: impl FnOnce() -> String,
    ) -> Result<()> {
        let json = serde_json::to_string_pretty(report)?;
        match &self.json {
            Some(file) if file.as_os_str() == "-" => output::line(json),
            Some(file) => {
                std::fs::write(file, json + "\n").with_context(|| file.display().to_string())?;
                output::line(table);
            }
            None => output::line(table),
        }
        if let Some(file) = &self.svg {
            std::fs::write(file, picture()).with_context(|| file.display().to_string())?;
        }
        Ok(())
    }
}
