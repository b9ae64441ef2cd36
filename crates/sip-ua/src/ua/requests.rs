//! Requests of the peer: absorbed, refused, or handed to the transaction user.

use ambient::Now;
use sip_msg::wire::{Arrival, TrunkName};
use sip_msg::{HeaderName, Method, Rejected, Request, Response, StatusCode};

use super::UserAgent;
use super::commands::is_target_refresh;
use crate::client::reliability;
use crate::dialog::DialogId;
use crate::event::UaEvent;
use crate::keys::{DialogKey, ServerKey};
use crate::server::{
    InviteServer, NonInviteServer, RequestFacts, Server, ServerMachine, ServerMatch, stamp_top_via,
};

/// INVITEs of one dialog whose 2xx may wait for their ACK at the same time.
const UNACKNOWLEDGED_MAX: usize = 4;

impl UserAgent {
    /// A message came in that is not one. If enough of a request was understood to answer it, the
    /// answer says what is wrong with it; an ACK and a response are never answered.
    pub fn handle_rejected(&mut self, _now: Now, arrival: Arrival, rejected: Rejected) {
        self.counters.malformed += 1;
        let Some(mut request) = rejected.request else {
            return;
        };
        if request.method == Method::Ack {
            return;
        }
        let Some(mut facts) = RequestFacts::of(&request) else {
            self.refuse_malformed(&arrival, &request, rejected.status);
            return;
        };
        // A request of a transaction that is known was readable once: it is no repetition.
        let id = ServerMatch::of(&request, &facts, &request.method);
        if self.servers.find(&id).is_some() {
            return;
        }
        facts.stamp(&mut request, arrival.remote);
        self.refuse_statelessly(&arrival, &request, &facts, rejected.status);
    }

    pub(super) fn on_request(&mut self, now: Now, arrival: Arrival, mut request: Request) {
        let Some(mut facts) = RequestFacts::of(&request) else {
            self.counters.malformed += 1;
            if request.method != Method::Ack {
                self.refuse_malformed(&arrival, &request, StatusCode::BAD_REQUEST);
            }
            return;
        };
        facts.stamp(&mut request, arrival.remote);
        if request.method == Method::Ack {
            self.on_ack(now, request, &facts);
        } else if request.method == Method::Cancel {
            self.on_cancel(now, arrival, request, &facts);
        } else {
            self.on_ordinary(now, arrival, request, &facts);
        }
    }

    fn on_ordinary(&mut self, now: Now, arrival: Arrival, request: Request, facts: &RequestFacts) {
        let id = ServerMatch::of(&request, facts, &request.method);
        if let Some(server) = self.servers.find(&id) {
            self.on_retransmission(server, arrival, facts);
        } else if facts.to_tag.is_some() {
            self.on_dialog_request(now, arrival, request, facts, id);
        } else {
            self.on_new_request(now, arrival, request, facts, id);
        }
    }

    /// Answered from where it comes now: the peer may have a new connection.
    fn on_retransmission(&mut self, key: ServerKey, arrival: Arrival, facts: &RequestFacts) {
        self.counters.requests_absorbed += 1;
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        let trunk = fallback_trunk(&server.reply);
        server.reply = facts.reply(&arrival, trunk.as_ref());
        server.arrival = arrival;
        let again = server
            .machine
            .as_ref()
            .and_then(ServerMachine::on_retransmission);
        if let Some(message) = again {
            let to = server.reply.clone();
            self.counters.responses_retransmitted += 1;
            self.transmit_unwatched(to, message);
        }
    }

    /// A request outside of any dialog.
    fn on_new_request(
        &mut self,
        now: Now,
        arrival: Arrival,
        request: Request,
        facts: &RequestFacts,
        id: ServerMatch,
    ) {
        let creates_dialog = request.method == Method::Invite;
        // Subscriptions and refer create dialogs too, which are the transaction user's to keep.
        let sheddable = matches!(
            request.method,
            Method::Invite | Method::Subscribe | Method::Refer
        );
        let refusal = if request.headers.max_forwards().ok().flatten() == Some(0) {
            self.counters.too_many_hops += 1;
            Some(StatusCode::TOO_MANY_HOPS)
        } else if self.servers.is_merged(&facts.merge_key()) || self.is_loop(&request) {
            self.counters.loops += 1;
            Some(StatusCode::LOOP_DETECTED)
        } else if !self.has_room(sheddable) {
            if !creates_dialog && !sheddable {
                self.counters.dropped_for_room += 1;
                return;
            }
            self.counters.refused_for_room += 1;
            Some(StatusCode::SERVICE_UNAVAILABLE)
        } else {
            None
        };
        if let Some(status) = refusal {
            self.refuse_statelessly(&arrival, &request, facts, status);
            return;
        }
        let server = self.open_server(now, &arrival, &request, facts, id, None);
        self.out.events.push_back(UaEvent::Request {
            server,
            dialog: None,
            request,
            arrival,
        });
    }

    /// RFC 3261 §12.2.2.
    fn on_dialog_request(
        &mut self,
        now: Now,
        arrival: Arrival,
        request: Request,
        facts: &RequestFacts,
        id: ServerMatch,
    ) {
        let known = DialogId::of_request(&request.headers).and_then(|id| self.dialogs.find(&id));
        let Some(dialog) = known else {
            self.counters.unknown_dialog += 1;
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            self.refuse_statelessly(&arrival, &request, facts, status);
            return;
        };
        if !self.has_room(false) {
            self.counters.dropped_for_room += 1;
            return;
        }
        let invite = request.method == Method::Invite;
        let Some(entry) = self.dialogs.get_mut(dialog) else {
            return;
        };
        let refusal = if entry
            .dialog
            .remote_seq
            .is_some_and(|seq| facts.cseq.seq <= seq)
        {
            self.counters.out_of_order += 1;
            Some(StatusCode::SERVER_INTERNAL_ERROR)
        } else {
            entry.dialog.remote_seq = Some(facts.cseq.seq);
            let crowded =
                entry.remote_invite.is_some() || entry.unacknowledged.len() >= UNACKNOWLEDGED_MAX;
            match (invite, entry.local_invite.is_some(), crowded) {
                (true, true, _) => Some(StatusCode::REQUEST_PENDING),
                (true, false, true) => Some(StatusCode::SERVER_INTERNAL_ERROR),
                (true, false, false) | (false, _, _) => None,
            }
        };
        if refusal.is_none() && is_target_refresh(&request.method) {
            entry.dialog.refresh_target(&request.headers);
        }
        let refusal = match refusal {
            None if request.method == Method::Prack && !self.on_prack(dialog, &request) => {
                Some(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)
            }
            refusal => refusal,
        };
        let server = self.open_server(now, &arrival, &request, facts, id, Some(dialog));
        match refusal {
            Some(status) => {
                if invite {
                    self.counters.glare += 1;
                }
                self.refuse(now, server, status);
            }
            None => {
                if let Some(entry) = self.dialogs.get_mut(dialog).filter(|_| invite) {
                    entry.remote_invite = Some(server);
                }
                let dialog = Some(dialog);
                self.out.events.push_back(UaEvent::Request {
                    server,
                    dialog,
                    request,
                    arrival,
                });
            }
        }
    }

    /// An ACK belongs to a refusal of ours, by transaction, or to a 2xx of ours, by dialog. It is
    /// never answered.
    fn on_ack(&mut self, now: Now, ack: Request, facts: &RequestFacts) {
        let id = ServerMatch::of(&ack, facts, &Method::Invite);
        if let Some(key) = self.servers.find(&id)
            && self.on_refusal_acked(now, key)
        {
            return;
        }
        let dialog = DialogId::of_request(&ack.headers).and_then(|id| self.dialogs.find(&id));
        let pending = dialog
            .and_then(|key| self.dialogs.get(key))
            .and_then(|entry| {
                entry
                    .unacknowledged
                    .iter()
                    .find(|(seq, _)| *seq == facts.cseq.seq)
                    .copied()
            });
        match (dialog, pending) {
            (Some(dialog), Some((_, server))) => {
                self.stop_repeating(server);
                self.out.events.push_back(UaEvent::Acked { dialog, ack });
                self.on_ack_settled(now, dialog, server);
            }
            (Some(_), None) => self.counters.requests_absorbed += 1,
            (None, _) => self.counters.stray_acks += 1,
        }
    }

    /// Whether the ACK belonged to the transaction itself.
    fn on_refusal_acked(&mut self, now: Now, key: ServerKey) -> bool {
        let timers = self.config.timers;
        let Some(server) = self.servers.get_mut(key) else {
            return false;
        };
        let pace = crate::timers::Pace {
            now: now.moment,
            timers: &timers,
            transport: server.reliability(),
        };
        let Some(ServerMachine::Invite(machine)) = server.machine.take() else {
            return false;
        };
        let refused = machine.is_refused();
        server.machine = machine.on_ack(&pace).map(ServerMachine::Invite);
        if server.machine.is_none() {
            self.finish_server(now, key);
        } else {
            self.schedule_server(key);
        }
        refused
    }

    /// RFC 3261 §9.2.
    fn on_cancel(&mut self, now: Now, arrival: Arrival, request: Request, facts: &RequestFacts) {
        let own = ServerMatch::of(&request, facts, &Method::Cancel);
        if let Some(server) = self.servers.find(&own) {
            self.on_retransmission(server, arrival, facts);
            return;
        }
        let invite = ServerMatch::of(&request, facts, &Method::Invite);
        let Some(target) = self.servers.find(&invite) else {
            self.counters.unknown_dialog += 1;
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            self.refuse_statelessly(&arrival, &request, facts, status);
            return;
        };
        let server = self.open_server(now, &arrival, &request, facts, own, None);
        // The same To tag as the responses to the INVITE.
        let tag = self.servers.get(target).map(|invite| invite.tag.clone());
        if let (Some(tag), Some(cancel)) = (tag, self.servers.get_mut(server)) {
            cancel.tag = tag;
        }
        self.refuse(now, server, StatusCode::OK);
        if self
            .servers
            .get(target)
            .is_some_and(|invite| !invite.is_answered())
        {
            self.refuse(now, target, StatusCode::REQUEST_TERMINATED);
            self.out.events.push_back(UaEvent::Cancelled {
                server: target,
                headers: request.headers,
            });
        }
    }

    /// A new server transaction; an INVITE is answered 100 at once.
    fn open_server(
        &mut self,
        now: Now,
        arrival: &Arrival,
        request: &Request,
        facts: &RequestFacts,
        id: ServerMatch,
        dialog: Option<DialogKey>,
    ) -> ServerKey {
        let trunk = dialog
            .and_then(|dialog| self.dialogs.get(dialog))
            .map(|entry| entry.dialog.settings.trunk.clone())
            .or_else(|| arrival.opened_for.clone());
        let reply = facts.reply(arrival, trunk.as_ref());
        let pace = self.pace(now, reliability(arrival.transport));
        let (machine, trying) = if request.method == Method::Invite {
            let trying = Response::to_request(request, StatusCode::TRYING, None).to_bytes();
            (
                ServerMachine::Invite(InviteServer::start(&pace, trying.clone())),
                Some(trying),
            )
        } else {
            (
                ServerMachine::NonInvite(NonInviteServer::start(&pace)),
                None,
            )
        };
        let tag = match &facts.to_tag {
            Some(tag) => tag.clone(),
            None => self.rng.tag(),
        };
        let merges = facts.to_tag.is_none() && request.method != Method::Cancel;
        let server = self.servers.insert(Server {
            id,
            merge: merges.then(|| facts.merge_key()),
            method: request.method.clone(),
            seq: facts.cseq.seq,
            request: Some(request.clone()),
            arrival: arrival.clone(),
            reply: reply.clone(),
            tag,
            dialog,
            made: Vec::new(),
            answered: None,
            reliable: None,
            machine: Some(machine),
        });
        self.schedule_server(server);
        if let Some(message) = trying {
            self.transmit_unwatched(reply, message);
        }
        server
    }

    /// A request of ours came back unchanged (RFC 3261 §16.3, item 4): one of its Vias has a
    /// branch of ours. With another Request-URI it is a spiral, which is legal.
    fn is_loop(&self, request: &Request) -> bool {
        request
            .headers
            .vias()
            .unwrap_or_default()
            .iter()
            .skip(1)
            .any(|via| {
                via.branch()
                    .and_then(|branch| self.clients.sent_with(branch))
                    .is_some_and(|sent| sent.uri == request.uri)
            })
    }

    /// A refusal that keeps no state; a repetition of the request gets the same one
    /// (RFC 3261 §8.2.7).
    fn refuse_statelessly(
        &mut self,
        arrival: &Arrival,
        request: &Request,
        facts: &RequestFacts,
        status: StatusCode,
    ) {
        let tag = facts
            .to_tag
            .clone()
            .unwrap_or_else(|| self.stateless_tag(facts));
        let mut response = Response::to_request(request, status, Some(&tag));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = self.config.limits.retry_after.as_secs();
            response
                .headers
                .push(HeaderName::RetryAfter, seconds.to_string());
        }
        self.complete_response(&mut response);
        let to = facts.reply(arrival, arrival.opened_for.as_ref());
        self.transmit_unwatched(to, response.to_bytes());
    }

    /// A request so broken that its facts are not all there: answered where it came from.
    fn refuse_malformed(&mut self, arrival: &Arrival, request: &Request, status: StatusCode) {
        let mut request = request.clone();
        if !stamp_top_via(&mut request, arrival.remote) {
            return;
        }
        let mut response = Response::to_request(&request, status, None);
        self.complete_response(&mut response);
        let to = sip_msg::wire::To::Flow {
            flow: arrival.flow,
            remote: arrival.remote,
            fallback: None,
        };
        self.transmit_unwatched(to, response.to_bytes());
    }

    /// FNV-1a over what a repetition leaves unchanged.
    fn stateless_tag(&self, facts: &RequestFacts) -> String {
        let branch = facts.via.branch().unwrap_or_default();
        let parts = [facts.call_id.as_str(), &facts.from_tag, branch];
        let bytes = parts.iter().flat_map(|part| part.bytes());
        let hash = bytes.fold(self.salt, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }
}

fn fallback_trunk(reply: &sip_msg::wire::To) -> Option<TrunkName> {
    match reply {
        sip_msg::wire::To::Flow { fallback, .. } => fallback.as_ref().map(|hop| hop.trunk.clone()),
        sip_msg::wire::To::Hop(hop) => Some(hop.trunk.clone()),
    }
}
