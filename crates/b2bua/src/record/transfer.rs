//! Transfers in the record of a call.

use ambient::WallTime;
use serde::{Deserialize, Serialize};

use super::{Number, optional_wall_time, wall_time};
use crate::key::{CallKey, Side};

/// How a transfer was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferKind {
    /// REFER to somebody not yet in any call (RFC 5589 §6).
    Blind,
    /// REFER that names another call of the same party (RFC 5589 §7): two calls become one.
    Attended,
    /// INVITE with Replaces (RFC 3891).
    Replaces,
}

impl TransferKind {
    /// The name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Attended => "attended",
            Self::Replaces => "replaces",
        }
    }
}

/// One transfer: a party of the call is replaced by another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRecord {
    /// How it was asked for.
    pub kind: TransferKind,
    /// The side whose party is replaced.
    pub side: Side,
    /// Whom it was transferred to, where the request named a user.
    pub target: Option<Number>,
    /// When it was asked for.
    #[serde(with = "wall_time")]
    pub asked: WallTime,
    /// When it went through or failed.
    #[serde(with = "optional_wall_time")]
    pub settled: Option<WallTime>,
    /// What it came to, as who asked was told: 200 if it went through.
    pub status: Option<u16>,
    /// How many attempts of the call were made before; the next ones are the transfer's.
    pub attempts_before: usize,
    /// The call that became one with this one.
    pub linked: Option<CallKey>,
}
