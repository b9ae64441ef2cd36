//! What the operator says about header fields of one trunk.

use std::sync::Arc;

use e164::{Rewrite, RewriteError};
use sip_msg::HeaderName;
use thiserror::Error;

use crate::passlist::Phase;

/// How a trunk is told that a call was redirected on its way (RFC 7044, RFC 5806, RFC 7544).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirections {
    /// By History-Info.
    HistoryInfo,
    /// By Diversion.
    Diversion,
    /// By both.
    Both,
    /// Not at all.
    #[default]
    None,
}

impl Redirections {
    /// The name in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HistoryInfo => "history-info",
            Self::Diversion => "diversion",
            Self::Both => "both",
            Self::None => "none",
        }
    }

    /// Reads a name; `None` when there is none such.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::HistoryInfo, Self::Diversion, Self::Both, Self::None]
            .into_iter()
            .find(|known| known.as_str() == name)
    }
}

/// Which way a message goes, as the trunk's side of the gateway sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the trunk.
    In,
    /// To the trunk.
    Out,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderAction {
    /// Adds a field with this value.
    Add(Arc<str>),
    /// Removes all fields of the name.
    Remove,
    /// Rewrites values that match.
    Rewrite(Rewrite),
    /// Lets fields of the name cross that are not on the pass list.
    Pass,
}

/// Most rules of one trunk.
pub const MOST_RULES: usize = 64;

/// Octets of the longest value that a rule adds.
const LONGEST_VALUE: usize = 1024;

/// Why a header rule cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderRuleError {
    /// Not a name of a header field.
    #[error("not the name of a header field")]
    Name,
    /// The gateway must keep this field to itself; why.
    #[error("{0} {1}")]
    Protected(HeaderName, &'static str),
    /// The value is too long or has control characters.
    #[error("a value has at most 1024 octets and no control characters")]
    Value,
    /// The pattern.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
}

/// One rule about a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    way: Way,
    name: HeaderName,
    phases: Vec<Phase>,
    action: HeaderAction,
}

impl HeaderRule {
    /// A rule for the messages of `phases`, or of all where there are none.
    ///
    /// # Errors
    /// The field is one that no rule may touch, or the value cannot be.
    pub fn new(
        way: Way,
        name: &str,
        phases: Vec<Phase>,
        action: HeaderAction,
    ) -> Result<Self, HeaderRuleError> {
        let name = HeaderName::parse(name.as_bytes()).ok_or(HeaderRuleError::Name)?;
        if let Some(why) = protected(&name) {
            return Err(HeaderRuleError::Protected(name, why));
        }
        if let HeaderAction::Add(value) = &action
            && (value.len() > LONGEST_VALUE || value.chars().any(char::is_control))
        {
            return Err(HeaderRuleError::Value);
        }
        Ok(Self {
            way,
            name,
            phases,
            action,
        })
    }

    /// Which way the messages go.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// The header field.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// What is done with it.
    #[must_use]
    pub fn action(&self) -> &HeaderAction {
        &self.action
    }

    /// The messages; empty for all.
    #[must_use]
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Whether it holds for a message of that phase on that way.
    #[must_use]
    pub fn holds(&self, way: Way, phase: Phase) -> bool {
        self.way == way && (self.phases.is_empty() || self.phases.contains(&phase))
    }
}

/// Why no rule may touch a field; `None` where one may.
#[must_use]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a list of what is protected; a field of a new name is not"
)]
pub fn protected(name: &HeaderName) -> Option<&'static str> {
    use HeaderName as N;
    match name {
        N::From | N::To | N::CallId | N::CSeq | N::Replaces | N::TargetDialog => {
            Some("names the dialog, and each leg has its own")
        }
        N::Via
        | N::Route
        | N::RecordRoute
        | N::Contact
        | N::MaxForwards
        | N::Path
        | N::ServiceRoute
        | N::ReferTo
        | N::ReferredBy => Some("routes messages, and each leg has its own"),
        N::ContentType
        | N::ContentLength
        | N::ContentEncoding
        | N::ContentDisposition
        | N::ContentLanguage
        | N::MimeVersion => Some("describes the body, which is made anew for each leg"),
        N::Require
        | N::ProxyRequire
        | N::Supported
        | N::Unsupported
        | N::Allow
        | N::Accept
        | N::SessionExpires
        | N::MinSe
        | N::RAck
        | N::RSeq
        | N::Expires
        | N::MinExpires
        | N::Event
        | N::SubscriptionState
        | N::RetryAfter
        | N::XMsSbc => Some("is agreed with each trunk apart"),
        N::Authorization
        | N::ProxyAuthorization
        | N::WwwAuthenticate
        | N::ProxyAuthenticate
        | N::AuthenticationInfo => Some("holds credentials, which never leave their leg"),
        N::PAssertedIdentity | N::PPreferredIdentity | N::Privacy | N::Identity => {
            Some("says who calls; [trunk.identity] decides it")
        }
        N::HistoryInfo | N::Diversion => {
            Some("says who redirected the call; `diversion` decides it")
        }
        N::Reason => Some("says why a call ended; [trunk.reasons] decides it"),
        // No RFC's name begins so; what does is ours or Microsoft's to make.
        other if starts_with(other, "Content-") => {
            Some("describes the body, which is made anew for each leg")
        }
        _ => None,
    }
}

fn starts_with(name: &HeaderName, prefix: &str) -> bool {
    let start = name.canonical().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The items of a header field's value, separated by commas.
pub(super) fn listed<'t>(items: impl Iterator<Item = &'t str>) -> String {
    // A usual `Allow` in one piece.
    let mut list = String::with_capacity(96);
    for item in items {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(item);
    }
    list
}

/// How header fields of one trunk are treated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderProfile {
    /// How the trunk is told of redirections.
    pub redirections: Redirections,
    /// Rules, done in their order; at most [`MOST_RULES`].
    pub rules: Vec<HeaderRule>,
}

impl HeaderProfile {
    /// The rules for a message.
    pub fn rules(&self, way: Way, phase: Phase) -> impl Iterator<Item = &HeaderRule> {
        self.rules.iter().filter(move |rule| rule.holds(way, phase))
    }
}
