//! Where a plain party and Microsoft's side differ: what messages look like, what is accepted,
//! which connection carries what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_msg::{HeaderName, Headers, Message, Request, Response, Uri};

use crate::call::{CallHandle, Notified};
use crate::script::Behaviour;
use crate::sdp::{Remote, SdpError};
use crate::wire::{Hop, Link};

/// A final response other than 2xx that a check decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// In place of the RFC's reason phrase.
    pub(crate) phrase: Option<String>,
    /// Value of a Reason header.
    pub(crate) reason: Option<String>,
    /// Value of a Retry-After header.
    pub(crate) retry_after: Option<u32>,
    /// Header fields added as written.
    pub(crate) headers: Vec<(String, String)>,
    /// Close the connection after the response.
    pub(crate) close: bool,
}

impl Refusal {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            phrase: None,
            reason: None,
            retry_after: None,
            headers: Vec::new(),
            close: false,
        }
    }
}

/// What becomes of a request that passed, or did not pass, a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Treat it.
    Accept,
    /// Answer it with this.
    Refuse(Refusal),
    /// As if it had never come.
    Ignore,
}

/// Which message of ours is about to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion<'a> {
    /// A request, in a dialog or not.
    Request,
    /// A response of this status to this request.
    Response(&'a Request, u16),
}

/// The offer or answer a peer sent.
pub(crate) struct Described<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) parsed: &'a Result<Remote, SdpError>,
    pub(crate) role: Role,
    /// What the same peer said before in this call.
    pub(crate) previous: Option<&'a Remote>,
}

/// Which half of an exchange a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Offer,
    Answer,
}

pub(crate) trait Manner: Send + Sync + 'static {
    /// The message as bytes, in this peer's texture.
    fn dress(&self, message: Message) -> Bytes {
        message.to_bytes()
    }

    /// `host` or `host:port` of From and Via, for messages leaving from `local`.
    fn host(&self, local: SocketAddr) -> String;

    /// The value of Contact for a dialog of `user`.
    fn contact(&self, user: Option<&str>, local: SocketAddr) -> String;

    /// Adds what this peer's messages carry besides the mandatory fields.
    fn complete(&self, headers: &mut Headers, occasion: Occasion<'_>, local: SocketAddr);

    /// Whether a Record-Route value that comes back is our own.
    fn is_own_route(&self, _route: &str) -> bool {
        false
    }

    /// Where a request for `uri` goes.
    fn route(&self, uri: &Uri) -> Option<Hop>;

    /// Whether in-dialog requests go over the connection the dialog was made on.
    fn reuses_connections(&self) -> bool {
        true
    }

    /// Whether each BYE leaves on a connection of its own.
    fn hangs_up_on_new_connection(&self) -> bool {
        false
    }

    /// Looks at every request, before anything else is done with it.
    fn judge_request(&self, _request: &Request, _link: &Link) -> Verdict {
        Verdict::Accept
    }

    /// Looks at every response; `sent_on` is the link its request left by, if known.
    fn judge_response(&self, _response: &Response, _link: &Link, _sent_on: Option<u64>) -> bool {
        true
    }

    /// How what could not be parsed is answered, if it can be.
    fn judge_unparsable(&self, _bytes: &[u8], status: u16) -> Refusal {
        Refusal::status(status)
    }

    /// A 2xx of ours was never acknowledged.
    fn note_no_ack(&self) {}

    /// What a transfer asked for by the other side is said to come to, status by status; nothing
    /// refuses it.
    fn refer_outcome(&self) -> Vec<u16> {
        Vec::new()
    }

    /// Looks at the final response to a REFER of ours.
    fn judge_referred(&self, _status: u16) {}

    /// Looks at a NOTIFY; `before` are those of the same REFER that came earlier.
    fn judge_notify(&self, _request: &Request, _before: &[Notified]) {}

    /// The other side ended the call while a transfer we asked for was under way.
    fn note_left_early(&self) {}

    /// Looks at a peer's session description.
    fn judge_description(&self, described: &Described<'_>) -> Option<Refusal> {
        let unusable = described.parsed.is_err() && !described.body.is_empty();
        unusable.then(|| Refusal::status(488))
    }

    /// Looks at the answer to a re-INVITE that repeated our last description. `like` says that
    /// `before` was an answer too, so that nothing at all may differ.
    fn judge_refresh(&self, _before: &Remote, _after: &Remote, _like: bool) {}

    /// Whether media follows an address that a re-INVITE changed.
    fn retargets_media(&self) -> bool {
        true
    }

    /// Whether hold is understood only as `a=inactive`.
    fn holds_by_inactive_only(&self) -> bool {
        false
    }

    /// Whether session descriptions look like Microsoft's.
    fn microsoft_sdp(&self) -> bool {
        false
    }

    /// Whether a 200 to OPTIONS has a To tag.
    fn tags_options(&self) -> bool {
        true
    }

    /// An OPTIONS was answered.
    fn pinged(&self, _request: &Request, _link: &Arc<Link>) {}

    /// How a call to this number is treated.
    fn behaviour(&self, called: &str) -> Behaviour;

    /// When a confirmed call repeats its description unchanged.
    fn refresh_after(&self) -> Option<Duration> {
        None
    }

    /// An incoming call has begun.
    fn announce(&self, call: CallHandle);
}

/// Sets `name` unless the message has it.
pub(crate) fn supply(headers: &mut Headers, name: HeaderName, value: impl AsRef<[u8]>) {
    if headers.get(&name).is_none() {
        headers.push(name, value);
    }
}

/// Adds header fields as written.
pub(crate) fn add(headers: &mut Headers, fields: &[(String, String)]) {
    for (name, value) in fields {
        headers.push_raw(name.as_bytes(), value);
    }
}
