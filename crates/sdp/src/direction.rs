//! Which way media flows (RFC 3264 §5.1, §6.1, §8.4).

use std::fmt;

/// The direction attribute of a media description, seen from the party that wrote it
/// (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Direction {
    /// Sends and receives; what a description without an attribute means.
    #[default]
    SendRecv,
    /// Sends, will not receive: the usual hold with music.
    SendOnly,
    /// Receives, will not send.
    RecvOnly,
    /// Neither; RTCP goes on.
    Inactive,
}

impl Direction {
    /// The direction that sends and receives exactly as asked.
    #[must_use]
    pub fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The attribute's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Reads an attribute name; `None` when it is not a direction.
    #[must_use]
    pub fn from_attribute(name: &str) -> Option<Self> {
        [
            Self::SendRecv,
            Self::SendOnly,
            Self::RecvOnly,
            Self::Inactive,
        ]
        .into_iter()
        .find(|direction| direction.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether its writer sends media.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether its writer receives media.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same flow seen from the other party.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both allow.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }

    /// The widest answer RFC 3264 §6.1 lets us give to this offer, narrowed to `wanted`.
    #[must_use]
    pub fn answered(self, wanted: Self) -> Self {
        wanted.intersection(self.reversed())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the peer of a leg understands hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum HoldDialect {
    /// All four directions of RFC 3264 §8.4.
    #[default]
    Standard,
    /// Only `sendrecv` and `inactive`; one-way directions and a null connection address are refused
    /// by the peer, so they are written as `inactive` with our real address.
    InactiveOnly,
    /// `inactive` is not understood: a hold is `sendonly`, whether or not anything is sent.
    SendOnly,
    /// Hold as in RFC 2543: `sendonly` and a null connection address (RFC 3264 §8.4).
    NullAddress,
}

impl HoldDialect {
    /// What is written to a peer of this dialect.
    #[must_use]
    pub fn express(self, direction: Direction) -> Direction {
        match (self, direction) {
            (Self::InactiveOnly, Direction::SendOnly | Direction::RecvOnly) => Direction::Inactive,
            (Self::SendOnly | Self::NullAddress, Direction::Inactive) => Direction::SendOnly,
            (Self::InactiveOnly | Self::Standard | Self::SendOnly | Self::NullAddress, _) => {
                direction
            }
        }
    }

    /// The same in an answer, within what the offer allows (RFC 3264 §6.1).
    #[must_use]
    pub fn express_within(self, direction: Direction, offered: Direction) -> Direction {
        let expressed = self.express(direction);
        if offered.answered(expressed) == expressed {
            expressed
        } else {
            direction
        }
    }

    /// Whether a description of this direction has a null connection address.
    #[must_use]
    pub fn nulls(self, written: Direction) -> bool {
        self == Self::NullAddress && !written.receives()
    }
}
