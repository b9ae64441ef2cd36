//! Taking a call as the script says: provisional responses, then the final one (RFC 3261 §13.3).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_msg::{HeaderName, Response};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::agent::{Agent, InDialog};
use crate::call::{By, CallHandle, Command, Ending, Parties, Phase};
use crate::caller::description;
use crate::dialog::{Dialog, DialogId, raw};
use crate::live::{Core, Established, Live};
use crate::manner::{Described, Refusal, Role};
use crate::media::MediaSession;
use crate::script::{Behaviour, Provisional};
use crate::sdp::{self, Codec, Remote};
use crate::server::Incoming;

const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Treats a new INVITE in a task of its own.
pub(crate) fn begin(agent: Arc<Agent>, incoming: Incoming) {
    let keeper = Arc::clone(&agent);
    let task = tokio::spawn(take(agent, incoming));
    keeper.keep(task.abort_handle());
}

/// How the script ends.
enum Finale {
    Answer { hang_up_after: Option<Duration> },
    Refuse(Refusal),
    Never,
}

async fn take(agent: Arc<Agent>, incoming: Incoming) {
    let called = incoming.request.uri.user().unwrap_or_default().to_owned();
    let behaviour = agent.manner.behaviour(&called);
    if behaviour == Behaviour::Ignore {
        return;
    }
    let trying = agent.response(&incoming.request, 100, None, &incoming.link);
    agent.respond(&incoming, trying);
    let body = incoming.request.body.clone();
    let parsed = sdp::parse(&body);
    let delayed = body.is_empty();
    let described = Described {
        body: &body,
        parsed: &parsed,
        role: Role::Offer,
        previous: None,
    };
    if let Some(refusal) = agent.manner.judge_description(&described) {
        return agent.refuse(&incoming, &refusal);
    }
    let remote = parsed.ok();
    let Ok(media) = MediaSession::open(&agent.media, agent.tap.clone()).await else {
        return agent.refuse(&incoming, &Refusal::status(500));
    };
    let media = Arc::new(media);
    let mut local = description(&media, &agent.media, agent.manner.microsoft_sdp());
    let mut codec = Codec::Pcmu;
    if let Some(remote) = &remote {
        let secure = local.crypto.is_some();
        let Some(common) = remote.first_codec(&agent.media.codecs) else {
            return agent.refuse(&incoming, &Refusal::status(488));
        };
        if secure != remote.secure() || (secure && remote.usable_crypto().is_none()) {
            return agent.refuse(&incoming, &Refusal::status(488));
        }
        codec = common;
        answer(&mut local, remote, codec);
    } else if !delayed {
        return agent.refuse(&incoming, &Refusal::status(488));
    }
    let tag = crate::random::token();
    let id = DialogId {
        call_id: raw(&incoming.request.headers, &HeaderName::CallId),
        local_tag: tag,
    };
    let caller = incoming.request.headers.from().ok();
    let caller = caller
        .and_then(|from| from.uri.user().map(str::to_owned))
        .unwrap_or_default();
    let parties = Parties {
        caller,
        called,
        call_id: id.call_id.clone(),
        outgoing: false,
    };
    let (handle, commands, state) = CallHandle::new(parties, Arc::clone(&media));
    let (sender, inbox) = mpsc::unbounded_channel();
    agent.register(id.clone(), sender.clone());
    agent.on_cancel(&incoming, sender);
    agent.manner.announce(handle);
    let side = match incoming.link.origin {
        crate::wire::Origin::Theirs { listener } => listener,
        crate::wire::Origin::Ours => 0,
    };
    let core = Core {
        agent,
        media,
        state,
        commands,
        inbox,
        id,
        side,
        local,
    };
    Ringing::new(core, incoming, remote, codec, behaviour)
        .run()
        .await;
}

/// Turns a full description into the answer to `remote`.
fn answer(local: &mut sdp::Local, remote: &Remote, codec: Codec) {
    local.codecs = vec![codec];
    local.answering();
    local.telephone_event = remote.telephone_event();
    local.rtcp_mux &= remote.rtcp_mux;
    local.direction = remote.direction.reversed();
    if let (Some((tag, _)), Some(line)) = (&mut local.crypto, remote.usable_crypto()) {
        *tag = line.tag;
    }
}

/// A call between its INVITE and its final response.
struct Ringing {
    core: Core,
    incoming: Incoming,
    remote: Option<Remote>,
    codec: Codec,
    contact: String,
    began: Instant,
    provisionals: VecDeque<Provisional>,
    finale: Finale,
    final_at: Option<Instant>,
}

impl Ringing {
    fn new(
        core: Core,
        incoming: Incoming,
        remote: Option<Remote>,
        codec: Codec,
        behaviour: Behaviour,
    ) -> Self {
        let began = Instant::now();
        let (provisionals, finale, after) = match behaviour {
            Behaviour::Answer {
                provisionals,
                after,
                hang_up_after,
            } => (provisionals, Finale::Answer { hang_up_after }, Some(after)),
            Behaviour::Reject {
                provisionals,
                after,
                status,
                reason,
                retry_after,
            } => {
                let refusal = Refusal {
                    reason,
                    retry_after,
                    ..Refusal::status(status)
                };
                (provisionals, Finale::Refuse(refusal), Some(after))
            }
            Behaviour::NeverAnswer { ring: true } => (
                vec![Provisional::ringing(Duration::ZERO)],
                Finale::Never,
                None,
            ),
            Behaviour::NeverAnswer { ring: false } | Behaviour::Ignore => {
                (Vec::new(), Finale::Never, None)
            }
        };
        let final_at = after.map(|after| began + after);
        let local = core.agent.advertised(&incoming.link);
        let contact = core
            .agent
            .manner
            .contact(incoming.request.uri.user(), local);
        let provisionals = provisionals.into();
        Self {
            core,
            incoming,
            remote,
            codec,
            contact,
            began,
            provisionals,
            finale,
            final_at,
        }
    }

    async fn run(mut self) {
        loop {
            let far = Instant::now() + NEVER;
            let next = self
                .provisionals
                .front()
                .map_or(far, |next| self.began + next.after);
            tokio::select! {
                biased;
                event = self.core.inbox.recv() => match event {
                    Some(InDialog::Cancel) => return self.cancelled(),
                    Some(InDialog::Request(incoming)) => {
                        self.core.agent.refuse(&incoming, &Refusal::status(405));
                    }
                    Some(InDialog::Ack(_)) => {}
                    None => return,
                },
                Some(command) = self.core.commands.recv() => {
                    if let Command::HangUp = command {
                        return self.refuse(Refusal::status(486));
                    }
                }
                () = sleep_until(next) => self.provisional(),
                () = sleep_until(self.final_at.unwrap_or(far)) => return self.finish().await,
            }
        }
    }

    fn provisional(&mut self) {
        let Some(step) = self.provisionals.pop_front() else {
            return;
        };
        let fork = crate::random::token();
        let tag = if step.own_tag {
            &fork
        } else {
            &self.core.id.local_tag
        };
        let agent = &self.core.agent;
        let mut response = agent.response(
            &self.incoming.request,
            step.status,
            Some(tag),
            &self.incoming.link,
        );
        self.complete(&mut response);
        if step.early_media
            && let Some(remote) = &self.remote
        {
            response.set_body("application/sdp", self.core.local.to_bytes());
            self.core.follow(remote, self.codec);
        }
        agent.respond(&self.incoming, response);
        self.core
            .state
            .send_modify(|state| state.phase = Phase::Ringing);
    }

    fn complete(&self, response: &mut Response) {
        response
            .headers
            .push(HeaderName::Contact, self.contact.clone());
    }

    fn cancelled(self) {
        let Self { core, incoming, .. } = self;
        let tag = core.id.local_tag.clone();
        let response = core
            .agent
            .response(&incoming.request, 487, Some(&tag), &incoming.link);
        core.agent.respond(&incoming, response);
        core.end(Ending::Cancelled(By::Them));
    }

    fn refuse(self, refusal: Refusal) {
        let Self { core, incoming, .. } = self;
        let tag = core.id.local_tag.clone();
        let response = core
            .agent
            .refusal(&incoming.request, &refusal, Some(&tag), &incoming.link);
        let phrase = String::from_utf8_lossy(&response.reason).into_owned();
        core.agent.respond(&incoming, response);
        if refusal.close {
            incoming.link.close();
        }
        core.end(Ending::Rejected {
            status: refusal.status,
            phrase,
            reason: refusal.reason,
        });
    }

    async fn finish(mut self) {
        let finale = std::mem::replace(&mut self.finale, Finale::Never);
        match finale {
            Finale::Answer { hang_up_after } => self.answer(hang_up_after).await,
            Finale::Refuse(refusal) => self.refuse(refusal),
            Finale::Never => {}
        }
    }

    async fn answer(self, hang_up_after: Option<Duration>) {
        let agent = Arc::clone(&self.core.agent);
        let tag = self.core.id.local_tag.clone();
        let mut response =
            agent.response(&self.incoming.request, 200, Some(&tag), &self.incoming.link);
        self.complete(&mut response);
        let contact = raw(&response.headers, &HeaderName::Contact);
        response.set_body("application/sdp", self.core.local.to_bytes());
        let Self {
            core,
            incoming,
            remote,
            codec,
            began,
            ..
        } = self;
        if let Some(remote) = &remote {
            core.follow(remote, codec);
        }
        let bytes: Bytes = agent.respond(&incoming, response);
        core.state.send_modify(|state| {
            state.phase = Phase::Answered;
            state.setup = Some(began.elapsed());
        });
        let call = Established {
            dialog: Dialog::of_callee(&incoming.request, &tag, &contact),
            link: Arc::clone(&incoming.link),
            remote: remote.unwrap_or_else(Remote::nowhere),
            codec,
            answered_by_them: false,
            hang_up_after,
        };
        let mut live = Live::new(core, call);
        live.answered(&incoming, bytes);
        live.run(None).await;
    }
}
