//! What the called party says on its way to the answer, and the answer.

use bytes::Bytes;
use sdp::{
    AnswerError, Direction, Negotiated, OfferError, PendingOffer, SessionDescription, answer_for,
    offer_for,
};
use sip_msg::{Response, StatusCode};
use sip_ua::DialogKey;

use super::attempt::{Fork, Trying};
use super::ending::{End, Ending};
use super::offered::{Caller, Offered};
use super::refresh::SessionTimer;
use super::setup::{EarlyAnswer, Setup};
use super::talking::Talking;
use super::upkeep::Upkeep;
use super::{Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::failure::{AttemptFailure, Cause};
use crate::index::Owner;
use crate::key::Side;
use crate::leg::{Exchange, Flows, Leg, Session, agreed, policy};
use crate::passlist;
use crate::profile::{EarlyMedia, HoldMusic};

/// What the caller is told in the 2xx.
enum ToldCaller {
    /// The answer to its offer.
    Answer(Bytes, Box<Negotiated>),
    /// An offer, for its ACK to answer.
    Offer(Bytes, Box<PendingOffer>),
}

/// The called party that accepted.
struct Party {
    trying: Trying,
    dialog: DialogKey,
    fork: Fork,
}

/// Why the caller cannot be told of the answer. Where one side's formats leave nothing for the
/// other, the called party is hung up.
#[derive(Debug, thiserror::Error)]
enum Unanswerable {
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error(transparent)]
    Offer(#[from] OfferError),
}

impl Setup {
    /// A provisional response of the called party.
    pub(super) fn progressed(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        dialog: Option<DialogKey>,
        response: &Response,
    ) -> Phase {
        let Some(trying) = self.trying.as_mut() else {
            return Phase::Setup(self);
        };
        trying.spoke = true;
        core.disarm(head.key, Timer::Attempt);
        if let Some(dialog) = dialog {
            core.own_dialog(dialog, head.key, Side::B);
        }
        // 199 (RFC 6228) tells a forking proxy's client something that a caller with one dialog
        // has no use for.
        if response.status.code() == 199 {
            return Phase::Setup(self);
        }
        if !response.body.is_empty() {
            self.early_answer(core, head, dialog, &response.body);
        }
        self.alert(core, head, response);
        Phase::Setup(self)
    }

    /// The called party answered in a provisional response: media may flow.
    fn early_answer(
        &mut self,
        core: &mut Core,
        head: &Head,
        dialog: Option<DialogKey>,
        body: &Bytes,
    ) {
        let Some(trying) = self.trying.as_mut() else {
            return;
        };
        if !trying.take_fork(core, dialog, body.clone()) {
            return;
        }
        if let (None, EarlyMedia::Forward, Some(offer), Some(fork)) = (
            &self.early,
            trying.trunk.early_media,
            &self.offer,
            trying.forks.first(),
        ) {
            let policy = policy(&head.trunk);
            let other = agreed(&fork.negotiated, fork.negotiated.remote.direction);
            let answer = answer_for(offer, &other, &mut self.media.local, &policy);
            self.early = answer.ok().map(|(answer, negotiated)| EarlyAnswer {
                body: answer.to_bytes().into(),
                negotiated,
            });
        }
        let across = self.early.as_ref().map(|early| &early.negotiated);
        trying.update_media(core, across);
        if let (Some(early), Some(fork)) = (&self.early, trying.forks.first()) {
            let across = Some(&fork.negotiated);
            let remotes = [&early.negotiated];
            let params = self
                .media
                .answered(&head.trunk, &remotes, across, Flows::BOTH);
            self.media.update(core, params);
        }
    }

    /// Passes a provisional response on: one To tag and at most one answer, however many forks.
    fn alert(&mut self, core: &mut Core, head: &mut Head, response: &Response) {
        let Some(trying) = self.trying.as_ref() else {
            return;
        };
        let early = self.early.as_ref().filter(|_| !response.body.is_empty());
        let status = match early {
            None if response.status == StatusCode::SESSION_PROGRESS && self.offer.is_some() => {
                // Progress without media is ringing to a caller that was given none (I-05).
                if self.early.is_some() {
                    response.status
                } else {
                    StatusCode::RINGING
                }
            }
            _ => response.status,
        };
        let mut reply = Reply::new(status).dialog(&self.invite);
        passlist::carry(
            passlist::Phase::Provisional,
            &response.headers,
            &head.trunk,
            &mut reply.headers,
        );
        if let Some(early) = early {
            reply = reply.body(early.body.clone());
        }
        if let Some(dialog) = core.reply(self.server, &head.trunk, reply) {
            core.own_dialog(dialog, head.key, Side::A);
        }
        if !self.alerted {
            self.alerted = true;
            core.disarm(head.key, Timer::Budget);
            core.arm(head.key, Timer::NoAnswer, trying.trunk.timers.no_answer);
            head.record.ringing = Some(core.now.wall);
        }
        if let Some(attempt) = head.record.attempts.last_mut() {
            attempt.ringing.get_or_insert(core.now.wall);
        }
    }

    /// The called party accepted: the caller is given its answer, or our offer.
    pub(super) fn accepted(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        dialog: Option<DialogKey>,
        response: &Response,
    ) -> Phase {
        let (Some(trying), Some(dialog)) = (self.trying.take(), dialog) else {
            return self.failed(core, head, AttemptFailure::Internal, None);
        };
        core.own_dialog(dialog, head.key, Side::B);
        core.acknowledge(dialog);
        core.index
            .own_client(trying.client, Owner::Nobody { keep: Some(dialog) });
        let fork = answer_of(&trying, dialog, &response.body);
        let told = fork
            .as_ref()
            .and_then(|fork| self.answer_caller(head, fork).ok());
        let (Some(fork), Some(told)) = (fork, told) else {
            core.bye(dialog, Cause::BEARER_NOT_IMPLEMENTED.into());
            self.trying = Some(trying);
            return self.failed(core, head, AttemptFailure::Negotiation, None);
        };
        self.connect(
            core,
            head,
            Party {
                trying,
                dialog,
                fork,
            },
            told,
            response,
        )
    }

    /// What the caller is told in the 2xx.
    fn answer_caller(&mut self, head: &Head, fork: &Fork) -> Result<ToldCaller, Unanswerable> {
        let policy = policy(&head.trunk);
        let other = agreed(&fork.negotiated, fork.negotiated.remote.direction);
        match (&self.offer, self.early.take()) {
            (Some(_), Some(EarlyAnswer { body, negotiated })) => {
                Ok(ToldCaller::Answer(body, Box::new(negotiated)))
            }
            (Some(offer), None) => {
                let (answer, negotiated) =
                    answer_for(offer, &other, &mut self.media.local, &policy)?;
                let body = answer.to_bytes().into();
                Ok(ToldCaller::Answer(body, Box::new(negotiated)))
            }
            (None, _) => {
                let (offer, pending) = offer_for(&other, &mut self.media.local, &policy)?;
                let body = offer.to_bytes().into();
                Ok(ToldCaller::Offer(body, Box::new(pending)))
            }
        }
    }

    fn connect(
        self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        party: Party,
        caller: ToldCaller,
        response: &Response,
    ) -> Phase {
        let Self {
            server,
            invite,
            media,
            offer,
            ..
        } = *self;
        core.disarm_attempt(head.key);
        core.disarm(head.key, Timer::Budget);
        let Party {
            trying,
            dialog,
            fork,
        } = party;
        let callee_intends = fork.negotiated.remote.direction;
        let caller_intends = offer.as_ref().and_then(SessionDescription::audio);
        let caller_intends = caller_intends.map_or(Direction::SendRecv, |audio| audio.direction);
        let upkeep = Upkeep::of_answer(response, &trying.trunk.session);
        let callee = Leg {
            side: Side::B,
            trunk: trying.trunk,
            dialog,
            media: trying.media,
            session: Session {
                told: trying.offered,
                heard: fork.heard,
                negotiated: fork.negotiated,
                intends: callee_intends,
                conveyed: caller_intends,
            },
            exchange: Exchange::Idle,
            recode: false,
            upkeep,
            playing: HoldMusic::None,
        };
        let (ToldCaller::Answer(body, _) | ToldCaller::Offer(body, _)) = &caller;
        let mut reply = Reply::new(StatusCode::OK)
            .dialog(&invite)
            .body(body.clone());
        let phase = passlist::Phase::Answer;
        passlist::carry(phase, &response.headers, &head.trunk, &mut reply.headers);
        // An interval that is too short was refused at once.
        let timer = SessionTimer::answering(&invite.headers, &head.trunk.session);
        let timer = timer.ok().flatten();
        if let Some(timer) = timer {
            timer.write_answer(&mut reply.headers);
        }
        let upkeep = Upkeep::of_request(&invite.headers, timer);
        let Some(dialog) = core.reply(server, &head.trunk, reply) else {
            // The caller is gone although nobody said so: there is nobody to talk to.
            let end = End::lost(Side::A);
            let legs = [callee.media.id, media.id];
            callee.end(core, Some(&end));
            media.close(core);
            return Ending::begin(core, head, end, legs);
        };
        core.own_dialog(dialog, head.key, Side::A);
        note_answered(core, head);
        let caller_leg = Caller {
            dialog,
            media,
            upkeep,
        };
        match caller {
            ToldCaller::Answer(told, negotiated) => {
                let session = Session {
                    told,
                    heard: invite.body,
                    negotiated: *negotiated,
                    intends: caller_intends,
                    conveyed: callee_intends,
                };
                let leg = caller_leg.agreed(&head.trunk, session);
                Talking::begin(core, head, leg, callee)
            }
            ToldCaller::Offer(told, offer) => Offered::begin(caller_leg, told, *offer, callee),
        }
    }
}

/// What the called party's answer comes to.
pub(super) fn answer_of(trying: &Trying, dialog: DialogKey, body: &Bytes) -> Option<Fork> {
    if body.is_empty() {
        // The answer came in an earlier provisional response of the same dialog.
        let early = trying
            .forks
            .iter()
            .find(|fork| fork.dialog == Some(dialog))?;
        return Some(early.clone());
    }
    let answer = SessionDescription::parse(body).ok()?;
    let negotiated = trying.offer.fork().answered(&answer).ok()?;
    Some(Fork {
        dialog: Some(dialog),
        heard: body.clone(),
        negotiated,
    })
}

fn note_answered(core: &Core, head: &mut Head) {
    head.record.answered = Some(core.now.wall);
    head.record.status = Some(StatusCode::OK.code());
    if let Some(attempt) = head.record.attempts.last_mut() {
        attempt.settled = Some(core.now.wall);
        attempt.status = Some(StatusCode::OK.code());
    }
}
