//! The configuration: text → [`raw`] tables → a [`Config`] in which nothing is left to check.

pub mod announcement;
pub mod certificates;
pub mod contradictions;
pub mod diagnostic;
pub mod load;
pub mod raw;
#[cfg(test)]
mod reference;
pub mod resolve;

use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

pub use diagnostic::{Diagnostic, Findings, Severity, Source};
use load::Document;
pub use resolve::{Config, resolve};

/// A configuration file read and resolved, with all that was found on the way.
#[derive(Debug)]
pub struct Reading {
    /// The file.
    pub source: Source,
    /// What it means; as complete as the mistakes allow.
    pub config: Config,
    /// What is wrong with it.
    pub findings: Findings,
}

/// Reads and resolves `path`; certificates are not looked at.
///
/// # Errors
/// The file cannot be read. Mistakes in it are [`Reading::findings`].
pub fn read(path: &Path) -> std::io::Result<Reading> {
    let text = std::fs::read_to_string(path)?;
    Ok(read_text(path.to_owned(), text, &|name| {
        std::env::var(name).ok()
    }))
}

/// What stands for a secret that is not set where only routes are asked about: something of the
/// form that its key wants.
fn unset(key: &str) -> String {
    match key {
        "connection_string" => "endpoint=https://unset.example/;accesskey=dW5zZXQ=",
        _ => "a-secret-that-is-not-set",
    }
    .to_owned()
}

/// As [`read`], for a question about routes: secrets may be missing, and `[shadow]` is left out.
///
/// # Errors
/// The file cannot be read. Mistakes in it are [`Reading::findings`].
pub fn read_routes(path: &Path) -> std::io::Result<Reading> {
    let text = std::fs::read_to_string(path)?;
    let environment =
        |key: &str, name: &str| Some(std::env::var(name).unwrap_or_else(|_| unset(key)));
    let mut findings = Findings::default();
    let mut document = load::load(&text, &environment, &mut findings);
    document.shadow = None;
    Ok(resolved(path.to_owned(), text, &document, findings))
}

/// As [`read`], from text; `environment` answers `"${NAME}"`.
pub fn read_text(
    path: PathBuf,
    text: String,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Reading {
    let mut findings = Findings::default();
    let document = load::load(&text, &|_, name| environment(name), &mut findings);
    resolved(path, text, &document, findings)
}

fn resolved(path: PathBuf, text: String, document: &Document, mut findings: Findings) -> Reading {
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    let config = resolve(document, &base, &mut findings);
    if !findings.has_errors() {
        contradictions::check(&config, &mut findings);
    }
    findings
        .0
        .sort_by_key(|finding| finding.span.as_ref().map_or(usize::MAX, |span| span.start));
    Reading {
        source: Source { path, text },
        config,
        findings,
    }
}
