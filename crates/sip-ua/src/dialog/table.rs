//! All dialogs of a user agent, by key and by Call-ID and tags.

use std::collections::BTreeMap;
use std::sync::Arc;

use ambient::{Table, Words};
use sip_msg::Headers;
use sip_msg::wire::TrunkName;

use super::{Dialog, DialogSettings};
use crate::keys::{ClientKey, DialogKey, ServerKey};

/// What RFC 3261 §12 identifies a dialog by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DialogId {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
}

impl DialogId {
    fn names(&self, dialog: &Dialog) -> bool {
        *self.local_tag == *dialog.local_tag
            && *self.remote_tag == *dialog.remote_tag
            && self.call_id == dialog.call_id
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
#[derive(Debug)]
pub(crate) struct Dialogs {
    entries: Table<DialogKey, Box<DialogEntry>>,
    /// Dialogs by our tag.
    tags: Words<DialogKey>,
    /// What dialogs of one trunk have in common.
    settings: BTreeMap<TrunkName, Arc<DialogSettings>>,
    minted: u64,
}

impl Dialogs {
    /// None yet; the secret hides where a tag lies in the table.
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            entries: Table::default(),
            tags: Words::new(secret),
            settings: BTreeMap::new(),
            minted: 0,
        }
    }

    pub(crate) fn insert(&mut self, mut entry: DialogEntry) -> DialogKey {
        self.minted += 1;
        let key = DialogKey(self.minted);
        let fresh = &entry.dialog.settings;
        match self.settings.get(&fresh.trunk) {
            Some(known) if known == fresh => entry.dialog.settings = Arc::clone(known),
            Some(_) | None => {
                let trunk = fresh.trunk.clone();
                self.settings.insert(trunk, Arc::clone(fresh));
            }
        }
        self.tags.insert(&*entry.dialog.local_tag, key);
        self.entries.insert(key, Box::new(entry));
        key
    }

    pub(crate) fn remove(&mut self, key: DialogKey) -> Option<Box<DialogEntry>> {
        let entry = self.entries.remove(&key)?;
        self.tags.remove(&*entry.dialog.local_tag, key);
        Some(entry)
    }

    pub(crate) fn find(&self, id: &DialogId) -> Option<DialogKey> {
        let is = |key| {
            let entry = self.entries.get(&key);
            entry.is_some_and(|entry| id.names(&entry.dialog))
        };
        self.tags.find(&*id.local_tag, is)
    }

    pub(crate) fn get(&self, key: DialogKey) -> Option<&DialogEntry> {
        self.entries.get(&key).map(|entry| &**entry)
    }

    pub(crate) fn get_mut(&mut self, key: DialogKey) -> Option<&mut DialogEntry> {
        self.entries.get_mut(&key).map(|entry| &mut **entry)
    }

    /// In the order of their creation.
    pub(crate) fn keys(&self) -> impl Iterator<Item = DialogKey> {
        let mut keys: Vec<_> = self.entries.any_order().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.into_iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
