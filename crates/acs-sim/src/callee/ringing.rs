//! A call between its INVITE and its final response.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_msg::{HeaderName, Method, Response};
use tokio::time::{Instant, sleep_until};

use super::{Offered, second};
use crate::agent::{Agent, InDialog};
use crate::call::{By, Command, Ending, Phase};
use crate::dialog::{Dialog, raw};
use crate::live::{Core, Established, Live};
use crate::manner::{Refusal, add};
use crate::script::{Answer, Behaviour, Endpoint, Provisional, Rejection};
use crate::sdp::Remote;
use crate::server::Incoming;

const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How the script ends.
enum Finale {
    Answer(Answer),
    Refuse(Refusal),
    Never,
}

/// A reliable provisional response which no PRACK has acknowledged (RFC 3262 §3).
struct Unpracked {
    rseq: u32,
    bytes: Bytes,
    next: Instant,
    pause: Duration,
}

/// A call between its INVITE and its final response.
pub(super) struct Ringing {
    core: Core,
    incoming: Incoming,
    offered: Offered,
    dialog: Dialog,
    began: Instant,
    provisionals: VecDeque<Provisional>,
    finale: Finale,
    final_at: Option<Instant>,
    /// Tags of other endpoints, by number.
    tags: BTreeMap<u8, String>,
    rseq: u32,
    unpracked: Option<Unpracked>,
}

fn refusal(rejection: Rejection) -> Refusal {
    Refusal {
        reason: rejection.reason,
        retry_after: rejection.retry_after,
        headers: rejection.headers,
        close: rejection.close,
        ..Refusal::status(rejection.status)
    }
}

impl Ringing {
    pub(super) fn new(
        core: Core,
        incoming: Incoming,
        offered: Offered,
        behaviour: Behaviour,
    ) -> Self {
        let began = Instant::now();
        let (provisionals, finale, after) = match behaviour {
            Behaviour::Answer(mut answer) => {
                let provisionals = std::mem::take(&mut answer.provisionals);
                let after = answer.after;
                (provisionals, Finale::Answer(answer), Some(after))
            }
            Behaviour::Reject(mut rejection) => {
                let provisionals = std::mem::take(&mut rejection.provisionals);
                let after = rejection.after;
                (
                    provisionals,
                    Finale::Refuse(refusal(rejection)),
                    Some(after),
                )
            }
            Behaviour::NeverAnswer { ring: true } => (
                vec![Provisional::ringing(Duration::ZERO)],
                Finale::Never,
                None,
            ),
            Behaviour::NeverAnswer { ring: false }
            | Behaviour::Manual { .. }
            | Behaviour::Ignore => (Vec::new(), Finale::Never, None),
        };
        let local = core.agent.advertised(&incoming.link);
        let contact = core
            .agent
            .manner
            .contact(incoming.request.uri.user(), local);
        Self {
            dialog: Dialog::of_callee(&incoming.request, &core.id.local_tag, &contact),
            final_at: after.map(|after| began + after),
            provisionals: provisionals.into(),
            core,
            incoming,
            offered,
            began,
            finale,
            tags: BTreeMap::new(),
            rseq: 0,
            unpracked: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let far = Instant::now() + NEVER;
            let next = self
                .provisionals
                .front()
                .map_or(far, |next| self.began + next.after);
            // RFC 3262 §3: no second reliable response, and no 2xx, before the first's PRACK.
            let free = self.unpracked.is_none();
            let repeat_at = self.unpracked.as_ref().map_or(far, |sent| sent.next);
            tokio::select! {
                biased;
                event = self.core.inbox.recv() => match event {
                    Some(InDialog::Cancel) => {
                        self.core.state.send_modify(|state| state.cancelled = true);
                        match &self.finale {
                            Finale::Answer(answer) if answer.crossing_cancel => {
                                return self.finish().await;
                            }
                            Finale::Answer(_) | Finale::Refuse(_) | Finale::Never => {
                                return self.cancelled();
                            }
                        }
                    }
                    Some(InDialog::Request(incoming)) => self.early_request(&incoming),
                    Some(InDialog::Ack(_)) => {}
                    None => return,
                },
                Some(command) = self.core.commands.recv() => {
                    if let Some(finale) = self.command(command) {
                        self.finale = finale;
                        return self.finish().await;
                    }
                }
                () = sleep_until(repeat_at) => self.repeat(),
                () = sleep_until(next), if free => {
                    if let Some(step) = self.provisionals.pop_front() {
                        self.provisional(&step);
                    }
                }
                () = sleep_until(self.final_at.unwrap_or(far)), if free => {
                    return self.finish().await;
                }
            }
        }
    }

    /// Does what is asked; gives the end of the call, if that is what is asked.
    fn command(&mut self, command: Command) -> Option<Finale> {
        match command {
            Command::HangUp(_) => return Some(Finale::Refuse(Refusal::status(486))),
            Command::Reject(rejection) => return Some(Finale::Refuse(refusal(rejection))),
            Command::Answer(headers) => {
                return Some(Finale::Answer(Answer {
                    headers,
                    ..Answer::default()
                }));
            }
            Command::Progress(step) => self.provisional(&step),
            Command::Listen => {
                if let Some(remote) = &self.offered.remote {
                    self.core.follow(remote, self.offered.codec);
                }
            }
            Command::Send(request, done) => {
                let link = Arc::clone(&self.incoming.link);
                self.core
                    .send_in_dialog(&mut self.dialog, &link, request, done);
            }
            // What a confirmed call can do, this one cannot yet: whoever asked is told so.
            Command::Hold(..)
            | Command::Resume(_)
            | Command::Refresh(_)
            | Command::Rekey(_)
            | Command::Reoffer(..)
            | Command::Refer(..) => {}
        }
        None
    }

    /// A request within the early dialog: the PRACK of a reliable response, or something out of
    /// place.
    fn early_request(&mut self, incoming: &Incoming) {
        let agent = Arc::clone(&self.core.agent);
        let request = &incoming.request;
        let known = matches!(
            request.method,
            Method::Prack | Method::Update | Method::Info
        );
        if !known {
            return agent.refuse(incoming, &Refusal::status(405));
        }
        if request.method == Method::Prack {
            let rack = request.headers.rack().ok().flatten();
            let rseq = rack.map(|rack| rack.rseq);
            if self.unpracked.as_ref().map(|sent| sent.rseq) != rseq {
                return agent.refuse(incoming, &Refusal::status(481));
            }
            self.unpracked = None;
            self.core.state.send_modify(|state| state.pracks += 1);
        }
        let response = agent.response(request, 200, None, &incoming.link);
        agent.respond(incoming, response);
    }

    fn provisional(&mut self, step: &Provisional) {
        let tag = match step.endpoint {
            Endpoint::Answering => self.core.id.local_tag.clone(),
            Endpoint::Passing => crate::random::token(),
            Endpoint::Numbered(number) => self
                .tags
                .entry(number)
                .or_insert_with(crate::random::token)
                .clone(),
        };
        let agent = Arc::clone(&self.core.agent);
        let request = &self.incoming.request;
        if step.status == 100 {
            let trying = agent.response(request, 100, None, &self.incoming.link);
            agent.respond(&self.incoming, trying);
            return;
        }
        let mut response = agent.response(request, step.status, Some(&tag), &self.incoming.link);
        self.complete(&mut response);
        add(&mut response.headers, &step.headers);
        if step.reliable {
            self.rseq += 1;
            response.headers.push(HeaderName::Require, "100rel");
            response
                .headers
                .push(HeaderName::RSeq, self.rseq.to_string());
        }
        if step.early_media
            && let Some(remote) = &self.offered.remote
        {
            response.set_body("application/sdp", self.core.local.to_bytes());
            self.core.follow(remote, self.offered.codec);
        }
        let bytes = agent.respond(&self.incoming, response);
        if step.reliable {
            let pause = agent.timers.t1;
            self.unpracked = Some(Unpracked {
                rseq: self.rseq,
                bytes,
                next: Instant::now() + pause,
                pause,
            });
        }
        self.core
            .state
            .send_modify(|state| state.phase = Phase::Ringing);
    }

    fn repeat(&mut self) {
        if let Some(sent) = &mut self.unpracked {
            let link = &self.incoming.link;
            self.core.agent.transmit_bytes(&sent.bytes, link);
            sent.pause *= 2;
            sent.next = Instant::now() + sent.pause;
        }
    }

    fn complete(&self, response: &mut Response) {
        response
            .headers
            .push(HeaderName::Contact, self.dialog.contact.clone());
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
            Finale::Answer(answer) => self.answer(answer).await,
            Finale::Refuse(refusal) => self.refuse(refusal),
            Finale::Never => {}
        }
    }

    async fn answer(self, answer: Answer) {
        let agent: Arc<Agent> = Arc::clone(&self.core.agent);
        let tag = self.core.id.local_tag.clone();
        let mut response =
            agent.response(&self.incoming.request, 200, Some(&tag), &self.incoming.link);
        self.complete(&mut response);
        add(&mut response.headers, &answer.headers);
        let contact = raw(&response.headers, &HeaderName::Contact);
        response.set_body("application/sdp", self.core.local.to_bytes());
        let Self {
            core,
            incoming,
            offered,
            mut dialog,
            began,
            ..
        } = self;
        if let Some(remote) = &offered.remote {
            core.follow(remote, offered.codec);
        }
        let bytes = agent.respond(&incoming, response);
        core.state.send_modify(|state| {
            state.phase = Phase::Answered;
            state.setup = Some(began.elapsed());
        });
        if let Some(after) = answer.second_after {
            let config = answer.media.unwrap_or_else(|| agent.media.clone());
            second::begin(&agent, incoming.clone(), offered.clone(), config, after);
        }
        dialog.contact = contact;
        let call = Established {
            dialog,
            link: Arc::clone(&incoming.link),
            remote: offered.remote.unwrap_or_else(Remote::nowhere),
            codec: offered.codec,
            answered_by_them: false,
            hang_up_after: answer.hang_up_after,
        };
        let mut live = Live::new(core, call);
        live.answered(&incoming, bytes);
        live.run(None).await;
    }
}
