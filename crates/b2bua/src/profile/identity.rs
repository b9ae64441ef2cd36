//! Who calls: what a trunk may claim, and what it is told (RFC 3323, RFC 3325, U-03, V-06).

use std::sync::Arc;

use routing::Pattern;

/// `P-Asserted-Identity` towards a trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Assertion {
    /// As received from a trusted trunk, except where privacy forbids it (RFC 3325 §7).
    #[default]
    Keep,
    /// None.
    Strip,
    /// This number of ours, in E.164 with `+`.
    Replace(Arc<str>),
    /// The number in From; none where the caller withholds it.
    From,
}

/// `P-Preferred-Identity` towards a trunk (RFC 3325 §9.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// None.
    #[default]
    Strip,
    /// As received from a trusted trunk.
    Keep,
    /// The number in From, for carriers that choose by it what they assert.
    From,
    /// This number of ours, in E.164 with `+`.
    Replace(Arc<str>),
}

/// What becomes of a caller's `Privacy` towards a trunk (RFC 3323 §4.2, RFC 3325 §9.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privacy {
    /// A trusted trunk is told of it; from an untrusted one the identities are withheld.
    #[default]
    Honour,
    /// It is not passed on and withholds nothing: for carriers that bill by the asserted number
    /// and know no other way to it.
    Strip,
    /// As [`Privacy::Honour`], and `id` is asked for in every call.
    Add,
}

/// The From of INVITEs towards a trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// The caller's own From.
    #[default]
    Keep,
    /// The asserted number, where there is one.
    Asserted,
    /// Nobody's: `anonymous@anonymous.invalid` (RFC 3323 §4.1.1.3).
    Anonymise,
    /// This number of ours, in E.164 with `+`.
    Replace(Arc<str>),
}

/// What becomes of a call that shows a number its trunk does not own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Unscreened {
    /// Refused with 403.
    #[default]
    Reject,
    /// Shown as this number instead, in E.164 with `+`.
    Replace(Arc<str>),
    /// Carried as it is; the record says so.
    Pass,
}

/// What becomes of Identity header fields and `verstat` (RFC 8224, RFC 8225).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signatures {
    /// They cross, octet for octet, to and from a trusted trunk only.
    #[default]
    ByTrust,
    /// They cross whatever the trunk's trust.
    Pass,
    /// They neither come from the trunk nor go to it.
    Strip,
}

/// How the identities of callers are treated on one trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityProfile {
    /// `P-Asserted-Identity` towards the trunk.
    pub asserted: Assertion,
    /// `P-Preferred-Identity` towards the trunk.
    pub preferred: Preference,
    /// `Privacy` towards the trunk.
    pub privacy: Privacy,
    /// From towards the trunk.
    pub from: Caller,
    /// Numbers that calls from the trunk may show, as patterns of normalised numbers; empty for
    /// any. Emergency calls are never screened.
    pub screen: Vec<Pattern>,
    /// What becomes of the others.
    pub unscreened: Unscreened,
    /// Signed identities, both ways.
    pub signatures: Signatures,
}

impl IdentityProfile {
    /// Whether a call from the trunk may show `number`, which is normalised.
    #[must_use]
    pub fn owns(&self, number: &str) -> bool {
        self.screen.is_empty() || self.screen.iter().any(|owned| owned.matches(number))
    }

    /// Whether what the trunk is sent says another number than the one that was signed, whatever
    /// the call: a signature would not verify there (RFC 8224 §6.2).
    #[must_use]
    pub fn breaks_signatures(&self) -> bool {
        matches!(
            self.from,
            Caller::Asserted | Caller::Anonymise | Caller::Replace(_)
        ) || matches!(self.asserted, Assertion::Replace(_))
    }
}
