//! The refusal of requests beyond capacity: one answer, no state.

use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use sip_msg::{HeaderName, Message, Request, Response, StatusCode};

use crate::counters::Counter;
use crate::lanes::Parsed;
use crate::shared::Shared;

/// The 503 to a request that found its lane full; None for what is not answered.
pub(crate) fn refusal(shared: &Shared, parsed: &Parsed) -> Option<Bytes> {
    shared.tally.add(Counter::Shed);
    match parsed {
        Ok(Message::Request(request)) => Some(service_unavailable(shared, request)),
        Ok(Message::Response(_)) | Err(_) => None,
    }
}

fn service_unavailable(shared: &Shared, request: &Request) -> Bytes {
    let tag = stateless_tag(shared, request);
    let mut response =
        Response::to_request(request, StatusCode::SERVICE_UNAVAILABLE, Some(tag.as_str()));
    response.headers.set(
        HeaderName::RetryAfter,
        shared.limits.retry_after.to_string(),
    );
    Message::Response(response).to_bytes()
}

/// The same To tag for each retransmission, as RFC 3261 §8.2.7 asks of a stateless server, from
/// a hash that outsiders cannot foretell.
fn stateless_tag(shared: &Shared, request: &Request) -> String {
    let mut hasher = shared.hash_keys.build_hasher();
    for name in [HeaderName::CallId, HeaderName::From, HeaderName::CSeq] {
        hasher.write(request.headers.get(&name).unwrap_or_default());
        hasher.write_u8(0);
    }
    format!("{:016x}", hasher.finish())
}
