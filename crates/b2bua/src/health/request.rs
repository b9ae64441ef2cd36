//! The OPTIONS request (S-01, S-02, S-08, S-09; RFC 3261 §11.1).

use ambient::TokenRng;
use sip_msg::{HeaderName, Method, Request, Uri};

use crate::profile::TrunkProfile;

/// A request to `peer`, complete but for its Via. Its Contact names this gateway as the trunk
/// knows it, never by an address of its own.
pub(super) fn options(
    trunk: &TrunkProfile,
    peer: &Uri,
    software: &str,
    tokens: &mut TokenRng,
) -> Request {
    let own = Uri::sip(None, &trunk.advertised.host, Some(trunk.advertised.port));
    let target = Uri::sip(None, peer.host_str(), peer.port());
    let mut request = Request::new(Method::Options, peer.clone());
    let headers = &mut request.headers;
    headers.push(HeaderName::MaxForwards, "70");
    headers.push(HeaderName::From, format!("<{own}>;tag={}", tokens.tag()));
    headers.push(HeaderName::To, format!("<{target}>"));
    let call_id = format!("{}@{}", tokens.call_id(), trunk.advertised.host);
    headers.push(HeaderName::CallId, call_id);
    headers.push(HeaderName::CSeq, "1 OPTIONS");
    headers.push(HeaderName::Contact, format!("<{}>", trunk.contact(None)));
    for (name, value) in trunk.capability_headers(software) {
        headers.push(name, &*value);
    }
    headers.push(HeaderName::Accept, "application/sdp");
    headers.push(HeaderName::UserAgent, software);
    request
}
