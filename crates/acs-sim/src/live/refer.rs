//! A transfer this party asked for: the REFER, the NOTIFYs, the end of the old call.

use std::sync::Arc;

use sip_msg::{HeaderName, Method, Response};
use tokio::time::Instant;

use super::{Live, Next};
use crate::call::{InDialogRequest, Responded};
use crate::client::{Exchange, Reply};
use crate::manner::{Refusal, add};
use crate::refer::{Leave, Transfer, notified};
use crate::server::Incoming;

/// A transfer under way, or done.
pub(super) struct Referral {
    /// Until its final response.
    exchange: Option<Exchange>,
    done: Option<Responded>,
    leave: Leave,
    began: Instant,
    /// The final NOTIFY came, or there is nothing to be notified of.
    pub(super) settled: bool,
}

/// The final response to the REFER; pending when there is none to come.
pub(super) async fn next_referred(referral: &mut Option<Referral>) -> Option<Box<Response>> {
    let Some(Referral {
        exchange: Some(exchange),
        ..
    }) = referral
    else {
        return std::future::pending().await;
    };
    loop {
        match exchange.replies.recv().await {
            Some(Reply::Response(response)) if !response.status.is_final() => {}
            Some(Reply::Response(response)) => return Some(response),
            Some(Reply::TimedOut) | None => return None,
        }
    }
}

impl Live {
    pub(super) async fn refer(&mut self, transfer: Transfer, done: Responded) {
        let link = match transfer.from {
            Some(from) => self.fresh_link(from).await,
            None => self.link().await,
        };
        let Ok(link) = link else {
            // Whoever asked may have left.
            let _ = done.send(None);
            return;
        };
        let mut request = self.dialog.request(Method::Refer);
        self.complete(&mut request, &link);
        let headers = &mut request.headers;
        headers.push(HeaderName::ReferTo, &transfer.refer_to);
        if let Some(referred_by) = &transfer.referred_by {
            headers.push(HeaderName::ReferredBy, referred_by);
        }
        add(headers, &transfer.headers);
        self.core.state.send_modify(|state| state.notified.clear());
        self.referral = Some(Referral {
            exchange: Some(self.core.agent.send_request(request, &link)),
            done: Some(done),
            leave: transfer.leave,
            began: Instant::now(),
            settled: false,
        });
    }

    pub(super) fn referred(&mut self, response: Option<Box<Response>>) -> Next {
        let Some(referral) = &mut self.referral else {
            return Next::Stay;
        };
        referral.exchange = None;
        let status = response
            .as_ref()
            .map_or(408, |response| response.status.code());
        self.core.agent.manner.judge_referred(status);
        let accepted = (200..300).contains(&status);
        referral.settled |= !accepted;
        if let Some(done) = referral.done.take() {
            let _ = done.send(response);
        }
        if accepted && referral.leave == Leave::AtOnce {
            self.hang_up_at = Some(Instant::now());
        }
        Next::Stay
    }

    pub(super) fn notified(&mut self, incoming: &Incoming) -> Next {
        let agent = Arc::clone(&self.core.agent);
        let response = agent.response(&incoming.request, 200, None, &incoming.link);
        agent.respond(incoming, response);
        let Some(referral) = &mut self.referral else {
            return Next::Stay;
        };
        let before = self.core.state.borrow().notified.clone();
        agent.manner.judge_notify(&incoming.request, &before);
        let notified = notified(&incoming.request, referral.began.elapsed());
        let status = notified.status;
        referral.settled |= status >= 200;
        if (200..300).contains(&status) && referral.leave == Leave::OnSuccess {
            self.hang_up_at = Some(Instant::now());
        }
        self.core
            .state
            .send_modify(|state| state.notified.push(notified));
        Next::Stay
    }

    /// The other side asks for a transfer: it is told what the script says, and nothing is
    /// transferred.
    pub(super) async fn asked(&mut self, incoming: &Incoming) {
        let agent = Arc::clone(&self.core.agent);
        let outcome = agent.manner.refer_outcome();
        if outcome.is_empty() {
            return agent.refuse(incoming, &Refusal::status(405));
        }
        let mut response = agent.response(&incoming.request, 202, None, &incoming.link);
        response
            .headers
            .push(HeaderName::Contact, self.dialog.contact.clone());
        agent.respond(incoming, response);
        for status in outcome {
            let Ok(link) = self.link().await else { return };
            let state = if status < 200 {
                "active;expires=60"
            } else {
                "terminated;reason=noresource"
            };
            let notify = InDialogRequest::new("NOTIFY")
                .header("Event", "refer")
                .header("Subscription-State", state)
                .body(
                    "message/sipfrag;version=2.0",
                    &format!("SIP/2.0 {status} As scripted\r\n"),
                );
            self.core
                .send_in_dialog(&mut self.dialog, &link, notify, None);
        }
    }
}
