//! Bringing a request of ours to an address of its next hop, or to the next one
//! (RFC 3263 §4.3).

use std::collections::VecDeque;

use ambient::Now;
use bytes::Bytes;
use sip_msg::wire::{Hop, To, Transmit, TransportError};
use sip_msg::{HeaderName, Headers, Method, Request, Scheme, TransportKind};

use super::lookups::Waiter;
use super::{Deadline, Sender, UserAgent};
use crate::client::{
    Attempt, Client, ClientMachine, InviteClient, NonInviteClient, Phase, Purpose, reliability,
};
use crate::dialog::{DialogSettings, SentBy};
use crate::event::{ClientFailure, UaEvent};
use crate::keys::ClientKey;
use crate::resolve::Missing;

/// What of an attempt that is left may still be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing: the request was never at its address.
    Nothing,
    /// The request.
    Waiting,
}

/// Whether a request may have reached its address although the transport reports this. Of a
/// datagram, an earlier copy may have.
fn may_have_arrived(transport: TransportKind, error: TransportError) -> bool {
    match error {
        TransportError::Closed | TransportError::Stalled => true,
        TransportError::Refused | TransportError::Unreachable => transport == TransportKind::Udp,
        TransportError::ConnectTimeout
        | TransportError::Tls
        | TransportError::TooLarge
        | TransportError::NoFlow
        | TransportError::Unresolved => false,
    }
}

impl UserAgent {
    /// Looks the next hop up and, once it is known, sends.
    pub(super) fn locate_client(&mut self, now: Now, key: ClientKey, missing: Missing) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        if matches!(client.phase, Phase::Active(_)) {
            return;
        }
        let secure = client.request.uri.scheme() == Scheme::Sips;
        let (uri, settings) = (client.next_hop.clone(), client.settings.clone());
        let to = (&uri, secure, &settings);
        match self.hops(now, Waiter::Client(key), to, missing) {
            Err(error) => self.fail_client(now, key, ClientFailure::NoHop(error)),
            Ok(Some(hops)) => self.attempt(now, key, hops),
            Ok(None) => {
                let until = now.moment + self.config.timers.lookup;
                if let Some(client) = self.clients.get_mut(key)
                    && !matches!(client.phase, Phase::Resolving { .. })
                {
                    client.phase = Phase::Resolving { until };
                }
                self.schedule_client(key);
            }
        }
    }

    /// A new transaction, with a new branch, at the first of `hops`.
    fn attempt(&mut self, now: Now, key: ClientKey, mut hops: VecDeque<Hop>) {
        let Some(mut hop) = hops.pop_front() else {
            return;
        };
        let branch = self.rng.branch();
        let transmit = self.mint_transmit();
        let Some(client) = self.clients.get(key) else {
            return;
        };
        let method = client.request.method.clone();
        let silent = client.policy.no_response.map(|limit| now.moment + limit);
        let datagrams = client.settings.datagrams;
        let (mut via, mut message) = written(&client.request, &client.settings, &hop, &branch);
        if let Some(stream) = self.instead_of_datagram(now, &hop, message.len(), datagrams) {
            hops.push_front(std::mem::replace(&mut hop, stream));
            let Some(client) = self.clients.get(key) else {
                return;
            };
            (via, message) = written(&client.request, &client.settings, &hop, &branch);
        }
        let pace = self.pace(now, reliability(hop.transport));
        let machine = if method == Method::Invite {
            ClientMachine::Invite(InviteClient::start(&pace, message.clone()))
        } else {
            ClientMachine::NonInvite(NonInviteClient::start(&pace, message.clone()))
        };
        self.out.transmits.push_back(Transmit {
            id: transmit,
            to: To::Hop(hop.clone()),
            message,
        });
        self.transmits.insert(transmit, Sender::Client(key));
        self.clients.link(&branch, key);
        if let Some(client) = self.clients.get_mut(key) {
            client.phase = Phase::Active(Box::new(Attempt {
                branch,
                via,
                hop,
                rest: hops,
                transmit,
                silent,
                repeated: false,
                machine: Some(machine),
            }));
        }
        self.schedule_client(key);
    }

    /// The transport reports that the request of a client transaction was not sent.
    pub(super) fn on_undelivered(&mut self, now: Now, key: ClientKey, error: TransportError) {
        let Some(attempt) = self.clients.get_mut(key).and_then(Client::attempt) else {
            return;
        };
        // Once the peer was heard, a late report (an ICMP error, say) proves nothing.
        if !attempt.is_unheard() {
            return;
        }
        let (transport, addr) = (attempt.hop.transport, attempt.hop.addr);
        if attempt.is_for_length() {
            self.resolver.without_streams(now.moment, addr);
            self.send_as_datagram(now, key);
            return;
        }
        // A message that is too large says nothing about its addressee.
        if error != TransportError::TooLarge {
            self.resolver.failed(now.moment, transport, addr);
        }
        let left = if may_have_arrived(transport, error) {
            Left::Waiting
        } else {
            Left::Nothing
        };
        self.give_address_up(now, key, left, ClientFailure::Transport(error));
    }

    /// The connection of a request has ended, and nothing was heard of the request. Over a stream
    /// it is never repeated (RFC 3261 §17.1.2.2), so that a BYE would be lost here and its call go
    /// on. It is sent again as it is, once: a peer that had read it takes it for a repetition
    /// (§17.2.3).
    pub(super) fn on_disconnected(&mut self, now: Now, key: ClientKey) {
        if !self.clients.get(key).is_some_and(Client::is_repeatable) {
            self.on_undelivered(now, key, TransportError::Closed);
            return;
        }
        let id = self.mint_transmit();
        let Some(Client { request, phase, .. }) = self.clients.get_mut(key) else {
            return;
        };
        let Phase::Active(attempt) = phase else {
            return;
        };
        attempt.repeated = true;
        self.transmits.remove(&attempt.transmit);
        attempt.transmit = id;
        self.transmits.insert(id, Sender::Client(key));
        self.out.transmits.push_back(Transmit {
            id,
            to: To::Hop(attempt.hop.clone()),
            message: on_wire(request, &attempt.via),
        });
    }

    /// Nobody answers at the present address.
    pub(super) fn on_silence(&mut self, now: Now, key: ClientKey) {
        let Some(attempt) = self.clients.get_mut(key).and_then(Client::attempt) else {
            return;
        };
        let (transport, addr) = (attempt.hop.transport, attempt.hop.addr);
        self.resolver.failed(now.moment, transport, addr);
        self.give_address_up(now, key, Left::Waiting, ClientFailure::TimedOut);
    }

    fn give_address_up(&mut self, now: Now, key: ClientKey, left: Left, failure: ClientFailure) {
        if !self.try_next_address(now, key, left) {
            self.abandon_attempt(now, key, left);
            self.fail_client(now, key, failure);
        }
    }

    /// Goes on to the next address, if there is one and the policy allows it.
    pub(super) fn try_next_address(&mut self, now: Now, key: ClientKey, left: Left) -> bool {
        let Some(client) = self.clients.get_mut(key) else {
            return false;
        };
        let wanted = client.purpose == Purpose::User && client.cancel.is_none();
        if !wanted || !client.policy.failover {
            return false;
        }
        let Some(attempt) = client.attempt() else {
            return false;
        };
        let rest = std::mem::take(&mut attempt.rest);
        if rest.is_empty() {
            return false;
        }
        self.abandon_attempt(now, key, left);
        self.counters.failovers += 1;
        self.attempt(now, key, rest);
        true
    }

    /// The peer takes no connection: what is long goes over UDP after all (RFC 3261 §18.1.1).
    fn send_as_datagram(&mut self, now: Now, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.cancel.is_some() {
            self.fail_client(now, key, ClientFailure::Cancelled);
            return;
        }
        let until = now.moment;
        let before = std::mem::replace(&mut client.phase, Phase::Resolving { until });
        let Phase::Active(attempt) = before else {
            return;
        };
        self.clients.unlink(&attempt.branch, key);
        self.transmits.remove(&attempt.transmit);
        self.attempt(now, key, attempt.rest);
    }

    /// Leaves the present attempt. An INVITE that may yet be answered stays behind as a client of
    /// its own, so that a late 2xx is not left without an ACK and a BYE.
    fn abandon_attempt(&mut self, now: Now, key: ClientKey, left: Left) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let until = now.moment;
        let Phase::Active(attempt) =
            std::mem::replace(&mut client.phase, Phase::Resolving { until })
        else {
            return;
        };
        let machine = attempt.machine.as_ref();
        let calling = matches!(machine, Some(ClientMachine::Invite(m)) if m.is_calling());
        let unanswered = calling && left == Left::Waiting;
        let left = (unanswered && client.purpose == Purpose::User).then(|| Client {
            request: client.request.clone(),
            settings: client.settings.clone(),
            next_hop: client.next_hop.clone(),
            policy: client.policy,
            dialog: client.dialog,
            purpose: Purpose::Abandoned,
            rounds: client.rounds,
            cancel: Some(Headers::new()),
            forks: Vec::new(),
            answers: Vec::new(),
            answered: false,
            phase: Phase::Resolving { until },
        });
        self.clients.unlink(&attempt.branch, key);
        self.transmits.remove(&attempt.transmit);
        let Some(mut left) = left else { return };
        if !self.has_room(false) {
            return;
        }
        let other = self.clients.mint();
        self.clients.link(&attempt.branch, other);
        left.phase = Phase::Active(Box::new(Attempt {
            silent: None,
            ..*attempt
        }));
        self.clients.insert(other, left);
        self.schedule_client(other);
    }

    /// There will be no response.
    pub(super) fn fail_client(&mut self, now: Now, key: ClientKey, error: ClientFailure) {
        self.tell(key, UaEvent::Failed { client: key, error });
        self.finish_client(now, key);
    }

    /// Tells the transaction user, if the client is one of its own.
    pub(super) fn tell(&mut self, key: ClientKey, event: UaEvent) {
        if self
            .clients
            .get(key)
            .is_some_and(|client| client.purpose == Purpose::User)
        {
            self.out.events.push_back(event);
        }
    }

    /// The transaction is over: nothing of it stays.
    pub(super) fn finish_client(&mut self, now: Now, key: ClientKey) {
        self.tell(key, UaEvent::ClientDone { client: key });
        let Some(mut client) = self.clients.remove(key) else {
            return;
        };
        self.deadlines.cancel(&Deadline::Client(key));
        self.waiting.forget(Waiter::Client(key));
        if let Some(attempt) = client.attempt() {
            let transmit = attempt.transmit;
            self.transmits.remove(&transmit);
        }
        for answer in &client.answers {
            self.drop_ack(key, answer);
        }
        self.end_early_dialogs(now, &client.forks);
        self.on_client_gone(now, key, &client);
    }
}

/// A Via value of ours (RFC 3261 §18.1.1); `rport` where a NAT may change the port (RFC 3581 §3).
fn via(transport: TransportKind, sent_by: &SentBy, branch: &str) -> String {
    let rport = if transport.is_reliable() {
        ""
    } else {
        ";rport"
    };
    let port = sent_by.port.map(|port| [":", &port.to_string()].concat());
    let (token, port) = (transport.via_token(), port.unwrap_or_default());
    let parts = [
        "SIP/2.0/",
        token,
        " ",
        &sent_by.host,
        &port,
        ";branch=",
        branch,
        rport,
    ];
    parts.concat()
}

/// `request` as it goes to `hop`, and its Via.
pub(super) fn written(
    request: &Request,
    settings: &DialogSettings,
    hop: &Hop,
    branch: &str,
) -> (String, Bytes) {
    let via = via(hop.transport, &settings.sent_by, branch);
    let message = on_wire(request, &via);
    (via, message)
}

/// `request` under `via`.
pub(super) fn on_wire(request: &Request, via: &str) -> Bytes {
    let mut request = request.clone();
    request.headers.push_front(HeaderName::Via, via);
    request.to_bytes()
}
