//! Requests that wait for DNS.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use ambient::Now;
use sip_msg::dns::Query;
use sip_msg::wire::Hop;
use sip_msg::{TransportKind, Uri};

use super::UserAgent;
use crate::dialog::DialogSettings;
use crate::keys::{ClientKey, DialogKey};
use crate::resolve::{Endpoint, Lookup, LookupError, Missing};

/// What waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiter {
    Client(ClientKey),
    Ack(ClientKey, DialogKey),
}

/// Who waits for which query. Bounded by the table of transactions.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_query: BTreeMap<Query, BTreeSet<Waiter>>,
    by_waiter: BTreeMap<Waiter, Vec<Query>>,
}

impl Waiting {
    fn wait(&mut self, waiter: Waiter, queries: Vec<Query>) {
        self.forget(waiter);
        for query in &queries {
            self.by_query
                .entry(query.clone())
                .or_default()
                .insert(waiter);
        }
        self.by_waiter.insert(waiter, queries);
    }

    pub(super) fn forget(&mut self, waiter: Waiter) {
        for query in self.by_waiter.remove(&waiter).unwrap_or_default() {
            if let Some(waiters) = self.by_query.get_mut(&query) {
                waiters.remove(&waiter);
                if waiters.is_empty() {
                    self.by_query.remove(&query);
                }
            }
        }
    }

    pub(super) fn answered(&self, query: &Query) -> Vec<Waiter> {
        self.by_query
            .get(query)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_waiter.len()
    }
}

/// The name the certificate at `end` must show.
fn shown(end: &Endpoint, settings: &DialogSettings) -> Arc<str> {
    let address = end.server_name.parse::<IpAddr>().is_ok();
    match &settings.named_peer {
        Some(peer) if address && end.transport == TransportKind::Tls => {
            peer.host_str().trim_matches(['[', ']']).into()
        }
        Some(_) | None => end.server_name.clone(),
    }
}

impl UserAgent {
    /// The hops of `uri` in the order to try them; `None` while the waiter has to wait.
    pub(super) fn hops(
        &mut self,
        now: Now,
        waiter: Waiter,
        (uri, secure, settings): (&Uri, bool, &DialogSettings),
        missing: Missing,
    ) -> Result<Option<VecDeque<Hop>>, LookupError> {
        match self
            .resolver
            .lookup(now.moment, uri, secure, missing, &mut self.rng)
        {
            Err(error) => {
                self.waiting.forget(waiter);
                Err(error)
            }
            Ok(Lookup::Waiting(queries)) => {
                for query in &queries {
                    if self.resolver.ask(now.moment, query) {
                        self.out.queries.push_back(query.clone());
                    }
                }
                self.waiting.wait(waiter, queries);
                Ok(None)
            }
            Ok(Lookup::Ready(endpoints)) => {
                self.waiting.forget(waiter);
                let hop = |end: Endpoint| Hop {
                    trunk: settings.trunk.clone(),
                    transport: end.transport,
                    addr: end.addr,
                    server_name: shown(&end, settings),
                };
                Ok(Some(endpoints.into_iter().map(hop).collect()))
            }
        }
    }

    pub(super) fn look_up_again(&mut self, now: Now, waiter: Waiter) {
        match waiter {
            Waiter::Client(client) => self.locate_client(now, client, Missing::Wait),
            Waiter::Ack(client, dialog) => self.locate_ack(now, client, dialog, Missing::Wait),
        }
    }
}
