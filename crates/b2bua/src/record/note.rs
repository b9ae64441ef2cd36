//! What an operator should know of a call although it went through.

use std::fmt;

use serde::{Deserialize, Serialize};
use sip_msg::wire::TrunkName;

/// Something that was changed, left out or let pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// A signed identity went to that trunk with another number than the signed one: it will not
    /// verify there (RFC 8224 §6.2).
    SignatureBroken(Box<str>),
    /// So many values of custom context exceeded that trunk's limits and were left out (U-11).
    ContextLeftOut(Box<str>, usize),
    /// The caller showed a number that its trunk does not own, and was let pass.
    Unscreened,
    /// The caller showed a number that its trunk does not own, and was refused.
    NumberRefused,
    /// The caller showed a number that its trunk does not own, and another was shown instead.
    NumberReplaced,
    /// No target took the call, and the caller heard this announcement before the refusal.
    Announced(Box<str>),
}

impl Note {
    /// A signature that does not hold towards `trunk`.
    #[must_use]
    pub fn signature_broken(trunk: &TrunkName) -> Self {
        Self::SignatureBroken(trunk.as_str().into())
    }

    /// Context that exceeded the limits of `trunk`.
    #[must_use]
    pub fn context_left_out(trunk: &TrunkName, count: usize) -> Self {
        Self::ContextLeftOut(trunk.as_str().into(), count)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignatureBroken(trunk) => write!(
                f,
                "the signed identity will not verify at trunk {trunk}: the number was changed"
            ),
            Self::ContextLeftOut(trunk, count) => write!(
                f,
                "{count} values of custom context exceed the limits of trunk {trunk}"
            ),
            Self::Unscreened => f.write_str("the caller's trunk does not own the number shown"),
            Self::NumberRefused => {
                f.write_str("the caller's trunk does not own the number shown: refused")
            }
            Self::Announced(name) => write!(f, "the caller heard the announcement {name}"),
            Self::NumberReplaced => {
                f.write_str("the caller's trunk does not own its number; another was shown")
            }
        }
    }
}
