//! Client transactions: the machines, and what a request carries from one address to the next.

mod invite;
mod non_invite;

use std::collections::VecDeque;

use ambient::{Moment, Table, Words};
use bytes::Bytes;
use sip_msg::wire::{Hop, TransmitId};
use sip_msg::{Headers, Method, Request, TransportKind, Uri};

pub(crate) use invite::{InviteClient, InviteExpiry, InviteResponse};
pub(crate) use non_invite::{NonInviteClient, NonInviteExpiry, NonInviteResponse};

use crate::dialog::DialogSettings;
use crate::event::HopPolicy;
use crate::keys::{ClientKey, DialogKey};
use crate::timers::Reliability;

/// A request of ours, over all the addresses it is tried at.
#[derive(Debug)]
pub(crate) struct Client {
    /// As it is sent, but for its Via.
    pub(crate) request: Request,
    pub(crate) settings: DialogSettings,
    pub(crate) next_hop: Uri,
    pub(crate) policy: HopPolicy,
    /// The dialog it is sent in.
    pub(crate) dialog: Option<DialogKey>,
    pub(crate) purpose: Purpose,
    /// How often it was sent again with the answer to a challenge.
    pub(crate) rounds: u8,
    /// Reason header fields of the CANCEL that is wanted.
    pub(crate) cancel: Option<Headers>,
    /// The early dialogs its provisional responses created.
    pub(crate) forks: Vec<DialogKey>,
    /// The 2xx it got, one for each fork that accepted.
    pub(crate) answers: Vec<Answer>,
    /// It has its final response, and is there for repetitions and for other forks' answers.
    pub(crate) answered: bool,
    pub(crate) phase: Phase,
}

/// Who hears of a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The transaction user.
    User,
    /// Nobody: the CANCEL of an INVITE, or the end of a session nobody wants.
    Internal,
    /// Nobody: an INVITE left for another address before it was answered. Should it be answered
    /// after all, it is cancelled, or accepted and ended.
    Abandoned,
}

/// How far a request has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// A BYE that waits for the ACK of our 2xx (RFC 3261 §15), at most this long.
    Held { until: Moment },
    /// Its addresses are being looked up, at most this long.
    Resolving { until: Moment },
    /// At an address.
    Active(Box<Attempt>),
}

/// One transaction in the sense of RFC 3261 §17.1: one branch at one address.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) branch: String,
    pub(crate) via: String,
    pub(crate) hop: Hop,
    /// The addresses that are left.
    pub(crate) rest: VecDeque<Hop>,
    pub(crate) transmit: TransmitId,
    /// When the address is given up for its silence.
    pub(crate) silent: Option<Moment>,
    /// It was sent once more because its connection ended.
    pub(crate) repeated: bool,
    /// `None` only while a transition runs.
    pub(crate) machine: Option<ClientMachine>,
}

#[derive(Debug)]
pub(crate) enum ClientMachine {
    Invite(InviteClient),
    NonInvite(NonInviteClient),
}

/// A 2xx to an INVITE, and its ACK.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) remote_tag: String,
    pub(crate) dialog: DialogKey,
    pub(crate) ack: Option<Ack>,
}

/// The ACK of a 2xx: a request of its own, without a transaction (RFC 3261 §13.2.2.4).
#[derive(Debug)]
pub(crate) struct Ack {
    /// What it is written from, as long as it may be written again.
    pub(crate) draft: Option<Box<AckDraft>>,
    pub(crate) delivery: Delivery,
}

/// What an ACK is written from for each address that it is tried at.
#[derive(Debug)]
pub(crate) struct AckDraft {
    /// As it is sent, but for its Via.
    pub(crate) request: Request,
    pub(crate) next_hop: Uri,
    pub(crate) settings: DialogSettings,
}

/// How far an ACK has come.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Its addresses are being looked up.
    Resolving,
    Sent {
        wire: Bytes,
        hop: Hop,
        rest: VecDeque<Hop>,
        transmit: TransmitId,
    },
    /// Every address failed.
    Failed,
}

impl ClientMachine {
    pub(crate) fn deadline(&self) -> Moment {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::NonInvite(machine) => machine.deadline(),
        }
    }

    /// Whether the peer has not been heard at all.
    pub(crate) fn is_unheard(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_calling(),
            Self::NonInvite(machine) => machine.is_trying(),
        }
    }
}

impl Ack {
    pub(crate) fn new(draft: AckDraft) -> Self {
        Self {
            draft: Some(Box::new(draft)),
            delivery: Delivery::Resolving,
        }
    }
}

impl Attempt {
    pub(crate) fn reliability(&self) -> Reliability {
        reliability(self.hop.transport)
    }

    pub(crate) fn is_unheard(&self) -> bool {
        self.machine.as_ref().is_some_and(ClientMachine::is_unheard)
    }

    fn deadline(&self) -> Option<Moment> {
        let machine = self.machine.as_ref()?;
        let silent = self.silent.filter(|_| machine.is_unheard());
        Some(silent.map_or(machine.deadline(), |at| at.min(machine.deadline())))
    }
}

impl Client {
    pub(crate) fn deadline(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Held { until } | Phase::Resolving { until } => Some(*until),
            Phase::Active(attempt) => attempt.deadline(),
        }
    }

    fn is_sent_with(&self, branch: &str) -> bool {
        matches!(&self.phase, Phase::Active(attempt) if attempt.branch == branch)
    }

    pub(crate) fn attempt(&mut self) -> Option<&mut Attempt> {
        match &mut self.phase {
            Phase::Active(attempt) => Some(attempt),
            Phase::Held { .. } | Phase::Resolving { .. } => None,
        }
    }

    /// Whether the request is to be sent again where it was sent when its connection ends.
    pub(crate) fn is_repeatable(&self) -> bool {
        let unheard = |attempt: &Attempt| attempt.is_unheard() && !attempt.repeated;
        self.cancel.is_none() && matches!(&self.phase, Phase::Active(attempt) if unheard(attempt))
    }

    pub(crate) fn answer(&mut self, dialog: DialogKey) -> Option<&mut Answer> {
        self.answers
            .iter_mut()
            .find(|answer| answer.dialog == dialog)
    }
}

/// Whether `transport` repairs loss itself.
pub(crate) fn reliability(transport: TransportKind) -> Reliability {
    match transport {
        TransportKind::Udp => Reliability::Unreliable,
        TransportKind::Tcp | TransportKind::Tls | TransportKind::Ws | TransportKind::Wss => {
            Reliability::Reliable
        }
    }
}

/// The table of client transactions, by key and by branch and method (RFC 3261 §17.1.3).
#[derive(Debug)]
pub(crate) struct Clients {
    entries: Table<ClientKey, Box<Client>>,
    /// The CANCEL of an INVITE shares its branch.
    branches: Words<ClientKey>,
    /// How many have had their final response.
    answered: usize,
    minted: u64,
}

impl Clients {
    /// No transactions; the secret hides where a branch lies in the table.
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            entries: Table::default(),
            branches: Words::new(secret),
            answered: 0,
            minted: 0,
        }
    }

    pub(crate) fn mint(&mut self) -> ClientKey {
        self.minted += 1;
        ClientKey(self.minted)
    }

    pub(crate) fn insert(&mut self, key: ClientKey, client: Client) {
        self.entries.insert(key, Box::new(client));
    }

    pub(crate) fn remove(&mut self, key: ClientKey) -> Option<Box<Client>> {
        let client = self.entries.remove(&key)?;
        self.answered -= usize::from(client.answered);
        if let Phase::Active(attempt) = &client.phase {
            self.unlink(&attempt.branch, key);
        }
        Some(client)
    }

    /// The request has its final response and is not sent again: its body is not needed any more.
    pub(crate) fn answer(&mut self, key: ClientKey) {
        if let Some(client) = self.entries.get_mut(&key)
            && !std::mem::replace(&mut client.answered, true)
        {
            client.request.body = Bytes::new();
            self.answered += 1;
        }
    }

    /// How many have had their final response.
    pub(crate) fn answered(&self) -> usize {
        self.answered
    }

    /// Responses with this branch are for `key` from now on, once it is at that address.
    pub(crate) fn link(&mut self, branch: &str, key: ClientKey) {
        self.branches.insert(branch, key);
    }

    pub(crate) fn unlink(&mut self, branch: &str, key: ClientKey) {
        self.branches.remove(branch, key);
    }

    pub(crate) fn find(&self, branch: &str, method: &Method) -> Option<ClientKey> {
        let is = |key| {
            self.get(key).is_some_and(|client| {
                client.is_sent_with(branch) && client.request.method == *method
            })
        };
        self.branches.find(branch, is)
    }

    pub(crate) fn get(&self, key: ClientKey) -> Option<&Client> {
        self.entries.get(&key).map(|client| &**client)
    }

    pub(crate) fn get_mut(&mut self, key: ClientKey) -> Option<&mut Client> {
        self.entries.get_mut(&key).map(|client| &mut **client)
    }

    /// A request that was sent with this branch.
    pub(crate) fn sent_with(&self, branch: &str) -> Option<&Request> {
        let is = |key| {
            self.get(key)
                .is_some_and(|client| client.is_sent_with(branch))
        };
        let key = self.branches.find(branch, is)?;
        self.get(key).map(|client| &client.request)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = ClientKey> {
        self.entries.any_order().map(|(key, _)| *key)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
