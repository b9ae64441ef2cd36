//! Microsoft carries the call: its leg has answered, the called party has not.
//!
//! Azure's answer to the marker INVITE says nothing of the called party, who is dialled only then.
//! The leg is held until that party answers; its caller hears ringing meanwhile and is not answered.

use std::time::Duration;

use media_relay::{LegId, MediaEvent};
use sip_msg::{Method, Request, Response, StatusCode};
use sip_ua::{DialogKey, ServerKey};

use super::attempt::Trying;
use super::early::Accepted;
use super::ending::q850;
use super::setup::Setup;
use super::{Event, Head, Phase, Timer};
use crate::cloud::{CloudEvent, CloudRequest};
use crate::core::{Core, Reply};
use crate::failure::{AttemptFailure, Cause, status_from_cause};
use crate::io::Output;
use crate::key::{CallKey, Side};
use crate::profile::HoldMusic;

/// The phase in which Azure dials the called party.
#[derive(Debug)]
pub(crate) struct Held {
    setup: Box<Setup>,
    /// Azure's leg, confirmed.
    dialog: DialogKey,
    /// Its 2xx.
    response: Box<Response>,
}

impl Setup {
    /// Azure has answered the marker INVITE.
    pub(super) fn held(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        dialog: DialogKey,
        response: &Response,
    ) -> Phase {
        let agreed = self.trying.as_mut().is_some_and(|trying| {
            let fork = super::answer::answer_of(trying, dialog, &response.body);
            trying.forks = fork.into_iter().collect();
            !trying.forks.is_empty()
        });
        if !agreed {
            core.leave_azure(dialog, Some(Cause::BEARER_NOT_IMPLEMENTED));
            return self.failed(core, head, AttemptFailure::Negotiation, None);
        }
        core.arm_cloud(head.key);
        let rings = self.trying.as_ref().is_some_and(|trying| trying.rang);
        if rings {
            self.update_early_media(core, head);
        } else {
            self.ring_for_azure(core, head);
        }
        if let Some(trying) = &self.trying {
            // Azure gives up a leg that sends nothing.
            trying.media.play(core, HoldMusic::Silence);
        }
        Phase::Held(Box::new(Held {
            setup: self,
            dialog,
            response: Box::new(response.clone()),
        }))
    }

    /// What is over at Azure before its leg has answered, or while the caller owes a PRACK.
    pub(super) fn cloud_said(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        event: CloudEvent,
    ) -> Phase {
        let (status, reason) = match event {
            CloudEvent::Accepted {
                connection,
                correlation,
            } => {
                head.note_cloud(&connection, correlation.as_deref());
                return Phase::Setup(self);
            }
            CloudEvent::Connected => {
                if let Some(trying) = self.trying.as_mut() {
                    trying.connected = true;
                }
                return Phase::Setup(self);
            }
            CloudEvent::Failed { status, reason } => (status, reason),
            CloudEvent::Gone { reason } => (StatusCode::TEMPORARILY_UNAVAILABLE, reason),
        };
        head.note_cloud_end(&reason);
        if let Some(accepted) = self.early.accepted.take() {
            core.leave_azure(accepted.dialog, Some(Cause::NORMAL_CLEARING));
        }
        self.failed(core, head, AttemptFailure::Cloud(status), None)
    }
}

impl Held {
    pub(crate) fn on(self: Box<Self>, core: &mut Core, head: &mut Head, event: Event) -> Phase {
        match event {
            Event::Cloud {
                event: CloudEvent::Connected,
                ..
            } => (*self).connected(core, head),
            Event::Cloud {
                event:
                    CloudEvent::Accepted {
                        connection,
                        correlation,
                    },
                ..
            } => {
                head.note_cloud(&connection, correlation.as_deref());
                Phase::Held(self)
            }
            Event::Cloud { event, .. } => {
                core.leave_azure(self.dialog, Some(Cause::NORMAL_CLEARING));
                self.setup.cloud_said(core, head, event)
            }
            Event::Timer(Timer::NoAnswer | Timer::Attempt | Timer::Budget) => {
                head.note_cloud_end("nothing was heard of the called party in time");
                core.leave_azure(self.dialog, Some(Cause::NO_ANSWER));
                let failure = AttemptFailure::Cloud(StatusCode::REQUEST_TIMEOUT);
                self.setup.failed(core, head, failure, None)
            }
            Event::Request {
                server,
                side: Side::B,
                request,
            } => self.asked(core, head, server, &request),
            // Azure's own sound is not the called party's.
            Event::Media {
                side: Side::B,
                event: MediaEvent::FirstAudio { .. },
            } => Phase::Held(self),
            other @ (Event::Provisional { .. }
            | Event::Final { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Request { .. }
            | Event::Acked { .. }
            | Event::AckTimeout
            | Event::PrackTimeout
            | Event::RetryInvite { .. }
            | Event::Timer(_)
            | Event::Media { .. }
            | Event::HangUp(_)) => (*self).pass(core, head, other),
        }
    }

    /// What concerns the caller is the caller's: it may give up, or not.
    fn pass(self, core: &mut Core, head: &mut Head, event: Event) -> Phase {
        let Self {
            setup,
            dialog,
            response,
        } = self;
        match setup.on(core, head, event) {
            Phase::Setup(setup) => Phase::Held(Box::new(Self {
                setup,
                dialog,
                response,
            })),
            over @ (Phase::Held(_) | Phase::Offered(_) | Phase::Talking(_) | Phase::Ending(_)) => {
                core.leave_azure(dialog, Some(Cause::NORMAL_CLEARING));
                over
            }
        }
    }

    /// The called party has answered: the caller may be.
    fn connected(self, core: &mut Core, head: &mut Head) -> Phase {
        let Self {
            mut setup,
            dialog,
            response,
        } = self;
        core.disarm(head.key, Timer::NoAnswer);
        if let Some(trying) = &setup.trying {
            trying.media.play(core, HoldMusic::None);
        }
        if setup.owes_prack(core) {
            setup.early.accepted = Some(Accepted { dialog, response });
            return Phase::Setup(setup);
        }
        setup.answered(core, head, dialog, &response)
    }

    /// A request of Azure's leg.
    fn asked(
        self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        server: ServerKey,
        request: &Request,
    ) -> Phase {
        let trunk = self.setup.trying.as_ref().map(|trying| &trying.trunk);
        let trunk = trunk.unwrap_or(&head.trunk).clone();
        if request.method == Method::Bye {
            core.reply(server, &trunk, Reply::new(StatusCode::OK));
            core.leave_azure(self.dialog, None);
            head.note_cloud_end("Azure hung up before the called party answered");
            let cause = q850(&request.headers);
            let status = cause.map(status_from_cause);
            let status = status.filter(|_| cause != Some(Cause::NORMAL_CLEARING));
            let status = status.unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE);
            return self
                .setup
                .failed(core, head, AttemptFailure::Cloud(status), None);
        }
        let update = request.method == Method::Update;
        if update && request.body.is_empty() {
            core.reply(server, &trunk, Reply::new(StatusCode::OK).dialog(request));
        } else if update || request.method == Method::Invite {
            // What it should be told depends on a caller that has not been answered: once it has
            // been, Azure may ask again (RFC 3261 §14.2).
            core.reply(server, &trunk, Reply::new(StatusCode::REQUEST_PENDING));
        } else {
            core.answer_unwanted(server, &trunk, request);
        }
        Phase::Held(self)
    }
}

impl Head {
    /// Azure named the call.
    pub(crate) fn note_cloud(&mut self, connection: &str, correlation: Option<&str>) {
        let attempt = self.record.attempts.last_mut();
        if let Some(cloud) = attempt.and_then(|attempt| attempt.cloud.as_mut()) {
            cloud.connection = Some(connection.to_owned());
            cloud.correlation = correlation.map(str::to_owned);
        }
    }

    /// Why Microsoft does not carry the call, or no longer does.
    pub(crate) fn note_cloud_end(&mut self, reason: &str) {
        let attempt = self.record.attempts.last_mut();
        if let Some(cloud) = attempt.and_then(|attempt| attempt.cloud.as_mut()) {
            cloud.reason.get_or_insert_with(|| reason.to_owned());
        }
    }
}

/// How long Azure may say nothing but 100: longer than its event may take.
const EVENT: Duration = Duration::from_secs(12);

impl Trying {
    /// How long nothing at all may come.
    pub(crate) fn patience(&self) -> Duration {
        let limit = self.trunk.timers.attempt_timeout;
        if self.is_cloud() {
            limit.max(EVENT)
        } else {
            limit
        }
    }

    /// Whether Microsoft is to carry the call.
    pub(crate) fn is_cloud(&self) -> bool {
        self.attempt.cloud.is_some()
    }
}

impl Core {
    /// Azure is to do this.
    pub(crate) fn ask_azure(&mut self, request: CloudRequest) {
        self.outputs.push_back(Output::Cloud(request));
    }

    /// Whoever speaks to Azure may fail, and its word not come: then the attempt is over as well.
    pub(crate) fn arm_cloud(&mut self, call: CallKey) {
        let cloud = self.profiles.cloud;
        let limit = cloud.ring_timeout + cloud.setup_timeout;
        self.arm(call, Timer::NoAnswer, limit);
    }

    /// The dialog of Azure's leg is no part of the call any more: a BYE that crosses is not the next
    /// party's. Without a cause Azure has hung up itself.
    fn leave_azure(&mut self, dialog: DialogKey, bye: Option<Cause>) {
        self.index.disown_dialog(dialog);
        if let Some(cause) = bye {
            self.bye(dialog, cause.into());
        }
    }

    /// A leg that Azure may have carried on is over.
    pub(crate) fn release_cloud(&mut self, leg: LegId) {
        if let Some(carried) = self.clouds.end(leg) {
            let connection = carried.connection;
            self.ask_azure(CloudRequest::Release { leg, connection });
        }
    }
}
