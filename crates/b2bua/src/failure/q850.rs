//! ITU-T Q.850 causes and SIP status codes, by RFC 3398 §7.2.4.1 and §8.2.6.1.

use sip_msg::StatusCode;

/// A Q.850 cause value, 1 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause(u8);

impl Cause {
    /// 16, normal call clearing.
    pub const NORMAL_CLEARING: Self = Self(16);
    /// 17, user busy.
    pub const USER_BUSY: Self = Self(17);
    /// 18, no user responding.
    pub const NO_USER_RESPONDING: Self = Self(18);
    /// 19, no answer from user (user alerted).
    pub const NO_ANSWER: Self = Self(19);
    /// 20, subscriber absent.
    pub const SUBSCRIBER_ABSENT: Self = Self(20);
    /// 21, call rejected.
    pub const CALL_REJECTED: Self = Self(21);
    /// 31, normal, unspecified.
    pub const NORMAL_UNSPECIFIED: Self = Self(31);
    /// 41, temporary failure.
    pub const TEMPORARY_FAILURE: Self = Self(41);
    /// 47, resource unavailable, unspecified.
    pub const RESOURCE_UNAVAILABLE: Self = Self(47);
    /// 65, bearer capability not implemented.
    pub const BEARER_NOT_IMPLEMENTED: Self = Self(65);
    /// 102, recovery on timer expiry.
    pub const TIMER_EXPIRY: Self = Self(102);
    /// 127, interworking, unspecified.
    pub const INTERWORKING: Self = Self(127);

    /// The cause of that value; `None` outside 1 to 127.
    #[must_use]
    pub fn new(value: u8) -> Option<Self> {
        (1..=127).contains(&value).then_some(Self(value))
    }

    /// Its value, 1 to 127.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }

    /// `Q.850;cause=16`, a value of the `Reason` header field (RFC 3326).
    #[must_use]
    pub fn reason_value(self) -> String {
        format!("Q.850;cause={}", self.0)
    }
}

/// The cause that says in telephone terms what `status` says (RFC 3398 §8.2.6.1). Where the table
/// has no entry: 487 is a call that its caller gave up (16), 488 and 606 are a bearer that cannot
/// be had (65), an unknown 4xx or 5xx is interworking (127), an unknown 6xx a rejection (21).
#[must_use]
pub fn cause_from_status(status: StatusCode) -> Cause {
    Cause(match status.code() {
        100..=299 | 487 => 16,
        400 | 481 | 500 | 503 => 41,
        401 | 402 | 403 | 407 | 603 => 21,
        404 | 485 | 604 => 1,
        405 => 63,
        406 | 415 | 501 => 79,
        408 | 504 => 102,
        410 => 22,
        480 => 18,
        482 | 483 => 25,
        484 => 28,
        486 | 600 => 17,
        488 | 606 => 65,
        502 => 38,
        607 | 608 => 21,
        300..=599 => 127,
        _ => 21,
    })
}

/// The final response that says in SIP what `cause` says (RFC 3398 §7.2.4.1). Normal clearing
/// before an answer has no entry there and is 480.
#[must_use]
pub fn status_from_cause(cause: Cause) -> StatusCode {
    match cause.0 {
        1..=3 | 26 => StatusCode::NOT_FOUND,
        17 => StatusCode::BUSY_HERE,
        18 => StatusCode::REQUEST_TIMEOUT,
        16 | 19 | 20 | 31 => StatusCode::TEMPORARILY_UNAVAILABLE,
        21 | 55 | 57 | 87 => StatusCode::FORBIDDEN,
        22 | 23 => StatusCode::GONE,
        27 => StatusCode::BAD_GATEWAY,
        28 => StatusCode::ADDRESS_INCOMPLETE,
        29 | 79 => StatusCode::NOT_IMPLEMENTED,
        34 | 38 | 41 | 42 | 47 | 58 | 88 => StatusCode::SERVICE_UNAVAILABLE,
        65 | 70 => StatusCode::NOT_ACCEPTABLE_HERE,
        102 => StatusCode::SERVER_TIMEOUT,
        _ => StatusCode::SERVER_INTERNAL_ERROR,
    }
}
