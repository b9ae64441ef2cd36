//! Health as status pages and metrics show it.

use std::net::SocketAddr;
use std::time::Duration;

use ambient::WallTime;
use sip_msg::Uri;
use sip_msg::wire::TrunkName;

use super::{PeerState, ProbeResult};

/// The health of a trunk in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrunkHealth {
    /// Nothing was heard of it yet.
    Unknown,
    /// All is well in both directions.
    Up,
    /// Some peers are down or put aside.
    Degraded,
    /// Our OPTIONS are answered, and the trunk's own never come: it cannot reach this gateway
    /// (P-05). Calls from here may work; calls from there do not.
    InboundMissing,
    /// No peer takes calls.
    Down,
}

impl TrunkHealth {
    /// The name in status pages and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::InboundMissing => "inbound-missing",
            Self::Down => "down",
        }
    }
}

/// What is known about one trunk.
#[derive(Clone, Debug)]
pub struct TrunkView {
    /// The trunk.
    pub trunk: TrunkName,
    /// Its health in one word.
    pub health: TrunkHealth,
    /// Its peers, in the order of its profile.
    pub peers: Vec<PeerView>,
    /// When its own OPTIONS came last, and from where.
    pub last_inbound: Option<(WallTime, SocketAddr)>,
}

/// What is known about one peer.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// Where it is.
    pub target: Uri,
    /// Whether it takes calls.
    pub state: PeerState,
    /// How much longer it is put aside, because it asked for that.
    pub aside: Option<Duration>,
    /// Probes lost in a row.
    pub losses: u8,
    /// What came of the last probe or call, and when.
    pub last: Option<(WallTime, ProbeResult)>,
    /// The last probe that was answered, by whatever status, and when.
    pub answered: Option<(WallTime, ProbeResult)>,
}

/// `inbound`: whether the trunk's own OPTIONS are on time, where it sends any.
pub(super) fn trunk(
    trunk: TrunkName,
    peers: Vec<PeerView>,
    last_inbound: Option<(WallTime, SocketAddr)>,
    inbound: Option<bool>,
) -> TrunkView {
    let taken =
        |peer: &&PeerView| matches!(peer.state, PeerState::Up { .. }) && peer.aside.is_none();
    let unknown = |peer: &&PeerView| peer.state == PeerState::Unknown;
    let up = peers.iter().filter(taken).count();
    let waiting = peers.iter().filter(unknown).count();
    let health = if up == 0 && (waiting > 0 || peers.is_empty()) {
        TrunkHealth::Unknown
    } else if up == 0 {
        TrunkHealth::Down
    } else if inbound == Some(false) {
        TrunkHealth::InboundMissing
    } else if up < peers.len() {
        TrunkHealth::Degraded
    } else {
        TrunkHealth::Up
    };
    TrunkView {
        trunk,
        health,
        peers,
        last_inbound,
    }
}
