//! The pass list: which header fields and parameters cross from one leg to the other.
//!
//! Everything that is not in [`RULES`] stays on its leg. What crosses is made anew where it could
//! carry the other side's hosts: URIs keep their user and lose their host. The list is data, so
//! that it can be printed for every pair of trunks.

mod address;
mod identity;

use bytes::Bytes;
use sip_msg::{HeaderName, Headers, Uri};

use crate::profile::{TrunkProfile, Trust};
use address::rehost_name_addr;

pub use identity::carry_display_name;

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
    /// By the receiving trunk's identity policy, and never against `Privacy` (RFC 3325 §7).
    Identity,
}

/// What becomes of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Octet for octet.
    Verbatim,
    /// URIs get this gateway's host and keep `user`, `cause`, `Reason` and `Privacy` only.
    Rehosted,
    /// Protocol and cause; the text too if the receiving trunk is trusted.
    Reason,
    /// At most this many fields, names and values up to these lengths in octets; what exceeds
    /// them is left out (U-11).
    Bounded {
        /// Fields of the prefix in one message.
        fields: usize,
        /// Octets of a name, prefix included.
        name: usize,
        /// Octets of a value.
        value: usize,
    },
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
pub const RULES: [Rule; 13] = [
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
        Condition::ToTrusted,
        Carriage::Rehosted,
    ),
    rule(
        Subject::Header("Diversion"),
        SETUP,
        Condition::ToTrusted,
        Carriage::Rehosted,
    ),
    rule(
        Subject::Header("User-To-User"),
        WHOLE_CALL,
        Condition::ToTrusted,
        Carriage::Bounded {
            fields: 1,
            name: 64,
            value: 256,
        },
    ),
    rule(
        Subject::HeaderPrefix("X-MS-Custom-"),
        WHOLE_CALL,
        Condition::ToTrusted,
        Carriage::Bounded {
            fields: 5,
            name: 64,
            value: 256,
        },
    ),
    rule(
        Subject::Header("P-Asserted-Identity"),
        WHO_ANSWERS,
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
    /// Whether the rule can carry anything toward `to`, whatever the message says.
    #[must_use]
    pub fn applies(&self, to: &TrunkProfile) -> bool {
        match self.condition {
            Condition::Always => true,
            Condition::ToTrusted => to.trust == Trust::Trusted,
            Condition::Identity => identity::may_cross(to),
        }
    }
}

/// The rules that hold for calls whose messages go toward `to`.
pub fn rules(to: &TrunkProfile) -> impl Iterator<Item = &'static Rule> + '_ {
    RULES.iter().filter(|rule| rule.applies(to))
}

/// Copies what may cross from a message of one leg into the message of the other leg that follows
/// from it. `into` must not have any of these header fields yet.
pub fn carry(phase: Phase, source: &Headers, to: &TrunkProfile, into: &mut Headers) {
    for rule in rules(to).filter(|rule| rule.phases.contains(&phase)) {
        match rule.subject {
            Subject::Header(name) => carry_header(rule, name, source, to, into),
            Subject::HeaderPrefix(prefix) => carry_prefix(rule, prefix, source, into),
            // Not header fields: see `carry_uri_params`, `carry_display_name`, `carry_phrase`.
            Subject::RequestUriParam(_) | Subject::DisplayName | Subject::ReasonPhrase => {}
        }
    }
    identity::assert_own(phase, to, into);
}

/// `target`, the Request-URI of the new leg, with the parameters that may cross from `source`,
/// that of the other leg (U-09).
#[must_use]
pub fn carry_uri_params(source: &Uri, to: &TrunkProfile, target: Uri) -> Uri {
    let names = rules(to).filter_map(|rule| match rule.subject {
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
    let crosses = rules(to).any(|rule| rule.subject == Subject::ReasonPhrase);
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

fn carry_header(rule: &Rule, name: &str, source: &Headers, to: &TrunkProfile, into: &mut Headers) {
    let Some(name) = HeaderName::parse(name.as_bytes()) else {
        return;
    };
    if rule.condition == Condition::Identity && identity::is_withheld(source, to) {
        return;
    }
    match rule.carriage {
        Carriage::Verbatim => {
            for value in source.get_all(&name) {
                into.push(name.clone(), value);
            }
        }
        Carriage::Rehosted => {
            for item in source.items(&name) {
                if let Some(value) = rehost_name_addr(item, to) {
                    into.push(name.clone(), value);
                }
            }
        }
        Carriage::Reason => carry_reasons(source, to, into),
        Carriage::Bounded { fields, value, .. } => {
            let fitting = source.get_all(&name).filter(|field| field.len() <= value);
            for field in fitting.take(fields) {
                into.push(name.clone(), field);
            }
        }
    }
}

fn carry_prefix(rule: &Rule, prefix: &str, source: &Headers, into: &mut Headers) {
    let Carriage::Bounded {
        fields,
        name: longest_name,
        value: longest_value,
    } = rule.carriage
    else {
        return;
    };
    let fitting = source.iter().filter(|field| {
        let name = field.raw_name();
        name.len() > prefix.len()
            && name.len() <= longest_name
            && name[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
            && field.value().len() <= longest_value
    });
    for field in fitting.take(fields) {
        into.push(field.name(), field.value());
    }
}

/// The longest reason phrase that crosses, in octets.
const PHRASE_MAX: usize = 64;

/// The longest text of a Reason that crosses, in octets.
const REASON_TEXT_MAX: usize = 128;

fn carry_reasons(source: &Headers, to: &TrunkProfile, into: &mut Headers) {
    for reason in source.reason() {
        let known = ["SIP", "Q.850"]
            .into_iter()
            .find(|name| name.eq_ignore_ascii_case(&reason.protocol));
        let (Some(protocol), Some(cause)) = (known, reason.cause) else {
            continue;
        };
        let mut value = format!("{protocol};cause={cause}");
        let text = reason.text.as_deref().filter(|text| {
            let plain = text
                .chars()
                .all(|c| !c.is_control() && c != '"' && c != '\\');
            to.trust == Trust::Trusted && plain && text.len() <= REASON_TEXT_MAX
        });
        if let Some(text) = text {
            value.push_str(";text=\"");
            value.push_str(text);
            value.push('"');
        }
        into.push(HeaderName::Reason, value);
    }
}

#[cfg(test)]
mod tests;
