//! Client transactions (RFC 3261 §17.1).

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use sip_msg::{HeaderName, Message, Method, Request, Response};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::agent::{Agent, locked};
use crate::dialog::raw;
use crate::wire::Link;

/// What a client transaction brings its user.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Every provisional once; the final; every repetition of a 2xx.
    Response(Box<Response>),
    /// Nothing final in 64 × T1, or the connection closed before anything came.
    TimedOut,
}

/// A request under way.
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) link: Arc<Link>,
    pub(crate) replies: mpsc::UnboundedReceiver<Reply>,
}

impl Exchange {
    /// The final response, if there is one.
    pub(crate) async fn last(mut self) -> Option<Box<Response>> {
        while let Some(Reply::Response(response)) = self.replies.recv().await {
            if response.status.is_final() {
                return Some(response);
            }
        }
        None
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    branch: String,
    method: Method,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Provisional,
    Final,
}

pub(crate) struct ClientEntry {
    request: Request,
    link: Arc<Link>,
    replies: mpsc::UnboundedSender<Reply>,
    heard: watch::Sender<Heard>,
}

pub(crate) type Clients = HashMap<ClientKey, ClientEntry>;

impl Agent {
    /// Sends a request in a transaction of its own.
    pub(crate) fn send_request(self: &Arc<Self>, request: Request, link: &Arc<Link>) -> Exchange {
        self.begin(request, link, crate::random::branch())
    }

    /// Sends the CANCEL of an INVITE (RFC 3261 §9.1): same branch, same number.
    pub(crate) fn send_cancel(self: &Arc<Self>, invite: &Exchange) -> Exchange {
        let mut cancel = hop_by_hop(&invite.request, Method::Cancel);
        cancel.headers.push(
            HeaderName::To,
            raw(&invite.request.headers, &HeaderName::To),
        );
        let branch = branch_of(&invite.request).unwrap_or_default();
        self.begin(cancel, &invite.link, branch)
    }

    /// Sends the ACK of a 2xx, which is no transaction; gives its bytes for repetition.
    pub(crate) fn send_ack(&self, mut ack: Request, link: &Link) -> Bytes {
        self.push_via(&mut ack, link, &crate::random::branch());
        self.transmit(Message::Request(ack), link)
    }

    fn push_via(&self, request: &mut Request, link: &Link, branch: &str) {
        let host = self.manner.host(self.advertised(link));
        let transport = link.transport.via_token();
        let via = format!("SIP/2.0/{transport} {host};branch={branch};rport");
        request.headers.push_front(HeaderName::Via, via);
    }

    fn begin(self: &Arc<Self>, mut request: Request, link: &Arc<Link>, branch: String) -> Exchange {
        self.push_via(&mut request, link, &branch);
        let bytes = self.manner.dress(Message::Request(request.clone()));
        let (replies, inbox) = mpsc::unbounded_channel();
        let (heard, watch) = watch::channel(Heard::Nothing);
        let key = ClientKey {
            branch,
            method: request.method.clone(),
        };
        let entry = ClientEntry {
            request: request.clone(),
            link: Arc::clone(link),
            replies,
            heard,
        };
        // Before it is sent: the answer may be there before this thread goes on.
        locked(&self.clients).insert(key.clone(), entry);
        self.transmit_bytes(&bytes, link);
        if !link.is_open() {
            self.fail_unheard(link);
        }
        let repeat = repeat(Arc::downgrade(self), key, bytes, Arc::clone(link), watch);
        self.keep(tokio::spawn(repeat).abort_handle());
        Exchange {
            request,
            link: Arc::clone(link),
            replies: inbox,
        }
    }

    /// Ends the transactions which a closed connection can bring nothing any more.
    pub(crate) fn fail_unheard(&self, link: &Link) {
        locked(&self.clients).retain(|_, entry| {
            let lost = entry.link.id == link.id && *entry.heard.borrow() == Heard::Nothing;
            if lost {
                // The user may have lost interest.
                let _ = entry.replies.send(Reply::TimedOut);
            }
            !lost
        });
    }

    pub(crate) fn receive_response(self: &Arc<Self>, link: &Arc<Link>, response: Response) {
        let key = response
            .headers
            .top_via()
            .ok()
            .and_then(|via| via.branch().map(str::to_owned))
            .zip(response.headers.cseq().ok())
            .map(|(branch, cseq)| ClientKey {
                branch,
                method: cseq.method,
            });
        let mut clients = locked(&self.clients);
        let entry = key.as_ref().and_then(|key| clients.get_mut(key));
        let sent_on = entry.as_ref().map(|entry| entry.link.id);
        if !self.manner.judge_response(&response, link, sent_on) {
            return;
        }
        let (Some(key), Some(entry)) = (key, entry) else {
            return;
        };
        let before = *entry.heard.borrow();
        let is_final = response.status.is_final();
        let heard = if is_final {
            Heard::Final
        } else {
            Heard::Provisional
        };
        if is_final || before == Heard::Nothing {
            entry.heard.send_replace(heard);
        }
        let success = response.status.is_success();
        if is_final && entry.request.method == Method::Invite && !success {
            let mut ack = hop_by_hop(&entry.request, Method::Ack);
            ack.headers.push_front(
                HeaderName::Via,
                raw(&entry.request.headers, &HeaderName::Via),
            );
            ack.headers
                .push(HeaderName::To, raw(&response.headers, &HeaderName::To));
            self.transmit(Message::Request(ack), &entry.link);
        }
        if before != Heard::Final || (success && entry.request.method == Method::Invite) {
            // The user may have lost interest.
            let _ = entry.replies.send(Reply::Response(Box::new(response)));
        }
        if is_final && before != Heard::Final {
            let linger = tokio::spawn(remove(Arc::downgrade(self), key, self.timers.lifetime()));
            self.keep(linger.abort_handle());
        }
    }
}

/// An ACK to a failure or a CANCEL: the INVITE's own fields (RFC 3261 §9.1, §17.1.1.3), without
/// To and Via.
fn hop_by_hop(invite: &Request, method: Method) -> Request {
    let seq = invite.headers.cseq().map_or(1, |cseq| cseq.seq);
    let cseq = format!("{seq} {}", method.as_str());
    let mut request = Request::new(method, invite.uri.clone());
    for route in invite.headers.get_all(&HeaderName::Route) {
        request.headers.push(HeaderName::Route, route);
    }
    request.headers.push(HeaderName::MaxForwards, "70");
    request
        .headers
        .push(HeaderName::From, raw(&invite.headers, &HeaderName::From));
    request.headers.push(
        HeaderName::CallId,
        raw(&invite.headers, &HeaderName::CallId),
    );
    request.headers.push(HeaderName::CSeq, cseq);
    request
}

fn branch_of(request: &Request) -> Option<String> {
    request.headers.top_via().ok()?.branch().map(str::to_owned)
}

async fn remove(agent: Weak<Agent>, key: ClientKey, after: Duration) {
    sleep(after).await;
    if let Some(agent) = agent.upgrade() {
        locked(&agent.clients).remove(&key);
    }
}

/// Repeats a request over UDP until something is heard, and gives up after 64 × T1.
async fn repeat(
    agent: Weak<Agent>,
    key: ClientKey,
    bytes: Bytes,
    link: Arc<Link>,
    mut heard: watch::Receiver<Heard>,
) {
    let Some(timers) = agent.upgrade().map(|agent| agent.timers) else {
        return;
    };
    let invite = key.method == Method::Invite;
    let deadline = Instant::now() + timers.lifetime();
    let mut pause = timers.t1;
    let mut next = Instant::now() + pause;
    loop {
        let settled = invite && *heard.borrow() != Heard::Nothing;
        let repeats = !link.is_reliable() && !settled;
        tokio::select! {
            biased;
            changed = heard.changed() => {
                let done = changed.is_err() || *heard.borrow() == Heard::Final;
                if done || (invite && *heard.borrow() == Heard::Provisional) {
                    return;
                }
            }
            () = sleep_until(next), if repeats => {
                let Some(agent) = agent.upgrade() else { return };
                agent.transmit_bytes(&bytes, &link);
                pause = if invite { pause * 2 } else { (pause * 2).min(timers.t2) };
                next += pause;
            }
            () = sleep_until(deadline) => {
                let Some(agent) = agent.upgrade() else { return };
                if let Some(entry) = locked(&agent.clients).remove(&key) {
                    let _ = entry.replies.send(Reply::TimedOut);
                }
                return;
            }
        }
    }
}
