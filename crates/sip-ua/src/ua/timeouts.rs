//! Deadlines: one ordered index over all transactions, so that a timer costs what one map entry
//! costs.

use ambient::Now;
use sip_msg::wire::{To, Transmit};
use sip_msg::{Headers, StatusCode};

use super::{Deadline, UserAgent};
use crate::client::{Client, ClientMachine, InviteExpiry, NonInviteExpiry, Phase};
use crate::event::{ClientFailure, UaEvent};
use crate::keys::{ClientKey, ServerKey};
use crate::resolve::Missing;
use crate::server::{ServerExpiry, ServerMachine};
use crate::timers::Pace;

impl UserAgent {
    pub(super) fn on_deadline(&mut self, now: Now, due: Deadline) {
        match due {
            Deadline::Client(key) => self.on_client_deadline(now, key),
            Deadline::Server(key) => self.on_server_deadline(now, key),
            Deadline::Ack(key, dialog) => self.locate_ack(now, key, dialog, Missing::Skip),
            Deadline::RetryInvite(dialog) => {
                self.out.events.push_back(UaEvent::RetryInvite { dialog });
            }
        }
    }

    fn on_client_deadline(&mut self, now: Now, key: ClientKey) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        match &client.phase {
            Phase::Held { .. } => self.locate_client(now, key, Missing::Wait),
            Phase::Resolving { .. } => self.locate_client(now, key, Missing::Skip),
            Phase::Active(attempt) => {
                let silent = attempt.silent.is_some_and(|at| at <= now.moment);
                match silent && attempt.is_unheard() {
                    true => self.on_silence(now, key),
                    false => self.on_client_timer(now, key),
                }
            }
        }
    }

    fn on_client_timer(&mut self, now: Now, key: ClientKey) {
        let timers = self.config.timers;
        let Some(attempt) = self.clients.get_mut(key).and_then(Client::attempt) else {
            return;
        };
        let unheard = attempt.is_unheard();
        let pace = Pace {
            now: now.moment,
            timers: &timers,
            transport: attempt.reliability(),
        };
        let (id, to) = (attempt.transmit, To::Hop(attempt.hop.clone()));
        let mut cancel = false;
        let (next, again, timed_out) = match attempt.machine.take() {
            Some(ClientMachine::Invite(machine)) => {
                let (next, expiry) = machine.on_timer(&pace);
                let (again, timed_out) = match expiry {
                    InviteExpiry::Quiet => (None, false),
                    InviteExpiry::Retransmit(wire) => (Some(wire), false),
                    InviteExpiry::TimedOut => (None, true),
                    InviteExpiry::Cancel => {
                        cancel = true;
                        (None, false)
                    }
                };
                (next.map(ClientMachine::Invite), again, timed_out)
            }
            Some(ClientMachine::NonInvite(machine)) => {
                let (next, expiry) = machine.on_timer(&pace);
                let (again, timed_out) = match expiry {
                    NonInviteExpiry::Quiet => (None, false),
                    NonInviteExpiry::Retransmit(wire) => (Some(wire), false),
                    NonInviteExpiry::TimedOut => (None, true),
                };
                (next.map(ClientMachine::NonInvite), again, timed_out)
            }
            None => (None, None, false),
        };
        let over = next.is_none();
        attempt.machine = next;
        if let Some(message) = again {
            self.counters.requests_retransmitted += 1;
            self.out.transmits.push_back(Transmit { id, to, message });
        }
        match (timed_out, over) {
            (true, _) if unheard => self.on_silence(now, key),
            (true, _) => self.fail_client(now, key, ClientFailure::TimedOut),
            (false, true) => self.finish_client(now, key),
            (false, false) if cancel => self.on_timer_c(now, key),
            (false, false) => self.schedule_client(key),
        }
    }

    /// Timer C: the INVITE is given up (RFC 3261 §16.8).
    fn on_timer_c(&mut self, now: Now, key: ClientKey) {
        if let Some(client) = self.clients.get_mut(key) {
            client.cancel.get_or_insert_default();
        }
        self.cancel_if_possible(now, key);
        self.schedule_client(key);
    }

    fn on_server_deadline(&mut self, now: Now, key: ServerKey) {
        let timers = self.config.timers;
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        let pace = Pace {
            now: now.moment,
            timers: &timers,
            transport: server.reliability(),
        };
        let expiry = match server.machine.take() {
            Some(ServerMachine::Invite(machine)) => {
                let (next, expiry) = machine.on_timer(&pace);
                server.machine = next.map(ServerMachine::Invite);
                expiry
            }
            Some(ServerMachine::NonInvite(machine)) => {
                server.machine = machine.on_timer(&pace).map(ServerMachine::NonInvite);
                ServerExpiry::Quiet
            }
            None => ServerExpiry::Quiet,
        };
        let over = server.machine.is_none();
        let to = server.reply.clone();
        match expiry {
            ServerExpiry::Quiet => {}
            ServerExpiry::Retransmit(message) => {
                self.counters.responses_retransmitted += 1;
                self.transmit_unwatched(to, message);
            }
            ServerExpiry::Abandoned => self.on_abandoned(now, key),
            ServerExpiry::RefusalUnacknowledged => self.counters.refusals_unacknowledged += 1,
            ServerExpiry::AckTimeout => self.on_ack_timeout(now, key),
            ServerExpiry::PrackTimeout => {
                self.counters.pracks_missing += 1;
                self.out
                    .events
                    .push_back(UaEvent::PrackTimeout { server: key });
            }
        }
        match over {
            true => self.finish_server(now, key),
            false => self.schedule_server(key),
        }
    }

    fn on_abandoned(&mut self, now: Now, key: ServerKey) {
        self.counters.abandoned += 1;
        self.refuse(now, key, StatusCode::SERVER_INTERNAL_ERROR);
        self.out.events.push_back(UaEvent::Cancelled {
            server: key,
            headers: Headers::new(),
        });
    }

    fn on_ack_timeout(&mut self, now: Now, key: ServerKey) {
        let waits = |dialog: &crate::keys::DialogKey| {
            self.dialogs.get(*dialog).is_some_and(|entry| {
                entry
                    .unacknowledged
                    .iter()
                    .any(|(_, server)| *server == key)
            })
        };
        let dialog = self
            .servers
            .get(key)
            .and_then(|server| server.answered)
            .filter(waits);
        if let Some(dialog) = dialog {
            self.out.events.push_back(UaEvent::AckTimeout { dialog });
            self.on_ack_settled(now, dialog, key);
        }
    }

    /// The transaction is over: nothing of it stays.
    pub(super) fn finish_server(&mut self, now: Now, key: ServerKey) {
        let Some(server) = self.servers.remove(key) else {
            return;
        };
        self.deadlines.cancel(&Deadline::Server(key));
        self.end_early_dialogs(now, &server.made);
    }
}
