//! The INVITE towards the called party: built anew from the caller's, never copied (topology
//! hiding), except for what the pair's pass list names.

use std::sync::Arc;

use bytes::Bytes;
use routing::Attempt;
use sip_msg::{HeaderName, Headers, Method, Request, TransportKind, Uri};
use sip_ua::Outgoing;

use super::Head;
use crate::core::{Core, SDP};
use crate::passlist::{self, Known, Phase, Taken};
use crate::profile::TrunkProfile;
use crate::record::Note;

/// Max-Forwards of a request that came without one (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The INVITE of one attempt, on behalf of a party of the trunk `from`.
pub(crate) fn invite(
    core: &mut Core,
    (head, from): (&mut Head, &TrunkProfile),
    to: &TrunkProfile,
    received: &Request,
    attempt: &Attempt,
    offer: Bytes,
) -> Outgoing {
    let target = passlist::carry_uri_params(&received.uri, to, attempt.request_uri.clone());
    let mut request = Request::new(Method::Invite, target);
    let hops = received
        .headers
        .max_forwards()
        .ok()
        .flatten()
        .unwrap_or(MAX_FORWARDS);
    let taken = Taken::new(Phase::Invite, &received.headers, from);
    let snapshot = Arc::clone(&core.snapshot);
    let write = |number: &str| snapshot.rewrite(&from.name, &to.name, number);
    let replaced = head.record.shown.is_some();
    let known = known(&taken, attempt, replaced, head.record.emergency, &write);
    let caller = known.from(to);
    let headers = &mut request.headers;
    headers.push(HeaderName::MaxForwards, hops.saturating_sub(1).to_string());
    let tag = core.tokens.tag();
    headers.push(HeaderName::From, [&caller, ";tag=", &tag].concat());
    headers.push(HeaderName::To, to_party(attempt).bracketed());
    headers.push(HeaderName::CallId, core.tokens.call_id());
    headers.push(HeaderName::CSeq, "1 INVITE");
    let contact = to.contact_over(attempt.from_user.as_deref(), leaves_over(to, attempt));
    headers.push(HeaderName::Contact, contact.bracketed());
    for (name, value) in to.capability_headers(&core.software) {
        headers.push(name, &*value);
    }
    super::refresh::propose(&to.session, headers);
    passlist::carry_invite(&taken, &request.uri, to, headers);
    known.identify(to, headers);
    let notes = notes(&taken, to, attempt, head, headers);
    head.record.note(notes);
    request.set_body(SDP, offer);
    core.outgoing(request, to, attempt.peer)
}

/// What an attempt tells of the caller; `replaced` where screening put another number in its place.
pub(super) fn known<'a>(
    source: &'a Taken<'a>,
    attempt: &'a Attempt,
    replaced: bool,
    emergency: bool,
    write: &'a dyn Fn(&str) -> String,
) -> Known<'a> {
    Known {
        source,
        number: attempt.from_user.as_deref(),
        replaced: replaced || attempt.presented,
        emergency,
        host: attempt.from_host.as_deref(),
        write,
    }
}

/// The transport that the attempt's hop names.
fn leaves_over(to: &TrunkProfile, attempt: &Attempt) -> TransportKind {
    let peer = to.peers.get(attempt.peer).map(|peer| &peer.uri);
    let hop = attempt.hop.as_ref().or(peer);
    hop.and_then(Uri::transport_param).unwrap_or(to.transport)
}

/// What the operator should know of what this attempt changed or left out.
fn notes(
    taken: &Taken<'_>,
    to: &TrunkProfile,
    attempt: &Attempt,
    head: &Head,
    sent: &Headers,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let other_number = attempt.rewritten
        || head.record.shown.is_some()
        || (to.identity.breaks_signatures() && !head.record.emergency);
    if other_number && passlist::is_signed(sent) {
        notes.push(Note::signature_broken(&to.name));
    }
    match passlist::left_out(taken.headers(), to) {
        0 => {}
        count => notes.push(Note::context_left_out(&to.name, count)),
    }
    notes
}

/// Whom is called: the Request-URI without what only concerns its transport.
pub(super) fn to_party(attempt: &Attempt) -> Uri {
    let uri = &attempt.request_uri;
    let to = Uri::sip(Some(&attempt.to_user), uri.host_str(), None);
    match uri.param("user") {
        Some(value) => to.with_param("user", value),
        None => to,
    }
}
