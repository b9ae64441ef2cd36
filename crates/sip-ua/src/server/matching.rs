//! Which transaction a request belongs to (RFC 3261 §17.2.3), and whether it is a copy of another
//! (§8.2.2.2).

use std::net::SocketAddr;

use sip_msg::wire::{Arrival, Hop, To, TrunkName};
use sip_msg::{CSeq, HeaderName, Host, Method, Request, Via};

/// What makes a branch unique by itself (RFC 3261 §8.1.1.7).
const MAGIC_COOKIE: &str = "z9hG4bK";

/// What every request must carry, read once.
#[derive(Clone, Debug)]
pub(crate) struct RequestFacts {
    pub(crate) via: Via,
    pub(crate) call_id: String,
    pub(crate) cseq: CSeq,
    /// Empty for a peer of RFC 2543.
    pub(crate) from_tag: String,
    pub(crate) to_tag: Option<String>,
}

impl RequestFacts {
    /// `None` if a mandatory header field is missing or malformed, or CSeq names another method.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let headers = &request.headers;
        let both = headers.contains(&HeaderName::From) && headers.contains(&HeaderName::To);
        let cseq = headers.cseq().ok()?;
        if !both || cseq.method != request.method {
            return None;
        }
        Some(Self {
            via: headers.top_via().ok()?,
            call_id: headers.call_id().ok()?.to_owned(),
            cseq,
            from_tag: headers.from_tag().unwrap_or_default(),
            to_tag: headers.to_tag(),
        })
    }

    /// Adds `received` and `rport` to the topmost Via (RFC 3261 §18.2.1, RFC 3581 §4).
    pub(crate) fn stamp(&mut self, request: &mut Request, remote: SocketAddr) {
        stamp(&mut self.via, request, remote);
    }

    /// Where a response goes (RFC 3261 §18.2.2, RFC 3581 §4). `maddr` is not followed: it would
    /// let a request aim its responses at a third party.
    pub(crate) fn reply(&self, arrival: &Arrival, trunk: Option<&TrunkName>) -> To {
        let port = self.via.port.unwrap_or(arrival.transport.default_port());
        let sent_by = SocketAddr::new(arrival.remote.ip(), port);
        if !arrival.transport.is_reliable() {
            let remote = if self.via.params.has("rport") {
                arrival.remote
            } else {
                sent_by
            };
            return To::Flow {
                flow: arrival.flow,
                remote,
                fallback: None,
            };
        }
        let fallback = trunk.map(|trunk| Hop {
            trunk: trunk.clone(),
            transport: arrival.transport,
            addr: sent_by,
            server_name: self.via.host.as_str().into(),
        });
        To::Flow {
            flow: arrival.flow,
            remote: arrival.remote,
            fallback,
        }
    }

    /// What marks a copy that came by another way; only outside of dialogs.
    pub(crate) fn merge_key(&self) -> MergeKey {
        MergeKey {
            call_id: self.call_id.clone(),
            from_tag: self.from_tag.clone(),
            seq: self.cseq.seq,
            method: self.cseq.method.clone(),
        }
    }
}

/// Adds `received` and `rport` to the topmost Via of a request of which nothing else may be
/// readable; `false` if that is not either.
pub(crate) fn stamp_top_via(request: &mut Request, remote: SocketAddr) -> bool {
    let Ok(mut via) = request.headers.top_via() else {
        return false;
    };
    stamp(&mut via, request, remote);
    true
}

fn stamp(via: &mut Via, request: &mut Request, remote: SocketAddr) {
    let asked = via.params.has("rport");
    let host_is_source = Host::parse(&via.host)
        .and_then(Host::ip)
        .is_some_and(|ip| ip == remote.ip());
    if host_is_source && !asked {
        return;
    }
    if asked {
        via.params.set("rport", remote.port().to_string().as_str());
    }
    via.params.set("received", remote.ip().to_string().as_str());
    let stamped = via.to_string();
    // One field may carry several values; only the first is ours to change.
    let (in_field, rest) = {
        let field = request
            .headers
            .get_str(&HeaderName::Via)
            .unwrap_or_default();
        let first = request
            .headers
            .items(&HeaderName::Via)
            .next()
            .map_or(0, <[u8]>::len);
        (first, field.get(first..).unwrap_or_default().to_owned())
    };
    if in_field > 0 {
        request
            .headers
            .replace_nth(&HeaderName::Via, 0, stamped + &rest);
    }
}

/// What RFC 3261 §8.2.2.2 recognises a merged request by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MergeKey {
    call_id: String,
    from_tag: String,
    seq: u32,
    method: Method,
}

/// What identifies a server transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ServerMatch {
    /// A branch that is unique: RFC 3261 §17.2.3, first part.
    Branch {
        branch: String,
        host: String,
        port: u16,
        method: Method,
    },
    /// A peer of RFC 2543: everything that stays the same when a request is repeated.
    Fields {
        uri: String,
        call_id: String,
        from_tag: String,
        /// Not of an INVITE: its ACK carries the tag of the response.
        to_tag: Option<String>,
        seq: u32,
        method: Method,
        via: String,
    },
}

impl ServerMatch {
    /// The transaction that `request` starts or repeats; for an ACK or a CANCEL, see `method`.
    pub(crate) fn of(request: &Request, facts: &RequestFacts, method: &Method) -> Self {
        let branch = facts.via.branch().unwrap_or_default();
        let host = facts.via.host.to_ascii_lowercase();
        if branch.starts_with(MAGIC_COOKIE) {
            let port = facts.via.port.unwrap_or(5060);
            return Self::Branch {
                branch: branch.to_owned(),
                host,
                port,
                method: method.clone(),
            };
        }
        let invite = *method == Method::Invite;
        Self::Fields {
            uri: request.uri.as_str().to_owned(),
            call_id: facts.call_id.clone(),
            from_tag: facts.from_tag.clone(),
            to_tag: facts.to_tag.clone().filter(|_| !invite),
            seq: facts.cseq.seq,
            method: method.clone(),
            via: format!("{host}:{}:{branch}", facts.via.port.unwrap_or(5060)),
        }
    }
}
