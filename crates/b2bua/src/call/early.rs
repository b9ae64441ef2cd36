//! What the called party says on its way to the answer, and what of it the caller is told.
//!
//! The caller sees one early dialog and one answer, however many forks there are (I-04), and never
//! more of them than the called trunk's [`EarlyPolicy`] lets through (I-05).

use std::collections::VecDeque;

use bytes::Bytes;
use sdp::{Audio, Negotiated, PendingOffer, SessionDescription, answer_for, offer_for};
use sip_msg::{HeaderName, Headers, Response, StatusCode};
use sip_ua::DialogKey;

use super::ringback::Ringback;
use super::setup::Setup;
use super::{Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::key::Side;
use crate::leg::{Flows, Heard, agreed};
use crate::passlist::{self, Taken};
use crate::profile::{EarlyPolicy, TrunkProfile, Trust};

/// The caller's side of a call before the final response.
#[derive(Debug, Default)]
pub(crate) struct EarlyLeg {
    pub(crate) session: EarlySession,
    pub(crate) ringback: Ringback,
    /// Provisional responses that wait for the PRACK of the one before.
    pub(crate) unsent: VecDeque<Reply>,
    /// The called party accepted, and the caller owes the PRACK of what it was told before.
    pub(crate) accepted: Option<Accepted>,
    /// Something that rings or brings media has gone on.
    pub(crate) passed: bool,
}

/// A 2xx of the called party that the caller cannot be told of yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) dialog: DialogKey,
    pub(crate) response: Box<Response>,
}

/// How far the session with the caller has come.
#[derive(Debug, Default)]
pub(crate) enum EarlySession {
    /// Nothing was said.
    #[default]
    Untold,
    /// Its offer was answered in a provisional response that may be lost: the 2xx says the same
    /// again (U-07).
    Previewed(EarlyAnswer),
    /// We offered in a reliable provisional response; its PRACK owes the answer (RFC 3262 §5).
    Offered {
        told: Bytes,
        offer: Box<PendingOffer>,
    },
    /// Both sides have said all there is, reliably: the 2xx says nothing.
    Agreed(EarlyAnswer),
}

/// A session with the caller before the final response.
#[derive(Clone, Debug)]
pub(crate) struct EarlyAnswer {
    pub(crate) told: Bytes,
    pub(crate) heard: Heard,
    pub(crate) negotiated: Negotiated,
}

impl EarlySession {
    /// What both agreed on, if they have.
    pub(crate) fn answer(&self) -> Option<&EarlyAnswer> {
        match self {
            Self::Previewed(answer) | Self::Agreed(answer) => Some(answer),
            Self::Untold | Self::Offered { .. } => None,
        }
    }

    /// What the caller is told with a provisional response.
    pub(super) fn told(&self) -> Option<&Bytes> {
        match self {
            Self::Previewed(answer) | Self::Agreed(answer) => Some(&answer.told),
            Self::Offered { told, .. } => Some(told),
            Self::Untold => None,
        }
    }
}

/// What goes on to the caller of one provisional response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Onward {
    status: StatusCode,
    described: bool,
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
        let mut reliable = false;
        if let Some(dialog) = dialog {
            core.own_dialog(dialog, head.key, Side::B);
            reliable = core.prack(dialog, &trying.trunk);
        }
        // 199 (RFC 6228) tells a forking proxy's client something that a caller with one dialog
        // has no use for.
        if response.status.code() == 199 {
            return Phase::Setup(self);
        }
        if !response.body.is_empty() {
            trying.take_fork(core, dialog, &response.body, reliable);
        }
        // What Azure says before it has dialled anybody is not the called party's: the caller learns
        // that something goes on.
        if trying.is_cloud() {
            if !trying.rang {
                self.ring_for_azure(core, head);
            }
            return Phase::Setup(self);
        }
        self.alert(core, head, response);
        Phase::Setup(self)
    }

    /// Passes a provisional response on, as far as the called trunk's policy lets it through.
    fn alert(&mut self, core: &mut Core, head: &mut Head, response: &Response) {
        let Some(trying) = self.trying.as_mut() else {
            return;
        };
        let trunk = std::sync::Arc::clone(&trying.trunk);
        if !std::mem::replace(&mut trying.rang, true) {
            core.arm(head.key, Timer::NoAnswer, trunk.timers.no_answer);
        }
        if !self.alerted {
            self.alerted = true;
            core.disarm(head.key, Timer::Budget);
            head.record.ringing = Some(core.now.wall);
        }
        if let Some(attempt) = head.record.attempts.last_mut() {
            attempt.ringing.get_or_insert(core.now.wall);
        }
        let onward = self.onward(&trunk, response);
        if onward.is_some_and(|onward| onward.described) {
            self.describe(head, &trunk);
        }
        self.update_early_media(core, head);
        let Some(onward) = onward else { return };
        let described = onward.described.then(|| self.early.session.told().cloned());
        let described = described.flatten();
        let status = match described {
            None if onward.status == StatusCode::SESSION_PROGRESS && self.tells_ringing() => {
                StatusCode::RINGING
            }
            _ => onward.status,
        };
        let mut reply = Reply::new(status).dialog(&self.invite);
        let phase = passlist::Phase::Provisional;
        let said = Taken::new(phase, &response.headers, &trunk);
        passlist::carry(phase, &said, &head.trunk, &mut reply.headers);
        if let Some(body) = described {
            reply = reply.body(body);
            if self.wants_tone(&trunk, response) {
                self.ring(core, head);
                if self.early.ringback == Ringback::Sounding {
                    vouch(&head.trunk, &self.invite.headers, &mut reply.headers);
                }
            } else if !response.body.is_empty() {
                self.early.ringback.end(core, &self.media);
            }
        }
        self.tell_caller(core, head, reply);
    }

    /// Azure has the call, to dial the called party: the caller hears ringing, and another target
    /// may be tried all the same, for nobody is known to have been alerted.
    pub(super) fn ring_for_azure(&mut self, core: &mut Core, head: &mut Head) {
        let before = self.alerted;
        self.alert(core, head, &Response::new(StatusCode::RINGING));
        self.alerted = before;
        core.arm_cloud(head.key);
    }

    /// Progress without media is ringing to a caller that was given none (I-05).
    fn tells_ringing(&self) -> bool {
        self.offer.is_some() && self.early.session.told().is_none()
    }

    /// What the called trunk's policy makes of a provisional response.
    fn onward(&mut self, trunk: &TrunkProfile, response: &Response) -> Option<Onward> {
        let status = response.status;
        // Being forwarded or queued is neither ringing nor progress (U-09).
        if matches!(status.code(), 181 | 182) {
            let described = false;
            return Some(Onward { status, described });
        }
        let ringing = Onward {
            status: StatusCode::RINGING,
            described: false,
        };
        let media =
            !response.body.is_empty() && authorised(trunk, &response.headers) != Some(false);
        let first = !std::mem::replace(&mut self.early.passed, true);
        match trunk.early.policy {
            EarlyPolicy::First if !first => None,
            EarlyPolicy::Ringing => Some(ringing),
            EarlyPolicy::First | EarlyPolicy::Forward | EarlyPolicy::WaitForRtp if media => {
                let described = true;
                Some(Onward { status, described })
            }
            EarlyPolicy::First | EarlyPolicy::Forward | EarlyPolicy::WaitForRtp => {
                let here = trunk.early.ring_here && self.offer.is_some();
                let silenced = !response.body.is_empty();
                Some(match (here, silenced) {
                    (true, _) => Onward {
                        status: StatusCode::SESSION_PROGRESS,
                        described: true,
                    },
                    (false, true) => ringing,
                    (false, false) => Onward {
                        status,
                        described: self.early.session.told().is_some() && first,
                    },
                })
            }
        }
    }

    /// Whether the caller is to hear a tone of ours with this response.
    fn wants_tone(&self, trunk: &TrunkProfile, response: &Response) -> bool {
        let waits = trunk.early.policy == EarlyPolicy::WaitForRtp && !response.body.is_empty();
        let vouched = authorised(trunk, &response.headers) == Some(true);
        waits && !vouched || trunk.early.ring_here && response.body.is_empty()
    }

    /// Answers the caller's offer on behalf of the first fork that has answered, or by ourselves
    /// where none has; without an offer of its own the caller is made one, if it can be reliably.
    fn describe(&mut self, head: &Head, trunk: &TrunkProfile) {
        if self.early.session.told().is_some() {
            return;
        }
        let fork = self.trying.as_ref().and_then(|trying| trying.forks.first());
        let other = match (fork, &self.offer) {
            (Some(fork), _) => {
                let negotiated = &fork.negotiated;
                agreed(negotiated, negotiated.remote.direction)
            }
            (None, Some(offer)) if trunk.early.ring_here => {
                let Some(audio) = offer.audio_for(head.trunk.srtp) else {
                    return;
                };
                Audio {
                    formats: Ringback::formats(audio),
                    ..audio.clone()
                }
            }
            (None, _) => return,
        };
        self.agree(head, &other);
    }

    /// Tells the caller the session that `other`, what is across, makes of its offer; without an
    /// offer of its own it is made one.
    pub(super) fn agree(&mut self, head: &Head, other: &Audio) {
        let policy = head.trunk.sdp_policy();
        let reliable = self.is_reliable(head);
        let local = &mut self.media.local;
        match &self.offer {
            Some(offer) => {
                let Ok((answer, negotiated)) = answer_for(offer, other, local, &policy) else {
                    return;
                };
                let answer = EarlyAnswer {
                    told: answer.to_bytes().into(),
                    heard: Heard::of(&self.invite.body),
                    negotiated,
                };
                self.early.session = match reliable {
                    true => EarlySession::Agreed(answer),
                    false => EarlySession::Previewed(answer),
                };
            }
            None if reliable => {
                if let Ok((offer, pending)) = offer_for(other, local, &policy) {
                    self.early.session = EarlySession::Offered {
                        told: offer.to_bytes().into(),
                        offer: Box::new(pending),
                    };
                }
            }
            None => {}
        }
    }

    /// Tells the relay of every fork that has answered, and of what the caller agreed to.
    pub(super) fn update_early_media(&self, core: &mut Core, head: &Head) {
        let across = self.early.session.answer().map(|answer| &answer.negotiated);
        let trying = self.trying.as_ref();
        if let Some(trying) = trying.filter(|trying| !trying.forks.is_empty()) {
            trying.update_media(core, across, self.listens(&trying.trunk));
        }
        let fork = trying.and_then(|trying| trying.forks.first());
        let fork = fork.map(|fork| &fork.negotiated);
        if let Some(own) = across {
            let params = self.media.answered(&head.trunk, &[own], fork, Flows::BOTH);
            self.media.update(core, params);
        }
    }

    /// An offer of the caller after the first one was answered: in a PRACK or an UPDATE
    /// (RFC 3262 §5, RFC 3311 §5.2). The answer, or the status of the refusal.
    pub(super) fn reoffered(
        &mut self,
        core: &mut Core,
        head: &Head,
        body: &Bytes,
    ) -> Result<Bytes, StatusCode> {
        let EarlySession::Agreed(before) = &self.early.session else {
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        };
        let fork = self.trying.as_ref().and_then(|trying| trying.forks.first());
        let other = fork.map_or(&before.negotiated, |fork| &fork.negotiated);
        let other = agreed(other, other.remote.direction);
        let refusal = |code| StatusCode::new(code).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE);
        let offer = SessionDescription::parse(body).map_err(|error| refusal(error.status()))?;
        let policy = head.trunk.sdp_policy();
        let (answer, negotiated) = answer_for(&offer, &other, &mut self.media.local, &policy)
            .map_err(|error| refusal(error.status()))?;
        let told = Bytes::from(answer.to_bytes());
        self.early.session = EarlySession::Agreed(EarlyAnswer {
            told: told.clone(),
            heard: Heard::of(body),
            negotiated,
        });
        self.update_early_media(core, head);
        Ok(told)
    }
}

/// What a trusted trunk says of its early media (RFC 5009 §8): whether the caller may hear it.
fn authorised(trunk: &TrunkProfile, headers: &Headers) -> Option<bool> {
    let believed = trunk.early.p_early_media && trunk.trust == Trust::Trusted;
    let values = headers.p_early_media().filter(|_| believed)?;
    let backward = |value: &String| {
        value.eq_ignore_ascii_case("sendrecv") || value.eq_ignore_ascii_case("sendonly")
    };
    Some(values.iter().any(backward))
}

/// Says that media comes from here, to a caller that asked (RFC 5009 §7).
pub(super) fn vouch(to: &TrunkProfile, invite: &Headers, headers: &mut Headers) {
    let asked = invite.p_early_media().is_some_and(|values| {
        values
            .iter()
            .any(|value| value.eq_ignore_ascii_case("supported"))
    });
    if asked && to.early.p_early_media && to.trust == Trust::Trusted {
        headers.set(HeaderName::PEarlyMedia, "sendonly");
    }
}
