//! The caller waits: attempts are made one after the other until one is answered.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use media_relay::{MediaCommand, MediaEvent};
use routing::Attempt;
use sdp::SessionDescription;
use sip_msg::{Class, Method, Request, Response, StatusCode};
use sip_ua::{ClientKey, ServerKey};

use super::announce::{Announcement, Farewell};
use super::attempt::{Origin, Trying};
use super::concede::Concession;
use super::early::EarlyLeg;
use super::ending::{End, Ending};
use super::redirect::Redirections;
use super::{Event, Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::failure::{self, AttemptFailure, FailureClass, Verdict};
use crate::key::Side;
use crate::leg::LegMedia;
use crate::passlist::{self, Taken};
use crate::profile::TrunkProfile;

/// The phase in which the caller's INVITE has no final response.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The caller's INVITE transaction.
    pub(crate) server: ServerKey,
    /// Its INVITE, from which each attempt is built.
    pub(crate) invite: Request,
    /// The caller's media; its ports and key stay for the whole call.
    pub(crate) media: LegMedia,
    /// What the caller offered; `None` asks us to offer (RFC 3261 §13.2.1, M-03).
    pub(crate) offer: Option<SessionDescription>,
    /// What the caller was told before the final response.
    pub(crate) early: EarlyLeg,
    /// Attempts not made yet.
    pub(crate) plan: VecDeque<Attempt>,
    /// The attempt under way.
    pub(crate) trying: Option<Trying>,
    /// How the attempts made so far ended.
    pub(crate) tried: Vec<Tried>,
    /// Where redirections have led.
    pub(crate) redirections: Redirections,
    /// What the next attempt says otherwise.
    pub(crate) concession: Option<Concession>,
    /// The caller has heard an 18x, so that another attempt would confuse it.
    pub(crate) alerted: bool,
    /// What the caller hears when no attempt comes to anything.
    pub(crate) announcement: Option<Announcement>,
    /// What the caller is answered when the announcement that it hears is over.
    pub(crate) farewell: Option<Box<Farewell>>,
}

/// How one attempt ended.
#[derive(Debug)]
pub(crate) struct Tried {
    verdict: Verdict,
    /// The final response, if one came.
    said: Option<Box<Said>>,
}

/// What a final response said.
#[derive(Debug)]
pub(super) struct Said {
    /// As its trunk means it.
    status: StatusCode,
    phrase: Bytes,
    headers: Taken<'static>,
}

impl Said {
    fn new(response: &Response, trunk: &TrunkProfile) -> Box<Self> {
        let headers = Taken::new(passlist::Phase::Failure, &response.headers, trunk);
        Box::new(Self {
            status: trunk.reasons.status(response.status),
            phrase: response.reason.clone(),
            headers: headers.into_owned(),
        })
    }
}

impl Setup {
    pub(crate) fn on(mut self: Box<Self>, core: &mut Core, head: &mut Head, event: Event) -> Phase {
        match event {
            Event::Provisional {
                client,
                dialog,
                response,
            } if self.is_trying(client) => self.progressed(core, head, dialog, &response),
            Event::Final {
                client,
                dialog,
                response,
            } if self.is_trying(client) => {
                if response.status.is_success() {
                    self.accepted(core, head, dialog, &response)
                } else if response.status.class() == Class::Redirection {
                    self.redirected(core, head, response)
                } else if self.try_again(core, head, &response) {
                    Phase::Setup(self)
                } else {
                    self.refused(core, head, response)
                }
            }
            Event::Failed { client, error } if self.is_trying(client) => {
                let spoke = self.trying.as_ref().is_some_and(|trying| trying.spoke);
                let failure = AttemptFailure::of(error, spoke);
                self.failed(core, head, failure, None)
            }
            Event::Timer(Timer::Attempt) => self.failed(core, head, AttemptFailure::Silent, None),
            // Azure has its own time for its event; meanwhile the caller hears that something goes on.
            Event::Timer(Timer::Budget) if self.trying.as_ref().is_some_and(Trying::is_cloud) => {
                self.ring_for_azure(core, head);
                Phase::Setup(self)
            }
            Event::Timer(Timer::Budget) => {
                self.failed(core, head, AttemptFailure::SetupBudget, None)
            }
            Event::Timer(Timer::NoAnswer) => {
                self.failed(core, head, AttemptFailure::NoAnswer, None)
            }
            Event::Timer(Timer::Announcement) => self.announced(core, head),
            Event::Cancelled { headers } => {
                let end = End::cancelled(&headers, &head.trunk);
                self.over(core, head, end)
            }
            Event::Request {
                server,
                side,
                request,
                ..
            } => self.asked(core, head, server, side, &request),
            Event::HangUp(end) => self.give_up(core, head, end),
            Event::PrackTimeout => self.never_pracked(core, head),
            Event::Cloud { event, .. } => self.cloud_said(core, head, event),
            Event::Media {
                side: Side::B,
                event: MediaEvent::FirstAudio { .. },
            } => {
                self.audio_began(core);
                Phase::Setup(self)
            }
            Event::Media {
                event: MediaEvent::Failed { error, .. },
                ..
            } if !error.is_harmless() => {
                let end = End::refused(StatusCode::SERVICE_UNAVAILABLE, FailureClass::Internal);
                self.give_up(core, head, end)
            }
            Event::Provisional { .. }
            | Event::Final { .. }
            | Event::Failed { .. }
            | Event::Acked { .. }
            | Event::AckTimeout
            | Event::RetryInvite { .. }
            | Event::Timer(
                Timer::Duration
                | Timer::Session(_)
                | Timer::Refresh(_)
                | Timer::Transfer
                | Timer::Closing,
            )
            | Event::Media { .. } => Phase::Setup(self),
        }
    }

    /// What a final response to the attempt under way comes to, and what it said.
    pub(super) fn failure_said(&self, response: &Response) -> (AttemptFailure, Option<Box<Said>>) {
        let said = self.said(response);
        let failure = AttemptFailure::Final {
            status: said.as_ref().map_or(response.status, |said| said.status),
            retry_after: response.headers.retry_after(),
            cause: said
                .as_ref()
                .and_then(|said| super::ending::q850(said.headers.headers())),
        };
        (failure, said)
    }

    fn try_again(&mut self, core: &mut Core, head: &Head, refusal: &Response) -> bool {
        let trying = self.trying.as_mut();
        trying.is_some_and(|trying| trying.try_again(core, head, refusal))
    }

    /// What a final response to the attempt under way said.
    pub(super) fn said(&self, response: &Response) -> Option<Box<Said>> {
        let trying = self.trying.as_ref()?;
        Some(Said::new(response, &trying.trunk))
    }

    fn is_trying(&self, client: ClientKey) -> bool {
        self.trying
            .as_ref()
            .is_some_and(|trying| trying.client == client)
    }

    /// The attempt under way came to nothing: the next one, or the end.
    pub(super) fn failed(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        failure: AttemptFailure,
        said: Option<Box<Said>>,
    ) -> Phase {
        let trying = self.trying.as_ref();
        let failure = trying.map_or(failure, |trying| trying.explain(failure));
        let mut verdict = failure::judge(&failure);
        if verdict.class == FailureClass::Timeout && said.is_none() {
            verdict.status = head.trunk.early.timeout_status;
        }
        self.pass_microsoft_over(&failure, &mut verdict);
        if let (AttemptFailure::Final { status, .. } | AttemptFailure::Cloud(status), Some(trying)) =
            (&failure, &self.trying)
            && let Some(advances) = trying.trunk.reasons.advances.get(status)
        {
            verdict.advances = *advances;
        }
        if let Some(trying) = self.trying.take() {
            if !trying.is_elsewhere() {
                core.report_health(&trying.trunk.name, trying.peer, &failure);
            }
            trying.abandon(core, head, &failure, &verdict);
        }
        self.settled(verdict, said);
        if verdict.advances && !self.alerted {
            self.advance(core, head)
        } else {
            self.exhausted(core, head)
        }
    }

    /// Where Microsoft does not carry a call, somebody else may, whatever the reason; its trunk's
    /// other peers lead to the same resource.
    fn pass_microsoft_over(&mut self, failure: &AttemptFailure, verdict: &mut Verdict) {
        let spent = matches!(
            failure,
            AttemptFailure::SetupBudget | AttemptFailure::Internal
        );
        if spent || !self.trying.as_ref().is_some_and(Trying::is_cloud) {
            return;
        }
        if !verdict.advances || matches!(failure, AttemptFailure::Cloud(_)) {
            self.plan.retain(|attempt| attempt.cloud.is_none());
        }
        verdict.advances = true;
    }

    /// An attempt has come to this.
    pub(super) fn settled(&mut self, verdict: Verdict, said: Option<Box<Said>>) {
        self.tried.push(Tried { verdict, said });
    }

    /// Makes the next attempt that can be made.
    pub(crate) fn advance(mut self: Box<Self>, core: &mut Core, head: &mut Head) -> Phase {
        while let Some(attempt) = self.plan.pop_front() {
            let caller = Arc::clone(&head.trunk);
            let concession = self.concession.take();
            let converted = concession.as_ref().and_then(Concession::speech);
            let offer = self.offer.as_ref();
            let spoken = offer.and_then(|offer| offer.audio_for(caller.srtp));
            let origin = Origin {
                trunk: &caller,
                shard: self.media.pair.shard,
                audio: converted.or(spoken),
                converted: converted.is_some(),
                invite: &self.invite,
                side: Side::B,
            };
            let dress = |invite: &mut Request| {
                if let Some(concession) = &concession {
                    concession.apply(&mut invite.headers);
                }
            };
            match Trying::start(core, head, &origin, &attempt, dress) {
                Ok(mut trying) => {
                    trying.conceded = concession.is_some();
                    core.media(MediaCommand::Join {
                        a: self.media.id,
                        b: trying.media.id,
                    });
                    core.arm(head.key, Timer::Attempt, trying.patience());
                    self.trying = Some(trying);
                    return Phase::Setup(self);
                }
                Err(failure) => {
                    let verdict = failure::judge(&failure);
                    let said = None;
                    self.tried.push(Tried { verdict, said });
                    if !verdict.advances {
                        break;
                    }
                }
            }
        }
        self.exhausted(core, head)
    }

    /// No attempt is left: the caller learns the best reason.
    fn exhausted(mut self: Box<Self>, core: &mut Core, head: &mut Head) -> Phase {
        let tried = std::mem::take(&mut self.tried);
        let best = failure::best(tried, |tried| &tried.verdict);
        // Where somebody was reached, what they said is all there is to hear.
        let unreached = best.as_ref().is_none_or(|Tried { verdict, .. }| {
            verdict.advances || verdict.class == FailureClass::Timeout
        });
        let (end, phrase) = match best {
            None => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                (End::refused(status, FailureClass::TrunkDown), None)
            }
            Some(Tried { verdict, said }) => {
                // What was said with a response that the caller does not see would contradict the
                // one that it does see.
                match said.filter(|said| said.status == verdict.status) {
                    None => (End::failed(&verdict, Taken::nothing()), None),
                    Some(said) => {
                        let phrase = passlist::carry_phrase(&said.phrase, &head.trunk);
                        (End::failed(&verdict, said.headers), phrase)
                    }
                }
            }
        };
        if unreached && !self.alerted {
            self.announce(core, head, Farewell { end, phrase })
        } else {
            self.refuse(core, head, end, phrase)
        }
    }

    /// Refuses the caller's INVITE.
    pub(super) fn give_up(self: Box<Self>, core: &mut Core, head: &mut Head, end: End) -> Phase {
        self.refuse(core, head, end, None)
    }

    pub(super) fn refuse(
        self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        end: End,
        phrase: Option<Bytes>,
    ) -> Phase {
        let status = end.status.unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE);
        let mut reply = Reply::new(status);
        reply.headers = end.headers(passlist::Phase::Failure, &head.trunk);
        reply.phrase = phrase;
        core.reply(self.server, &head.trunk, reply);
        let end = End {
            status: Some(status),
            ..end
        };
        self.over(core, head, end)
    }

    /// The INVITE has its final response: everything is given back.
    fn over(self: Box<Self>, core: &mut Core, head: &mut Head, end: End) -> Phase {
        let Self {
            media,
            trying,
            early,
            ..
        } = *self;
        if let (Some(accepted), Some(trying)) = (&early.accepted, &trying) {
            let said = end.headers(passlist::Phase::Ending, &trying.trunk);
            core.bye(accepted.dialog, said);
        }
        if let Some(trying) = trying {
            trying.cancel(core, head, &end);
        }
        let leg = media.id;
        media.close(core);
        Ending::begin(core, head, end, [leg])
    }

    /// A request within an early dialog.
    fn asked(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        server: ServerKey,
        side: Side,
        request: &Request,
    ) -> Phase {
        match (&request.method, side) {
            // RFC 3261 §15: the caller may end an early dialog with BYE.
            (Method::Bye, Side::A) => {
                core.reply(server, &head.trunk, Reply::new(StatusCode::OK));
                let reply = Reply::new(StatusCode::REQUEST_TERMINATED);
                core.reply(self.server, &head.trunk, reply);
                let end = End::cancelled(&request.headers, &head.trunk);
                self.over(core, head, end)
            }
            (Method::Prack, Side::A) => self.pracked(core, head, server, request),
            (Method::Update, _) => {
                self.updated(core, head, server, side, request);
                Phase::Setup(self)
            }
            // The called party accepted and hung up before the caller could be told.
            (Method::Bye, Side::B) if self.early.accepted.take().is_some() => {
                let trunk = self.trying.as_ref().map(|trying| Arc::clone(&trying.trunk));
                let trunk = trunk.unwrap_or_else(|| Arc::clone(&head.trunk));
                core.reply(server, &trunk, Reply::new(StatusCode::OK));
                let end = End::refused(StatusCode::TEMPORARILY_UNAVAILABLE, FailureClass::User);
                self.give_up(core, head, end)
            }
            _ => {
                let trunk = match (&self.trying, side) {
                    (Some(trying), Side::B) => &trying.trunk,
                    _ => &head.trunk,
                };
                let trunk = Arc::clone(trunk);
                core.answer_unwanted(server, &trunk, request);
                Phase::Setup(self)
            }
        }
    }
}
