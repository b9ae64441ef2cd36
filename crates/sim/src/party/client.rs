//! Requests of a party: sent, repeated on UDP, given up.

use std::time::Duration;

use sip_msg::{HeaderName, Message, Method, Request, Response, StatusCode, TransportKind};

use super::call::State;
use super::{GIVE_UP, Haste, Out, Party, Route, T1, T2, Wake};

/// A request under way.
#[derive(Debug)]
pub(super) struct Client {
    request: Request,
    call: Option<u32>,
    progress: Progress,
    interval: Duration,
    waited: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Proceeding,
    Done,
}

impl Client {
    pub(super) fn is_done(&self) -> bool {
        self.progress == Progress::Done
    }
}

/// Transactions are told apart by branch and method (RFC 3261 §17.1.3).
pub(super) fn key(headers: &sip_msg::Headers, method: &Method) -> Option<String> {
    let via = headers.top_via().ok()?;
    Some(format!("{} {}", via.branch()?, method.as_str()))
}

impl Party {
    pub(super) fn send_request(&mut self, request: Request, call: Option<u32>) -> Option<String> {
        let key = key(&request.headers, &request.method)?;
        self.send(Route::Fresh, Message::Request(request.clone()));
        let client = Client {
            request,
            call,
            progress: Progress::Waiting,
            interval: T1,
            waited: Duration::ZERO,
        };
        self.clients.insert(key.clone(), client);
        self.out.push_back(Out::Wake(T1, Wake::Client(key.clone())));
        Some(key)
    }

    pub(super) fn repeat_request(&mut self, key: String) {
        let Some(client) = self.clients.get_mut(&key) else {
            return;
        };
        let invite = client.request.method == Method::Invite;
        if client.is_done() || (invite && client.progress == Progress::Proceeding) {
            return;
        }
        client.waited += client.interval;
        if client.waited >= GIVE_UP {
            client.progress = Progress::Done;
            let call = client.call;
            if let (Some(call), true) = (call, invite) {
                self.finish_invite(call, 408);
            }
            return;
        }
        let proceeding = client.progress == Progress::Proceeding;
        let doubled = client.interval * 2;
        client.interval = match (invite, proceeding) {
            (true, _) => doubled,
            (false, false) => doubled.min(T2),
            (false, true) => T2,
        };
        let interval = client.interval;
        let request = client.request.clone();
        if self.transport == TransportKind::Udp {
            self.send(Route::Fresh, Message::Request(request));
        }
        self.out.push_back(Out::Wake(interval, Wake::Client(key)));
    }

    pub(super) fn handle_response(&mut self, response: Response) {
        let Ok(cseq) = response.headers.cseq() else {
            self.fault("response without CSeq");
            return;
        };
        let Some(key) = key(&response.headers, &cseq.method) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&key) else {
            self.fault(format!(
                "response to nothing: {} {key}",
                response.status.code()
            ));
            return;
        };
        let was_done = client.is_done();
        let provisional = response.status.is_provisional();
        client.progress = match (provisional, was_done) {
            (true, false) => Progress::Proceeding,
            (_, true) | (false, _) => Progress::Done,
        };
        let (request, call) = (client.request.clone(), client.call);
        if response.status == StatusCode::UNAUTHORIZED
            && !was_done
            && self.answered_challenge(&request, call, &response)
        {
            return;
        }
        if cseq.method == Method::Register && !provisional && !was_done {
            self.settle_register(&response);
        }
        let Some(call) = call else { return };
        if cseq.method == Method::Invite {
            self.handle_invite_response(call, &request, &response, was_done);
        } else if cseq.method == Method::Refer && response.status.is_final() && !was_done {
            self.settle_refer(call, response.status.code());
        } else if cseq.method == Method::Bye {
            self.end_call(call, None);
        } else if matches!(cseq.method, Method::Prack | Method::Update) && !was_done {
            self.settle_early(call, &response);
        }
    }

    fn handle_invite_response(
        &mut self,
        number: u32,
        request: &Request,
        response: &Response,
        repeated: bool,
    ) {
        let status = response.status;
        if status.is_provisional() {
            self.handle_provisional(number, response);
            return;
        }
        let reinvite = request.headers.to_tag().is_some();
        if !status.is_success() {
            let ack = acknowledge_failure(request, response);
            self.send(Route::Fresh, Message::Request(ack));
            if repeated {
                return;
            }
            if reinvite {
                self.settle_reinvite(number, response);
            } else {
                self.finish_invite(number, status.code());
                if let Some(call) = self.calls.get_mut(&number) {
                    call.refusal = Some(response.clone());
                }
            }
            return;
        }
        if !repeated {
            self.learn_dialog(number, response, reinvite);
            if reinvite {
                self.settle_reinvite(number, response);
            }
        }
        self.acknowledge_success(number, request);
        let unwanted = self.calls.get(&number).is_some_and(|c| c.given_up);
        if !repeated && !reinvite && (unwanted || self.haste == Haste::HangUp) {
            // Where the answer crossed the CANCEL (RFC 3261 §9.1), the call is up as well.
            self.hang_up(number);
        }
    }

    fn handle_provisional(&mut self, number: u32, response: &Response) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        if response.status.code() > 100 && call.state != State::Answered && !call.is_over() {
            call.state = State::Ringing;
            call.responses.push(response.status.code());
            call.describe(&response.body);
            call.progress = Some(response.clone());
        }
        if call.cancel_wanted {
            self.send_cancel(number);
        }
        self.acknowledge_reliable(number, response);
    }

    /// The INVITE failed, or was given up.
    pub(super) fn finish_invite(&mut self, number: u32, status: u16) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.responses.push(status);
            call.end(Some(status));
        }
    }

    /// ACK of a 2xx: a request of its own (RFC 3261 §13.2.2.4), with the same CSeq number.
    fn acknowledge_success(&mut self, number: u32, invite: &Request) {
        let Ok(cseq) = invite.headers.cseq() else {
            return;
        };
        let late = self
            .calls
            .get(&number)
            .is_some_and(|call| call.offered_late);
        let answer = if late && self.answers_late {
            self.describe(number, true)
        } else {
            None
        };
        let Some(mut ack) = self.in_dialog(number, Method::Ack, cseq.seq) else {
            return;
        };
        if let Some(answer) = answer {
            ack.set_body("application/sdp", answer);
        }
        self.send(Route::Fresh, Message::Request(ack));
    }

    /// Gives the call up before it is answered.
    pub(crate) fn cancel(&mut self, number: u32) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.cancel_wanted = true;
        call.given_up = true;
        let key = call.invite_key.clone();
        let heard = self.clients.get(&key).map(|client| client.progress);
        if heard == Some(Progress::Proceeding) {
            self.send_cancel(number);
        }
    }

    fn send_cancel(&mut self, number: u32) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.cancel_wanted = false;
        let invite = &call.invite;
        let mut cancel = Request::new(Method::Cancel, invite.uri.clone());
        for name in [
            HeaderName::Via,
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
        ] {
            if let Some(value) = invite.headers.get(&name) {
                cancel.headers.push(name, value);
            }
        }
        cancel.headers.push(HeaderName::MaxForwards, "70");
        let seq = invite.headers.cseq().map_or(1, |cseq| cseq.seq);
        cancel
            .headers
            .push(HeaderName::CSeq, format!("{seq} CANCEL"));
        self.part(&mut cancel.headers);
        self.send_request(cancel, Some(number));
    }
}

/// ACK of a final response of 300 or more: part of the transaction (RFC 3261 §17.1.1.3).
pub(super) fn acknowledge_failure(request: &Request, response: &Response) -> Request {
    let mut ack = Request::new(Method::Ack, request.uri.clone());
    let copied = [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::CallId,
        HeaderName::Route,
    ];
    for name in copied {
        for value in request.headers.get_all(&name) {
            ack.headers.push(name.clone(), value);
        }
    }
    if let Some(to) = response.headers.get(&HeaderName::To) {
        ack.headers.push(HeaderName::To, to);
    }
    let seq = request.headers.cseq().map_or(1, |cseq| cseq.seq);
    ack.headers.push(HeaderName::CSeq, format!("{seq} ACK"));
    ack.headers.push(HeaderName::MaxForwards, "70");
    ack
}
