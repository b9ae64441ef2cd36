//! Reasons a person can read.

use std::fmt;
use std::sync::Arc;

use e164::NumberType;
use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;

use crate::cloud::{CLOUD_CALLING, NotCarried};
use crate::limits::LimitRule;
use crate::list::Owner;
use crate::money::Tariff;

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
        /// The pattern it matches; `None` when the route names no called number.
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
    /// Azure Cloud Calling is skipped.
    NotCarried {
        /// Why.
        why: NotCarried,
    },
    /// Which number Azure Cloud Calling shows as the caller's.
    ShowsCaller {
        /// The number, with `+`.
        number: String,
    },
    /// A limit refuses the call.
    LimitReached {
        /// Its name.
        limit: Arc<str>,
        /// Which of its rules.
        rule: LimitRule,
    },
    /// A target is skipped because of a limit.
    Limited {
        /// The target.
        trunk: TrunkName,
        /// The limit's name.
        limit: Arc<str>,
        /// Which of its rules.
        rule: LimitRule,
    },
    /// The order that was drawn by weight.
    Drawn {
        /// The targets.
        order: Vec<TrunkName>,
    },
    /// What a call to a target costs.
    Costs {
        /// The target.
        trunk: TrunkName,
        /// Its tariff; `None` where it has none for the number.
        tariff: Option<Tariff>,
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
    /// The trunk of origin belongs to another customer, or to none.
    Customer(Option<String>),
    /// The called number is none of its numbers.
    Called(NumberFault),
    /// The calling number is none of its numbers.
    Calling(NumberFault),
    /// No header field of that name says what it wants.
    Header(String),
    /// None of the schedules it holds during holds.
    During(Vec<String>),
    /// A schedule holds outside of which it does.
    Outside(String),
    /// It asks for a calling number and there is none.
    NoCalling,
    /// The call is for none of its trunk groups.
    TrunkGroup,
}

/// Why a number is none of a route's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberFault {
    /// It matches no pattern and is in no list.
    Pattern,
    /// It is of this type.
    Type(NumberType),
    /// It is of this country.
    Country(Option<&'static str>),
    /// It is owned by this one.
    Owner(Option<Owner>),
}

impl fmt::Display for NumberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern => f.write_str("number matches no pattern"),
            Self::Type(kind) => write!(f, "number is of type {kind}"),
            Self::Country(Some(country)) => write!(f, "number is of {country}"),
            Self::Country(None) => f.write_str("number is of no country"),
            Self::Owner(Some(owner)) => write!(f, "number is owned by {}", owner.as_str()),
            Self::Owner(None) => f.write_str("number is in no inventory"),
        }
    }
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
                write!(
                    f,
                    "route `{route}`: every condition that it has holds for {called}"
                )
            }
            Self::Refused { route, status } => {
                write!(f, "route `{route}`: refuses with {}", status.code())
            }
            Self::IsOrigin { trunk } => {
                write!(f, "trunk {trunk}: the call comes from it, skipped")
            }
            Self::NoRoom { trunk } => write!(f, "trunk {trunk}: at its limit of calls, skipped"),
            Self::NotCarried { why } => write!(f, "{CLOUD_CALLING}: {why}, skipped"),
            Self::ShowsCaller { number } => write!(f, "{CLOUD_CALLING}: caller id {number}"),
            Self::LimitReached { limit, rule } => write!(f, "limit `{limit}`: {rule}"),
            Self::Limited { trunk, limit, rule } => {
                write!(f, "trunk {trunk}: limit `{limit}`: {rule}, skipped")
            }
            Self::Drawn { order } => {
                f.write_str("drawn by weight: ")?;
                list(f, order)
            }
            Self::Costs {
                trunk,
                tariff: Some(tariff),
            } => write!(f, "trunk {trunk}: {tariff}"),
            Self::Costs {
                trunk,
                tariff: None,
            } => {
                write!(
                    f,
                    "trunk {trunk}: no rate for the number, after those that have one"
                )
            }
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
            Self::ShowsCaller { .. } => f.write_str("ShowsCaller"),
            Self::Matched { route, .. } => write!(f, "Matched({route})"),
            Self::PassedOver { .. }
            | Self::Emergency { .. }
            | Self::Refused { .. }
            | Self::IsOrigin { .. }
            | Self::NoRoom { .. }
            | Self::NotCarried { .. }
            | Self::LimitReached { .. }
            | Self::Limited { .. }
            | Self::Drawn { .. }
            | Self::Costs { .. }
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
                list(f, from)?;
                f.write_str("]")
            }
            Self::Customer(Some(customer)) => write!(f, "from customer {customer}"),
            Self::Customer(None) => f.write_str("from a trunk of no customer"),
            Self::Called(fault) => write!(f, "the called {fault}"),
            Self::Calling(fault) => write!(f, "the calling {fault}"),
            Self::Header(name) => write!(f, "no {name} says what it wants"),
            Self::During(schedules) => {
                write!(f, "not the time of ")?;
                list(f, schedules)
            }
            Self::Outside(schedule) => write!(f, "it is the time of {schedule}"),
            Self::TrunkGroup => f.write_str("the called number names none of its trunk groups"),
            Self::NoCalling => f.write_str("wants a calling number, and there is none"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
    }
    Ok(())
}
