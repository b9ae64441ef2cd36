//! Dialogs: RFC 3261 §12.

mod checkpoint;
mod routing;
mod table;

use std::fmt;
use std::sync::Arc;

use sip_msg::wire::TrunkName;
use sip_msg::{HeaderName, Headers, NameAddr, Request, Response, Scheme, Uri};

use crate::event::DatagramPolicy;

pub use checkpoint::{CheckpointError, DialogCheckpoint};
pub(crate) use routing::Routing;
pub(crate) use table::{DialogEntry, DialogId, Dialogs, HeardReliable};

/// The host and port that our Via shows (RFC 3261 §18.1.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SentBy {
    /// A domain name or an address; an IPv6 address with its brackets.
    pub host: Arc<str>,
    /// The port; the transport's default if `None`.
    pub port: Option<u16>,
}

impl fmt::Display for SentBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// What a dialog's own requests need and its messages do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogSettings {
    /// The trunk they leave on.
    pub trunk: TrunkName,
    /// What their Via shows.
    pub sent_by: SentBy,
    /// Where they go when the dialog has no route set; the remote target if `None`. For a peer
    /// whose Contact names a port that nobody is to connect to.
    pub pinned_hop: Option<Uri>,
    /// The peer by the name its certificate shows, for a remote target or a route over TLS that is
    /// an address; `None` expects the address itself (RFC 5922 §7.1).
    pub named_peer: Option<Uri>,
    /// What becomes of those that are long.
    pub datagrams: DatagramPolicy,
    /// Whether the trunk's credentials may be shown; not to a host that is none of the trunk's.
    pub credentials: bool,
}

/// Whether a final response has confirmed the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialogState {
    /// Created by a provisional response.
    Early,
    /// Created or confirmed by a 2xx.
    Confirmed,
}

/// Who sent the request that created the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// We did. The owner of the Call-ID in RFC 3261 §14.1.
    Uac,
    /// The peer did.
    Uas,
}

/// The state of a dialog (RFC 3261 §12). It names no flow: requests and responses of the peer are
/// matched by Call-ID and tags, whatever address they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// The Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: Box<str>,
    /// The peer's tag; empty for a peer of RFC 2543 that sends none.
    pub remote_tag: Box<str>,
    /// The peer's Contact, octet for octet: the Request-URI of our requests.
    pub remote_target: Uri,
    /// The proxies our requests visit, in this order.
    pub route_set: Vec<NameAddr>,
    /// The CSeq of our last request.
    pub local_seq: u32,
    /// The CSeq of the peer's last request, once there was one.
    pub remote_seq: Option<u32>,
    /// Whether the dialog was set up with `sips` (RFC 3261 §12.1).
    pub secure: bool,
    /// Early or confirmed.
    pub state: DialogState,
    /// Who set it up.
    pub role: Role,
    /// Where our requests go.
    pub settings: Arc<DialogSettings>,
    /// Our Contact as last sent; repeated in every target refresh request of ours.
    pub local_contact: Option<Box<str>>,
    /// From of our requests, tag included.
    pub(crate) local_field: Box<str>,
    /// To of our requests, tag included.
    pub(crate) remote_field: Box<str>,
}

impl Dialog {
    /// Our URI, of From in our requests.
    pub fn local_uri(&self) -> Option<Uri> {
        uri_of(&self.local_field)
    }

    /// The peer's URI, of To in our requests.
    pub fn remote_uri(&self) -> Option<Uri> {
        uri_of(&self.remote_field)
    }

    /// The trunk the dialog's requests leave on.
    pub fn trunk(&self) -> &TrunkName {
        &self.settings.trunk
    }

    /// A dialog of ours, from the request that asked for it and a response with a To tag
    /// (RFC 3261 §12.1.2).
    pub(crate) fn of_uac(
        request: &Request,
        response: &Response,
        settings: DialogSettings,
    ) -> Option<Self> {
        request.headers.from().ok()?;
        response.headers.to().ok()?;
        Some(Self {
            call_id: request.headers.call_id().ok()?.to_owned(),
            local_tag: request.headers.from_tag()?.into(),
            remote_tag: response.headers.to_tag().unwrap_or_default().into(),
            remote_target: contact(&response.headers).unwrap_or_else(|| request.uri.detached()),
            route_set: reversed(response.headers.record_routes().unwrap_or_default()),
            local_seq: request.headers.cseq().ok()?.seq,
            remote_seq: None,
            secure: request.uri.scheme() == Scheme::Sips,
            state: DialogState::Early,
            role: Role::Uac,
            settings: Arc::new(settings),
            local_contact: text(&request.headers, &HeaderName::Contact),
            local_field: text(&request.headers, &HeaderName::From)?,
            remote_field: text(&response.headers, &HeaderName::To)?,
        })
    }

    /// A dialog of the peer's, from its request and our response with a To tag
    /// (RFC 3261 §12.1.1).
    pub(crate) fn of_uas(
        request: &Request,
        response: &Response,
        settings: DialogSettings,
    ) -> Option<Self> {
        let from = request.headers.from().ok()?;
        response.headers.to().ok()?;
        Some(Self {
            call_id: request.headers.call_id().ok()?.to_owned(),
            local_tag: response.headers.to_tag()?.into(),
            remote_tag: request.headers.from_tag().unwrap_or_default().into(),
            remote_target: contact(&request.headers).unwrap_or_else(|| from.uri.detached()),
            route_set: detached(request.headers.record_routes().unwrap_or_default()),
            local_seq: 0,
            remote_seq: Some(request.headers.cseq().ok()?.seq),
            secure: request.uri.scheme() == Scheme::Sips,
            state: DialogState::Early,
            role: Role::Uas,
            settings: Arc::new(settings),
            local_contact: text(&response.headers, &HeaderName::Contact),
            local_field: text(&response.headers, &HeaderName::To)?,
            remote_field: text(&request.headers, &HeaderName::From)?,
        })
    }

    /// A 2xx to our initial INVITE: the route set is computed anew (RFC 3261 §13.2.2.4).
    pub(crate) fn confirm_by(&mut self, response: &Response) {
        if self.state == DialogState::Early {
            self.route_set = reversed(response.headers.record_routes().unwrap_or_default());
            self.state = DialogState::Confirmed;
        }
        self.refresh_target(&response.headers);
    }

    /// Takes the Contact of a target refresh request or of its 2xx (RFC 3261 §12.2).
    pub(crate) fn refresh_target(&mut self, headers: &Headers) {
        if let Some(target) = contact(headers) {
            self.remote_target = target;
        }
    }
}

/// The one Contact that a dialog-creating message carries.
fn contact(headers: &Headers) -> Option<Uri> {
    let contacts = headers.contacts().ok()?;
    contacts.first().map(|contact| contact.uri.detached())
}

fn text(headers: &Headers, name: &HeaderName) -> Option<Box<str>> {
    let value = String::from_utf8_lossy(headers.get(name)?);
    Some(value.into())
}

fn reversed(mut routes: Vec<NameAddr>) -> Vec<NameAddr> {
    routes.reverse();
    detached(routes)
}

/// A route set that keeps no message.
fn detached(routes: Vec<NameAddr>) -> Vec<NameAddr> {
    routes.iter().map(NameAddr::detached).collect()
}

/// The URI of a From or To.
fn uri_of(field: &str) -> Option<Uri> {
    NameAddr::parse(field.to_owned())
        .ok()
        .map(|named| named.uri)
}
