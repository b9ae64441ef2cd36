//! What follows from a profile and every call asks for, worked out once.

use std::borrow::Cow;

use sdp::Policy;
use sip_msg::{HeaderName, Method};

use super::{OPTION_100REL, OPTION_REPLACES, Reliable, TrunkProfile, headers};

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

impl TrunkProfile {
    /// Value of the `Allow` header field. REFER is there if transfers are taken, REGISTER if
    /// the trunk may register here.
    #[must_use]
    pub fn allow_value(&self) -> String {
        let others = self.allow_methods.iter().filter(|m| **m != Method::Refer);
        let refer = self.transfer.refer.then_some(&Method::Refer);
        let register = self.registrar.is_some().then_some(&Method::Register);
        let methods = others.chain(refer).chain(register);
        headers::listed(methods.map(Method::as_str))
    }

    /// Value of the `Supported` header field; `None` when there is nothing to say.
    #[must_use]
    pub fn supported_value(&self) -> Option<String> {
        let replaces = self.transfer.replaces.then_some(OPTION_REPLACES);
        let others = self.supported.iter().map(|tag| &**tag);
        let reliable = (self.early.reliable != Reliable::Never).then_some(OPTION_100REL);
        let tags = headers::listed(replaces.into_iter().chain(others).chain(reliable));
        (!tags.is_empty()).then_some(tags)
    }

    /// `Allow`, `Supported` and `X-MS-SBC`: what every request and response of ours that opens or
    /// confirms a dialog, and every answer to OPTIONS, carries.
    #[must_use]
    pub fn capability_headers(&self, software: &str) -> Vec<(HeaderName, Cow<'_, str>)> {
        let (allow, supported) = match self.derived.parts() {
            Some(known) => (
                Cow::from(&known.allow),
                known.supported.as_ref().map(Cow::from),
            ),
            None => (
                Cow::from(self.allow_value()),
                self.supported_value().map(Cow::from),
            ),
        };
        let x_ms_sbc = self.x_ms_sbc.then(|| x_ms_sbc_value(software).into());
        let mut headers = Vec::with_capacity(3);
        headers.push((HeaderName::Allow, allow));
        headers.extend(supported.map(|value| (HeaderName::Supported, value)));
        headers.extend(x_ms_sbc.map(|value| (HeaderName::XMsSbc, value)));
        headers
    }

    /// The SDP policy towards the trunk.
    pub(crate) fn sdp_policy(&self) -> Cow<'_, Policy> {
        match self.derived.parts() {
            Some(known) => Cow::Borrowed(&known.policy),
            None => Cow::Owned(crate::leg::policy(self)),
        }
    }
}

/// `<Vendor>/<Product>/<Version>` from a `Product/Version` software name.
fn x_ms_sbc_value(software: &str) -> String {
    format!("Trunkline/{software}")
}
