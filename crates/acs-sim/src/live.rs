//! A confirmed call: re-INVITEs in both directions, BYE, repetition of what is unacknowledged.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_msg::{HeaderName, Method, Request, Response};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::agent::{Agent, InDialog};
use crate::call::{By, CallError, CallState, Command, Done, Ending, Phase};
use crate::client::{Exchange, Reply};
use crate::dialog::{Dialog, DialogId};
use crate::manner::{Described, Occasion, Refusal, Role};
use crate::media::{Agreed, MediaSession};
use crate::script::HoldDialect;
use crate::sdp::{self, Codec, Direction, Local, Remote};
use crate::server::Incoming;
use crate::wire::{ConnectError, Link, Origin};

/// No deadline.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What both ways of making a call have in common, before and after it is confirmed.
pub(crate) struct Core {
    pub(crate) agent: Arc<Agent>,
    pub(crate) media: Arc<MediaSession>,
    pub(crate) state: watch::Sender<CallState>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) inbox: mpsc::UnboundedReceiver<InDialog>,
    pub(crate) id: DialogId,
    /// Which of our listeners this call belongs to.
    pub(crate) side: usize,
    pub(crate) local: Local,
}

impl Core {
    pub(crate) fn end(&self, ending: Ending) {
        self.media.stop();
        self.agent.forget(&self.id);
        self.state.send_modify(|state| {
            state.phase = Phase::Ended;
            state.ending.get_or_insert(ending);
        });
    }

    /// Takes up an exchange of descriptions.
    pub(crate) fn follow(&self, remote: &Remote, codec: Codec) {
        let hold = self.agent.manner.holds_by_inactive_only();
        let theirs = match remote.direction {
            Direction::SendOnly | Direction::RecvOnly if hold => Direction::SendRecv,
            direction => direction,
        };
        let agreed = Agreed {
            codec,
            send: self.local.direction.sends() && theirs.receives() && !remote.black_hole(),
            receive: self.local.direction.receives() && theirs.sends(),
        };
        self.media
            .follow(remote, agreed, self.agent.manner.retargets_media());
        let held = remote.black_hole() || !theirs.receives();
        self.state.send_modify(|state| state.held = held);
    }
}

/// A 2xx of ours that its ACK has not reached.
struct Unacked {
    seq: u32,
    bytes: Bytes,
    link: Arc<Link>,
    next: Instant,
    pause: Duration,
    deadline: Instant,
}

/// A re-INVITE of ours under way.
struct Pending {
    exchange: Exchange,
    proposed: Local,
    purpose: Purpose,
    done: Option<Done>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Change,
    Refresh,
}

/// A call with a dialog.
pub(crate) struct Live {
    core: Core,
    dialog: Dialog,
    link: Arc<Link>,
    remote: Remote,
    codec: Codec,
    answered_by_them: bool,
    unacked: Option<Unacked>,
    pending: Option<Pending>,
    last_ack: Option<(u32, Bytes, Arc<Link>)>,
    refresh_at: Option<Instant>,
    hang_up_at: Option<Instant>,
    hang_up_after: Option<Duration>,
}

/// What a call brings along when it becomes live.
pub(crate) struct Established {
    pub(crate) dialog: Dialog,
    pub(crate) link: Arc<Link>,
    pub(crate) remote: Remote,
    pub(crate) codec: Codec,
    /// `remote` is an answer, not an offer.
    pub(crate) answered_by_them: bool,
    pub(crate) hang_up_after: Option<Duration>,
}

/// Whether the call goes on.
enum Next {
    Stay,
    End(Ending),
}

impl Live {
    pub(crate) fn new(core: Core, call: Established) -> Self {
        let Established {
            dialog,
            link,
            remote,
            codec,
            answered_by_them,
            hang_up_after,
        } = call;
        Self {
            core,
            dialog,
            link,
            remote,
            codec,
            answered_by_them,
            unacked: None,
            pending: None,
            last_ack: None,
            refresh_at: None,
            hang_up_at: None,
            hang_up_after,
        }
    }

    /// Our 2xx was sent; it is repeated until its ACK comes.
    pub(crate) fn answered(&mut self, invite: &Incoming, bytes: Bytes) {
        let t1 = self.core.agent.timers.t1;
        let now = Instant::now();
        self.unacked = Some(Unacked {
            seq: invite.request.headers.cseq().map_or(0, |cseq| cseq.seq),
            bytes,
            link: Arc::clone(&invite.link),
            next: now + t1,
            pause: t1,
            deadline: now + self.core.agent.timers.lifetime(),
        });
    }

    /// The other side's 2xx is acknowledged; `body` answers an offer it made.
    pub(crate) async fn acknowledge(&mut self, seq: u32, body: Option<Vec<u8>>) {
        let mut ack = self.dialog.ack(seq);
        if let Some(body) = body {
            ack.set_body("application/sdp", body);
        }
        let Ok(link) = self.link().await else { return };
        self.complete(&mut ack, &link);
        let bytes = self.core.agent.send_ack(ack, &link);
        self.last_ack = Some((seq, bytes, link));
    }

    /// The call is confirmed: from now on it can be acted upon.
    pub(crate) fn confirmed(&mut self) {
        let now = Instant::now();
        self.refresh_at = self
            .core
            .agent
            .manner
            .refresh_after()
            .map(|after| now + after);
        self.hang_up_at = self.hang_up_after.map(|after| now + after);
        self.core
            .state
            .send_modify(|state| state.phase = Phase::Confirmed);
    }

    fn complete(&self, request: &mut Request, link: &Link) {
        let local = self.core.agent.advertised(link);
        self.core
            .agent
            .manner
            .complete(&mut request.headers, Occasion::Request, local);
    }

    async fn link(&self) -> Result<Arc<Link>, ConnectError> {
        let agent = &self.core.agent;
        if agent.manner.reuses_connections() && self.link.is_open() {
            return Ok(Arc::clone(&self.link));
        }
        let hop = agent
            .manner
            .route(&self.dialog.next_hop())
            .ok_or(ConnectError::NotConfigured)?;
        agent.link_to(&hop, self.core.side).await
    }

    /// Sends BYE now: the answer is of no use.
    pub(crate) async fn end_at_once(mut self, ending: Ending) {
        // The ending named by the caller tells more than the BYE's.
        let _ = self.hang_up().await;
        self.core.end(ending);
    }

    /// Runs the call to its end. `invite` brings what still comes for the INVITE.
    pub(crate) async fn run(mut self, mut invite: Option<mpsc::UnboundedReceiver<Reply>>) {
        let ending = loop {
            let far = Instant::now() + NEVER;
            let repeat_at = self.unacked.as_ref().map_or(far, |unacked| unacked.next);
            let next = tokio::select! {
                command = self.core.commands.recv() => self.command(command).await,
                event = self.core.inbox.recv() => self.event(event),
                reply = next_reply(&mut self.pending) => self.replied(reply).await,
                reply = next_early(&mut invite) => {
                    self.repeat_ack(&reply);
                    Next::Stay
                }
                () = sleep_until(repeat_at) => self.repeat(),
                () = sleep_until(self.refresh_at.unwrap_or(far)) => {
                    self.refresh_at = None;
                    self.offer(self.core.local.clone(), Purpose::Refresh, None).await;
                    Next::Stay
                }
                () = sleep_until(self.hang_up_at.unwrap_or(far)) => self.hang_up().await,
            };
            if let Next::End(ending) = next {
                break ending;
            }
        };
        self.core.end(ending);
        self.settle().await;
    }

    /// Answers what still comes for a call that is over, as long as anything of it may.
    async fn settle(mut self) {
        if let Some(Pending {
            done: Some(done), ..
        }) = self.pending.take()
        {
            let _ = done.send(Err(CallError::NotNow));
        }
        while let Ok(event) = self.core.inbox.try_recv() {
            if let InDialog::Request(incoming) = event {
                self.core.agent.refuse(&incoming, &Refusal::status(481));
            }
        }
    }

    async fn command(&mut self, command: Option<Command>) -> Next {
        let confirmed = self.unacked.is_none() && self.pending.is_none();
        match command {
            None => return self.abandoned().await,
            Some(Command::HangUp) => return self.hang_up().await,
            Some(Command::Send(method, body)) => self.send_other(&method, body).await,
            Some(Command::Reoffer(_, done)) if !confirmed => {
                let _ = done.send(Err(CallError::NotNow));
            }
            Some(Command::Hold(dialect, done)) => {
                let mut proposed = self.core.local.clone();
                proposed.version += 1;
                proposed.direction = match dialect {
                    HoldDialect::SendOnly => Direction::SendOnly,
                    HoldDialect::Inactive => Direction::Inactive,
                    HoldDialect::BlackHole => Direction::SendRecv,
                };
                if dialect == HoldDialect::BlackHole {
                    proposed.connection = std::net::Ipv4Addr::UNSPECIFIED.into();
                }
                self.offer(proposed, Purpose::Change, Some(done)).await;
            }
            Some(Command::Resume(done)) => {
                let mut proposed = self.core.local.clone();
                proposed.version += 1;
                proposed.direction = Direction::SendRecv;
                proposed.connection = proposed.rtp.ip();
                self.offer(proposed, Purpose::Change, Some(done)).await;
            }
            Some(Command::Reoffer(text, done)) => {
                let unchanged = self.core.local.clone();
                self.offer_as(text.into(), unchanged, Purpose::Change, Some(done))
                    .await;
            }
            Some(Command::Refresh(done)) => {
                self.offer(self.core.local.clone(), Purpose::Refresh, Some(done))
                    .await;
            }
        }
        Next::Stay
    }

    /// Every handle is gone: the call goes on until the other side ends it.
    async fn abandoned(&mut self) -> Next {
        match self.core.inbox.recv().await {
            Some(event) => self.event(Some(event)),
            None => Next::End(Ending::Stopped),
        }
    }

    async fn offer(&mut self, proposed: Local, purpose: Purpose, done: Option<Done>) {
        let body = proposed.to_bytes();
        self.offer_as(body, proposed, purpose, done).await;
    }

    async fn offer_as(
        &mut self,
        body: Vec<u8>,
        proposed: Local,
        purpose: Purpose,
        done: Option<Done>,
    ) {
        let link = match self.link().await {
            Ok(link) if self.pending.is_none() => link,
            _ => {
                if let Some(done) = done {
                    let _ = done.send(Err(CallError::NotNow));
                }
                return;
            }
        };
        let mut request = self.dialog.request(Method::Invite);
        self.complete(&mut request, &link);
        request.set_body("application/sdp", body);
        let exchange = self.core.agent.send_request(request, &link);
        self.pending = Some(Pending {
            exchange,
            proposed,
            purpose,
            done,
        });
    }

    async fn replied(&mut self, reply: Reply) -> Next {
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
                self.acknowledge(seq, None).await;
                self.take_answer(&response, pending.proposed, pending.purpose);
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
        let ours = &self.core.local;
        let holding = ours.direction != Direction::SendRecv || ours.connection.is_unspecified();
        self.core.state.send_modify(|state| state.holding = holding);
        self.core.follow(&remote, self.codec);
        self.remote = remote;
        self.answered_by_them = true;
    }

    fn event(&mut self, event: Option<InDialog>) -> Next {
        match event {
            None => Next::End(Ending::Stopped),
            Some(InDialog::Ack(ack)) => {
                self.acked(&ack);
                Next::Stay
            }
            Some(InDialog::Cancel) => Next::Stay,
            Some(InDialog::Request(incoming)) => self.requested(&incoming),
        }
    }

    fn acked(&mut self, ack: &Request) {
        let seq = ack.headers.cseq().map_or(0, |cseq| cseq.seq);
        if self
            .unacked
            .as_ref()
            .is_none_or(|unacked| unacked.seq != seq)
        {
            return;
        }
        self.unacked = None;
        if !ack.body.is_empty()
            && let Ok(remote) = sdp::parse(&ack.body)
        {
            self.core.follow(&remote, self.codec);
            self.remote = remote;
        }
        if self.core.state.borrow().phase < Phase::Confirmed {
            self.confirmed();
        }
    }

    fn requested(&mut self, incoming: &Incoming) -> Next {
        let agent = Arc::clone(&self.core.agent);
        match incoming.request.method {
            Method::Bye => {
                let response = agent.response(&incoming.request, 200, None, &incoming.link);
                agent.respond(incoming, response);
                return Next::End(Ending::HungUp(By::Them));
            }
            Method::Invite if self.pending.is_some() || self.unacked.is_some() => {
                agent.refuse(incoming, &Refusal::status(491));
            }
            Method::Invite => self.reinvited(incoming),
            Method::Options | Method::Info | Method::Notify | Method::Update => {
                let response = agent.response(&incoming.request, 200, None, &incoming.link);
                agent.respond(incoming, response);
            }
            _ => agent.refuse(incoming, &Refusal::status(405)),
        }
        Next::Stay
    }

    fn reinvited(&mut self, incoming: &Incoming) {
        let agent = Arc::clone(&self.core.agent);
        self.core.state.send_modify(|state| state.reinvites += 1);
        let body = &incoming.request.body;
        if !body.is_empty() {
            let parsed = sdp::parse(body);
            let described = Described {
                body,
                parsed: &parsed,
                role: Role::Offer,
                previous: Some(&self.remote),
            };
            let refusal = agent.manner.judge_description(&described);
            let remote = match (parsed, refusal) {
                (Ok(remote), None) => remote,
                (_, Some(refusal)) => return agent.refuse(incoming, &refusal),
                (Err(_), None) => return agent.refuse(incoming, &Refusal::status(488)),
            };
            self.answer_to(&remote);
            self.codec = remote
                .first_codec(&self.core.local.codecs)
                .unwrap_or(self.codec);
            self.core.follow(&remote, self.codec);
            self.remote = remote;
            self.answered_by_them = false;
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
            direction => direction.reversed(),
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

    fn repeat(&mut self) -> Next {
        let Some(unacked) = &mut self.unacked else {
            return Next::Stay;
        };
        let now = Instant::now();
        if now >= unacked.deadline {
            self.core.agent.manner.note_no_ack();
            return Next::End(Ending::NoAck);
        }
        self.core
            .agent
            .transmit_bytes(&unacked.bytes, &unacked.link);
        unacked.pause = (unacked.pause * 2).min(self.core.agent.timers.t2);
        unacked.next = now + unacked.pause;
        Next::Stay
    }

    /// A 2xx that came again is acknowledged again (RFC 3261 §13.2.2.4).
    fn repeat_ack(&self, reply: &Reply) {
        let Reply::Response(response) = reply else {
            return;
        };
        if let Some((seq, bytes, link)) = &self.last_ack
            && response.status.is_success()
            && response.headers.cseq().is_ok_and(|cseq| cseq.seq == *seq)
        {
            self.core.agent.transmit_bytes(bytes, link);
        }
    }

    async fn send_other(&mut self, method: &str, body: Option<(String, String)>) {
        let Ok(link) = self.link().await else { return };
        let mut request = self.dialog.request(method_named(method));
        self.complete(&mut request, &link);
        if let Some((kind, text)) = body {
            request.set_body(&kind, text);
        }
        // Its response is in the log, and nowhere else.
        drop(self.core.agent.send_request(request, &link));
    }

    async fn hang_up(&mut self) -> Next {
        let agent = Arc::clone(&self.core.agent);
        let fresh = agent.manner.hangs_up_on_new_connection();
        let link = match (fresh, agent.manner.route(&self.dialog.next_hop())) {
            (true, Some(hop)) => agent.wire.connect(&hop, agent.local(self.core.side)).await,
            _ => self.link().await,
        };
        let Ok(link) = link else {
            return Next::End(Ending::HungUp(By::Us));
        };
        let mut bye = self.dialog.request(Method::Bye);
        self.complete(&mut bye, &link);
        let mut exchange = agent.send_request(bye, &link);
        // Media of ours must not follow the BYE.
        self.core.media.stop();
        while let Some(Reply::Response(response)) = exchange.replies.recv().await {
            if response.status.is_final() {
                break;
            }
        }
        if fresh && link.origin == Origin::Ours {
            link.close();
        }
        Next::End(Ending::HungUp(By::Us))
    }
}

fn method_named(name: &str) -> Method {
    match name {
        "INFO" => Method::Info,
        "UPDATE" => Method::Update,
        "REFER" => Method::Refer,
        "NOTIFY" => Method::Notify,
        "OPTIONS" => Method::Options,
        "PRACK" => Method::Prack,
        "MESSAGE" => Method::Message,
        other => Method::Other(other.into()),
    }
}

async fn next_reply(pending: &mut Option<Pending>) -> Reply {
    match pending {
        Some(pending) => match pending.exchange.replies.recv().await {
            Some(reply) => reply,
            None => Reply::TimedOut,
        },
        None => std::future::pending().await,
    }
}

async fn next_early(invite: &mut Option<mpsc::UnboundedReceiver<Reply>>) -> Reply {
    if let Some(replies) = invite {
        if let Some(reply) = replies.recv().await {
            return reply;
        }
        *invite = None;
    }
    std::future::pending().await
}
