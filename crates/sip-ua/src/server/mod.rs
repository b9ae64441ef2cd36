//! Server transactions: the machines, and how a request finds the one it belongs to.

mod invite;
mod matching;
mod non_invite;

use ambient::{Moment, Table, Words};
use bytes::Bytes;
use sip_msg::wire::{Arrival, To};
use sip_msg::{Method, Request, StatusCode};

pub(crate) use invite::{InviteServer, ServerExpiry};
pub(crate) use matching::{MergeKey, RequestFacts, ServerMatch, stamp_top_via};
pub(crate) use non_invite::NonInviteServer;

use crate::client::reliability;
use crate::keys::{DialogKey, ServerKey};
use crate::timers::{Pace, Reliability};

/// A request of the peer, and our responses to it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) id: ServerMatch,
    pub(crate) merge: Option<MergeKey>,
    pub(crate) method: Method,
    /// The number of its CSeq.
    pub(crate) seq: u32,
    /// Until its final response: what repetitions need is in the machine.
    pub(crate) request: Option<Request>,
    pub(crate) arrival: Arrival,
    /// Where responses go (RFC 3261 §18.2.2).
    pub(crate) reply: To,
    /// The To tag of our responses.
    pub(crate) tag: String,
    /// The dialog it came in.
    pub(crate) dialog: Option<DialogKey>,
    /// The dialogs our responses created.
    pub(crate) made: Vec<DialogKey>,
    /// The dialog whose INVITE it is and whose 2xx was sent.
    pub(crate) answered: Option<DialogKey>,
    /// The last provisional response that was sent reliably.
    pub(crate) reliable: Option<Reliable>,
    /// `None` only while a transition runs.
    pub(crate) machine: Option<ServerMachine>,
}

/// A provisional response that was sent reliably (RFC 3262 §3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reliable {
    pub(crate) rseq: u32,
    /// Its PRACK came. Remembered beyond the final response, after which a PRACK may still come.
    pub(crate) acknowledged: bool,
}

#[derive(Debug)]
pub(crate) enum ServerMachine {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
}

impl ServerMachine {
    pub(crate) fn deadline(&self) -> Moment {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::NonInvite(machine) => machine.deadline(),
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_answered(),
            Self::NonInvite(machine) => machine.is_answered(),
        }
    }

    pub(crate) fn on_retransmission(&self) -> Option<Bytes> {
        match self {
            Self::Invite(machine) => machine.on_retransmission(),
            Self::NonInvite(machine) => machine.on_retransmission(),
        }
    }

    pub(crate) fn on_respond(
        self,
        pace: &Pace<'_>,
        status: StatusCode,
        wire: Bytes,
    ) -> Option<Self> {
        match self {
            Self::Invite(machine) => Some(Self::Invite(machine.on_respond(pace, status, wire))),
            Self::NonInvite(machine) => machine.on_respond(pace, status, wire).map(Self::NonInvite),
        }
    }
}

impl Server {
    pub(crate) fn reliability(&self) -> Reliability {
        reliability(self.arrival.transport)
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.machine.as_ref().map(ServerMachine::deadline)
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.machine.as_ref().is_none_or(ServerMachine::is_answered)
    }

    /// See [`InviteServer::awaits_prack`].
    pub(crate) fn awaits_prack(&self, described: bool) -> bool {
        match &self.machine {
            Some(ServerMachine::Invite(machine)) => machine.awaits_prack(described),
            Some(ServerMachine::NonInvite(_)) | None => false,
        }
    }
}

/// The table of server transactions, by key and as requests name them.
#[derive(Debug)]
pub(crate) struct Servers {
    entries: Table<ServerKey, Box<Server>>,
    ids: Words<ServerKey>,
    merges: Words<ServerKey>,
    /// How many have had their final response.
    answered: usize,
    minted: u64,
}

impl Servers {
    /// No transactions; the secret hides where a peer's branch lies in the tables.
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            entries: Table::default(),
            ids: Words::new(secret),
            merges: Words::new(secret),
            answered: 0,
            minted: 0,
        }
    }

    pub(crate) fn insert(&mut self, server: Server) -> ServerKey {
        self.minted += 1;
        let key = ServerKey(self.minted);
        self.ids.insert(&server.id, key);
        if let Some(merge) = &server.merge {
            self.merges.insert(merge, key);
        }
        self.entries.insert(key, Box::new(server));
        key
    }

    pub(crate) fn remove(&mut self, key: ServerKey) -> Option<Box<Server>> {
        let server = self.entries.remove(&key)?;
        self.ids.remove(&server.id, key);
        self.answered -= usize::from(server.request.is_none());
        if let Some(merge) = &server.merge {
            self.merges.remove(merge, key);
        }
        Some(server)
    }

    /// The request has its final response: what was kept to make it is not any more.
    pub(crate) fn answer(&mut self, key: ServerKey) {
        let server = self.entries.get_mut(&key);
        let request = server.and_then(|server| server.request.take());
        self.answered += usize::from(request.is_some());
    }

    /// How many have had their final response and are there for repetitions only.
    pub(crate) fn answered(&self) -> usize {
        self.answered
    }

    pub(crate) fn find(&self, id: &ServerMatch) -> Option<ServerKey> {
        let is = |key| self.get(key).is_some_and(|server| server.id == *id);
        self.ids.find(id, is)
    }

    pub(crate) fn is_merged(&self, merge: &MergeKey) -> bool {
        let is = |key| {
            self.get(key)
                .is_some_and(|server| server.merge.as_ref() == Some(merge))
        };
        self.merges.find(merge, is).is_some()
    }

    pub(crate) fn get(&self, key: ServerKey) -> Option<&Server> {
        self.entries.get(&key).map(|server| &**server)
    }

    pub(crate) fn get_mut(&mut self, key: ServerKey) -> Option<&mut Server> {
        self.entries.get_mut(&key).map(|server| &mut **server)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = ServerKey> {
        self.entries.any_order().map(|(key, _)| *key)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
