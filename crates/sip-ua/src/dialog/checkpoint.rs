//! A confirmed dialog written down, and taken up again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sip_msg::wire::TrunkName;
use sip_msg::{NameAddr, Uri};
use thiserror::Error;

use super::{Dialog, DialogSettings, DialogState, Role, SentBy};
use crate::event::DatagramPolicy;

/// The layout of [`DialogCheckpoint`] that this code writes.
const VERSION: u16 = 1;

/// A confirmed dialog as plain values, apart from its run-time type.
///
/// A dialog restored from it sends the requests the original would have sent: the same tags,
/// route set, remote target and next CSeq. Transactions under way are not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogCheckpoint {
    version: u16,
    call_id: String,
    local_tag: Box<str>,
    remote_tag: Box<str>,
    local_uri: String,
    remote_uri: String,
    remote_target: String,
    route_set: Vec<String>,
    local_seq: u32,
    remote_seq: Option<u32>,
    secure: bool,
    initiated: bool,
    trunk: String,
    sent_by_host: String,
    sent_by_port: Option<u16>,
    pinned_hop: Option<String>,
    #[serde(default)]
    named_peer: Option<String>,
    #[serde(default = "longest_datagram")]
    longest_datagram: usize,
    #[serde(default = "takes_streams")]
    takes_streams: bool,
    #[serde(default = "shows_credentials")]
    shows_credentials: bool,
    local_contact: Option<Box<str>>,
    local_field: Box<str>,
    remote_field: Box<str>,
}

/// Why a checkpoint cannot be taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// Written by a later version of this code.
    #[error("the checkpoint has the unknown version {0}")]
    Version(u16),
    /// A URI or a route in it cannot be read.
    #[error("the checkpoint holds a URI that cannot be read")]
    Uri,
    /// A dialog with these identifiers is there already.
    #[error("the dialog is there already")]
    Exists,
    /// The table of dialogs is full.
    #[error("too many dialogs")]
    TooMany,
}

impl DialogCheckpoint {
    /// `None` for an early dialog, which is not worth keeping.
    pub(crate) fn of(dialog: &Dialog) -> Option<Self> {
        if dialog.state == DialogState::Early {
            return None;
        }
        let text = |uri: &Uri| uri.as_str().to_owned();
        Some(Self {
            version: VERSION,
            call_id: dialog.call_id.clone(),
            local_tag: dialog.local_tag.clone(),
            remote_tag: dialog.remote_tag.clone(),
            local_uri: text(&dialog.local_uri()?),
            remote_uri: text(&dialog.remote_uri()?),
            remote_target: text(&dialog.remote_target),
            route_set: dialog.route_set.iter().map(ToString::to_string).collect(),
            local_seq: dialog.local_seq,
            remote_seq: dialog.remote_seq,
            secure: dialog.secure,
            initiated: dialog.role == Role::Uac,
            trunk: dialog.settings.trunk.as_str().to_owned(),
            sent_by_host: dialog.settings.sent_by.host.to_string(),
            sent_by_port: dialog.settings.sent_by.port,
            pinned_hop: dialog.settings.pinned_hop.as_ref().map(text),
            named_peer: dialog.settings.named_peer.as_ref().map(text),
            longest_datagram: dialog.settings.datagrams.longest,
            takes_streams: dialog.settings.datagrams.streams,
            shows_credentials: dialog.settings.credentials,
            local_contact: dialog.local_contact.clone(),
            local_field: dialog.local_field.clone(),
            remote_field: dialog.remote_field.clone(),
        })
    }

    pub(crate) fn restore(self) -> Result<Dialog, CheckpointError> {
        if self.version != VERSION {
            return Err(CheckpointError::Version(self.version));
        }
        let routes = self.route_set.iter().map(|text| route(text));
        for named in [&self.local_uri, &self.remote_uri] {
            uri(named)?;
        }
        Ok(Dialog {
            remote_target: uri(&self.remote_target)?,
            route_set: routes.collect::<Result<_, _>>()?,
            settings: Arc::new(DialogSettings {
                trunk: TrunkName::from(self.trunk),
                sent_by: SentBy {
                    host: self.sent_by_host.into(),
                    port: self.sent_by_port,
                },
                pinned_hop: self.pinned_hop.as_deref().map(uri).transpose()?,
                named_peer: self.named_peer.as_deref().map(uri).transpose()?,
                datagrams: DatagramPolicy {
                    longest: self.longest_datagram,
                    streams: self.takes_streams,
                },
                credentials: self.shows_credentials,
            }),
            call_id: self.call_id,
            local_tag: self.local_tag,
            remote_tag: self.remote_tag,
            local_seq: self.local_seq,
            remote_seq: self.remote_seq,
            secure: self.secure,
            state: DialogState::Confirmed,
            role: if self.initiated { Role::Uac } else { Role::Uas },
            local_contact: self.local_contact,
            local_field: self.local_field,
            remote_field: self.remote_field,
        })
    }
}

fn longest_datagram() -> usize {
    DatagramPolicy::default().longest
}

/// What was written down before it could be otherwise.
fn shows_credentials() -> bool {
    true
}

fn takes_streams() -> bool {
    DatagramPolicy::default().streams
}

fn uri(text: &str) -> Result<Uri, CheckpointError> {
    Uri::parse(text.to_owned()).map_err(|_| CheckpointError::Uri)
}

fn route(text: &str) -> Result<NameAddr, CheckpointError> {
    NameAddr::parse(text.to_owned()).map_err(|_| CheckpointError::Uri)
}
