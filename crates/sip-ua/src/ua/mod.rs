//! The user agent: what comes in, what goes out, and the tables in between.

mod acks;
mod authentication;
mod commands;
mod delivery;
mod dialogs;
mod lookups;
mod oversize;
mod reliable;
mod requests;
mod respond;
mod responses;
mod timeouts;

use std::collections::VecDeque;

use ambient::{Deadlines, Moment, Now, Table, TokenRng};
use bytes::Bytes;
use sip_msg::Message;
use sip_msg::dns::{DnsAnswer, Query};
use sip_msg::wire::{Arrival, To, Transmit, TransmitId, TransportReport};

use crate::auth::Keyring;
use crate::client::Clients;
use crate::config::UaConfig;
use crate::counters::{Counters, Load};
use crate::dialog::Dialogs;
use crate::event::UaEvent;
use crate::keys::{ClientKey, DialogKey, ServerKey};
use crate::resolve::Resolver;
use crate::server::Servers;
use crate::timers::{Pace, Reliability};
use lookups::Waiting;

/// The transactions and dialogs of one user agent.
///
/// After each input and each command, drain [`Self::poll_transmit`], [`Self::poll_query`] and
/// [`Self::poll_event`] until they are empty, then sleep until [`Self::poll_timeout`].
#[derive(Debug)]
pub struct UserAgent {
    config: UaConfig,
    rng: TokenRng,
    /// Makes the To tags of stateless responses (RFC 3261 §8.2.7).
    salt: u64,
    keyring: Keyring,
    clients: Clients,
    servers: Servers,
    dialogs: Dialogs,
    resolver: Resolver,
    waiting: Waiting,
    deadlines: Deadlines<Deadline>,
    transmits: Table<TransmitId, Sender>,
    transmits_minted: u64,
    counters: Counters,
    out: Outbox,
}

/// What is drained after each input. Bounded by what one input can cause.
#[derive(Debug, Default)]
struct Outbox {
    transmits: VecDeque<Transmit>,
    events: VecDeque<UaEvent>,
    queries: VecDeque<Query>,
}

/// Who owns a deadline in the one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Deadline {
    Client(ClientKey),
    Server(ServerKey),
    /// The lookup of an ACK.
    Ack(ClientKey, DialogKey),
    /// The time of RFC 3261 §14.1 after a 491.
    RetryInvite(DialogKey),
}

/// Who is to hear that a message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client(ClientKey),
    Ack(ClientKey, DialogKey),
}

impl UserAgent {
    /// Holds nothing yet. `rng` makes every tag and branch.
    pub fn new(config: UaConfig, mut rng: TokenRng) -> Self {
        // What stateless tags show of the salt says nothing about the tables.
        let (salt, secret) = (rng.next_u64(), rng.next_u64());
        Self {
            salt,
            keyring: Keyring::default(),
            resolver: Resolver::new(&config.resolver, secret),
            config,
            rng,
            clients: Clients::new(secret),
            servers: Servers::new(secret),
            dialogs: Dialogs::new(secret),
            waiting: Waiting::default(),
            deadlines: Deadlines::new(),
            transmits: Table::default(),
            transmits_minted: 0,
            counters: Counters::default(),
            out: Outbox::default(),
        }
    }

    /// A message came in.
    pub fn handle_message(&mut self, now: Now, arrival: Arrival, message: Message) {
        match message {
            Message::Request(request) => self.on_request(now, arrival, request),
            Message::Response(response) => self.on_response(now, response),
        }
    }

    /// The transport could not deliver a message, or does not know whether it has.
    pub fn handle_report(&mut self, now: Now, report: TransportReport) {
        let (TransportReport::Failed { id, .. } | TransportReport::Disconnected { id, .. }) =
            report;
        match (self.transmits.get(&id).copied(), report) {
            (Some(Sender::Client(client)), TransportReport::Failed { error, .. }) => {
                self.on_undelivered(now, client, error);
            }
            (Some(Sender::Client(client)), TransportReport::Disconnected { .. }) => {
                self.on_disconnected(now, client);
            }
            // The repeated 2xx asks for an ACK that was not read.
            (_, TransportReport::Disconnected { written: true, .. }) => {}
            (Some(Sender::Ack(client, dialog)), _) => self.on_ack_undelivered(now, client, dialog),
            (None, _) => self.counters.undelivered += 1,
        }
    }

    /// DNS answered a query of [`Self::poll_query`].
    pub fn handle_dns(&mut self, now: Now, answer: DnsAnswer) {
        let waiters = self.waiting.answered(&answer.query);
        self.resolver.handle_answer(now.moment, answer);
        for waiter in waiters {
            self.look_up_again(now, waiter);
        }
    }

    /// [`Self::poll_timeout`] has passed. Harmless if it has not.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(due) = self.deadlines.pop_due(now.moment) {
            self.on_deadline(now, due);
        }
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next event for the transaction user.
    pub fn poll_event(&mut self) -> Option<UaEvent> {
        self.out.events.pop_front()
    }

    /// The next DNS query to make.
    pub fn poll_query(&mut self) -> Option<Query> {
        self.out.queries.pop_front()
    }

    /// When [`Self::handle_timeout`] has work to do.
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.deadlines.next()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How full the tables are.
    pub fn load(&self) -> Load {
        Load {
            clients: self.clients.len(),
            servers: self.servers.len(),
            dialogs: self.dialogs.len(),
            deadlines: self.deadlines.len(),
            transmits: self.transmits.len(),
            lookups: self.waiting.len(),
            dns_cached: self.resolver.cached(),
        }
    }

    /// Whether every transaction has a deadline, so that none can stay for ever.
    pub fn audit(&self) -> bool {
        let client = |key| self.deadlines.deadline(&Deadline::Client(key)).is_some();
        let server = |key| self.deadlines.deadline(&Deadline::Server(key)).is_some();
        self.clients.keys().all(client) && self.servers.keys().all(server)
    }

    fn pace(&self, now: Now, transport: Reliability) -> Pace<'_> {
        Pace {
            now: now.moment,
            timers: &self.config.timers,
            transport,
        }
    }

    fn mint_transmit(&mut self) -> TransmitId {
        self.transmits_minted += 1;
        TransmitId(self.transmits_minted)
    }

    /// Sends something whose loss only a retransmission repairs.
    fn transmit_unwatched(&mut self, to: To, message: Bytes) {
        let id = self.mint_transmit();
        self.out.transmits.push_back(Transmit { id, to, message });
    }

    fn schedule(&mut self, deadline: Deadline, at: Option<Moment>) {
        match at {
            Some(at) => self.deadlines.set(deadline, at),
            None => {
                self.deadlines.cancel(&deadline);
            }
        }
    }

    fn schedule_client(&mut self, key: ClientKey) {
        let at = self
            .clients
            .get(key)
            .and_then(crate::client::Client::deadline);
        self.schedule(Deadline::Client(key), at);
    }

    fn schedule_server(&mut self, key: ServerKey) {
        let at = self
            .servers
            .get(key)
            .and_then(crate::server::Server::deadline);
        self.schedule(Deadline::Server(key), at);
    }

    /// Whether another transaction fits; within the reserve for what creates no dialog.
    fn has_room(&self, creates_dialog: bool) -> bool {
        let limits = &self.config.limits;
        let remembered = self.clients.answered() + self.servers.answered();
        let transactions = self.clients.len() + self.servers.len() - remembered;
        let fits = |times: usize| {
            transactions < limits.transactions.saturating_mul(times)
                && remembered < limits.remembered.saturating_mul(times)
        };
        match creates_dialog {
            true => fits(1) && self.dialogs.len() < limits.dialogs,
            false => fits(2),
        }
    }
}
