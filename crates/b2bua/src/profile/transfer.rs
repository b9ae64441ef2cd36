//! What parties of a trunk may do with a call that is up: hand it to somebody else.

use std::time::Duration;

use super::Preset;

/// Transfers asked for by the parties of a trunk: REFER (RFC 3515) and Replaces (RFC 3891).
///
/// Whoever asks, the transfer is carried out here: neither is ever sent to a trunk (M-01, M-04).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferPolicy {
    /// Whether REFER is taken in a call, and named in `Allow`. Microsoft decides by that whether
    /// it transfers with REFER or with an INVITE with Replaces. Default: `true`, but
    /// `false` for a carrier, whose callers could else place calls at the operator's expense.
    pub refer: bool,
    /// Whether an INVITE with Replaces is taken, and `replaces` named in `Supported` (M-04).
    /// Default: as `refer`.
    pub replaces: bool,
    /// From the 202 to a REFER until the new party must have answered; the party that stays gets
    /// the old call back then. Default 60 s.
    pub timeout: Duration,
    /// How long a party that was told that its transfer went through has for its BYE, before it
    /// gets one. Default 10 s.
    pub departure: Duration,
    /// Whether the party that stays hears ringing while the new one is alerted.
    /// Default `true`.
    pub ringback: bool,
}

impl TransferPolicy {
    pub(super) fn of(preset: Preset) -> Self {
        let trusted = match preset {
            Preset::Acs | Preset::Teams | Preset::Pbx => true,
            Preset::Carrier => false,
        };
        Self {
            refer: trusted,
            replaces: trusted,
            ..Self::default()
        }
    }
}

impl Default for TransferPolicy {
    fn default() -> Self {
        Self {
            refer: true,
            replaces: true,
            timeout: Duration::from_secs(60),
            departure: Duration::from_secs(10),
            ringback: true,
        }
    }
}
