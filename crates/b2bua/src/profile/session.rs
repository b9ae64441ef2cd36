//! Session timers towards a trunk (RFC 4028), each leg by itself: none is ever relayed (G-02).

use std::time::Duration;

/// Which side sends the refreshes, where the choice is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefresherChoice {
    /// Whom the peer names; the peer, where it names nobody and can.
    #[default]
    Auto,
    /// This gateway.
    Us,
    /// The peer.
    Peer,
}

/// How this gateway refreshes a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshMethod {
    /// A re-INVITE with the session description last sent, octet for octet.
    #[default]
    Reinvite,
    /// UPDATE without a description (RFC 3311) where the peer allows it, else a re-INVITE.
    Update,
}

/// What is asked of the session timers of one trunk's legs, and what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// The session interval this gateway asks for, in its INVITEs and in the answers to INVITEs
    /// that ask for none; `None` asks for none and takes what the peer asks for. At least
    /// [`SessionPolicy::min_se`]. Default: `None`.
    pub expires: Option<Duration>,
    /// The smallest interval that is accepted; less is answered 422 with `Min-SE`. Default and
    /// smallest: 90 s (RFC 4028 §4).
    pub min_se: Duration,
    /// Who refreshes.
    pub refresher: RefresherChoice,
    /// How this gateway refreshes.
    pub method: RefreshMethod,
}

impl SessionPolicy {
    /// The smallest value that `Min-SE` may have (RFC 4028 §5).
    pub const LEAST: Duration = Duration::from_secs(90);
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            expires: None,
            min_se: Self::LEAST,
            refresher: RefresherChoice::Auto,
            method: RefreshMethod::Reinvite,
        }
    }
}
