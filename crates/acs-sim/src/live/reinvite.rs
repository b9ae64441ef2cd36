//! Re-INVITEs: ours, and the answers to them; theirs, and our answers.

use std::sync::Arc;

use sip_msg::{HeaderName, Method, Response};

use super::{Live, Next, Pending, Purpose};
use crate::call::{By, CallError, Done, Ending};
use crate::client::Reply;
use crate::manner::{Described, Refusal, Role};
use crate::sdp::{self, Direction, Local, Remote};
use crate::server::Incoming;
use crate::srtp::Key;

impl Live {
    pub(super) async fn offer(&mut self, proposed: Local, purpose: Purpose, done: Option<Done>) {
        let body = proposed.to_bytes();
        self.offer_as(Some(body), proposed, purpose, done).await;
    }

    /// A re-INVITE with a fresh key, which is used once it is answered.
    pub(super) async fn rekey(&mut self, done: Done) {
        let mut proposed = self.core.local.clone();
        proposed.version += 1;
        let key = Key::random();
        if let Some((_, known)) = &mut proposed.crypto {
            *known = key.clone();
        }
        self.new_key = Some(key);
        self.offer(proposed, Purpose::Change, Some(done)).await;
    }

    /// Without a body the other side is to offer, and its offer is answered in the ACK.
    pub(super) async fn offer_as(
        &mut self,
        body: Option<Vec<u8>>,
        proposed: Local,
        purpose: Purpose,
        done: Option<Done>,
    ) {
        let Ok(link) = self.link().await else {
            if let Some(done) = done {
                // Whoever asked may have left.
                let _ = done.send(Err(CallError::NotNow));
            }
            return;
        };
        let mut request = self.dialog.request(Method::Invite);
        self.complete(&mut request, &link);
        if let Some(body) = body {
            request.set_body("application/sdp", body);
        }
        let exchange = self.core.agent.send_request(request, &link);
        self.pending = Some(Pending {
            exchange,
            proposed,
            purpose,
            done,
        });
    }

    pub(super) async fn replied(&mut self, reply: Reply) -> Next {
        let response = match reply {
            Reply::Response(response) if !response.status.is_final() => return Next::Stay,
            Reply::Response(response) => Some(response),
            Reply::TimedOut => None,
        };
        let Some(pending) = self.pending.take() else {
            return Next::Stay;
        };
        let seq = pending
            .exchange
            .request
            .headers
            .cseq()
            .map_or(0, |cseq| cseq.seq);
        let outcome = match response {
            Some(response) if response.status.is_success() => {
                self.dialog.refresh(&response.headers);
                if pending.exchange.request.body.is_empty() {
                    self.take_late_offer(seq, &response).await;
                } else {
                    self.acknowledge(seq, None).await;
                    self.take_answer(&response, pending.proposed, pending.purpose);
                }
                Ok(())
            }
            Some(response) => Err(CallError::Refused(response.status.code())),
            None => Err(CallError::TimedOut),
        };
        let gone = matches!(outcome, Err(CallError::Refused(481 | 408)));
        if let Some(done) = pending.done {
            let _ = done.send(outcome);
        }
        if gone {
            Next::End(Ending::HungUp(By::Them))
        } else {
            Next::Stay
        }
    }

    /// The offer that came in a 2xx is answered in its ACK (RFC 3261 §14.1).
    async fn take_late_offer(&mut self, seq: u32, response: &Response) {
        let Ok(remote) = sdp::parse(&response.body) else {
            return self.acknowledge(seq, None).await;
        };
        self.core.local.connection = self.core.local.rtp.ip();
        self.answer_to(&remote);
        let body = self.core.local.to_bytes();
        self.acknowledge(seq, Some(body)).await;
        self.core.state.send_modify(|state| state.holding = false);
        self.core.follow(&remote, self.codec);
        self.remote = remote;
        self.answered_by_them = false;
    }

    fn take_answer(&mut self, response: &Response, proposed: Local, purpose: Purpose) {
        let parsed = sdp::parse(&response.body);
        let described = Described {
            body: &response.body,
            parsed: &parsed,
            role: Role::Answer,
            previous: Some(&self.remote),
        };
        let refused = self
            .core
            .agent
            .manner
            .judge_description(&described)
            .is_some();
        let (Ok(remote), false) = (parsed, refused) else {
            return;
        };
        if purpose == Purpose::Refresh {
            self.core
                .agent
                .manner
                .judge_refresh(&self.remote, &remote, self.answered_by_them);
            self.core.state.send_modify(|state| state.refreshes += 1);
        }
        self.core.local = proposed;
        if let Some(key) = self.new_key.take() {
            self.core.media.rekey(&key);
        }
        let ours = &self.core.local;
        let holding = ours.direction != Direction::SendRecv || ours.connection.is_unspecified();
        self.core.state.send_modify(|state| state.holding = holding);
        self.core.follow(&remote, self.codec);
        self.remote = remote;
        self.answered_by_them = true;
    }

    pub(super) fn reinvited(&mut self, incoming: &Incoming) {
        self.core.state.send_modify(|state| {
            state.reinvites += 1;
            state.settled = false;
        });
        self.answer_reinvite(incoming);
        if self.unacked.is_none() {
            self.core.state.send_modify(|state| state.settled = true);
        }
    }

    fn answer_reinvite(&mut self, incoming: &Incoming) {
        let agent = Arc::clone(&self.core.agent);
        let body = &incoming.request.body;
        let parsed = sdp::parse(body);
        let described = Described {
            body,
            parsed: &parsed,
            role: Role::Offer,
            previous: Some(&self.remote),
        };
        let refusal = agent.manner.judge_description(&described);
        let remote = match (parsed, refusal) {
            (_, Some(refusal)) => return agent.refuse(incoming, &refusal),
            (Ok(remote), None) => Some(remote),
            (Err(_), None) if body.is_empty() => None,
            (Err(_), None) => return agent.refuse(incoming, &Refusal::status(488)),
        };
        match remote {
            Some(remote) => {
                self.answer_to(&remote);
                self.codec = remote
                    .first_codec(&self.core.local.codecs)
                    .unwrap_or(self.codec);
                self.core.follow(&remote, self.codec);
                self.remote = remote;
                self.answered_by_them = false;
            }
            // Asked to offer: whoever is not holding wants to talk (RFC 6337 §5.2.5).
            None if !self.core.state.borrow().holding => {
                self.core.local.direction = Direction::SendRecv;
                self.core.local.version += 1;
            }
            None => {}
        }
        self.dialog.refresh(&incoming.request.headers);
        let mut response = agent.response(&incoming.request, 200, None, &incoming.link);
        response
            .headers
            .push(HeaderName::Contact, self.dialog.contact.clone());
        response.set_body("application/sdp", self.core.local.to_bytes());
        let bytes = agent.respond(incoming, response);
        self.answered(incoming, bytes);
    }

    /// Turns our description into the answer to a new offer; an unchanged one keeps its version.
    fn answer_to(&mut self, remote: &Remote) {
        let inactive_only = self.core.agent.manner.holds_by_inactive_only();
        let direction = match remote.direction {
            Direction::SendOnly | Direction::RecvOnly if inactive_only => Direction::SendRecv,
            Direction::SendRecv
            | Direction::SendOnly
            | Direction::RecvOnly
            | Direction::Inactive => remote.direction.reversed(),
        };
        let codec = remote.first_codec(&self.core.local.codecs);
        let local = &mut self.core.local;
        let tag = remote.usable_crypto().map(|line| line.tag);
        let before = local.to_bytes();
        local.direction = direction;
        local.answering();
        if let Some(codec) = codec {
            local.codecs = vec![codec];
        }
        local.telephone_event = remote.telephone_event();
        if let (Some((known, _)), Some(tag)) = (&mut local.crypto, tag) {
            *known = tag;
        }
        if local.to_bytes() != before {
            local.version += 1;
        }
    }
}
