//! A confirmed call: what its user wants, what its peer sends, repetition of what is
//! unacknowledged.

mod core;
mod refer;
mod reinvite;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_msg::{Method, Request};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::core::Core;
use crate::agent::InDialog;
use crate::call::{By, CallError, Command, Done, Ending, Phase};
use crate::client::{Exchange, Reply};
use crate::dialog::Dialog;
use crate::manner::{Occasion, Refusal};
use crate::script::HoldDialect;
use crate::sdp::{self, Codec, Direction, Local, Remote};
use crate::server::Incoming;
use crate::srtp::Key;
use crate::wire::{ConnectError, Link, Origin};
use refer::{Referral, next_referred};

/// No deadline.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

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
    referral: Option<Referral>,
    /// The key of a re-INVITE under way.
    new_key: Option<Key>,
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
            referral: None,
            new_key: None,
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
        let _ = self.hang_up(None).await;
        self.core.end(ending);
    }

    /// Runs the call to its end. `invite` brings what still comes for the INVITE.
    pub(crate) async fn run(mut self, mut invite: Option<mpsc::UnboundedReceiver<Reply>>) {
        let ending = loop {
            let far = Instant::now() + NEVER;
            let repeat_at = self.unacked.as_ref().map_or(far, |unacked| unacked.next);
            // RFC 3261 §14.1 and §15: neither re-INVITE nor BYE before what is open is settled.
            let free = self.unacked.is_none() && self.pending.is_none();
            let next = tokio::select! {
                Some(command) = self.core.commands.recv(), if free => self.command(command).await,
                event = self.core.inbox.recv() => self.event(event).await,
                reply = next_reply(&mut self.pending) => self.replied(reply).await,
                response = next_referred(&mut self.referral) => self.referred(response),
                reply = next_early(&mut invite) => {
                    self.repeat_ack(&reply);
                    Next::Stay
                }
                () = sleep_until(repeat_at) => self.repeat(),
                () = sleep_until(self.refresh_at.unwrap_or(far)), if free => {
                    self.refresh_at = None;
                    self.offer(self.core.local.clone(), Purpose::Refresh, None).await;
                    Next::Stay
                }
                () = sleep_until(self.hang_up_at.unwrap_or(far)), if free => self.hang_up(None).await,
            };
            if let Next::End(ending) = next {
                break ending;
            }
        };
        self.core.end(ending);
        self.settle();
    }

    /// Answers what still comes for a call that is over, as long as anything of it may.
    fn settle(mut self) {
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

    async fn command(&mut self, command: Command) -> Next {
        match command {
            Command::HangUp(from) => return self.hang_up(from).await,
            Command::Send(request, done) => {
                if let Ok(link) = self.link().await {
                    self.core
                        .send_in_dialog(&mut self.dialog, &link, request, done);
                }
            }
            Command::Refer(transfer, done) => self.refer(transfer, done).await,
            Command::Rekey(done) => self.rekey(done).await,
            // What is said to a call that rings comes too late.
            Command::Progress(_) | Command::Listen | Command::Answer(_) | Command::Reject(_) => {}
            Command::Hold(dialect, done) => {
                let mut proposed = self.core.local.clone();
                proposed.version += 1;
                proposed.direction = match dialect {
                    HoldDialect::SendOnly => Direction::SendOnly,
                    HoldDialect::RecvOnly => Direction::RecvOnly,
                    HoldDialect::Inactive => Direction::Inactive,
                    HoldDialect::BlackHole => Direction::SendRecv,
                };
                if dialect == HoldDialect::BlackHole {
                    proposed.connection = std::net::Ipv4Addr::UNSPECIFIED.into();
                }
                self.offer(proposed, Purpose::Change, Some(done)).await;
            }
            Command::Resume(done) => {
                let mut proposed = self.core.local.clone();
                proposed.version += 1;
                proposed.direction = Direction::SendRecv;
                proposed.connection = proposed.rtp.ip();
                self.offer(proposed, Purpose::Change, Some(done)).await;
            }
            Command::Reoffer(text, done) => {
                let unchanged = self.core.local.clone();
                let text = text.map(Into::into);
                self.offer_as(text, unchanged, Purpose::Change, Some(done))
                    .await;
            }
            Command::Refresh(done) => {
                self.offer(self.core.local.clone(), Purpose::Refresh, Some(done))
                    .await;
            }
        }
        Next::Stay
    }

    async fn event(&mut self, event: Option<InDialog>) -> Next {
        match event {
            None => Next::End(Ending::Stopped),
            Some(InDialog::Ack(ack)) => {
                self.acked(&ack);
                Next::Stay
            }
            Some(InDialog::Cancel) => Next::Stay,
            Some(InDialog::Request(incoming)) if incoming.request.method == Method::Refer => {
                self.asked(&incoming).await;
                Next::Stay
            }
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
        self.core.state.send_modify(|state| state.settled = true);
        if self.core.state.borrow().phase < Phase::Confirmed {
            self.confirmed();
        }
    }

    fn requested(&mut self, incoming: &Incoming) -> Next {
        let agent = Arc::clone(&self.core.agent);
        match incoming.request.method {
            Method::Bye => {
                if self.referral.as_ref().is_some_and(|one| !one.settled) {
                    agent.manner.note_left_early();
                }
                let response = agent.response(&incoming.request, 200, None, &incoming.link);
                agent.respond(incoming, response);
                return Next::End(Ending::HungUp(By::Them));
            }
            Method::Invite if self.pending.is_some() || self.unacked.is_some() => {
                agent.refuse(incoming, &Refusal::status(491));
            }
            Method::Invite => self.reinvited(incoming),
            Method::Notify => return self.notified(incoming),
            Method::Options | Method::Info | Method::Update => {
                let response = agent.response(&incoming.request, 200, None, &incoming.link);
                agent.respond(incoming, response);
            }
            Method::Ack
            | Method::Cancel
            | Method::Message
            | Method::Prack
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe
            | Method::Other(_) => agent.refuse(incoming, &Refusal::status(405)),
        }
        Next::Stay
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

    /// A connection of its own to the peer, from that address.
    async fn fresh_link(&self, from: IpAddr) -> Result<Arc<Link>, ConnectError> {
        let agent = &self.core.agent;
        let hop = agent
            .manner
            .route(&self.dialog.next_hop())
            .ok_or(ConnectError::NotConfigured)?;
        agent.wire.connect(&hop, SocketAddr::new(from, 0)).await
    }

    async fn hang_up(&mut self, from: Option<IpAddr>) -> Next {
        let agent = Arc::clone(&self.core.agent);
        let own = agent.local(self.core.side).ip();
        let from = from.or_else(|| agent.manner.hangs_up_on_new_connection().then_some(own));
        let fresh = from.is_some();
        let link = match from {
            Some(from) => self.fresh_link(from).await,
            None => self.link().await,
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
