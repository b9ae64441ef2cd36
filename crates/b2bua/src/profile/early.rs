//! What a caller hears and is told before the answer.

use std::sync::Arc;

use sip_msg::StatusCode;

/// What becomes of the provisional responses of a trunk that is called (I-04, I-05).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyPolicy {
    /// Each goes on, with an answer where it has one.
    Forward,
    /// The first one that rings or brings media goes on as under `Forward`; later ones do not.
    First,
    /// Each goes on as 180 without an answer: the caller makes its own ringing tone.
    Ringing,
    /// Each goes on, and while the early media is silent the caller hears a ringing tone made
    /// here. The first audio ends it for good.
    WaitForRtp,
}

impl EarlyPolicy {
    /// Every policy, in the order that messages list them.
    pub const ALL: [Self; 4] = [Self::Forward, Self::First, Self::Ringing, Self::WaitForRtp];

    /// The name in configuration files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::First => "first",
            Self::Ringing => "ringing",
            Self::WaitForRtp => "wait-for-rtp",
        }
    }
}

/// Whether provisional responses to and from a trunk may be reliable (RFC 3262).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliable {
    /// No: `100rel` is not supported, and a request that requires it is refused with 420.
    Never,
    /// Where the other side requires it.
    OnDemand,
    /// Where the other side supports it.
    Preferred,
}

impl Reliable {
    /// Every policy, in the order that messages list them.
    pub const ALL: [Self; 3] = [Self::Never, Self::OnDemand, Self::Preferred];

    /// The name in configuration files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::OnDemand => "on-demand",
            Self::Preferred => "preferred",
        }
    }
}

/// The early part of a trunk's calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    /// What becomes of the provisional responses of this trunk when it is called.
    pub policy: EarlyPolicy,
    /// A 180 of this trunk without an answer goes on as 183 with one, and the caller hears a
    /// ringing tone made here: for callers that make none.
    pub ring_here: bool,
    /// The country whose ringing tone is made towards callers of this trunk (ISO 3166-1 alpha-2).
    pub tone_country: Arc<str>,
    /// Whether `P-Early-Media` is believed from this trunk and said to it, if it is trusted
    /// (RFC 5009).
    pub p_early_media: bool,
    /// Reliable provisional responses on this trunk's legs.
    pub reliable: Reliable,
    /// What a caller of this trunk is answered when its patience ([`super::TrunkTimers`]'
    /// `setup_budget`) is over: 408 or 504 (U-04, U-05).
    pub timeout_status: StatusCode,
}

impl Default for Early {
    /// As a telephone company's trunk: everything goes on as it comes.
    fn default() -> Self {
        Self {
            policy: EarlyPolicy::Forward,
            ring_here: false,
            tone_country: Arc::from("US"),
            p_early_media: true,
            reliable: Reliable::OnDemand,
            timeout_status: StatusCode::SERVER_TIMEOUT,
        }
    }
}

impl Early {
    /// Microsoft's early media can be silent (I-05), and its proxies know no `100rel` (M-01).
    #[must_use]
    pub fn microsoft() -> Self {
        Self {
            policy: EarlyPolicy::WaitForRtp,
            reliable: Reliable::Never,
            ..Self::default()
        }
    }
}
