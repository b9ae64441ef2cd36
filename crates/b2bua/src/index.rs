//! Who owns what the layers below know by key only, both ways: from a key to its call, and from a
//! call to its keys, so that the end of a call takes time with its own keys and not with all calls'.

use ambient::{Table, Words};
use media_relay::LegId;
use sip_ua::{ClientKey, DialogKey, ServerKey};

use crate::health::ProbeId;
use crate::key::{CallKey, Side};
use crate::limits::Permit;
use crate::ports::PortLease;
use crate::record::Begin;
use crate::registration::RegisterId;

/// Whose client transaction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The call waits for its outcome.
    Call(CallKey),
    /// Nobody waits any more: a 2xx is acknowledged, and hung up unless it is of this dialog.
    Nobody { keep: Option<DialogKey> },
    /// The trunk monitor.
    Probe(ProbeId),
    /// A NOTIFY in this dialog.
    Notice(DialogKey),
    /// A REGISTER of ours.
    Registration(RegisterId),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) servers: Table<ServerKey, CallKey>,
    pub(crate) clients: Table<ClientKey, Owner>,
    pub(crate) dialogs: Table<DialogKey, (CallKey, Side)>,
    pub(crate) media: Table<LegId, (CallKey, Side)>,
    /// Call-IDs of both sides, for traces.
    call_ids: Words<CallKey>,
    /// The ports of every leg, until a shard has closed it.
    pub(crate) leases: Table<LegId, PortLease>,
    /// The place of every leg within the limits, until the call gives it up.
    pub(crate) permits: Table<LegId, Permit>,
    /// How every running call began: its record, should the rest be lost to a fault.
    pub(crate) begun: Table<CallKey, Box<Begin>>,
    keys: Table<CallKey, Keys>,
    ladders: Table<CallKey, Vec<Box<str>>>,
}

/// Every key that ever led to a call. Bounded by its attempts, forks and re-INVITEs under way:
/// those of finished transactions are dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pub(crate) servers: Vec<ServerKey>,
    pub(crate) clients: Vec<ClientKey>,
    pub(crate) dialogs: Vec<DialogKey>,
    pub(crate) legs: Vec<LegId>,
}

impl Index {
    /// Nothing yet; the secret hides where a peer's Call-ID lies in the table.
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            servers: Table::default(),
            clients: Table::default(),
            dialogs: Table::default(),
            media: Table::default(),
            call_ids: Words::new(secret),
            leases: Table::default(),
            permits: Table::default(),
            begun: Table::default(),
            keys: Table::default(),
            ladders: Table::default(),
        }
    }

    pub(crate) fn own_server(&mut self, server: ServerKey, call: CallKey) {
        self.servers.insert(server, call);
        self.keys.or_default(call).servers.push(server);
    }

    pub(crate) fn own_client(&mut self, client: ClientKey, owner: Owner) {
        self.clients.insert(client, owner);
        if let Owner::Call(call) = owner {
            self.keys.or_default(call).clients.push(client);
        }
    }

    pub(crate) fn own_dialog(&mut self, dialog: DialogKey, owner: (CallKey, Side)) {
        if self.dialogs.insert(dialog, owner).is_none() {
            self.keys.or_default(owner.0).dialogs.push(dialog);
        }
    }

    /// The dialog leads to no call any more.
    pub(crate) fn disown_dialog(&mut self, dialog: DialogKey) {
        if let Some((call, _)) = self.dialogs.remove(&dialog)
            && let Some(keys) = self.keys.get_mut(&call)
        {
            keys.dialogs.retain(|known| *known != dialog);
        }
    }

    /// The dialog leads to another call from now on.
    pub(crate) fn move_dialog(&mut self, dialog: DialogKey, owner: (CallKey, Side)) {
        self.disown_dialog(dialog);
        self.own_dialog(dialog, owner);
    }

    /// The leg is another call's from now on; its ports and its permit stay its own.
    pub(crate) fn move_leg(&mut self, leg: LegId, owner: (CallKey, Side)) {
        if let Some((before, _)) = self.media.remove(&leg)
            && let Some(keys) = self.keys.get_mut(&before)
        {
            keys.legs.retain(|known| *known != leg);
        }
        self.own_leg(leg, owner);
    }

    /// Another call waits for the outcome of a request from now on.
    pub(crate) fn move_client(&mut self, client: ClientKey, call: CallKey) {
        self.client_done(client);
        self.own_client(client, Owner::Call(call));
    }

    /// Exchanges what two legs count against limits: one call has one place among calls, whoever
    /// its caller was.
    pub(crate) fn exchange_shares(&mut self, one: LegId, other: LegId) {
        let (Some(mut first), Some(mut second)) =
            (self.permits.remove(&one), self.permits.remove(&other))
        else {
            return;
        };
        first.exchange_shares(&mut second);
        self.permits.insert(one, first);
        self.permits.insert(other, second);
    }

    pub(crate) fn own_leg(&mut self, leg: LegId, owner: (CallKey, Side)) {
        self.media.insert(leg, owner);
        self.keys.or_default(owner.0).legs.push(leg);
    }

    pub(crate) fn own_call_id(&mut self, call_id: &str, call: CallKey) {
        self.call_ids.insert(call_id, call);
        self.ladders.or_default(call).push(call_id.into());
    }

    /// The call that a Call-ID belongs to, on either side; of several, the last.
    pub(crate) fn call_named(&self, call_id: &str) -> Option<CallKey> {
        let named = |ids: &Vec<Box<str>>| ids.iter().any(|id| **id == *call_id);
        let is = |call| self.ladders.get(&call).is_some_and(named);
        self.call_ids.find(call_id, is)
    }

    /// How many entries all tables have; OPTIONS under way are no call's.
    pub(crate) fn entries(&self) -> usize {
        let probes = |(_, owner): &(&ClientKey, &Owner)| matches!(owner, Owner::Probe(_));
        let calls = self.servers.len() + self.dialogs.len() + self.media.len();
        let held = self.leases.len() + self.permits.len() + self.begun.len();
        let names = self.call_ids.len() + self.keys.len() + self.ladders.len();
        let clients = self.clients.len() - self.clients.any_order().filter(probes).count();
        calls + held + names + clients
    }

    /// A client transaction is over.
    pub(crate) fn client_done(&mut self, client: ClientKey) {
        if let Some(Owner::Call(call)) = self.clients.remove(&client)
            && let Some(keys) = self.keys.get_mut(&call)
        {
            keys.clients.retain(|known| *known != client);
        }
    }

    /// The keys of a call.
    pub(crate) fn keys(&self, call: CallKey) -> Keys {
        self.keys.get(&call).cloned().unwrap_or_default()
    }

    /// Forgets what leads to a call, except for its ladder.
    pub(crate) fn forget(&mut self, call: CallKey) {
        self.begun.remove(&call);
        let Some(keys) = self.keys.remove(&call) else {
            return;
        };
        for server in keys.servers {
            self.servers.remove(&server);
        }
        for dialog in keys.dialogs {
            self.dialogs.remove(&dialog);
        }
        for leg in keys.legs {
            self.media.remove(&leg);
        }
        for client in keys.clients {
            if let Some(owner) = self.clients.get_mut(&client)
                && *owner == Owner::Call(call)
            {
                *owner = Owner::Nobody { keep: None };
            }
        }
    }

    /// Forgets a call's ladder too.
    pub(crate) fn forget_ladder(&mut self, call: CallKey) {
        for call_id in self.ladders.remove(&call).unwrap_or_default() {
            self.call_ids.remove(&*call_id, call);
        }
    }
}
