//! What a trunk said, without what it may not say.

use std::borrow::Cow;

use sip_msg::{HeaderName, Headers};

use super::{Phase, context, edit, reason, signed};
use crate::profile::{TrunkProfile, Trust, Way};

/// The header fields of one message of a trunk, cleared of what that trunk is not trusted with
/// (RFC 3325 §5) and changed by its own rules. Only this can cross to another leg.
#[derive(Clone, Debug)]
pub struct Taken<'a> {
    headers: Cow<'a, Headers>,
    /// What the trunk's rules let pass beyond the list.
    passes: Vec<HeaderName>,
    /// Signed identities are taken of the trunk.
    signed: bool,
}

impl Taken<'static> {
    /// Nothing was said.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            headers: Cow::Owned(Headers::new()),
            passes: Vec::new(),
            signed: false,
        }
    }
}

impl<'a> Taken<'a> {
    /// What may be taken of a message of `from`.
    #[must_use]
    pub fn new(phase: Phase, said: &'a Headers, from: &TrunkProfile) -> Self {
        let mut taken = Self {
            headers: Cow::Borrowed(said),
            passes: Vec::new(),
            signed: signed::may_cross(from),
        };
        if from.trust == Trust::Untrusted {
            taken.remove(&HeaderName::PAssertedIdentity);
            taken.remove(&HeaderName::PPreferredIdentity);
        }
        if !taken.signed {
            taken.remove(&HeaderName::Identity);
        }
        if !context::may_cross(from) && said.iter().any(|field| context::is_context(&field)) {
            let headers = taken.headers.to_mut();
            headers.retain(|field| !context::is_context(&field));
        }
        if !from.reasons.causes.is_empty() && said.contains(&HeaderName::Reason) {
            reason::translate(&from.reasons, taken.headers.to_mut());
        }
        for rule in from.headers.rules(Way::In, phase) {
            edit::take(rule, &mut taken.headers, &mut taken.passes);
        }
        taken
    }

    fn remove(&mut self, name: &HeaderName) {
        if self.headers.contains(name) {
            self.headers.to_mut().remove(name);
        }
    }

    /// The header fields, those of the leg itself among them.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Fields beyond the list that may go to trusted trunks.
    pub(super) fn passes(&self) -> &[HeaderName] {
        &self.passes
    }

    /// Whether what the message says of its caller's verification can be believed.
    pub(super) fn is_signed_by_trusted(&self) -> bool {
        self.signed
    }

    /// The same, kept beyond the message.
    #[must_use]
    pub fn into_owned(self) -> Taken<'static> {
        Taken {
            headers: Cow::Owned(self.headers.into_owned()),
            passes: self.passes,
            signed: self.signed,
        }
    }
}
