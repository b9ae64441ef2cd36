//! What a failed attempt means: for the plan, for the caller, and in Q.850 terms.
//!
//! Microsoft moves a call to the next gateway on 408, 503 and 504 only, and gives it up on
//! anything else (U-05). So what is wrong on our side or the trunk's must be one of these, and
//! what a called party answered must never become one.

mod q850;

use sip_msg::wire::TransportError;
use sip_msg::{Class, StatusCode};
use sip_ua::ClientFailure;

use crate::limits::Refused;

pub use q850::{Cause, cause_from_status, status_from_cause};

/// Why an attempt to reach a called party ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFailure {
    /// A final response of 300 or more.
    Final {
        /// Its status.
        status: StatusCode,
        /// Its `Retry-After` in seconds, if it has one.
        retry_after: Option<u32>,
        /// Its Q.850 cause from a `Reason` header field (RFC 3326), if it has one.
        cause: Option<Cause>,
    },
    /// Nothing at all came within `attempt_timeout`, or timer B fired.
    Silent,
    /// The same of a peer that was known to be down: asked all the same, for want of another.
    StillDown,
    /// The request could not be delivered.
    Transport(TransportError),
    /// The peer's name led to no address.
    NoHop,
    /// A provisional response, and then nothing until the no-answer limit.
    NoAnswer,
    /// Timer C fired (RFC 3261 §16.8).
    TimerC,
    /// All attempts together used up the time that the caller's side grants.
    SetupBudget,
    /// The trunk belongs to another customer than the party that is to be joined to it.
    OtherCustomer,
    /// Nobody of the trunk is registered here, or this gateway must be registered there and is not.
    Unregistered,
    /// A limit of ours stood in the way.
    Limit(Refused),
    /// Azure was reached and did not reach the called party; what that comes to in SIP.
    Cloud(StatusCode),
    /// No media port was free.
    NoMediaPort,
    /// The answer was no answer to the offer that was made (RFC 3264), or lacked SRTP.
    Negotiation,
    /// A table of ours was full, or a value of ours was not what it must be.
    Internal,
}

/// Whose doing a failure was; goes into call records and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureClass {
    /// The called party or its network said so.
    User,
    /// The trunk is not reachable.
    TrunkDown,
    /// The trunk says that it has too much to do.
    TrunkOverload,
    /// Somebody took too long.
    Timeout,
    /// The trunk answered what it must not.
    Protocol,
    /// A limit or rule of the operator.
    Policy,
    /// This gateway.
    Internal,
}

impl AttemptFailure {
    /// An INVITE had no final response; `spoke` if it had any other.
    #[must_use]
    pub(crate) fn of(error: ClientFailure, spoke: bool) -> Self {
        match error {
            ClientFailure::TimedOut if spoke => Self::TimerC,
            ClientFailure::TimedOut => Self::Silent,
            ClientFailure::Transport(error) => Self::Transport(error),
            ClientFailure::NoHop(_) => Self::NoHop,
            ClientFailure::TooMany | ClientFailure::Cancelled | ClientFailure::Incomplete => {
                Self::Internal
            }
        }
    }
}

impl FailureClass {
    /// The name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::TrunkDown => "trunk-down",
            Self::TrunkOverload => "trunk-overload",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Policy => "policy",
            Self::Internal => "internal",
        }
    }

    /// Parses what [`FailureClass::as_str`] printed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::User,
            Self::TrunkDown,
            Self::TrunkOverload,
            Self::Timeout,
            Self::Protocol,
            Self::Policy,
            Self::Internal,
        ]
        .into_iter()
        .find(|class| class.as_str() == text)
    }
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whose doing it was.
    pub class: FailureClass,
    /// Whether the plan's next attempt may be made. `false` ends the call.
    pub advances: bool,
    /// What the caller sees when no attempt is left.
    pub status: StatusCode,
    /// The Q.850 cause for the `Reason` header field of that response.
    pub cause: Cause,
}

/// Judges a failed attempt. The same for every trunk, in every direction.
#[must_use]
pub fn judge(failure: &AttemptFailure) -> Verdict {
    let (class, advances, status) = match *failure {
        AttemptFailure::Final { status, cause, .. } => return judge_final(status, cause),
        AttemptFailure::Cloud(status) => return judge_final(status, None),
        AttemptFailure::Silent => (FailureClass::Timeout, true, StatusCode::SERVER_TIMEOUT),
        // A connection that cannot be made is a trunk that is down, whatever the reason; one that
        // does not come up in time differs only in how long the caller has waited.
        AttemptFailure::Transport(_) | AttemptFailure::NoHop | AttemptFailure::StillDown => (
            FailureClass::TrunkDown,
            true,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        AttemptFailure::NoAnswer | AttemptFailure::TimerC => (
            FailureClass::User,
            false,
            StatusCode::TEMPORARILY_UNAVAILABLE,
        ),
        AttemptFailure::Unregistered => (
            FailureClass::TrunkDown,
            true,
            StatusCode::TEMPORARILY_UNAVAILABLE,
        ),
        AttemptFailure::SetupBudget => (FailureClass::Timeout, false, StatusCode::SERVER_TIMEOUT),
        AttemptFailure::OtherCustomer => (FailureClass::Policy, true, StatusCode::NOT_FOUND),
        AttemptFailure::Limit(_) => (FailureClass::Policy, true, StatusCode::SERVICE_UNAVAILABLE),
        AttemptFailure::NoMediaPort => (
            FailureClass::Internal,
            false,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        AttemptFailure::Negotiation => (
            FailureClass::Protocol,
            false,
            StatusCode::NOT_ACCEPTABLE_HERE,
        ),
        AttemptFailure::Internal => (
            FailureClass::Internal,
            false,
            StatusCode::SERVER_INTERNAL_ERROR,
        ),
    };
    let alerted = matches!(failure, AttemptFailure::NoAnswer | AttemptFailure::TimerC);
    let cause = if alerted {
        Cause::NO_ANSWER
    } else if *failure == AttemptFailure::Unregistered {
        Cause::SUBSCRIBER_ABSENT
    } else {
        cause_from_status(status)
    };
    Verdict {
        class,
        advances,
        status,
        cause,
    }
}

fn judge_final(status: StatusCode, cause: Option<Cause>) -> Verdict {
    let (class, advances, shown) = match status {
        // The peer did not take the call; another one may.
        StatusCode::SERVICE_UNAVAILABLE => (FailureClass::TrunkOverload, true, status),
        StatusCode::REQUEST_TIMEOUT | StatusCode::SERVER_TIMEOUT => {
            (FailureClass::Timeout, true, status)
        }
        // A challenge is for this gateway, which has no credentials for that trunk. The caller
        // has none either, and must not be asked for any (RFC 3261 §22.1 is per hop here).
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => (
            FailureClass::Protocol,
            true,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        // The trunk is broken or does not speak SIP as it should; the number may be fine. So may
        // it be where the trunk takes offence at how it was asked.
        StatusCode::BAD_GATEWAY
        | StatusCode::VERSION_NOT_SUPPORTED
        | StatusCode::REQUEST_ENTITY_TOO_LARGE
        | StatusCode::MESSAGE_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNSUPPORTED_URI_SCHEME
        | StatusCode::BAD_EXTENSION
        | StatusCode::EXTENSION_REQUIRED => (
            FailureClass::TrunkDown,
            true,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        // Who cancelled it, if not we: nobody who could be told.
        StatusCode::REQUEST_TERMINATED => (FailureClass::User, false, status),
        other => match other.class() {
            // A redirection would tell the caller a trunk's inside, and one that came from here
            // is undefined at Microsoft (U-12). The core follows it or gives up.
            Class::Redirection => (
                FailureClass::Protocol,
                true,
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Class::GlobalFailure | Class::ClientError | Class::ServerError => {
                (FailureClass::User, false, other)
            }
            Class::Provisional | Class::Success => (
                FailureClass::Internal,
                false,
                StatusCode::SERVER_INTERNAL_ERROR,
            ),
        },
    };
    let cause = if shown == status { cause } else { None };
    let cause = cause.unwrap_or_else(|| cause_from_status(shown));
    Verdict {
        class,
        advances,
        status: shown,
        cause,
    }
}

/// Of all attempts of a call, the one whose verdict the caller sees: what a called party
/// said, else the last attempt's. A timeout after an unreachable trunk is still a timeout, which
/// is what Microsoft acts upon in the same way.
#[must_use]
pub fn best<T>(tried: impl IntoIterator<Item = T>, verdict: impl Fn(&T) -> &Verdict) -> Option<T> {
    let mut chosen = None;
    for attempt in tried {
        if verdict(&attempt).class == FailureClass::User {
            return Some(attempt);
        }
        chosen = Some(attempt);
    }
    chosen
}

#[cfg(test)]
mod tests;
