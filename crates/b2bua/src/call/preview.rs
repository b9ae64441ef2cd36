//! What a call would look like on the wire, without placing it.

use routing::{Attempt, Question, Snapshot};
use sip_msg::{HeaderName, Method, Request, Uri};

use super::invite::{known, to_party};
use super::screen;
use crate::passlist::{self, Phase, Taken};
use crate::profile::{Profiles, TrunkProfile, Unscreened};

/// Who calls whom, and who vouches for it.
const IDENTITY: [HeaderName; 9] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::PAssertedIdentity,
    HeaderName::PPreferredIdentity,
    HeaderName::RemotePartyId,
    HeaderName::Privacy,
    HeaderName::Diversion,
    HeaderName::HistoryInfo,
    HeaderName::Identity,
];

/// What becomes of the number that a caller shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// It may.
    Passes,
    /// It is none of the trunk's, and goes on all the same.
    Unscreened,
    /// It is none of the trunk's; this one takes its place.
    Replaced(String),
    /// It is none of the trunk's; the call is refused with 403.
    Refused,
}

/// What screening makes of the caller of a question; routing is asked about what comes of it.
#[must_use]
pub fn screened(profiles: &Profiles, snapshot: &Snapshot, question: &Question) -> Shown {
    let Some(trunk) = profiles.trunk(&question.trunk) else {
        return Shown::Passes;
    };
    let is_own = snapshot.is_emergency(&trunk.name, &question.called)
        || screen::shows_its_own(snapshot, trunk, &request(trunk, question));
    match &trunk.identity.unscreened {
        _ if is_own => Shown::Passes,
        Unscreened::Reject => Shown::Refused,
        Unscreened::Replace(own) => Shown::Replaced(own.to_string()),
        Unscreened::Pass => Shown::Unscreened,
    }
}

/// The header fields of an attempt's INVITE that say who calls whom, as name and value, without the
/// tag of From; `replaced` where screening put another number in the caller's place. Empty for a
/// trunk that is not there.
#[must_use]
pub fn identity(
    profiles: &Profiles,
    snapshot: &Snapshot,
    question: &Question,
    attempt: &Attempt,
    replaced: bool,
) -> Vec<(String, String)> {
    let trunks = (
        profiles.trunk(&question.trunk),
        profiles.trunk(&attempt.trunk),
    );
    let (Some(from), Some(to)) = trunks else {
        return Vec::new();
    };
    let received = request(from, question);
    let taken = Taken::new(Phase::Invite, &received.headers, from);
    let write = |number: &str| snapshot.rewrite(&from.name, &to.name, number);
    let emergency = snapshot.is_emergency(&from.name, &question.called);
    let known = known(&taken, attempt, replaced, emergency, &write);
    let mut sent = Request::new(Method::Invite, attempt.request_uri.clone());
    sent.headers.push(HeaderName::From, known.from(to));
    let called = format!("<{}>", to_party(attempt));
    sent.headers.push(HeaderName::To, called);
    passlist::carry_invite(&taken, &attempt.request_uri, to, &mut sent.headers);
    known.identify(to, &mut sent.headers);
    let fields = sent.headers.iter();
    let shown = fields.filter(|field| IDENTITY.contains(&field.name()));
    shown
        .map(|field| {
            let value = String::from_utf8_lossy(field.value());
            (field.name().to_string(), value.into_owned())
        })
        .collect()
}

/// The INVITE that would ask this question.
fn request(from: &TrunkProfile, question: &Question) -> Request {
    let host = &from.advertised.host;
    let mut request = Request::new(Method::Invite, Uri::sip(Some(&question.called), host, None));
    let caller = match &question.calling {
        Some(number) => format!("<{}>", Uri::sip(Some(number), host, None)),
        None => "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned(),
    };
    request.headers.push(HeaderName::From, caller);
    for (name, value) in &question.headers {
        if let Some(name) = HeaderName::parse(name.as_bytes()) {
            request.headers.push(name, value.clone());
        }
    }
    request
}
