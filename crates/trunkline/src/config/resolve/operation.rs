//! `[admin]`, `[log]`, `[store]`, `[shadow]`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::diagnostic::Findings;
use super::super::load::Document;
use super::super::{Severity, read_routes};
use super::{Config, choice};

/// Calls are kept for a year's bills and the month in which the last of them is looked at.
const KEEP: Duration = Duration::from_secs(400 * 24 * 3600);

/// `[admin]`, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Unix socket.
    pub socket: Option<PathBuf>,
    /// TCP address.
    pub listen: Option<SocketAddr>,
    /// Bearer token of the TCP listener.
    pub token: Option<Token>,
}

/// A secret that does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A secret.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether `offered` is the token; takes the same time wherever it differs.
    pub fn matches(&self, offered: &str) -> bool {
        let (a, b) = (self.0.as_bytes(), offered.as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |bits, (x, y)| bits | (x ^ y)) == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// `[log]`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Level of the daemon's own messages.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            json: false,
        }
    }
}

/// The database of call records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFile {
    /// Its file.
    pub path: PathBuf,
    /// How long a record is kept.
    pub keep: Duration,
}

/// `[shadow]`, resolved.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// Its file.
    pub path: PathBuf,
    /// Its trunks and routes.
    pub routing: routing::Document,
}

/// Resolves what the operator sees and says.
pub(super) fn resolve(
    document: &Document,
    base: &Path,
    config: &mut Config,
    findings: &mut Findings,
) {
    admin(document, base, config, findings);
    log(document, config, findings);
    config.store = document.store.as_ref().map(|store| StoreFile {
        path: base.join(store.path.get_ref()),
        keep: store.keep.map_or(KEEP, |span| span.0),
    });
    config.shadow = shadow(document, base, findings);
}

fn shadow(document: &Document, base: &Path, findings: &mut Findings) -> Option<Shadow> {
    let file = &document.shadow.as_ref()?.config;
    let path = base.join(file.get_ref());
    let reading = match read_routes(&path) {
        Ok(reading) => reading,
        Err(error) => {
            findings.error(file.span(), format!("shadow: {}: {error}", path.display()));
            return None;
        }
    };
    let mut mistakes = reading.findings.0.iter();
    if let Some(first) = mistakes.find(|finding| finding.severity == Severity::Error) {
        let place = first.span.as_ref().map_or_else(String::new, |span| {
            format!(":{}", reading.source.position(span.start).0)
        });
        let message = format!("shadow: {}{place}: {}", path.display(), first.message);
        let whole = format!("see `trunkline check -c {}`", path.display());
        findings.error(file.span(), message).help(whole);
        return None;
    }
    let routing = reading.config.routing;
    Some(Shadow { path, routing })
}

fn admin(document: &Document, base: &Path, config: &mut Config, findings: &mut Findings) {
    let raw = &document.admin;
    config.admin.socket = raw.socket.as_ref().map(|path| base.join(path.get_ref()));
    config.admin.token = raw.token.as_ref().map(|token| Token::new(token.get_ref()));
    let Some(listen) = &raw.listen else { return };
    match listen.get_ref().parse::<SocketAddr>() {
        Ok(address) if !address.ip().is_loopback() && raw.token.is_none() => {
            findings
                .error(
                    listen.span(),
                    "admin: `listen` on this address needs a `token`",
                )
                .help("add token = \"${TRUNKLINE_ADMIN_TOKEN}\", or listen on 127.0.0.1");
        }
        Ok(address) => config.admin.listen = Some(address),
        Err(_) => {
            findings.error(
                listen.span(),
                "admin: an address and port are written 127.0.0.1:9090",
            );
        }
    }
}

fn log(document: &Document, config: &mut Config, findings: &mut Findings) {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    const FORMATS: [&str; 2] = ["text", "json"];
    if let Some(level) = choice(document.log.level.as_ref(), "log: level", &LEVELS, findings) {
        config.log.level = level;
    }
    if let Some(format) = choice(
        document.log.format.as_ref(),
        "log: format",
        &FORMATS,
        findings,
    ) {
        config.log.json = format == "json";
    }
}
