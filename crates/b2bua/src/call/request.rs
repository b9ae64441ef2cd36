//! The INVITE towards the called party: built anew from the caller's, never copied (topology
//! hiding), except for what the pair's pass list names.

use routing::Attempt;
use sip_msg::{HeaderName, Method, NameAddr, Request, Uri};
use sip_ua::{HopPolicy, Outgoing, SentBy};

use crate::core::Core;
use crate::passlist;
use crate::profile::TrunkProfile;

/// Max-Forwards of a request that came without one (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The INVITE of one attempt, without body.
pub(crate) fn invite(
    core: &mut Core,
    from: &TrunkProfile,
    to: &TrunkProfile,
    received: &Request,
    attempt: &Attempt,
) -> Outgoing {
    let mut request = Request::new(Method::Invite, attempt.request_uri.clone());
    let hops = received.headers.max_forwards().ok().flatten().unwrap_or(MAX_FORWARDS);
    let headers = &mut request.headers;
    headers.push(HeaderName::MaxForwards, hops.saturating_sub(1).to_string());
    headers.push(HeaderName::From, from_value(core, to, received, attempt));
    headers.push(HeaderName::To, format!("<{}>", to_uri(attempt)));
    headers.push(HeaderName::CallId, core.tokens.call_id());
    headers.push(HeaderName::CSeq, "1 INVITE");
    let contact = to.contact(attempt.from_user.as_deref());
    headers.push(HeaderName::Contact, format!("<{contact}>"));
    for (name, value) in to.capability_headers(&core.software) {
        headers.push(name, value);
    }
    passlist::carry(&received.headers, &mut request.headers, from, to);
    core.outgoing(request, to, attempt.peer)
}
