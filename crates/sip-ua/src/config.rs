//! What a user agent is told once.

use std::time::Duration;

use crate::resolve::ResolverConfig;
use crate::timers::TimerConfig;

/// Settings of a [`crate::UserAgent`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UaConfig {
    /// The timers of RFC 3261.
    pub timers: TimerConfig,
    /// The bounds of the tables.
    pub limits: Limits,
    /// What `User-Agent` and `Server` say where the TU has not set them; nothing if `None`.
    pub software: Option<String>,
    /// The bounds of server location.
    pub resolver: ResolverConfig,
}

/// The bounds of a user agent's tables.
///
/// At the bound, only requests that would create a dialog are refused (statelessly, with 503 and
/// `Retry-After`); what calls in progress need goes on within a reserve of the same size again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions without a final response, client and server together. Default 100 000.
    pub transactions: usize,
    /// Transactions that have it and are kept for its repetitions: up to 32 s over UDP, so that
    /// this is what bounds the calls a second there. Default 500 000.
    pub remembered: usize,
    /// Dialogs, early ones included. Default 50 000.
    pub dialogs: usize,
    /// Early and confirmed dialogs that one INVITE may create by forking. Default 16.
    pub forks: usize,
    /// What `Retry-After` says when a request is refused for lack of room, in whole seconds.
    /// Default 5 s.
    pub retry_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 100_000,
            remembered: 500_000,
            dialogs: 50_000,
            forks: 16,
            retry_after: Duration::from_secs(5),
        }
    }
}
