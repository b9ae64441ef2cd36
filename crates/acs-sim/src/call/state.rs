//! What is known of a call at one moment.

use std::time::Duration;

use serde::Serialize;

/// Which party did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum By {
    /// This party.
    Us,
    /// The other side.
    Them,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Phase {
    /// INVITE sent or received; nothing but 100 so far.
    Trying,
    /// A provisional response above 100 was sent or received.
    Ringing,
    /// 200 sent; its ACK has not come.
    Answered,
    /// 200 and ACK.
    Confirmed,
    /// Over, or never came to be.
    Ended,
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Ending {
    /// BYE.
    HungUp(By),
    /// CANCEL before the answer.
    Cancelled(By),
    /// A final response other than 2xx.
    Rejected {
        /// 300 to 699.
        status: u16,
        /// The reason phrase.
        phrase: String,
        /// The Reason header, if any.
        reason: Option<String>,
    },
    /// No final response.
    TimedOut,
    /// No connection to where the request should go.
    Unreachable(String),
    /// The 200 was never acknowledged.
    NoAck,
    /// The other side's session description cannot be used.
    BadDescription,
    /// The party was shut down.
    Stopped,
}

impl Ending {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Rejected { status, .. } => Some(*status),
            Self::HungUp(_)
            | Self::Cancelled(_)
            | Self::TimedOut
            | Self::Unreachable(_)
            | Self::NoAck
            | Self::BadDescription
            | Self::Stopped => None,
        }
    }
}

/// A provisional response received by a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// 100 to 199.
    pub status: u16,
    /// Its To tag.
    pub tag: Option<String>,
    /// With a session description.
    pub early_media: bool,
    /// Time since the INVITE.
    pub after: Duration,
}

/// One NOTIFY of a transfer (RFC 3515 §2.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// The status in its `message/sipfrag`; 0 when it has none.
    pub status: u16,
    /// Its Subscription-State.
    pub state: String,
    /// Time since the REFER.
    pub after: Duration,
}

/// What is known of a call at one moment.
#[derive(Clone, Debug)]
pub struct CallState {
    /// How far it has come.
    pub phase: Phase,
    /// Provisional responses received, in order.
    pub progress: Vec<Progress>,
    /// INVITE to 2xx.
    pub setup: Option<Duration>,
    /// Silence was asked for by this party.
    pub holding: bool,
    /// Silence was asked for by the other side.
    pub held: bool,
    /// Re-INVITEs received.
    pub reinvites: u32,
    /// No 2xx of this party to a re-INVITE waits for its ACK: what it agreed to, the other side
    /// knows.
    pub settled: bool,
    /// Session refreshes of our own that were answered.
    pub refreshes: u32,
    /// The other side's tag, once there is a dialog.
    pub remote_tag: Option<String>,
    /// CANCEL came and was answered.
    pub cancelled: bool,
    /// Reliable provisional responses acknowledged, ours and theirs.
    pub pracks: u32,
    /// The reports of the other side on a transfer this party asked for, in order.
    pub notified: Vec<Notified>,
    /// Set once the call is over.
    pub ending: Option<Ending>,
}

impl CallState {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Trying,
            progress: Vec::new(),
            setup: None,
            holding: false,
            held: false,
            reinvites: 0,
            settled: true,
            refreshes: 0,
            remote_tag: None,
            cancelled: false,
            pracks: 0,
            notified: Vec::new(),
            ending: None,
        }
    }
}

/// Why an action on a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call is not in a phase where this can be done, or ended meanwhile.
    #[error("the call is over or not yet confirmed")]
    NotNow,
    /// The other side refused a re-INVITE.
    #[error("refused with {0}")]
    Refused(u16),
    /// No answer in 64 × T1.
    #[error("timed out")]
    TimedOut,
}
