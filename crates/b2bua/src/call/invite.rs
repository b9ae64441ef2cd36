//! The INVITE towards the called party: built anew from the caller's, never copied (topology
//! hiding), except for what the pair's pass list names.

use bytes::Bytes;
use routing::Attempt;
use sip_msg::{HeaderName, Method, Request, Uri};
use sip_ua::Outgoing;

use crate::core::{Core, SDP};
use crate::passlist::{self, carry_display_name};
use crate::profile::TrunkProfile;

/// Max-Forwards of a request that came without one (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The user part of a caller that withholds its number (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// The INVITE of one attempt.
pub(crate) fn invite(
    core: &mut Core,
    to: &TrunkProfile,
    received: &Request,
    attempt: &Attempt,
    offer: Bytes,
) -> Outgoing {
    let mut request = Request::new(Method::Invite, attempt.request_uri.clone());
    let hops = received
        .headers
        .max_forwards()
        .ok()
        .flatten()
        .unwrap_or(MAX_FORWARDS);
    let headers = &mut request.headers;
    headers.push(HeaderName::MaxForwards, hops.saturating_sub(1).to_string());
    let tag = core.tokens.tag();
    let from = from_party(to, received, attempt);
    headers.push(HeaderName::From, format!("{from};tag={tag}"));
    headers.push(HeaderName::To, format!("<{}>", to_party(attempt)));
    headers.push(HeaderName::CallId, core.tokens.call_id());
    headers.push(HeaderName::CSeq, "1 INVITE");
    let contact = to.contact(attempt.from_user.as_deref());
    headers.push(HeaderName::Contact, format!("<{contact}>"));
    for (name, value) in to.capability_headers(&core.software) {
        headers.push(name, value);
    }
    super::refresh::propose(&to.session, headers);
    passlist::carry(passlist::Phase::Invite, &received.headers, to, headers);
    request.set_body(SDP, offer);
    core.outgoing(request, to, attempt.peer)
}

/// Who calls, as the trunk's number plan writes it and with our own host (I-02, S-07).
fn from_party(to: &TrunkProfile, received: &Request, attempt: &Attempt) -> String {
    let Some(user) = attempt.from_user.as_deref().filter(|user| !user.is_empty()) else {
        return ANONYMOUS.to_owned();
    };
    let host = attempt.from_host.as_deref().unwrap_or(&to.advertised.host);
    let uri = Uri::sip(Some(user), host, None);
    let uri = if user.starts_with('+') {
        uri.with_param("user", Some("phone"))
    } else {
        uri
    };
    let caller = received.headers.from().ok();
    let name = caller.and_then(|from| carry_display_name(&from, &received.headers, to));
    match name {
        Some(name) => format!("\"{name}\" <{uri}>"),
        None => format!("<{uri}>"),
    }
}

/// Whom is called: the Request-URI without what only concerns its transport.
fn to_party(attempt: &Attempt) -> Uri {
    let uri = &attempt.request_uri;
    let to = Uri::sip(Some(&attempt.to_user), uri.host_str(), None);
    match uri.param("user") {
        Some(value) => to.with_param("user", value),
        None => to,
    }
}
