//! The caller waits: attempts are made one after the other until one is answered.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use media_relay::MediaEvent;
use routing::Attempt;
use sdp::{Negotiated, SessionDescription};
use sip_msg::{Method, Request, StatusCode};
use sip_ua::{ClientFailure, ClientKey, ServerKey};

use super::attempt::Trying;
use super::ending::{End, Ending};
use super::{Event, Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::failure::{self, AttemptFailure, FailureClass, Verdict};
use crate::key::Side;
use crate::leg::LegMedia;

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
    /// The answer the caller was given in a provisional response; it binds the final one (U-07).
    pub(crate) early: Option<EarlyAnswer>,
    /// Attempts not made yet.
    pub(crate) plan: VecDeque<Attempt>,
    /// The attempt under way.
    pub(crate) trying: Option<Trying>,
    /// How the attempts made so far ended.
    pub(crate) verdicts: Vec<Verdict>,
    /// The caller has heard an 18x, so that another attempt would confuse it.
    pub(crate) alerted: bool,
}

/// An answer given to the caller before the final response.
#[derive(Clone, Debug)]
pub(crate) struct EarlyAnswer {
    pub(crate) body: Bytes,
    pub(crate) negotiated: Negotiated,
}

impl Setup {
    pub(crate) fn on(self: Box<Self>, core: &mut Core, head: &mut Head, event: Event) -> Phase {
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
                } else {
                    let failure = AttemptFailure::Final {
                        status: response.status,
                        retry_after: response.headers.retry_after(),
                        cause: super::ending::q850(&response.headers.reason()),
                    };
                    self.failed(core, head, failure)
                }
            }
            Event::Failed { client, error } if self.is_trying(client) => {
                let failure = self.failure_of(error);
                self.failed(core, head, failure)
            }
            Event::Timer(Timer::Attempt) => self.failed(core, head, AttemptFailure::Silent),
            Event::Timer(Timer::Budget) => self.failed(core, head, AttemptFailure::SetupBudget),
            Event::Timer(Timer::NoAnswer) => self.failed(core, head, AttemptFailure::NoAnswer),
            Event::Cancelled { reason } => self.over(core, head, End::cancelled(&reason)),
            Event::Request {
                server,
                side,
                request,
                ..
            } => self.asked(core, head, server, side, &request),
            Event::HangUp(end) => self.give_up(core, head, end),
            Event::Media {
                event: MediaEvent::Failed { .. },
                ..
            } => {
                let end = End::refused(StatusCode::SERVICE_UNAVAILABLE, FailureClass::Internal);
                self.give_up(core, head, end)
            }
            Event::Provisional { .. }
            | Event::Final { .. }
            | Event::Failed { .. }
            | Event::Acked { .. }
            | Event::AckTimeout
            | Event::RetryInvite { .. }
            | Event::Timer(Timer::Duration | Timer::Session(_) | Timer::Closing)
            | Event::Media { .. } => Phase::Setup(self),
        }
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
    ) -> Phase {
        let verdict = failure::judge(&failure);
        if let Some(trying) = self.trying.take() {
            core.report_health(&trying.trunk.name, trying.peer, &failure);
            trying.abandon(core, head, &failure, &verdict);
        }
        self.verdicts.push(verdict);
        if verdict.advances && !self.alerted {
            self.advance(core, head)
        } else {
            self.exhausted(core, head)
        }
    }

    /// Makes the next attempt that can be made.
    pub(crate) fn advance(mut self: Box<Self>, core: &mut Core, head: &mut Head) -> Phase {
        while let Some(attempt) = self.plan.pop_front() {
            match Trying::start(core, head, &self, &attempt) {
                Ok(trying) => {
                    core.arm(
                        head.key,
                        Timer::Attempt,
                        trying.trunk.timers.attempt_timeout,
                    );
                    self.trying = Some(trying);
                    return Phase::Setup(self);
                }
                Err(failure) => {
                    let verdict = failure::judge(&failure);
                    self.verdicts.push(verdict);
                    if !verdict.advances {
                        break;
                    }
                }
            }
        }
        self.exhausted(core, head)
    }

    /// No attempt is left: the caller learns the best reason.
    fn exhausted(self: Box<Self>, core: &mut Core, head: &mut Head) -> Phase {
        let verdict = failure::best(&self.verdicts).copied();
        let end = match verdict {
            Some(verdict) => End::failed(&verdict),
            None => End::refused(StatusCode::SERVICE_UNAVAILABLE, FailureClass::TrunkDown),
        };
        self.give_up(core, head, end)
    }

    /// Refuses the caller's INVITE.
    fn give_up(self: Box<Self>, core: &mut Core, head: &mut Head, end: End) -> Phase {
        let status = end.status.unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE);
        let reply = Reply::new(status).reason(&end.reason());
        core.reply(self.server, &head.trunk, reply);
        let end = End {
            status: Some(status),
            ..end
        };
        self.over(core, head, end)
    }

    /// The INVITE has its final response: everything is given back.
    fn over(self: Box<Self>, core: &mut Core, head: &mut Head, end: End) -> Phase {
        let Self { media, trying, .. } = *self;
        if let Some(trying) = trying {
            trying.cancel(core, head, &end);
        }
        let leg = media.id;
        media.close(core);
        Ending::begin(core, head, end, [leg])
    }

    /// A request within an early dialog.
    fn asked(
        self: Box<Self>,
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
                let reasons = request.headers.reason();
                let reply = Reply::new(StatusCode::REQUEST_TERMINATED);
                core.reply(self.server, &head.trunk, reply);
                self.over(core, head, End::cancelled(&reasons))
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

impl Setup {
    fn failure_of(&self, error: ClientFailure) -> AttemptFailure {
        let spoke = self.trying.as_ref().is_some_and(|trying| trying.spoke);
        match error {
            ClientFailure::TimedOut if spoke => AttemptFailure::TimerC,
            ClientFailure::TimedOut => AttemptFailure::Silent,
            ClientFailure::Transport(error) => AttemptFailure::Transport(error),
            ClientFailure::NoHop(_) => AttemptFailure::NoHop,
            ClientFailure::TooMany | ClientFailure::Cancelled | ClientFailure::Incomplete => {
                AttemptFailure::Internal
            }
        }
    }
}
