//! Whether the tables agree with each other, and how one call is cut out of them when its handler
//! failed.

use ambient::Now;
use sip_msg::{Headers, StatusCode};
use thiserror::Error;

use crate::b2bua::B2bua;
use crate::failure::{Cause, FailureClass};
use crate::index::{Keys, Owner};
use crate::io::Output;
use crate::key::CallKey;
use crate::record::CallRecord;

/// Two tables that do not agree. The gateway is the culprit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Disagreement {
    /// Something leads to a call that does not exist.
    #[error("an index entry leads to call {0}, which does not exist")]
    Stray(CallKey),
    /// A leg is in use and has no ports.
    #[error("leg {0} has no ports")]
    NoLease(u64),
    /// Azure carries a leg on that is over.
    #[error("leg {0} is over and Azure was not told")]
    Carried(u64),
    /// Pairs are leased and no leg has them.
    #[error("{leased} port pairs are leased and {held} are held")]
    Ports {
        /// By the pool.
        leased: usize,
        /// By legs.
        held: usize,
    },
    /// The limits count something else than there is.
    #[error("{counted} legs are counted against limits and {held} are held")]
    Permits {
        /// By the gate.
        counted: usize,
        /// By legs.
        held: usize,
    },
    /// A transaction of the user agent waits for nothing.
    #[error("a transaction has no deadline")]
    Transactions,
}

impl B2bua {
    /// Checks every table against the others. Takes time with the number of calls.
    ///
    /// # Errors
    /// The first disagreement.
    pub fn audit(&self) -> Result<(), Disagreement> {
        let index = &self.core.index;
        let clients = index
            .clients
            .any_order()
            .filter_map(|(_, owner)| match owner {
                Owner::Call(call) => Some(call),
                Owner::Nobody { .. }
                | Owner::Probe(_)
                | Owner::Notice(_)
                | Owner::Registration(_) => None,
            });
        let servers = index.servers.any_order().map(|(_, call)| call);
        let named = servers.chain(index.dialogs.any_order().map(|(_, (call, _))| call));
        let mut named = named.chain(index.running());
        let stray = named.find(|call| !self.calls.contains_key(call));
        if let Some(&stray) = stray.or(clients.into_iter().find(|c| !self.calls.contains_key(c))) {
            return Err(Disagreement::Stray(stray));
        }
        if let Some(leg) = index.permitted().find(|leg| !index.holds_lease(*leg)) {
            return Err(Disagreement::NoLease(leg.0));
        }
        let mut carried = self.core.clouds.legs();
        if let Some(leg) = carried.find(|leg| !index.holds_permit(*leg)) {
            return Err(Disagreement::Carried(leg.0));
        }
        let (leased, held) = (self.core.ports.usage().leased, index.leased().count());
        if leased != held {
            return Err(Disagreement::Ports { leased, held });
        }
        let counted: u32 = self
            .core
            .gate
            .trunk_usage()
            .map(|(_, usage)| usage.in_use)
            .sum();
        let (counted, held) = (counted as usize, index.permitted().count());
        if counted != held {
            return Err(Disagreement::Permits { counted, held });
        }
        match self.core.ua.audit() {
            true => Ok(()),
            false => Err(Disagreement::Transactions),
        }
    }

    /// How many entries there are in all tables that lead to calls, or to what is left of one: none
    /// once the last time limit of the last call has passed.
    #[must_use]
    pub fn entries(&self) -> usize {
        let core = &self.core;
        let rest = core.clouds.len() + core.subscriptions.len() + core.departures.len();
        self.calls.len() + core.index.entries() + rest
    }

    /// Ends the call whose handler did not return: its parties are hung up, its ports and its place
    /// within the limits given back, and what is known of it becomes its record. `None` if no
    /// handler was at work. Drain [`B2bua::poll_output`] afterwards.
    pub fn end_call_on_fault(&mut self, now: Now) -> Option<CallKey> {
        self.core.now = now;
        let call = self.in_hand.take()?;
        self.core.metrics.faults += 1;
        let Keys {
            servers,
            clients,
            dialogs,
            legs,
        } = self.core.index.keys(call);
        for client in clients {
            self.core.cancel(client, Headers::new());
        }
        for server in servers {
            self.core
                .answer_plainly(server, StatusCode::SERVER_INTERNAL_ERROR);
        }
        for dialog in dialogs {
            self.core.bye(dialog, Cause::TEMPORARY_FAILURE.into());
        }
        for leg in legs {
            if self.core.index.holds_lease(leg) {
                self.core.close_media(leg);
            }
        }
        self.core.disarm_all(call);
        if let Some(begun) = self.core.index.take_begun(call) {
            let mut record = CallRecord::begin(begun);
            record.ended = now.wall;
            record.cause = Cause::TEMPORARY_FAILURE.value();
            record.failure = Some(FailureClass::Internal);
            self.core.metrics.ended(&record);
            self.core
                .outputs
                .push_back(Output::Record(Box::new(record)));
        }
        self.core.forget_checkpoint(call);
        self.core.forget(call);
        self.settle();
        Some(call)
    }
}
