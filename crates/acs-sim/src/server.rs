//! Server transactions (RFC 3261 §17.2), and where a new request goes.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use sip_msg::{Message, Method, Rejected, Request, Response};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::agent::{Agent, InDialog, locked};
use crate::callee;
use crate::manner::{Refusal, Verdict};
use crate::wire::Link;

/// RFC 3261 §17.2.3: branch, sent-by and method, ACK counting as INVITE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerKey {
    branch: String,
    sent_by: String,
    method: Method,
}

impl ServerKey {
    fn of(request: &Request, as_method: &Method) -> Option<Self> {
        let via = request.headers.top_via().ok()?;
        let sent_by = match via.port {
            Some(port) => format!("{}:{port}", via.host),
            None => via.host.to_string(),
        };
        Some(Self {
            branch: via.branch()?.to_owned(),
            sent_by,
            method: as_method.clone(),
        })
    }
}

/// A request waiting for our response.
#[derive(Clone)]
pub(crate) struct Incoming {
    pub(crate) key: ServerKey,
    pub(crate) link: Arc<Link>,
    pub(crate) request: Request,
}

pub(crate) struct ServerEntry {
    last: Option<Bytes>,
    link: Arc<Link>,
    acked: watch::Sender<bool>,
    cancel: Option<mpsc::UnboundedSender<InDialog>>,
    finished: bool,
    succeeded: bool,
}

pub(crate) type Servers = HashMap<ServerKey, ServerEntry>;

const ALLOWED: [Method; 6] = [
    Method::Invite,
    Method::Ack,
    Method::Bye,
    Method::Cancel,
    Method::Options,
    Method::Notify,
];

impl Agent {
    pub(crate) fn receive_request(self: &Arc<Self>, link: Arc<Link>, request: Request) {
        let matched = if request.method == Method::Ack {
            &Method::Invite
        } else {
            &request.method
        };
        let Some(key) = ServerKey::of(&request, matched) else {
            return;
        };
        if self.absorb(&key, &request, &link) {
            return;
        }
        let verdict = self.manner.judge_request(&request, &link);
        if request.method == Method::Ack {
            if verdict != Verdict::Ignore {
                // An ACK nobody waits for is dropped.
                self.deliver(&request, InDialog::Ack(request.clone()));
            }
            return;
        }
        if verdict == Verdict::Ignore {
            return;
        }
        let incoming = self.admit(key, link, request);
        match verdict {
            Verdict::Refuse(refusal) => self.refuse(&incoming, &refusal),
            Verdict::Accept | Verdict::Ignore => self.treat(incoming),
        }
    }

    /// Answers a repetition as before; takes the ACK of a failure.
    fn absorb(&self, key: &ServerKey, request: &Request, link: &Arc<Link>) -> bool {
        let servers = locked(&self.servers);
        let Some(entry) = servers.get(key) else {
            return false;
        };
        if request.method == Method::Ack {
            // Some peers acknowledge a 2xx under the INVITE's branch: that is the dialog's.
            entry.acked.send_replace(true);
            return !entry.succeeded;
        }
        if let Some(bytes) = &entry.last {
            self.transmit_bytes(bytes, link);
        }
        true
    }

    fn admit(self: &Arc<Self>, key: ServerKey, link: Arc<Link>, request: Request) -> Incoming {
        let entry = ServerEntry {
            last: None,
            link: Arc::clone(&link),
            acked: watch::Sender::new(false),
            cancel: None,
            finished: false,
            succeeded: false,
        };
        locked(&self.servers).insert(key.clone(), entry);
        Incoming { key, link, request }
    }

    fn treat(self: &Arc<Self>, incoming: Incoming) {
        let request = &incoming.request;
        if request.method == Method::Cancel {
            self.cancel(&incoming);
        } else if request.headers.to_tag().is_some() {
            let in_dialog = InDialog::Request(incoming.clone());
            if !self.deliver(request, in_dialog) {
                self.refuse(&incoming, &Refusal::status(481));
            }
        } else if request.method == Method::Invite {
            callee::begin(Arc::clone(self), incoming);
        } else if request.method == Method::Options {
            let tag = crate::random::token();
            let tag = self.manner.tags_options().then_some(tag.as_str());
            let response = self.response(request, 200, tag, &incoming.link);
            self.respond(&incoming, response);
            self.manner.pinged(request, &incoming.link);
        } else if ALLOWED.contains(&request.method) {
            self.refuse(&incoming, &Refusal::status(481));
        } else {
            self.refuse(&incoming, &Refusal::status(405));
        }
    }

    fn cancel(self: &Arc<Self>, incoming: &Incoming) {
        let invite = ServerKey {
            method: Method::Invite,
            ..incoming.key.clone()
        };
        let found = locked(&self.servers)
            .get(&invite)
            .map(|entry| entry.cancel.clone());
        match found {
            Some(inbox) => {
                let tag = crate::random::token();
                let response = self.response(&incoming.request, 200, Some(&tag), &incoming.link);
                self.respond(incoming, response);
                if let Some(inbox) = inbox {
                    // A call already over has nothing left to cancel.
                    let _ = inbox.send(InDialog::Cancel);
                }
            }
            None => self.refuse(incoming, &Refusal::status(481)),
        }
    }

    /// Says who is told of a CANCEL of this INVITE.
    pub(crate) fn on_cancel(&self, incoming: &Incoming, inbox: mpsc::UnboundedSender<InDialog>) {
        if let Some(entry) = locked(&self.servers).get_mut(&incoming.key) {
            entry.cancel = Some(inbox);
        }
    }

    /// Sends a response; gives its bytes for the repetition of a 2xx.
    pub(crate) fn respond(self: &Arc<Self>, incoming: &Incoming, response: Response) -> Bytes {
        let status = response.status;
        let bytes = self.manner.dress(Message::Response(response));
        let mut servers = locked(&self.servers);
        if let Some(entry) = servers.get_mut(&incoming.key) {
            entry.last = Some(bytes.clone());
            if status.is_final() && !entry.finished {
                entry.finished = true;
                entry.succeeded = status.is_success();
                let repeats = incoming.key.method == Method::Invite && !status.is_success();
                let task = tokio::spawn(linger(
                    Arc::downgrade(self),
                    incoming.key.clone(),
                    repeats.then(|| (bytes.clone(), Arc::clone(&entry.link))),
                    entry.acked.subscribe(),
                ));
                self.keep(task.abort_handle());
            }
        }
        drop(servers);
        self.transmit_bytes(&bytes, &incoming.link);
        bytes
    }

    pub(crate) fn refuse(self: &Arc<Self>, incoming: &Incoming, refusal: &Refusal) {
        let tag = crate::random::token();
        let tag = incoming
            .request
            .headers
            .to_tag()
            .is_none()
            .then_some(tag.as_str());
        let response = self.refusal(&incoming.request, refusal, tag, &incoming.link);
        self.respond(incoming, response);
        if refusal.close {
            incoming.link.close();
        }
    }

    pub(crate) fn receive_unparsable(&self, link: &Arc<Link>, bytes: &[u8], rejected: &Rejected) {
        let refusal = self.manner.judge_unparsable(bytes, rejected.status.code());
        let Some(request) = &rejected.request else {
            return;
        };
        if request.method == Method::Ack {
            return;
        }
        let tag = crate::random::token();
        let response = self.refusal(request, &refusal, Some(&tag), link);
        self.transmit(Message::Response(response), link);
    }
}

/// Repeats a failure until it is acknowledged, then forgets the transaction.
async fn linger(
    agent: Weak<Agent>,
    key: ServerKey,
    repeats: Option<(Bytes, Arc<Link>)>,
    mut acked: watch::Receiver<bool>,
) {
    let Some(timers) = agent.upgrade().map(|agent| agent.timers) else {
        return;
    };
    let mut left = timers.lifetime();
    if let Some((bytes, link)) = repeats.filter(|(_, link)| !link.is_reliable()) {
        let mut pause = timers.t1;
        while left > Duration::ZERO {
            let pause_now = pause.min(left);
            if timeout(pause_now, acked.wait_for(|acked| *acked))
                .await
                .is_ok()
            {
                break;
            }
            left -= pause_now;
            pause = (pause * 2).min(timers.t2);
            let Some(agent) = agent.upgrade() else { return };
            agent.transmit_bytes(&bytes, &link);
        }
    }
    sleep(left).await;
    if let Some(agent) = agent.upgrade() {
        locked(&agent.servers).remove(&key);
    }
}
