//! Reasons a person can read.

use std::fmt;
use std::sync::Arc;

use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;

/// One thing found on the way to a decision. `Display` is one line, numbers included: meant for the
/// operator who asks and for the call's own record.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// How the called number was read.
    Called {
        /// As received.
        raw: String,
        /// As matched against patterns.
        number: String,
    },
    /// How the calling number was read.
    Calling {
        /// As received.
        raw: String,
        /// As matched against patterns.
        number: String,
    },
    /// The number was ported: routes are looked up by where it is now.
    RoutingNumber {
        /// The routing number.
        number: String,
    },
    /// The called number is one that help is called by.
    Emergency {
        /// Whether it has its own order of trunks.
        own_order: bool,
    },
    /// A route that does not match.
    PassedOver {
        /// The route.
        route: Arc<str>,
        /// Why not.
        why: PassedOver,
    },
    /// The route that matches.
    Matched {
        /// The route.
        route: Arc<str>,
        /// The called number.
        called: String,
        /// The pattern it matches; `None` when the route takes every number.
        pattern: Option<String>,
    },
    /// The route refuses the call.
    Refused {
        /// The route.
        route: Arc<str>,
        /// With this status.
        status: StatusCode,
    },
    /// A target is skipped because the call comes from it.
    IsOrigin {
        /// The target.
        trunk: TrunkName,
    },
    /// A target is skipped because it carries as many calls as it may.
    NoRoom {
        /// The target.
        trunk: TrunkName,
    },
    /// A peer is tried after all others.
    PeerDown {
        /// Its trunk.
        trunk: TrunkName,
        /// Its host.
        host: String,
    },
    /// How a target writes the called number.
    Writes {
        /// The target.
        trunk: TrunkName,
        /// The called number as it goes there.
        called: String,
    },
    /// What the caller hears when no target takes the call.
    Announces {
        /// The announcement.
        name: Arc<str>,
    },
    /// No route matches.
    NoRoute,
}

/// Why a route does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOver {
    /// The trunk of origin is not one of its own.
    Origin {
        /// Where the call comes from.
        trunk: TrunkName,
        /// Where the route wants it from.
        from: Vec<TrunkName>,
    },
    /// The called number matches none of its patterns.
    Called,
    /// The calling number matches none of its patterns.
    Calling,
    /// It asks for a calling number and there is none.
    NoCalling,
    /// The call is for none of its trunk groups.
    TrunkGroup,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Called { raw, number } if raw == number => write!(f, "called {number}"),
            Self::Called { raw, number } => write!(f, "called {raw} is {number}"),
            Self::Calling { raw, number } if raw == number => write!(f, "calling {number}"),
            Self::Calling { raw, number } => write!(f, "calling {raw} is {number}"),
            Self::RoutingNumber { number } => write!(f, "ported, routed by {number}"),
            Self::Emergency { own_order: true } => {
                f.write_str("an emergency number: emergency trunks, no limits")
            }
            Self::Emergency { own_order: false } => {
                f.write_str("an emergency number: no limits; [emergency] names no trunks")
            }
            Self::PassedOver { route, why } => write!(f, "route `{route}`: {why}"),
            Self::Matched {
                route,
                called,
                pattern: Some(pattern),
            } => {
                write!(f, "route `{route}`: called {called} matches `{pattern}`")
            }
            Self::Matched {
                route,
                called,
                pattern: None,
            } => {
                write!(f, "route `{route}`: takes every number, {called} too")
            }
            Self::Refused { route, status } => {
                write!(f, "route `{route}`: refuses with {}", status.code())
            }
            Self::IsOrigin { trunk } => {
                write!(f, "trunk {trunk}: the call comes from it, skipped")
            }
            Self::NoRoom { trunk } => write!(f, "trunk {trunk}: at its limit of calls, skipped"),
            Self::PeerDown { trunk, host } => {
                write!(f, "trunk {trunk}: peer {host} is down, tried last")
            }
            Self::Writes { trunk, called } => write!(f, "trunk {trunk}: called written {called}"),
            Self::Announces { name } => {
                write!(f, "when no target takes the call: announcement `{name}`")
            }
            Self::NoRoute => write!(f, "no route matches"),
        }
    }
}

impl fmt::Debug for Step {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Called { .. } => f.write_str("Called"),
            Self::Calling { .. } => f.write_str("Calling"),
            Self::RoutingNumber { .. } => f.write_str("RoutingNumber"),
            Self::Writes { trunk, .. } => write!(f, "Writes({trunk})"),
            Self::Matched { route, .. } => write!(f, "Matched({route})"),
            Self::PassedOver { .. }
            | Self::Emergency { .. }
            | Self::Refused { .. }
            | Self::IsOrigin { .. }
            | Self::NoRoom { .. }
            | Self::PeerDown { .. }
            | Self::Announces { .. }
            | Self::NoRoute => write!(f, "{self}"),
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin { trunk, from } => {
                write!(f, "from trunk {trunk}, which is not in [")?;
                for (index, trunk) in from.iter().enumerate() {
                    write!(f, "{}{trunk}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Called => f.write_str("the called number matches no pattern"),
            Self::Calling => f.write_str("the calling number matches no pattern"),
            Self::TrunkGroup => f.write_str("the called number names none of its trunk groups"),
            Self::NoCalling => f.write_str("wants a calling number, and there is none"),
        }
    }
}
