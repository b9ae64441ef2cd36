//! The pass list: which header fields and parameters cross from one leg to the other.
//!
//! Everything that is not in [`RULES`] stays on its leg. What crosses is made anew where it could
//! carry the other side's hosts: URIs keep their user and lose their host. The list is data, so
//! that it can be printed for every pair of trunks.

mod address;
mod context;
mod edit;
mod identity;
mod reason;
mod redirection;
mod signed;
mod taken;

use bytes::Bytes;
use sip_msg::{HeaderName, Headers, Uri};

use crate::profile::{Assertion, HeaderAction, Preference, Privacy, Redirections, Way};
use crate::profile::{TrunkProfile, Trust};

pub(crate) use context::{is_context, is_dispensable, left_out};
pub use identity::carry_display_name;
pub(crate) use identity::{Known, asserted_numbers, is_anonymous};
pub use redirection::{MOST_REDIRECTIONS, append as append_redirection};
pub(crate) use signed::is_signed;
pub use taken::Taken;

/// The messages that a header field may cross in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The INVITE that opens a dialog.
    Invite,
    /// A provisional response to it.
    Provisional,
    /// The 2xx response to it.
    Answer,
    /// A final response of 300 or more to it.
    Failure,
    /// BYE or CANCEL.
    Ending,
}

impl Phase {
    /// The name that is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Provisional => "1xx",
            Self::Answer => "2xx",
            Self::Failure => "3xx-6xx",
            Self::Ending => "BYE and CANCEL",
        }
    }
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The header field of that name.
    Header(&'static str),
    /// All header fields whose name begins so.
    HeaderPrefix(&'static str),
    /// The parameter of that name of the Request-URI.
    RequestUriParam(&'static str),
    /// The display name of From and To.
    DisplayName,
    /// The reason phrase of a final response.
    ReasonPhrase,
}

/// The pairs of trunks that a rule holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All.
    Always,
    /// Those where the receiving trunk is trusted.
    ToTrusted,
    /// Those where both pass custom context; trusted trunks do by default.
    Context,
    /// Those where both pass signed identities; trusted trunks do by default.
    Signatures,
    /// By the receiving trunk's `diversion`.
    Redirections,
    /// From trusted trunks, by the receiving trunk's identity policy, and never against `Privacy`
    /// (RFC 3325 §7).
    Identity,
}

/// What becomes of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Octet for octet.
    Verbatim,
    /// URIs get this gateway's host and keep `user`, `cause`, `Reason` and `Privacy` only.
    Rehosted,
    /// As [`Carriage::Rehosted`], History-Info and Diversion made from each other (RFC 7544).
    Redirections,
    /// The seconds, without comment and parameters; only with what the called party said, for a
    /// trunk that is busy must not have the whole gateway put aside (RFC 3261 §21.5.4).
    Seconds,
    /// Protocol and cause; the text too if the receiving trunk is trusted.
    Reason,
    /// Within the receiving trunk's limits of fields, names and values; what exceeds them is left
    /// out and counted (U-11).
    Bounded,
}

/// One line of the pass list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What crosses.
    pub subject: Subject,
    /// In which messages.
    pub phases: &'static [Phase],
    /// Between which trunks.
    pub condition: Condition,
    /// In what form.
    pub carriage: Carriage,
}

const SETUP: &[Phase] = &[Phase::Invite];
const SETUP_AND_PROGRESS: &[Phase] = &[Phase::Invite, Phase::Provisional];
const WHOLE_CALL: &[Phase] = &[
    Phase::Invite,
    Phase::Provisional,
    Phase::Answer,
    Phase::Ending,
];
const WHO_ANSWERS: &[Phase] = &[Phase::Invite, Phase::Provisional, Phase::Answer];
const REFUSAL: &[Phase] = &[Phase::Failure];
const HOW_IT_ENDED: &[Phase] = &[Phase::Failure, Phase::Ending];

/// The whole pass list. Nothing else crosses.
pub const RULES: [Rule; 17] = [
    rule(
        Subject::Header("Subject"),
        SETUP,
        Condition::Always,
        Carriage::Verbatim,
    ),
    rule(
        Subject::Header("Reason"),
        HOW_IT_ENDED,
        Condition::Always,
        Carriage::Reason,
    ),
    rule(
        Subject::Header("Retry-After"),
        REFUSAL,
        Condition::Always,
        Carriage::Seconds,
    ),
    rule(
        Subject::ReasonPhrase,
        REFUSAL,
        Condition::Always,
        Carriage::Verbatim,
    ),
    rule(
        Subject::Header("P-Early-Media"),
        SETUP_AND_PROGRESS,
        Condition::ToTrusted,
        Carriage::Verbatim,
    ),
    rule(
        Subject::Header("History-Info"),
        WHO_ANSWERS,
        Condition::Redirections,
        Carriage::Redirections,
    ),
    rule(
        Subject::Header("Diversion"),
        SETUP,
        Condition::Redirections,
        Carriage::Redirections,
    ),
    rule(
        Subject::Header("User-To-User"),
        WHOLE_CALL,
        Condition::Context,
        Carriage::Bounded,
    ),
    rule(
        Subject::HeaderPrefix(context::PREFIX),
        WHOLE_CALL,
        Condition::Context,
        Carriage::Bounded,
    ),
    rule(
        Subject::Header("Identity"),
        SETUP,
        Condition::Signatures,
        Carriage::Verbatim,
    ),
    rule(
        Subject::Header("Date"),
        SETUP,
        Condition::Signatures,
        Carriage::Verbatim,
    ),
    rule(
        Subject::Header("P-Asserted-Identity"),
        WHO_ANSWERS,
        Condition::Identity,
        Carriage::Rehosted,
    ),
    rule(
        Subject::Header("P-Preferred-Identity"),
        SETUP,
        Condition::Identity,
        Carriage::Rehosted,
    ),
    rule(
        Subject::Header("Privacy"),
        SETUP,
        Condition::Identity,
        Carriage::Verbatim,
    ),
    rule(
        Subject::RequestUriParam("user"),
        SETUP,
        Condition::Always,
        Carriage::Verbatim,
    ),
    rule(
        Subject::RequestUriParam("cause"),
        SETUP,
        Condition::Always,
        Carriage::Verbatim,
    ),
    rule(
        Subject::DisplayName,
        WHO_ANSWERS,
        Condition::Identity,
        Carriage::Verbatim,
    ),
];

const fn rule(
    subject: Subject,
    phases: &'static [Phase],
    condition: Condition,
    carriage: Carriage,
) -> Rule {
    Rule {
        subject,
        phases,
        condition,
        carriage,
    }
}

impl Rule {
    /// Whether the rule can carry anything from `from` to `to`, whatever the message says.
    #[must_use]
    pub fn applies(&self, from: &TrunkProfile, to: &TrunkProfile) -> bool {
        self.is_taken(from) && self.is_given(to)
    }

    fn is_taken(&self, from: &TrunkProfile) -> bool {
        match (self.condition, self.subject) {
            (Condition::Context, _) => context::may_cross(from),
            (Condition::Signatures, _) => signed::may_cross(from),
            (Condition::Identity, Subject::Header("P-Asserted-Identity")) => {
                from.trust == Trust::Trusted
            }
            (_, _) => true,
        }
    }

    fn is_given(&self, to: &TrunkProfile) -> bool {
        let policy = &to.identity;
        match (self.condition, self.subject) {
            (Condition::Always, _) => true,
            (Condition::ToTrusted, _) => to.trust == Trust::Trusted,
            (Condition::Context, _) => context::may_cross(to),
            (Condition::Signatures, _) => signed::may_cross(to),
            (Condition::Redirections, Subject::Header("History-Info")) => matches!(
                to.headers.redirections,
                Redirections::HistoryInfo | Redirections::Both
            ),
            (Condition::Redirections, _) => matches!(
                to.headers.redirections,
                Redirections::Diversion | Redirections::Both
            ),
            (Condition::Identity, Subject::Header("P-Preferred-Identity")) => {
                policy.preferred == Preference::Keep
            }
            (Condition::Identity, Subject::Header("Privacy")) => {
                policy.privacy != Privacy::Strip && to.trust == Trust::Trusted
            }
            (Condition::Identity, _) => policy.asserted == Assertion::Keep,
        }
    }
}

/// The rules that hold for messages from `from` to `to`.
pub fn rules(from: &TrunkProfile, to: &TrunkProfile) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(|rule| rule.applies(from, to))
}

/// Names of the header fields that the operator's own rules let pass from `from` to `to`.
pub fn passed_by_rule<'a>(
    from: &'a TrunkProfile,
    to: &'a TrunkProfile,
) -> impl Iterator<Item = &'a HeaderName> {
    let taken = from.headers.rules.iter();
    let taken = taken.filter(|rule| rule.way() == Way::In && to.trust == Trust::Trusted);
    let given = to.headers.rules.iter();
    let given = given.filter(|rule| rule.way() == Way::Out);
    taken
        .chain(given)
        .filter(|rule| matches!(rule.action(), HeaderAction::Pass))
        .map(|rule| rule.name())
}

/// The rules that can carry something to `to`, whoever said it; what its own trunk may not say is
/// not in a [`Taken`].
fn given(to: &TrunkProfile) -> impl Iterator<Item = &'static Rule> + '_ {
    RULES.iter().filter(|rule| rule.is_given(to))
}

/// Copies what may cross from a message of one leg into the message of the other leg that follows
/// from it. `into` must not have any of these header fields yet. Who calls is left to
/// `Known::identify`, and an INVITE needs [`carry_invite`].
pub fn carry(phase: Phase, source: &Taken<'_>, to: &TrunkProfile, into: &mut Headers) {
    carry_to(phase, source, None, to, into);
}

/// The same for an INVITE whose Request-URI is `target`.
pub fn carry_invite(source: &Taken<'_>, target: &Uri, to: &TrunkProfile, into: &mut Headers) {
    carry_to(Phase::Invite, source, Some(target), to, into);
}

fn carry_to(
    phase: Phase,
    source: &Taken<'_>,
    target: Option<&Uri>,
    to: &TrunkProfile,
    into: &mut Headers,
) {
    for rule in given(to).filter(|rule| rule.phases.contains(&phase)) {
        match (rule.condition, rule.subject) {
            // Both of a kind at once: see below.
            (Condition::Context | Condition::Signatures | Condition::Redirections, _) => {}
            (Condition::Identity, Subject::Header("P-Asserted-Identity"))
                if phase != Phase::Invite =>
            {
                identity::carry_connected(source, to, into);
            }
            (Condition::Identity, _) => {}
            (_, Subject::Header("Reason")) => reason::carry(source, to, into),
            (_, Subject::Header("Retry-After")) => {
                if let Some(seconds) = source.headers().retry_after() {
                    into.push(HeaderName::RetryAfter, seconds.to_string());
                }
            }
            (_, Subject::Header(name)) => carry_verbatim(name, source.headers(), into),
            // Not header fields: see `carry_uri_params`, `carry_display_name`, `carry_phrase`.
            (
                _,
                Subject::HeaderPrefix(_)
                | Subject::RequestUriParam(_)
                | Subject::DisplayName
                | Subject::ReasonPhrase,
            ) => {}
        }
    }
    if WHO_ANSWERS.contains(&phase) {
        redirection::carry(phase, source, target, to, into);
    }
    if WHOLE_CALL.contains(&phase) && context::may_cross(to) {
        context::carry(source.headers(), to, into);
    }
    if phase == Phase::Invite && signed::may_cross(to) {
        signed::carry(source.headers(), into);
    }
    edit::give(phase, source, to, into);
}

/// `target`, the Request-URI of the new leg, with the parameters that may cross from `source`,
/// that of the other leg (U-09).
#[must_use]
pub fn carry_uri_params(source: &Uri, to: &TrunkProfile, target: Uri) -> Uri {
    let names = given(to).filter_map(|rule| match rule.subject {
        Subject::RequestUriParam(name) => Some(name),
        Subject::Header(_)
        | Subject::HeaderPrefix(_)
        | Subject::DisplayName
        | Subject::ReasonPhrase => None,
    });
    names.fold(target, |target, name| match source.param(name) {
        Some(value) if target.param(name).is_none() && value.is_none_or(is_plain) => {
            target.with_param(name, value)
        }
        _ => target,
    })
}

/// The reason phrase that a final response to `to` may have of `phrase`, that of the other leg's;
/// `None` for the usual one, where `phrase` is empty, long or could hold an address.
#[must_use]
pub fn carry_phrase(phrase: &Bytes, to: &TrunkProfile) -> Option<Bytes> {
    let crosses = given(to).any(|rule| rule.subject == Subject::ReasonPhrase);
    let plain = std::str::from_utf8(phrase).is_ok_and(|text| {
        text.chars()
            .all(|c| c.is_alphanumeric() || " -'/(),".contains(c))
    });
    (crosses && plain && (1..=PHRASE_MAX).contains(&phrase.len())).then(|| phrase.clone())
}

/// Whether a parameter value is short and can hold no host.
fn is_plain(value: &str) -> bool {
    value.len() <= 32
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn carry_verbatim(name: &str, source: &Headers, into: &mut Headers) {
    let Some(name) = HeaderName::parse(name.as_bytes()) else {
        return;
    };
    for value in source.get_all(&name) {
        into.push(name.clone(), value);
    }
}

/// The longest reason phrase that crosses, in octets.
const PHRASE_MAX: usize = 64;

#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod tests;
