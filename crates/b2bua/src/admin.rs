//! What an operator asks for, and sees.

use std::time::Duration;

use ambient::WallTime;
use sip_msg::wire::TrunkName;

use crate::key::CallKey;
use crate::record::Number;

/// A request of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// End this call, with BYE or by refusing its INVITE. An unknown key is ignored.
    HangUp(CallKey),
    /// End every call.
    HangUpAll,
    /// Accept calls again after a drain.
    Resume,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No answer of the called party yet.
    Setup,
    /// Answered; the caller's ACK is awaited.
    Answered,
    /// Both dialogs are confirmed.
    Established,
    /// Hanging up.
    Ending,
}

/// One line of a list of calls.
#[derive(Clone, Debug)]
pub struct CallSummary {
    /// The call.
    pub key: CallKey,
    /// How far it has come.
    pub stage: Stage,
    /// When its INVITE arrived.
    pub started: WallTime,
    /// How long it has been answered.
    pub talking: Option<Duration>,
    /// Where it comes from.
    pub from: TrunkName,
    /// Where it goes to, or is being tried.
    pub to: Option<TrunkName>,
    /// The number called, as the caller wrote it.
    pub called: Number,
    /// The number calling, as the caller wrote it.
    pub calling: Option<Number>,
}
