//! Both legs are agreed on their media.

use std::sync::Arc;

use media_relay::{MediaCommand, MediaEvent};
use sip_msg::{Method, Request, Response, StatusCode};
use sip_ua::{ClientKey, ServerKey};

use super::ending::{End, Ending};
use super::transfer::{Concern, Transfer};
use super::{Event, Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::failure::{Cause, FailureClass};
use crate::key::Side;
use crate::leg::{Exchange, Flows, Leg};
use crate::profile::HoldMusic;

/// The phase of an answered call.
#[derive(Debug)]
pub(crate) struct Talking {
    pub(crate) a: Leg,
    pub(crate) b: Leg,
    /// Something happened since the call was last written down.
    pub(crate) changed: bool,
    /// The call was written down at least once.
    pub(crate) saved: bool,
    /// One party is being replaced.
    pub(crate) transfer: Option<Box<Transfer>>,
}

impl Talking {
    pub(crate) fn begin(core: &mut Core, head: &mut Head, mut a: Leg, mut b: Leg) -> Phase {
        a.recode = a.outruns(&b);
        for leg in [&mut a, &mut b] {
            leg.upkeep.begin(core, head.key, leg.side);
            leg.session.keep_little();
        }
        let longest = [a.trunk.timers.max_duration, b.trunk.timers.max_duration];
        if let Some(longest) = longest.into_iter().flatten().min() {
            core.arm(head.key, Timer::Duration, longest);
        }
        let mut talking = Self {
            a,
            b,
            changed: true,
            saved: false,
            transfer: None,
        };
        talking.note_codecs(head);
        talking.update_media(core);
        talking.settle(core, head);
        Phase::Talking(Box::new(talking))
    }

    /// Counts the time of a call of which one party was replaced: from the answer for the one that
    /// stays, so that no number of transfers makes a call endless, and from now for the new one.
    pub(crate) fn limit_duration_anew(&self, core: &mut Core, head: &Head, new: Side) {
        let since = head.record.answered.unwrap_or(core.now.wall);
        let spent = core.now.wall.saturating_since(since);
        let stays = self.leg(new.other()).trunk.timers.max_duration;
        let longest = [
            stays.map(|longest| longest.saturating_sub(spent)),
            self.leg(new).trunk.timers.max_duration,
        ];
        match longest.into_iter().flatten().min() {
            Some(longest) => core.arm(head.key, Timer::Duration, longest),
            None => core.disarm(head.key, Timer::Duration),
        }
    }

    pub(crate) fn on(mut self: Box<Self>, core: &mut Core, head: &mut Head, event: Event) -> Phase {
        self.changed |= !matches!(event, Event::Media { .. } | Event::Timer(_));
        let event = match self.transfer_on(core, head, event) {
            Concern::Transfer(phase) => return phase,
            Concern::Other(talking, event) => {
                self = talking;
                event
            }
        };
        match event {
            Event::Request {
                server,
                side,
                request,
                ..
            } => {
                return self.asked(core, head, server, side, &request);
            }
            Event::Acked { side, ack, .. } => {
                if !self.acked(core, side, &ack) {
                    let end = End::gateway(FailureClass::Protocol, Cause::BEARER_NOT_IMPLEMENTED);
                    return self.hang_up(core, head, end, None);
                }
            }
            Event::AckTimeout => {
                let end = End::gateway(FailureClass::Timeout, Cause::TIMER_EXPIRY);
                return self.hang_up(core, head, end, None);
            }
            Event::Final {
                client, response, ..
            } => {
                if let Err(side) = self.answered(core, head, client, &response) {
                    return self.hang_up(core, head, End::lost(side), None);
                }
            }
            Event::Failed { client, .. } => {
                // RFC 3261 §12.2.1.2: no response to a request within a dialog ends the dialog.
                if let Some(side) = self.offering(client).or(self.updating(client)) {
                    return self.hang_up(core, head, End::lost(side), None);
                }
            }
            Event::RetryInvite { side } => {
                let leg = self.leg_mut(side);
                if matches!(leg.exchange, Exchange::Retrying) {
                    leg.exchange = Exchange::Idle;
                }
            }
            Event::Timer(Timer::Duration) => {
                let end = End::gateway(FailureClass::Policy, Cause::NORMAL_CLEARING);
                return self.hang_up(core, head, end, None);
            }
            Event::Timer(Timer::Session(side)) => {
                return self.hang_up(core, head, End::lost(side), None);
            }
            Event::Timer(Timer::Refresh(side)) => self.leg_mut(side).upkeep.due(),
            Event::Media {
                side,
                event:
                    MediaEvent::Dtmf {
                        digit,
                        duration_ms,
                        in_band,
                        ..
                    },
            } => self.pressed(core, side, (digit, duration_ms), in_band),
            Event::Media { side, event, .. } => {
                self.changed |= matches!(event, MediaEvent::LegState { .. });
                if let Some(end) = heard_of_media(core, head, side, event) {
                    return self.hang_up(core, head, end, None);
                }
            }
            Event::Cloud { side, event } => {
                if let Some(end) = End::of_cloud(head, side, event) {
                    return self.hang_up(core, head, end, None);
                }
            }
            Event::HangUp(end) => return self.hang_up(core, head, end, None),
            Event::Provisional { .. }
            | Event::Cancelled { .. }
            | Event::PrackTimeout
            | Event::Timer(_) => {}
        }
        self.settle(core, head);
        Phase::Talking(self)
    }

    /// Whether the caller has acknowledged the answer.
    pub(crate) fn is_acknowledged(&self) -> bool {
        !matches!(self.a.exchange, Exchange::AwaitAck { .. })
    }

    pub(crate) fn leg(&self, side: Side) -> &Leg {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    pub(crate) fn leg_mut(&mut self, side: Side) -> &mut Leg {
        self.pair(side).0
    }

    /// The leg on `side`, and the one across.
    pub(crate) fn pair(&mut self, side: Side) -> (&mut Leg, &mut Leg) {
        match side {
            Side::A => (&mut self.a, &mut self.b),
            Side::B => (&mut self.b, &mut self.a),
        }
    }

    /// A request within one of the dialogs.
    fn asked(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        server: ServerKey,
        side: Side,
        request: &Request,
    ) -> Phase {
        let trunk = Arc::clone(&self.leg(side).trunk);
        if request.method == Method::Bye {
            core.reply(server, &trunk, Reply::new(StatusCode::OK));
            let end = End::bye(side, &request.headers, &trunk);
            return self.hang_up(core, head, end, Some(side));
        }
        let allowed = trunk.allow_methods.contains(&request.method);
        let method = &request.method;
        if *method == Method::Invite || (*method == Method::Update && allowed) {
            self.asked_anew(core, head, server, side, request);
        } else if *method == Method::Info && allowed {
            self.informed(core, server, side, request);
        } else {
            core.answer_unwanted(server, &trunk, request);
        }
        self.settle(core, head);
        Phase::Talking(self)
    }

    /// The final response to a request of ours; an error names the side whose dialog is gone.
    fn answered(
        &mut self,
        core: &mut Core,
        head: &Head,
        client: ClientKey,
        response: &Response,
    ) -> Result<(), Side> {
        if let Some(side) = self.offering(client) {
            let lives = self.reinvited(core, head, side, response);
            return if lives { Ok(()) } else { Err(side) };
        }
        if let Some(side) = self.updating(client) {
            let lives = self.updated(core, head, side, response);
            return if lives { Ok(()) } else { Err(side) };
        }
        Ok(())
    }

    /// Tells both legs' shards what holds now, and asks where their streams stand: with another key
    /// they begin anew.
    pub(crate) fn update_media(&mut self, core: &mut Core) {
        for side in [Side::A, Side::B] {
            let (own, across) = self.pair(side);
            let direction = own.session.negotiated.direction;
            let music = own.entertainment(across);
            let heard = across.session.intends.sends() || music != HoldMusic::None;
            let flows = Flows {
                send: direction.sends() && heard,
                receive: own.listens() && across.session.intends.receives(),
            };
            own.listening = own.listens();
            let remotes = [&own.session.negotiated];
            let across = Some(&across.session.negotiated);
            let params = own.media.answered(&own.trunk, &remotes, across, flows);
            own.media.update(core, params);
            if std::mem::replace(&mut own.playing, music) != music {
                own.media.play(core, music);
            }
            let leg = own.media.id;
            core.media(MediaCommand::Checkpoint { leg });
        }
    }

    pub(super) fn note_codecs(&self, head: &mut Head) {
        for leg in [&self.a, &self.b] {
            let media = match leg.side {
                Side::A => head.record.media_a.get_or_insert_default(),
                Side::B => head.record.media_b.get_or_insert_default(),
            };
            let negotiated = &leg.session.negotiated;
            media.codec = Some(negotiated.voice().format.encoding.to_string());
            media.srtp = negotiated.outbound.is_some();
        }
    }

    /// Ends the call; `gone` is the side that said so itself.
    pub(crate) fn hang_up(
        self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        end: End,
        gone: Option<Side>,
    ) -> Phase {
        self.note_codecs(head);
        let Self {
            a,
            b,
            saved,
            transfer,
            ..
        } = *self;
        let legs = [a.media.id, b.media.id];
        if let Some(transfer) = transfer {
            transfer.abandon(core, head, &end);
        }
        for leg in [a, b] {
            let bye = gone != Some(leg.side);
            leg.end(core, bye.then_some(&end));
        }
        if saved {
            core.forget_checkpoint(head.key);
        }
        Ending::begin(core, head, end, legs)
    }
}

/// What a media event means for the call: its end, or nothing.
fn heard_of_media(core: &mut Core, head: &mut Head, side: Side, event: MediaEvent) -> Option<End> {
    match event {
        MediaEvent::Silence { .. } => {
            let by_us = End::gateway(FailureClass::Timeout, Cause::TIMER_EXPIRY);
            Some(by_us)
        }
        MediaEvent::Failed { error, .. } if error.is_harmless() => None,
        MediaEvent::Failed { .. } => Some(End::gateway(
            FailureClass::Internal,
            Cause::RESOURCE_UNAVAILABLE,
        )),
        MediaEvent::Stats { stats, .. } => {
            super::ending::note_stats(head, side, &stats);
            None
        }
        MediaEvent::LegState { leg, state } => {
            core.note_leg_state(leg, state);
            None
        }
        MediaEvent::Closed { .. }
        | MediaEvent::Dtmf { .. }
        | MediaEvent::FirstAudio { .. }
        | MediaEvent::FirstPacket { .. }
        | MediaEvent::PortsBound { .. }
        | MediaEvent::PortsFailed { .. }
        | MediaEvent::Resumed { .. } => None,
    }
}
