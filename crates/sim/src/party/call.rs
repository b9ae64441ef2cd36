//! A party's view of one call: its dialog, its session and what it saw.

use std::net::SocketAddr;
use std::time::Duration;

use sip_msg::{HeaderName, Headers, NameAddr, Request, Response, Uri};

use crate::description::{Description, Direction};
use crate::media::MediaEnd;

use super::Prack;
use super::transfer::Notified;

/// Who called, from the party's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The party called.
    Caller,
    /// The party was called.
    Called,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// INVITE sent or received, and nothing that rings.
    Calling,
    /// A provisional response beyond 100 was sent or received.
    Ringing,
    /// A 2xx was sent or received.
    Answered,
    /// It is over, with this final response if there was no 2xx.
    Ended(Option<u16>),
}

/// One call as a party sees it.
pub struct Call {
    /// Who called.
    pub role: Role,
    /// How far it is.
    pub state: State,
    /// The status of every response to the INVITE that the caller received, 100 excepted.
    pub responses: Vec<u16>,
    /// Outcomes of the party's own re-INVITEs, in order.
    pub reinvites: Vec<u16>,
    /// Outcomes of the party's own REFERs, in order.
    pub refers: Vec<u16>,
    /// What the party was told of them.
    pub notified: Vec<Notified>,
    /// How many re-INVITEs came.
    pub reinvited: usize,
    /// The session descriptions that came, in order.
    pub described: Vec<Description>,
    /// The INVITE that opened the call.
    pub invite: Request,
    /// The BYE or CANCEL that came.
    pub ending: Option<Headers>,
    /// The final response that the party's INVITE failed with.
    pub refusal: Option<Response>,
    /// The RAck of every PRACK that came.
    pub pracks: Vec<String>,
    /// The final responses to the party's own PRACKs and UPDATEs, in order.
    pub early_answers: Vec<u16>,
    /// The audio.
    pub media: MediaEnd,
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: Option<String>,
    pub(crate) local_party: String,
    pub(crate) remote_party: String,
    pub(crate) target: Option<Uri>,
    pub(crate) routes: Vec<NameAddr>,
    pub(crate) local_seq: u32,
    pub(crate) remote_seq: u32,
    pub(crate) version: u64,
    pub(crate) direction: Direction,
    pub(crate) offered_late: bool,
    pub(crate) acked: bool,
    pub(crate) cancel_wanted: bool,
    /// The caller has given up, whether or not its CANCEL could be sent yet.
    pub(crate) given_up: bool,
    pub(crate) script_at: usize,
    pub(crate) invite_key: String,
    pub(crate) prack: Prack,
    /// The provisional response that came last.
    pub(crate) progress: Option<Response>,
    /// The RSeq that was heard last, or sent last.
    pub(crate) rseq: u32,
    /// A reliable provisional response that was not acknowledged, and when it comes again.
    pub(crate) reliable: Option<(Response, Duration)>,
}

impl Call {
    /// A call of which nothing is known but its INVITE.
    pub(crate) fn new(role: Role, invite: Request, media: MediaEnd) -> Self {
        Self {
            role,
            state: State::Calling,
            responses: Vec::new(),
            reinvites: Vec::new(),
            refers: Vec::new(),
            notified: Vec::new(),
            reinvited: 0,
            described: Vec::new(),
            ending: None,
            refusal: None,
            pracks: Vec::new(),
            early_answers: Vec::new(),
            media,
            call_id: field(&invite, HeaderName::CallId),
            invite,
            local_tag: String::new(),
            remote_tag: None,
            local_party: String::new(),
            remote_party: String::new(),
            target: None,
            routes: Vec::new(),
            local_seq: 0,
            remote_seq: 0,
            version: 1,
            direction: Direction::SendRecv,
            offered_late: false,
            acked: false,
            cancel_wanted: false,
            given_up: false,
            script_at: 0,
            invite_key: String::new(),
            prack: Prack::default(),
            progress: None,
            rseq: 0,
            reliable: None,
        }
    }

    /// Whether it is answered and not over.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Answered
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Whether the party was called and has said nothing to it.
    pub(crate) fn is_ignored(&self) -> bool {
        self.role == Role::Called && self.state == State::Calling
    }

    /// The final response that ended the call before it was answered.
    #[must_use]
    pub fn failed_with(&self) -> Option<u16> {
        match self.state {
            State::Ended(status) => status,
            State::Calling | State::Ringing | State::Answered => None,
        }
    }

    /// The address that the other side said it hears RTP at, last.
    #[must_use]
    pub fn remote_media(&self) -> Option<SocketAddr> {
        self.described.last().map(|description| description.rtp)
    }

    /// Where its requests go: the Contact of the other side.
    #[must_use]
    pub fn target(&self) -> Option<&Uri> {
        self.target.as_ref()
    }

    pub(crate) fn end(&mut self, status: Option<u16>) {
        if !self.is_over() {
            self.state = State::Ended(status);
        }
    }

    /// Takes the other side's description in.
    pub(crate) fn describe(&mut self, body: &[u8]) {
        if let Some(description) = Description::read(body) {
            self.media.follow(&description);
            self.described.push(description);
        }
    }

    pub(crate) fn tags_match(&self, local: Option<&str>, remote: Option<&str>) -> bool {
        // Forks have the tag of the call with a number behind it.
        let fork = |rest: &str| rest.is_empty() || rest.starts_with('-');
        local
            .and_then(|local| local.strip_prefix(&self.local_tag))
            .is_some_and(fork)
            && (self.remote_tag.is_none() || remote == self.remote_tag.as_deref())
    }
}

/// A header field of a request, as written; empty where it has none.
pub(super) fn field(request: &Request, name: HeaderName) -> String {
    let value = request.headers.get_str(&name);
    value.unwrap_or_default().to_owned()
}
