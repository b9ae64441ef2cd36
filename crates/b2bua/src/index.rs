//! Who owns what the layers below know by key only, both ways: from a key to its call, and from a
//! call to its keys, so that the end of a call takes time with its own keys and not with all calls'.

use ambient::{Table, Words};
use media_relay::{LegCheckpoint, LegId};
use sip_ua::{ClientKey, DialogKey, ServerKey};
use smallvec::SmallVec;

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
    /// Call-IDs of both sides, for traces.
    call_ids: Words<CallKey>,
    legs: Table<LegId, Box<LegEntry>>,
    calls: Table<CallKey, Box<CallEntry>>,
}

/// What is known of a leg; nothing of it is needed any more once all of it is gone.
#[derive(Debug)]
struct LegEntry {
    /// Until the shard has closed the leg, or the call is forgotten.
    owner: Option<(CallKey, Side)>,
    /// Until the shard has closed the leg.
    lease: Option<PortLease>,
    /// The leg's place within the limits, until the call gives it up.
    permit: Option<Permit>,
    /// Where its packet streams stood when the shard last said so.
    state: Option<Box<LegCheckpoint>>,
}

/// What is known of a call, until its ladder is forgotten.
#[derive(Debug, Default)]
struct CallEntry {
    /// How it began: its record, should the rest be lost to a fault. While it runs.
    begun: Option<Begin>,
    keys: Keys,
    call_ids: SmallVec<[Box<str>; 2]>,
}

/// Every key that ever led to a call. Bounded by its attempts, forks and re-INVITEs under way:
/// those of finished transactions are dropped. A plain call has two of each at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pub(crate) servers: SmallVec<[ServerKey; 2]>,
    pub(crate) clients: SmallVec<[ClientKey; 2]>,
    pub(crate) dialogs: SmallVec<[DialogKey; 2]>,
    pub(crate) legs: SmallVec<[LegId; 2]>,
}

impl Index {
    /// Nothing yet; the secret hides where a peer's Call-ID lies in the table.
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            servers: Table::default(),
            clients: Table::default(),
            dialogs: Table::default(),
            call_ids: Words::new(secret),
            legs: Table::default(),
            calls: Table::default(),
        }
    }

    fn keys_of(&mut self, call: CallKey) -> Option<&mut Keys> {
        self.calls.get_mut(&call).map(|entry| &mut entry.keys)
    }

    pub(crate) fn own_server(&mut self, server: ServerKey, call: CallKey) {
        self.servers.insert(server, call);
        self.calls.or_default(call).keys.servers.push(server);
    }

    pub(crate) fn own_client(&mut self, client: ClientKey, owner: Owner) {
        self.clients.insert(client, owner);
        if let Owner::Call(call) = owner {
            self.calls.or_default(call).keys.clients.push(client);
        }
    }

    pub(crate) fn own_dialog(&mut self, dialog: DialogKey, owner: (CallKey, Side)) {
        if self.dialogs.insert(dialog, owner).is_none() {
            self.calls.or_default(owner.0).keys.dialogs.push(dialog);
        }
    }

    /// The dialog leads to no call any more.
    pub(crate) fn disown_dialog(&mut self, dialog: DialogKey) {
        if let Some((call, _)) = self.dialogs.remove(&dialog)
            && let Some(keys) = self.keys_of(call)
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
        let Some(entry) = self.legs.get_mut(&leg) else {
            return;
        };
        if let Some((before, _)) = entry.owner.replace(owner)
            && let Some(keys) = self.keys_of(before)
        {
            keys.legs.retain(|known| *known != leg);
        }
        self.calls.or_default(owner.0).keys.legs.push(leg);
    }

    /// Another call waits for the outcome of a request from now on.
    pub(crate) fn move_client(&mut self, client: ClientKey, call: CallKey) {
        self.client_done(client);
        self.own_client(client, Owner::Call(call));
    }

    /// Exchanges what two legs count against limits: one call has one place among calls, whoever
    /// its caller was.
    pub(crate) fn exchange_shares(&mut self, one: LegId, other: LegId) {
        let mut permit = |leg| {
            self.legs
                .get_mut(&leg)
                .and_then(|entry| entry.permit.take())
        };
        let (mut first, mut second) = (permit(one), permit(other));
        if let (Some(first), Some(second)) = (&mut first, &mut second) {
            first.exchange_shares(second);
        }
        for (leg, permit) in [(one, first), (other, second)] {
            if let Some(entry) = self.legs.get_mut(&leg) {
                entry.permit = permit;
            }
        }
    }

    /// Takes a leg into the tables.
    pub(crate) fn own_leg(
        &mut self,
        leg: LegId,
        owner: (CallKey, Side),
        lease: PortLease,
        permit: Permit,
    ) {
        let entry = LegEntry {
            owner: Some(owner),
            lease: Some(lease),
            permit: Some(permit),
            state: None,
        };
        self.legs.insert(leg, Box::new(entry));
        self.calls.or_default(owner.0).keys.legs.push(leg);
    }

    /// Whose leg it is.
    pub(crate) fn owner_of(&self, leg: LegId) -> Option<(CallKey, Side)> {
        self.legs.get(&leg)?.owner
    }

    /// The legs that hold ports.
    pub(crate) fn leased(&self) -> impl Iterator<Item = LegId> + '_ {
        let legs = self.legs.any_order();
        legs.filter_map(|(leg, entry)| entry.lease.as_ref().map(|_| *leg))
    }

    /// The legs that count against limits.
    pub(crate) fn permitted(&self) -> impl Iterator<Item = LegId> + '_ {
        let legs = self.legs.any_order();
        legs.filter_map(|(leg, entry)| entry.permit.as_ref().map(|_| *leg))
    }

    pub(crate) fn holds_lease(&self, leg: LegId) -> bool {
        let entry = self.legs.get(&leg);
        entry.is_some_and(|entry| entry.lease.is_some())
    }

    pub(crate) fn holds_permit(&self, leg: LegId) -> bool {
        let entry = self.legs.get(&leg);
        entry.is_some_and(|entry| entry.permit.is_some())
    }

    /// The call gives the leg up: it counts against nothing any more.
    pub(crate) fn take_permit(&mut self, leg: LegId) -> Option<Permit> {
        let entry = self.legs.get_mut(&leg)?;
        entry.state = None;
        let permit = entry.permit.take();
        self.drop_empty(leg);
        permit
    }

    /// The shard has closed the leg.
    pub(crate) fn take_lease(&mut self, leg: LegId) -> Option<PortLease> {
        let entry = self.legs.get_mut(&leg)?;
        (entry.owner, entry.state) = (None, None);
        let lease = entry.lease.take();
        self.drop_empty(leg);
        lease
    }

    fn drop_empty(&mut self, leg: LegId) {
        let holds = |entry: &LegEntry| {
            entry.owner.is_some() || entry.lease.is_some() || entry.permit.is_some()
        };
        if self.legs.get(&leg).is_some_and(|entry| !holds(entry)) {
            self.legs.remove(&leg);
        }
    }

    /// Where the leg's packet streams stand.
    pub(crate) fn note_state(&mut self, leg: LegId, state: LegCheckpoint) {
        if let Some(entry) = self.legs.get_mut(&leg) {
            entry.state = Some(Box::new(state));
        }
    }

    /// Where the leg's packet streams stood when the shard last said so.
    pub(crate) fn state_of(&self, leg: LegId) -> Option<&LegCheckpoint> {
        self.legs.get(&leg)?.state.as_deref()
    }

    /// How a call began.
    pub(crate) fn begin(&mut self, call: CallKey, begun: Begin) {
        self.calls.or_default(call).begun = Some(begun);
    }

    /// How a call began, that it may be told after its end.
    pub(crate) fn take_begun(&mut self, call: CallKey) -> Option<Begin> {
        self.calls.get_mut(&call)?.begun.take()
    }

    /// The calls that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &CallKey> {
        let calls = self.calls.any_order();
        calls.filter_map(|(call, entry)| entry.begun.as_ref().map(|_| call))
    }

    pub(crate) fn own_call_id(&mut self, call_id: &str, call: CallKey) {
        self.call_ids.insert(call_id, call);
        self.calls.or_default(call).call_ids.push(call_id.into());
    }

    /// The call that a Call-ID belongs to, on either side; of several, the last.
    pub(crate) fn call_named(&self, call_id: &str) -> Option<CallKey> {
        let is = |call| {
            let mut names = self.calls.get(&call).into_iter();
            names.any(|entry| entry.call_ids.iter().any(|id| **id == *call_id))
        };
        self.call_ids.find(call_id, is)
    }

    /// How many entries all tables have; OPTIONS under way are no call's.
    pub(crate) fn entries(&self) -> usize {
        let probes = |(_, owner): &(&ClientKey, &Owner)| matches!(owner, Owner::Probe(_));
        let calls = self.servers.len() + self.dialogs.len() + self.calls.len();
        let clients = self.clients.len() - self.clients.any_order().filter(probes).count();
        calls + self.legs.len() + self.call_ids.len() + clients
    }

    /// A client transaction is over.
    pub(crate) fn client_done(&mut self, client: ClientKey) {
        if let Some(Owner::Call(call)) = self.clients.remove(&client)
            && let Some(keys) = self.keys_of(call)
        {
            keys.clients.retain(|known| *known != client);
        }
    }

    /// The keys of a call.
    pub(crate) fn keys(&self, call: CallKey) -> Keys {
        let entry = self.calls.get(&call);
        entry.map(|entry| entry.keys.clone()).unwrap_or_default()
    }

    /// Forgets what leads to a call, except for its ladder.
    pub(crate) fn forget(&mut self, call: CallKey) {
        let Some(entry) = self.calls.get_mut(&call) else {
            return;
        };
        entry.begun = None;
        let keys = std::mem::take(&mut entry.keys);
        for server in keys.servers {
            self.servers.remove(&server);
        }
        for dialog in keys.dialogs {
            self.dialogs.remove(&dialog);
        }
        for leg in keys.legs {
            if let Some(entry) = self.legs.get_mut(&leg) {
                entry.owner = None;
            }
            self.drop_empty(leg);
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
        let Some(entry) = self.calls.remove(&call) else {
            return;
        };
        for call_id in entry.call_ids {
            self.call_ids.remove(&*call_id, call);
        }
    }
}
