//! What follows from a profile and every call asks for, worked out once.

use sdp::Policy;

use super::TrunkProfile;

/// What follows from a profile that is not changed any more; nothing in one that may be, which a
/// copy is.
#[derive(Debug, Default)]
pub(super) struct Derived(Option<Box<Parts>>);

/// See [`Derived`].
#[derive(Debug)]
pub(super) struct Parts {
    /// The SDP policy.
    pub(super) policy: Policy,
    /// The value of `Allow`.
    pub(super) allow: String,
    /// The value of `Supported`.
    pub(super) supported: Option<String>,
}

impl Derived {
    /// What follows from `profile`, which is not changed after this.
    pub(super) fn of(profile: &TrunkProfile) -> Self {
        Self(Some(Box::new(Parts {
            policy: crate::leg::policy(profile),
            allow: profile.allow_value(),
            supported: profile.supported_value(),
        })))
    }

    pub(super) fn parts(&self) -> Option<&Parts> {
        self.0.as_deref()
    }
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self(None)
    }
}
