//! The called party's answer, and how the caller learns of it.

use bytes::Bytes;
use sdp::{
    AnswerError, Direction, Negotiated, OfferError, PendingOffer, SessionDescription, answer_for,
    offer_for,
};
use sip_msg::{Request, Response, StatusCode};
use sip_ua::DialogKey;

use super::attempt::{Fork, Trying};
use super::early::{Accepted, EarlyAnswer, EarlySession};
use super::ending::{End, Ending};
use super::offered::{Caller, Offered};
use super::refresh::SessionTimer;
use super::setup::Setup;
use super::talking::Talking;
use super::upkeep::Upkeep;
use super::{Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::failure::{AttemptFailure, Cause};
use crate::index::Owner;
use crate::key::Side;
use crate::leg::{Exchange, Heard, Leg, Session, agreed};
use crate::passlist::{self, Taken};
use crate::profile::HoldMusic;

/// What the caller is told in the 2xx.
enum ToldCaller {
    /// Nothing: all was said, reliably, before.
    Before(Box<EarlyAnswer>),
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
    /// The called party accepted: the caller is given its answer, or our offer.
    pub(super) fn accepted(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        dialog: Option<DialogKey>,
        response: &Response,
    ) -> Phase {
        let (Some(trying), Some(dialog)) = (&self.trying, dialog) else {
            return self.failed(core, head, AttemptFailure::Internal, None);
        };
        core.own_dialog(dialog, head.key, Side::B);
        core.acknowledge(dialog);
        core.index
            .own_client(trying.client, Owner::Nobody { keep: Some(dialog) });
        core.disarm_attempt(head.key);
        if trying.is_cloud() && !trying.connected {
            return self.held(core, head, dialog, response);
        }
        if self.owes_prack(core) {
            self.early.accepted = Some(Accepted {
                dialog,
                response: Box::new(response.clone()),
            });
            return Phase::Setup(self);
        }
        self.answered(core, head, dialog, response)
    }

    /// The called party has accepted and nothing keeps the caller from being told.
    pub(super) fn answered(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        dialog: DialogKey,
        response: &Response,
    ) -> Phase {
        let Some(trying) = self.trying.take() else {
            return self.failed(core, head, AttemptFailure::Internal, None);
        };
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
        let policy = head.trunk.sdp_policy();
        let other = agreed(&fork.negotiated, fork.negotiated.remote.direction);
        match (&self.offer, std::mem::take(&mut self.early.session)) {
            (_, EarlySession::Agreed(early)) => Ok(ToldCaller::Before(Box::new(early))),
            (_, EarlySession::Previewed(early)) => {
                Ok(ToldCaller::Answer(early.told, Box::new(early.negotiated)))
            }
            (Some(offer), _) => {
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
            mut early,
            ..
        } = *self;
        core.disarm_attempt(head.key);
        core.disarm(head.key, Timer::Budget);
        early.ringback.end(core, &media);
        let callee_intends = party.fork.negotiated.remote.direction;
        let caller_intends = match &caller {
            ToldCaller::Before(early) => early.negotiated.remote.direction,
            ToldCaller::Answer(..) | ToldCaller::Offer(..) => {
                let audio = offer.as_ref().and_then(SessionDescription::audio);
                audio.map_or(Direction::SendRecv, |audio| audio.direction)
            }
        };
        let callee = party.into_leg(response, caller_intends);
        let (reply, timer) = acceptance(&invite, head, &caller, &callee, response);
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
        let session_of = |told, heard, negotiated| Session {
            told,
            heard,
            negotiated,
            intends: caller_intends,
            conveyed: callee_intends,
        };
        let session = match caller {
            ToldCaller::Answer(told, negotiated) => {
                session_of(told, Heard::of(&invite.body), *negotiated)
            }
            ToldCaller::Before(early) => session_of(early.told, early.heard, early.negotiated),
            ToldCaller::Offer(told, offer) => {
                return Offered::begin(caller_leg, told, *offer, callee);
            }
        };
        let leg = caller_leg.agreed(&head.trunk, session);
        Talking::begin(core, head, leg, callee)
    }
}

impl Party {
    /// The leg of the called party, which accepted with this response and was told what the caller
    /// intends.
    fn into_leg(self, response: &Response, conveyed: Direction) -> Leg {
        let Self {
            mut trying,
            dialog,
            fork,
        } = self;
        trying.media.local.clone_from(&fork.negotiated.local);
        let upkeep = Upkeep::of_answer(response, &trying.trunk.session);
        Leg {
            side: Side::B,
            trunk: trying.trunk,
            dialog,
            media: trying.media,
            session: Session {
                told: fork.told,
                heard: fork.heard,
                intends: fork.negotiated.remote.direction,
                negotiated: fork.negotiated,
                conveyed,
            },
            exchange: Exchange::Idle,
            recode: false,
            upkeep,
            playing: HoldMusic::None,
            listening: false,
        }
    }
}

/// The 2xx to the caller, and the session timer it agrees to, if any.
fn acceptance(
    invite: &Request,
    head: &Head,
    caller: &ToldCaller,
    callee: &Leg,
    response: &Response,
) -> (Reply, Option<SessionTimer>) {
    let mut reply = Reply::new(StatusCode::OK).dialog(invite);
    match caller {
        ToldCaller::Answer(body, _) | ToldCaller::Offer(body, _) => {
            reply = reply.body(body.clone());
        }
        ToldCaller::Before(_) => {}
    }
    let phase = passlist::Phase::Answer;
    let said = Taken::new(phase, &response.headers, &callee.trunk);
    passlist::carry(phase, &said, &head.trunk, &mut reply.headers);
    // An interval that is too short was refused at once.
    let timer = SessionTimer::answering(&invite.headers, &head.trunk.session);
    let timer = timer.ok().flatten();
    if let Some(timer) = timer {
        timer.write_answer(&mut reply.headers);
    }
    (reply, timer)
}

/// What the called party's answer comes to.
pub(super) fn answer_of(trying: &Trying, dialog: DialogKey, body: &Bytes) -> Option<Fork> {
    let mut forks = trying.forks.iter();
    let early = forks.find(|fork| fork.dialog == Some(dialog));
    if body.is_empty() || early.is_some_and(|fork| fork.binding) {
        // The answer came in an earlier provisional response of the same dialog.
        return early.cloned();
    }
    let answer = SessionDescription::parse(body).ok()?;
    let negotiated = trying.offer.fork().answered(&answer).ok()?;
    Some(Fork {
        dialog: Some(dialog),
        told: trying.offered.clone(),
        heard: Heard::of(body),
        negotiated,
        binding: true,
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
