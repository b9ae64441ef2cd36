//! Requests that come to a party: answered, and answered the same again.

use std::time::Duration;

use sip_msg::{HeaderName, Message, Method, Request, Response, StatusCode, TransportKind};

use super::call::{Call, Role, State, field};
use super::client::key;
use super::script::{Reply, Step};
use super::{GIVE_UP, Out, Party, Pong, Route, T1, T2, Wake};
use crate::description::{Direction, EVENTS};

/// A request that came.
#[derive(Debug)]
pub(super) struct Server {
    path: u64,
    request: Request,
    last: Option<Response>,
    unacknowledged: bool,
    call: Option<u32>,
    interval: Duration,
    waited: Duration,
}

impl Server {
    pub(super) fn path(&self) -> u64 {
        self.path
    }

    pub(super) fn is_done(&self) -> bool {
        !self.unacknowledged
    }
}

impl Party {
    pub(super) fn handle_request(&mut self, path: u64, request: Request) {
        if request.method == Method::Ack {
            self.handle_ack(&request);
            return;
        }
        if request.method == Method::Cancel {
            self.handle_cancel(path, &request);
            return;
        }
        let Some(key) = key(&request.headers, &request.method) else {
            self.fault("request without a branch");
            return;
        };
        if let Some(known) = self.servers.get(&key) {
            if let Some(last) = known.last.clone() {
                self.respond(path, last);
            }
            return;
        }
        let server = Server {
            path,
            request: request.clone(),
            last: None,
            unacknowledged: false,
            call: None,
            interval: T1,
            waited: Duration::ZERO,
        };
        self.servers.insert(key.clone(), server);
        if request.headers.to_tag().is_some() {
            self.handle_in_dialog(path, &key, &request);
            return;
        }
        if request.method == Method::Options {
            self.handle_options(&key, &request);
            return;
        }
        if self.guarded(&key, &request) {
            return;
        }
        if request.method == Method::Invite {
            self.handle_invite(&key, &request);
        } else {
            self.answer(&key, &request, 405);
        }
    }

    fn handle_options(&mut self, key: &str, request: &Request) {
        self.pings += 1;
        match self.pong {
            // Microsoft's own answer has no To tag (P-08).
            Pong::Status(status) => {
                let Some(status) = StatusCode::new(status) else {
                    return;
                };
                let tag = (!self.style.strict).then_some("pong");
                let response = Response::to_request(request, status, tag);
                self.answer_with(key, response);
            }
            Pong::Silence => {
                self.servers.remove(key);
            }
        }
    }

    /// Answers with a status and nothing more.
    fn answer(&mut self, key: &str, request: &Request, status: u16) {
        let Some(status) = StatusCode::new(status) else {
            return;
        };
        let tag = self.tokens.tag();
        let response = Response::to_request(request, status, Some(&tag));
        self.answer_with(key, response);
    }

    pub(super) fn answer_with(&mut self, key: &str, response: Response) {
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        let path = server.path;
        server.last = Some(response.clone());
        let is_final = response.status.is_final();
        if server.request.method == Method::Invite && is_final {
            server.unacknowledged = true;
            self.out
                .push_back(Out::Wake(T1, Wake::Server(key.to_owned())));
        }
        self.respond(path, response);
    }

    pub(super) fn repeat_response(&mut self, key: String) {
        let Some(server) = self.servers.get_mut(&key) else {
            return;
        };
        let Some(last) = server.last.clone().filter(|_| server.unacknowledged) else {
            return;
        };
        server.waited += server.interval;
        if server.waited >= GIVE_UP {
            server.unacknowledged = false;
            let call = server.call;
            self.fault(format!("{} never acknowledged", last.status.code()));
            if let Some(call) = call.filter(|_| last.status.is_success()) {
                self.hang_up(call);
            }
            return;
        }
        server.interval = (server.interval * 2).min(T2);
        let (interval, path) = (server.interval, server.path);
        // A 2xx is repeated on every transport (RFC 3261 §13.3.1.4).
        if last.status.is_success() || self.transport == TransportKind::Udp {
            self.respond(path, last);
        }
        self.out.push_back(Out::Wake(interval, Wake::Server(key)));
    }

    fn handle_ack(&mut self, ack: &Request) {
        // That of a failure has the INVITE's branch; that of a 2xx is matched by its dialog.
        let same_branch = key(&ack.headers, &Method::Invite);
        if let Some(server) = same_branch.and_then(|key| self.servers.get_mut(&key)) {
            server.unacknowledged = false;
            return;
        }
        let Some(number) = self.find(ack) else {
            self.fault("ACK of nothing");
            return;
        };
        let Ok(cseq) = ack.headers.cseq() else { return };
        for server in self.servers.values_mut() {
            let same = server
                .request
                .headers
                .cseq()
                .is_ok_and(|invite| invite.seq == cseq.seq);
            if server.call == Some(number) && same {
                server.unacknowledged = false;
            }
        }
        if let Some(call) = self.calls.get_mut(&number).filter(|call| !call.acked) {
            call.acked = true;
            if call.offered_late {
                call.describe(&ack.body);
            }
        }
    }

    fn handle_cancel(&mut self, path: u64, cancel: &Request) {
        let ok = |request: &Request, code| {
            StatusCode::new(code).map(|code| Response::to_request(request, code, Some("cancel")))
        };
        let invite = key(&cancel.headers, &Method::Invite);
        let open = invite.filter(|key| {
            let last = self.servers.get(key).map(|server| server.last.as_ref());
            last.is_some_and(|last| !last.is_some_and(|last| last.status.is_final()))
        });
        let Some(key) = open else {
            // Too late, or never known.
            self.out.extend(
                ok(cancel, 200)
                    .map(|r| Out::Send(Route::Reply(path), Box::new(Message::Response(r)))),
            );
            return;
        };
        if let Some(response) = ok(cancel, 200) {
            self.respond(path, response);
        }
        let Some(server) = self.servers.get(&key) else {
            return;
        };
        let (call, request) = (server.call, server.request.clone());
        if let Some(call) = call.and_then(|call| self.calls.get_mut(&call)) {
            call.ending = Some(cancel.headers.clone());
            call.end(Some(487));
        }
        self.answer(&key, &request, 487);
    }

    fn find(&self, request: &Request) -> Option<u32> {
        let call_id = request.headers.call_id().ok()?;
        let (to, from) = (request.headers.to_tag(), request.headers.from_tag());
        let mut calls = self.calls.iter();
        let found = calls.find(|(_, call)| {
            call.call_id == call_id && call.tags_match(to.as_deref(), from.as_deref())
        });
        found.map(|(number, _)| *number)
    }

    fn handle_in_dialog(&mut self, path: u64, key: &str, request: &Request) {
        let found = self
            .find(request)
            .filter(|number| !self.calls[number].is_over());
        let Some(number) = found else {
            self.answer(key, request, 481);
            return;
        };
        if let Some(server) = self.servers.get_mut(key) {
            server.call = Some(number);
        }
        if let Ok(cseq) = request.headers.cseq() {
            let Some(call) = self.calls.get_mut(&number) else {
                return;
            };
            if cseq.seq <= call.remote_seq {
                self.fault(format!(
                    "CSeq {} after {}",
                    cseq.seq, self.calls[&number].remote_seq
                ));
                self.answer(key, request, 500);
                return;
            }
            call.remote_seq = cseq.seq;
        }
        if request.method == Method::Bye
            && let Some(call) = self.calls.get_mut(&number)
        {
            call.ending = Some(request.headers.clone());
            call.end(None);
        }
        if request.method == Method::Prack {
            self.handle_prack(number, request);
        }
        if request.method != Method::Invite {
            self.answer(key, request, 200);
            if request.method == Method::Notify {
                self.notified(number, request);
            }
        } else if self.held_for > Duration::ZERO {
            self.out
                .push_back(Out::Wake(self.held_for, Wake::Held(number)));
            self.held.insert(number, (request.clone(), path));
        } else {
            self.answer_reinvite(number, path, request);
        }
    }

    pub(super) fn answer_reinvite(&mut self, number: u32, path: u64, request: &Request) {
        let Some(key) = key(&request.headers, &Method::Invite) else {
            return;
        };
        if let Some(server) = self.servers.get_mut(&key) {
            server.path = path;
        }
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.reinvited += 1;
        if let Some(status) = self.refuses {
            self.answer(&key, request, status);
            return;
        }
        call.acked = false;
        call.offered_late = request.body.is_empty();
        call.describe(&request.body);
        let direction = match call.described.last() {
            Some(offer) if !call.offered_late => offer.direction.answered(),
            _ => Direction::SendRecv,
        };
        if call.direction != direction {
            call.direction = direction;
            call.version += 1;
        }
        let late = call.offered_late;
        let tag = call.local_tag.clone();
        let mut response = Response::to_request(request, StatusCode::OK, Some(&tag));
        self.identify(&mut response.headers, false);
        if let Some(description) = self.describe(number, !late) {
            response.set_body("application/sdp", description);
        }
        self.answer_with(&key, response);
    }

    fn handle_invite(&mut self, key: &str, request: &Request) {
        self.last_called += 1;
        let number = self.last_called;
        let contact = request
            .headers
            .contacts()
            .ok()
            .and_then(|list| list.into_iter().next());
        let local_tag = self.tokens.tag();
        let media = self.new_media();
        let mut call = Call {
            local_tag,
            remote_tag: request.headers.from_tag(),
            local_party: field(request, HeaderName::To),
            remote_party: field(request, HeaderName::From),
            target: contact.map(|contact| contact.uri),
            routes: request.headers.record_routes().unwrap_or_default(),
            remote_seq: request.headers.cseq().map_or(0, |cseq| cseq.seq),
            offered_late: request.body.is_empty(),
            invite_key: key.to_owned(),
            ..Call::new(Role::Called, request.clone(), media)
        };
        call.describe(&request.body);
        self.calls.insert(number, call);
        if let Some(server) = self.servers.get_mut(key) {
            server.call = Some(number);
        }
        if self.script.trying {
            let trying = Response::to_request(request, StatusCode::TRYING, None);
            self.answer_with(key, trying);
        }
        self.next_step(number);
    }

    pub(super) fn next_step(&mut self, number: u32) {
        loop {
            let Some(call) = self.calls.get_mut(&number).filter(|call| !call.is_over()) else {
                return;
            };
            let Some(step) = self.script.steps.get(call.script_at).cloned() else {
                return;
            };
            call.script_at += 1;
            match step {
                Step::Wait(time) => {
                    self.out.push_back(Out::Wake(time, Wake::Script(number)));
                    return;
                }
                Step::Respond(reply) => self.reply(number, &reply),
                Step::HangUp => self.hang_up(number),
                Step::Hold => self.reinvite(number, self.style.hold),
                Step::Resume => self.reinvite(number, Direction::SendRecv),
            }
        }
    }

    fn reply(&mut self, number: u32, reply: &Reply) {
        let Some(status) = StatusCode::new(reply.status) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        let tag = match reply.fork {
            0 => call.local_tag.clone(),
            fork => format!("{}-{fork}", call.local_tag),
        };
        let party = call.local_party.split(";tag=").next().unwrap_or_default();
        call.local_party = format!("{party};tag={tag}");
        if status.is_success() {
            call.state = State::Answered;
            call.local_tag.clone_from(&tag);
        } else if status.is_final() {
            call.end(Some(reply.status));
        } else {
            call.state = State::Ringing;
        }
        let (request, key) = (call.invite.clone(), call.invite_key.clone());
        let answer = !call.offered_late;
        let speaks = |formats: &[u8]| {
            let mut voice = formats.iter().filter(|format| **format != EVENTS);
            voice.any(|format| self.style.formats.contains(format))
        };
        let offer = call
            .described
            .last()
            .filter(|_| answer && reply.description);
        if offer.is_some_and(|offer| !speaks(&offer.formats)) {
            let refusal = Reply {
                status: StatusCode::NOT_ACCEPTABLE_HERE.code(),
                description: false,
                reliable: false,
                ..reply.clone()
            };
            return self.reply(number, &refusal);
        }
        let mut response = Response::to_request(&request, status, Some(&tag));
        if !status.is_final() || status.is_success() {
            self.identify(&mut response.headers, true);
        }
        if reply.description
            && let Some(description) = self.describe(number, answer)
        {
            response.set_body("application/sdp", description);
        }
        if let Some(phrase) = &reply.phrase {
            response.reason = phrase.clone().into();
        }
        for (name, value) in &reply.headers {
            if let Some(name) = HeaderName::parse(name.as_bytes()) {
                response.headers.push(name, value);
            }
        }
        if reply.reliable {
            self.make_reliable(number, &mut response);
        }
        self.answer_with(&key, response);
    }
}
