//! Dialogs of a party: calls it makes, and requests inside of them.

use sip_msg::{HeaderName, Headers, Method, Request, Response};

use super::call::{Call, Role, State, field};
use super::{Dial, Party};
use crate::description::Direction;

impl Party {
    /// Calls `to`.
    pub(crate) fn invite(&mut self, number: u32, to: &str, dial: &Dial) {
        let mut request = self.out_of_dialog(Method::Invite, to, dial.from.as_deref());
        for (name, value) in &dial.headers {
            if let Some(name) = HeaderName::parse(name.as_bytes()) {
                request.headers.push(name, value);
            }
        }
        let media = self.new_media();
        let call = Call {
            local_tag: request.headers.from_tag().unwrap_or_default(),
            local_party: field(&request, HeaderName::From),
            remote_party: field(&request, HeaderName::To),
            prack: dial.prack,
            local_seq: 1,
            offered_late: dial.late_offer,
            acked: true,
            ..Call::new(Role::Caller, request.clone(), media)
        };
        self.calls.insert(number, call);
        if !dial.late_offer
            && let Some(offer) = self.describe(number, false)
        {
            request.set_body("application/sdp", offer);
        }
        let key = self
            .send_request(request.clone(), Some(number))
            .unwrap_or_default();
        if let Some(call) = self.calls.get_mut(&number) {
            call.invite = request;
            call.invite_key = key;
        }
    }

    /// Takes over what a 2xx says about the dialog.
    pub(super) fn learn_dialog(&mut self, number: u32, response: &Response, reinvite: bool) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        let contact = response
            .headers
            .contacts()
            .ok()
            .and_then(|list| list.into_iter().next());
        if let Some(contact) = contact {
            call.target = Some(contact.uri);
        }
        if !reinvite {
            call.remote_tag = response.headers.to_tag();
            let to = response
                .headers
                .get_str(&HeaderName::To)
                .unwrap_or_default();
            call.remote_party = to.to_owned();
            let mut routes = response.headers.record_routes().unwrap_or_default();
            routes.reverse();
            call.routes = routes;
            call.state = State::Answered;
            call.responses.push(response.status.code());
        }
        call.describe(&response.body);
    }

    pub(super) fn settle_reinvite(&mut self, number: u32, response: &Response) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.reinvites.push(response.status.code());
        }
    }

    /// A request inside the dialog of a call, complete but for a body.
    pub(super) fn in_dialog(&mut self, number: u32, method: Method, seq: u32) -> Option<Request> {
        let (via, _) = self.via();
        let (host, port) = &self.gateway;
        let listener = format!("sip:{host}:{port}");
        let fallback = self.uri(&listener);
        let call = self.calls.get(&number)?;
        let target = call.target.clone().unwrap_or(fallback);
        let mut request = Request::new(method.clone(), target);
        let headers = &mut request.headers;
        headers.push(HeaderName::Via, via);
        headers.push(HeaderName::MaxForwards, "70");
        for route in &call.routes {
            headers.push(HeaderName::Route, route.to_string());
        }
        headers.push(HeaderName::From, &call.local_party);
        headers.push(HeaderName::To, &call.remote_party);
        headers.push(HeaderName::CallId, &call.call_id);
        headers.push(HeaderName::CSeq, format!("{seq} {}", method.as_str()));
        if method == Method::Invite {
            self.identify(&mut request.headers, false);
        }
        Some(request)
    }

    pub(super) fn next_seq(&mut self, number: u32) -> Option<u32> {
        let call = self.calls.get_mut(&number)?;
        call.local_seq += 1;
        Some(call.local_seq)
    }

    /// Sends BYE.
    pub(crate) fn hang_up(&mut self, number: u32) {
        if !self.calls.get(&number).is_some_and(Call::is_up) {
            return;
        }
        let Some(seq) = self.next_seq(number) else {
            return;
        };
        if let Some(mut bye) = self.in_dialog(number, Method::Bye, seq) {
            self.part(&mut bye.headers);
            self.end_call(number, None);
            self.send_request(bye, Some(number));
        }
    }

    /// Adds what the party says with a BYE or CANCEL.
    pub(super) fn part(&self, headers: &mut Headers) {
        for (name, value) in &self.parting {
            if let Some(name) = HeaderName::parse(name.as_bytes()) {
                headers.push(name, value);
            }
        }
    }

    /// Sends any request without a body inside the dialog.
    pub(crate) fn send_in_dialog(&mut self, number: u32, method: Method) {
        let Some(seq) = self.next_seq(number) else {
            return;
        };
        if let Some(request) = self.in_dialog(number, method, seq) {
            self.send_request(request, Some(number));
        }
    }

    /// Sends a request inside the dialog with these header fields and this body.
    pub(crate) fn say_in_dialog(
        &mut self,
        number: u32,
        method: Method,
        headers: &[(&str, &str)],
        body: Option<(&str, &str)>,
    ) {
        let Some(seq) = self.next_seq(number) else {
            return;
        };
        let Some(mut request) = self.in_dialog(number, method, seq) else {
            return;
        };
        for (name, value) in headers {
            if let Some(name) = HeaderName::parse(name.as_bytes()) {
                request.headers.push(name, *value);
            }
        }
        if let Some((kind, text)) = body {
            request.set_body(kind, text.to_owned());
        }
        self.send_request(request, Some(number));
    }

    /// Sends a re-INVITE; with another direction it has a new version, else it is a refresh with
    /// the same octets.
    pub(crate) fn reinvite(&mut self, number: u32, direction: Direction) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| call.is_up()) else {
            return;
        };
        call.offered_late = false;
        if call.direction != direction {
            call.direction = direction;
            call.version += 1;
        }
        let Some(seq) = self.next_seq(number) else {
            return;
        };
        let offer = self.describe(number, false);
        if let (Some(mut request), Some(offer)) =
            (self.in_dialog(number, Method::Invite, seq), offer)
        {
            request.set_body("application/sdp", offer);
            self.send_request(request, Some(number));
        }
    }

    /// Sends a re-INVITE without an offer; the ACK answers with both directions open.
    pub(crate) fn resume_without_offer(&mut self, number: u32) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.offered_late = true;
            call.direction = Direction::SendRecv;
            call.version += 1;
        }
        self.send_in_dialog(number, Method::Invite);
    }

    /// Sends a re-INVITE with another key: what the party sends from now on has a rollover counter
    /// of zero (RFC 3711 §3.3.1).
    pub(crate) fn rekey(&mut self, number: u32) {
        let key = self.new_key();
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.media.rekey(key);
        call.version += 1;
        let direction = call.direction;
        self.reinvite(number, direction);
    }

    pub(super) fn end_call(&mut self, number: u32, status: Option<u16>) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.end(status);
        }
    }
}
