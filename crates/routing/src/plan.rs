//! What a decision says.

use std::fmt;
use std::sync::Arc;

use sip_msg::wire::TrunkName;
use sip_msg::{StatusCode, Uri};

use crate::cloud::{CLOUD_CALLING, CloudCall};
use crate::limits::LimitRule;
use crate::money::Tariff;
use crate::step::Step;

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub outcome: Outcome,
    /// Why, in the order it was found; each prints as one line.
    pub steps: Vec<Step>,
}

/// What is to be done with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Try these in order.
    Route(RoutePlan),
    /// Refuse it.
    Reject {
        /// With this status.
        status: StatusCode,
        /// For this reason.
        reason: RejectReason,
    },
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejectReason {
    /// No route matches: 404.
    NoRoute,
    /// The trunk of origin is not known: 403.
    UnknownOrigin,
    /// The called number is longer than any number: 404.
    NumberTooLong,
    /// A route says so, with its status.
    ByRoute(Arc<str>),
    /// The only target of the route is where the call comes from: 503.
    OnlyOrigin(Arc<str>),
    /// A limit keeps the call, or every target that was left, back: 403 or 503.
    Limit {
        /// Its name.
        limit: Arc<str>,
        /// Which of its rules.
        rule: LimitRule,
    },
    /// Every target of the route carries as many calls as it may: 503.
    NoRoom(Arc<str>),
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute => write!(f, "no route matches"),
            Self::UnknownOrigin => write!(f, "the trunk of origin is unknown"),
            Self::NumberTooLong => write!(f, "the called number is too long"),
            Self::ByRoute(route) => write!(f, "route `{route}` refuses the call"),
            Self::OnlyOrigin(route) => {
                write!(
                    f,
                    "route `{route}` leads only back to where the call comes from"
                )
            }
            Self::Limit { limit, rule } => write!(f, "limit `{limit}`: {rule}"),
            Self::NoRoom(route) => write!(f, "every target of route `{route}` is at its limit"),
        }
    }
}

/// Where a call goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePlan {
    /// The route that matched.
    pub route: Arc<str>,
    /// Attempts in order: every peer of every target, peers known down last. None only where
    /// there is an announcement.
    pub attempts: Vec<Attempt>,
    /// What the caller hears when no attempt comes to anything.
    pub announcement: Option<Arc<str>>,
}

/// One peer of one trunk, with the numbers as it reads them.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The trunk.
    pub trunk: TrunkName,
    /// Which of its peers, from 0.
    pub peer: usize,
    /// Request-URI of the INVITE.
    pub request_uri: Uri,
    /// User of the To URI: the called number as this trunk writes it.
    pub to_user: String,
    /// User of the From URI: the calling number as this trunk writes it; `None` without one.
    pub from_user: Option<String>,
    /// Host of the From URI, where it is not the gateway's own.
    pub from_host: Option<String>,
    /// Whether a number rule, and not only a plan, changed one of the numbers: what was signed
    /// about them does not hold there (RFC 8224 §6.2).
    pub rewritten: bool,
    /// Whether `from_user` is the route's and not the caller's own.
    pub presented: bool,
    /// What the call costs there, where that is known.
    pub tariff: Option<Tariff>,
    /// What Azure is asked to do with the call, where it is the carrier: then the numbers above are
    /// those of the INVITE that reaches it.
    pub cloud: Option<CloudCall>,
    /// Where the INVITE goes instead of to the peer; never set by a decision.
    pub hop: Option<Uri>,
}

impl Attempt {
    /// What the route calls the target.
    #[must_use]
    pub fn target(&self) -> &str {
        match self.cloud {
            Some(_) => CLOUD_CALLING,
            None => self.trunk.as_str(),
        }
    }
}

impl fmt::Debug for Attempt {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Attempt({} over {} peer {})",
            self.target(),
            self.trunk,
            self.peer
        )
    }
}
