//! What the gateway did against the rules, and how its trunks stand.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Violations kept; more than this and the first ones tell enough.
const KEPT: usize = 10_000;
/// After this long without OPTIONS a trunk counts as expired.
const EXPIRY: Duration = Duration::from_secs(15 * 60);

/// One thing the gateway did against a rule of the SIP Interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule: `S-02` is "no IP address in Contact", and so on.
    pub rule: &'static str,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// What Microsoft's side knows of TLS with a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TlsStatus {
    /// No connection yet.
    #[default]
    Unknown,
    /// Connections in both directions were made and verified.
    Ok,
    /// Its own connection to the trunk failed.
    Failed,
}

/// What Microsoft's side knows of OPTIONS with a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum PingStatus {
    /// Never seen.
    #[default]
    Unknown,
    /// Seen, and answered in the other direction.
    Ok,
    /// Seen last more than 15 minutes ago.
    Expired,
    /// Its own OPTIONS was not answered with 200 in time.
    Error,
}

/// The word the portal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TrunkStatus {
    /// Nothing known.
    #[default]
    Unknown,
    /// Calls can be made.
    Online,
    /// One direction works.
    Warning,
    /// Nothing works.
    Inactive,
}

/// The state of one trunk.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrunkState {
    /// TLS.
    pub tls: TlsStatus,
    /// Our own OPTIONS to the trunk.
    answered: Option<bool>,
    /// The trunk's last OPTIONS.
    seen: Option<Instant>,
    /// OPTIONS received from the trunk.
    pub pings_received: u32,
    /// OPTIONS sent to it and answered in time.
    pub pings_answered: u32,
}

impl TrunkState {
    /// What the ping column shows.
    pub fn ping(&self) -> PingStatus {
        match (self.seen, self.answered) {
            (None, _) => PingStatus::Unknown,
            (Some(seen), _) if seen.elapsed() > EXPIRY => PingStatus::Expired,
            (Some(_), Some(false)) => PingStatus::Error,
            (Some(_), Some(true)) => PingStatus::Ok,
            (Some(_), None) => PingStatus::Unknown,
        }
    }

    /// What the status column shows.
    pub fn status(&self) -> TrunkStatus {
        match (self.tls, self.ping()) {
            (TlsStatus::Unknown, PingStatus::Unknown) => TrunkStatus::Unknown,
            (TlsStatus::Ok, PingStatus::Ok) => TrunkStatus::Online,
            (TlsStatus::Failed, PingStatus::Expired | PingStatus::Error) => TrunkStatus::Inactive,
            _ => TrunkStatus::Warning,
        }
    }

    pub(crate) fn pinged(&mut self) {
        self.seen = Some(Instant::now());
        self.pings_received += 1;
    }

    pub(crate) fn probed(&mut self, tls: TlsStatus, answered: bool) {
        self.tls = tls;
        self.answered = Some(answered);
        self.pings_answered += u32::from(answered);
    }
}

/// One OPTIONS of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The trunk's name.
    pub fqdn: String,
    /// The proxy it came to, by its place in the configuration.
    pub proxy: usize,
    /// When.
    pub at: Instant,
}

/// Everything Microsoft's side has noticed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) violations: Vec<Violation>,
    pub(crate) trunks: BTreeMap<String, TrunkState>,
    pub(crate) pings: Vec<Ping>,
}

impl Ledger {
    pub(crate) fn pinged(&mut self, fqdn: &str, proxy: usize) {
        if self.pings.len() < KEPT {
            self.pings.push(Ping {
                fqdn: fqdn.to_owned(),
                proxy,
                at: Instant::now(),
            });
        }
    }

    pub(crate) fn note(&mut self, rule: &'static str, text: String) {
        tracing::debug!(rule, text, "rule violated by the gateway");
        if self.violations.len() < KEPT {
            self.violations.push(Violation { rule, text });
        }
    }
}
