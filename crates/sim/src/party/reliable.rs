//! Reliable provisional responses and what is said in early dialogs (RFC 3262, RFC 3311).

use sip_msg::{HeaderName, Method, Request, Response};

use super::call::{Call, Role};
use super::{Out, Party, Prack, T1, Wake};

impl Party {
    /// Numbers a provisional response and repeats it until its PRACK.
    pub(super) fn make_reliable(&mut self, number: u32, response: &mut Response) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.rseq += 1;
        response.headers.push(HeaderName::Require, "100rel");
        response
            .headers
            .push(HeaderName::RSeq, call.rseq.to_string());
        call.reliable = Some((response.clone(), T1));
        self.out.push_back(Out::Wake(T1, Wake::Reliable(number)));
    }

    pub(super) fn repeat_reliable(&mut self, number: u32) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.is_up()) else {
            return;
        };
        let Some((response, interval)) = &mut call.reliable else {
            return;
        };
        *interval *= 2;
        let (response, interval) = (response.clone(), *interval);
        let key = call.invite_key.clone();
        if let Some(path) = self.servers.get(&key).map(super::server::Server::path) {
            self.respond(path, response);
            self.out
                .push_back(Out::Wake(interval, Wake::Reliable(number)));
        }
    }

    pub(super) fn handle_prack(&mut self, number: u32, prack: &Request) {
        let rack = prack.headers.get_str(&HeaderName::RAck);
        let rack = rack.unwrap_or_default().to_owned();
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        let expected = format!("{} 1 INVITE", call.rseq);
        let matches = call.reliable.take().is_some() && rack == expected;
        call.pracks.push(rack.clone());
        if !matches {
            self.fault(format!("PRACK of {rack}, and not of {expected}"));
        }
    }

    /// A provisional response came; if it is reliable and new, it is acknowledged.
    pub(super) fn acknowledge_reliable(&mut self, number: u32, response: &Response) {
        let Ok(Some(rseq)) = response.headers.rseq() else {
            return;
        };
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.is_over()) else {
            return;
        };
        let follows = call.rseq == 0 || rseq == call.rseq + 1;
        if call.role != Role::Caller || call.prack == Prack::Never || !follows {
            return;
        }
        call.rseq = rseq;
        call.adopt(response);
        let described = !response.body.is_empty();
        let answers = call.offered_late && described;
        let offers = call.prack == Prack::Offering && described && !answers;
        call.offered_late &= !answers;
        call.version += u64::from(offers);
        call.local_seq += 1;
        let seq = call.local_seq;
        let body = (answers || offers)
            .then(|| self.describe(number, answers))
            .flatten();
        if let Some(mut prack) = self.in_dialog(number, Method::Prack, seq) {
            let rack = format!("{rseq} 1 INVITE");
            prack.headers.push(HeaderName::RAck, rack);
            if let Some(body) = body {
                prack.set_body("application/sdp", body);
            }
            self.send_request(prack, Some(number));
        }
    }

    pub(crate) fn adopt_early_dialog(&mut self, number: u32) {
        if let Some(call) = self.calls.get_mut(&number)
            && let Some(response) = call.progress.clone()
        {
            call.adopt(&response);
        }
    }

    /// Sends an UPDATE with an offer, answered or not yet.
    pub(crate) fn update(&mut self, number: u32) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.version += 1;
        call.local_seq += 1;
        let seq = call.local_seq;
        let offer = self.describe(number, false);
        if let (Some(mut update), Some(offer)) =
            (self.in_dialog(number, Method::Update, seq), offer)
        {
            self.identify(&mut update.headers, false);
            update.set_body("application/sdp", offer);
            self.send_request(update, Some(number));
        }
    }

    pub(super) fn settle_early(&mut self, number: u32, response: &Response) {
        if let Some(call) = self.calls.get_mut(&number)
            && response.status.is_final()
        {
            call.early_answers.push(response.status.code());
            call.describe(&response.body);
        }
    }
}

impl Call {
    /// Takes over what a provisional response says about the early dialog.
    fn adopt(&mut self, response: &Response) {
        self.remote_tag = response.headers.to_tag();
        let to = response.headers.get_str(&HeaderName::To);
        self.remote_party = to.unwrap_or_default().to_owned();
        let contacts = response.headers.contacts().ok();
        if let Some(contact) = contacts.and_then(|list| list.into_iter().next()) {
            self.target = Some(contact.uri);
        }
    }
}
