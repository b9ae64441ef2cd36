//! All dialogs of a user agent, by key and by Call-ID and tags.

use std::collections::BTreeMap;

use sip_msg::Headers;

use super::Dialog;
use crate::keys::{ClientKey, DialogKey, ServerKey};

/// What RFC 3261 §12 identifies a dialog by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DialogId {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
}

impl DialogId {
    fn of(dialog: &Dialog) -> Self {
        Self {
            call_id: dialog.call_id.clone(),
            local_tag: dialog.local_tag.clone(),
            remote_tag: dialog.remote_tag.clone(),
        }
    }

    /// As a request of the peer names it; `None` without a To tag.
    pub(crate) fn of_request(headers: &Headers) -> Option<Self> {
        Some(Self {
            call_id: headers.call_id().ok()?.to_owned(),
            local_tag: headers.to_tag()?,
            remote_tag: headers.from_tag().unwrap_or_default(),
        })
    }

    /// As a response to a request of ours names it.
    pub(crate) fn of_response(headers: &Headers) -> Option<Self> {
        Some(Self {
            call_id: headers.call_id().ok()?.to_owned(),
            local_tag: headers.from_tag()?,
            remote_tag: headers.to_tag().unwrap_or_default(),
        })
    }
}

/// A dialog and the transactions that concern its INVITE usage.
#[derive(Debug)]
pub(crate) struct DialogEntry {
    pub(crate) dialog: Dialog,
    /// An INVITE of ours without a final response.
    pub(crate) local_invite: Option<ClientKey>,
    /// The INVITE of ours whose last 2xx belongs to this dialog.
    pub(crate) accepted: Option<ClientKey>,
    /// An INVITE of the peer without a final response of ours.
    pub(crate) remote_invite: Option<ServerKey>,
    /// INVITEs of the peer whose 2xx awaits its ACK, by CSeq.
    pub(crate) unacknowledged: Vec<(u32, ServerKey)>,
    /// A BYE of ours that waits for that ACK (RFC 3261 §15).
    pub(crate) held_bye: Option<ClientKey>,
    /// The last reliable provisional response that the peer sent.
    pub(crate) reliable: Option<HeardReliable>,
}

/// A reliable provisional response of the peer (RFC 3262 §4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeardReliable {
    /// The CSeq number of the INVITE it answers.
    pub(crate) cseq: u32,
    pub(crate) rseq: u32,
    /// Its PRACK was not sent yet.
    pub(crate) owed: bool,
}

impl DialogEntry {
    pub(crate) fn new(dialog: Dialog) -> Self {
        Self {
            dialog,
            local_invite: None,
            accepted: None,
            remote_invite: None,
            unacknowledged: Vec::new(),
            held_bye: None,
            reliable: None,
        }
    }

    /// Whether an INVITE is under way in either direction, its ACK included (RFC 3261 §14.1).
    pub(crate) fn is_inviting(&self) -> bool {
        self.local_invite.is_some()
            || self.remote_invite.is_some()
            || !self.unacknowledged.is_empty()
    }
}

/// The table of dialogs.
#[derive(Debug, Default)]
pub(crate) struct Dialogs {
    entries: BTreeMap<DialogKey, DialogEntry>,
    ids: BTreeMap<DialogId, DialogKey>,
    minted: u64,
}

impl Dialogs {
    pub(crate) fn insert(&mut self, entry: DialogEntry) -> DialogKey {
        self.minted += 1;
        let key = DialogKey(self.minted);
        self.ids.insert(DialogId::of(&entry.dialog), key);
        self.entries.insert(key, entry);
        key
    }

    pub(crate) fn remove(&mut self, key: DialogKey) -> Option<DialogEntry> {
        let entry = self.entries.remove(&key)?;
        self.ids.remove(&DialogId::of(&entry.dialog));
        Some(entry)
    }

    pub(crate) fn find(&self, id: &DialogId) -> Option<DialogKey> {
        self.ids.get(id).copied()
    }

    pub(crate) fn get(&self, key: DialogKey) -> Option<&DialogEntry> {
        self.entries.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: DialogKey) -> Option<&mut DialogEntry> {
        self.entries.get_mut(&key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = DialogKey> {
        self.entries.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
