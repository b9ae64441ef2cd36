//! A party of a call is replaced by another one.
//!
//! ```text
//!            REFER ─202─▶ Transfer ──2xx of the new leg──▶ the legs are paired anew: NOTIFY 200
//!  Talking ◀──────────────┘ │ └──failure, limit──▶ NOTIFY of it; the old pair goes on
//!                           └──BYE of the transferor──▶ goes on without it
//! ```
//! The party that stays keeps its leg: its ports, its key and its SSRC. It hears ringing from here
//! while the new party is alerted (X-07). The transferor's leg is given back when the new one is
//! joined; its dialog is left to its BYE (X-02).

mod attempts;
mod attended;
mod joined;
mod refer;
mod referral;
mod replaces;

use std::collections::VecDeque;

use ambient::WallTime;
use media_relay::{Cadence, LegId, MediaCommand, MediaEvent, Source};
use routing::Attempt;
use sdp::Direction;
use sip_msg::{Method, Request, StatusCode};
use sip_ua::{ClientKey, DialogKey};

use super::attempt::Trying;
use super::concede::Concession;
use super::ending::End;
use super::talking::Talking;
use super::{Event, Head, Phase, Timer};
use crate::core::Core;
use crate::failure::{AttemptFailure, Verdict};
use crate::key::Side;
use crate::leg::Leg;
use crate::record::{TransferKind, TransferRecord};

pub(crate) use attended::Consultation;
pub(crate) use referral::Referral;
pub(crate) use replaces::Replacement;

/// A transfer under way. Its call goes on as it was until it is through.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// The side of the party that is to be replaced.
    side: Side,
    transferor: Transferor,
    referral: Referral,
    /// What stands for a caller's INVITE: the new one has nothing of any other.
    invite: Request,
    /// Attempts not made yet.
    plan: VecDeque<Attempt>,
    /// The attempt under way.
    trying: Option<Trying>,
    /// What the next attempt says otherwise.
    concession: Option<Concession>,
    /// How the attempts made so far ended.
    tried: Vec<Verdict>,
    /// The new party is alerted: no other one is tried after it.
    alerted: bool,
    /// The party that stays hears ringing.
    rings: bool,
    /// What the transferor wanted of the party that stays, which is not on hold meanwhile.
    intended: Direction,
}

/// The party that is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transferor {
    /// It waits for the outcome.
    Waiting(DialogKey),
    /// It has hung up. The transfer goes on; there is no way back.
    Gone,
}

/// Whom an event concerns.
#[expect(
    clippy::large_enum_variant,
    reason = "an event is taken apart at once, never kept"
)]
pub(crate) enum Concern {
    /// The transfer, and all is done.
    Transfer(Phase),
    /// The call as it was.
    Other(Box<Talking>, Event),
}

impl Talking {
    /// Takes what concerns a transfer, or asks for one.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever does not concern the transfer is the old pair's"
    )]
    pub(super) fn transfer_on(
        self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        event: Event,
    ) -> Concern {
        if let Event::Request {
            server,
            side,
            ref request,
        } = event
            && request.method == Method::Refer
        {
            return Concern::Transfer(self.referred(core, head, server, side, request));
        }
        let Some(transfer) = self.transfer.as_ref() else {
            return match self.is_foreign(&event) {
                true => Concern::Transfer(Phase::Talking(self)),
                false => Concern::Other(self, event),
            };
        };
        let side = transfer.side;
        let phase = match event {
            Event::Provisional {
                client,
                dialog,
                response,
            } if transfer.is_trying(client) => {
                self.new_party_alerted(core, head, dialog, &response)
            }
            Event::Final {
                client,
                dialog,
                response,
            } if transfer.is_trying(client) => {
                self.new_party_answered(core, head, dialog, response)
            }
            Event::Failed { client, error } if transfer.is_trying(client) => {
                let spoke = transfer.trying.as_ref().is_some_and(|trying| trying.spoke);
                self.attempt_failed(core, head, AttemptFailure::of(error, spoke))
            }
            Event::Timer(Timer::Attempt) => self.attempt_failed(core, head, AttemptFailure::Silent),
            Event::Timer(Timer::NoAnswer | Timer::Transfer) => {
                self.attempt_failed(core, head, AttemptFailure::NoAnswer)
            }
            Event::Media { ref event, .. } if transfer.is_new(event) => {
                if matches!(event, MediaEvent::Failed { error, .. } if !error.is_harmless()) {
                    self.attempt_failed(core, head, AttemptFailure::Internal)
                } else {
                    Phase::Talking(self)
                }
            }
            // Who waits to be replaced, or for somebody new, need not speak.
            Event::Media {
                event: MediaEvent::Silence { .. },
                ..
            } => Phase::Talking(self),
            Event::Media { .. } if self.is_foreign(&event) => Phase::Talking(self),
            Event::Request {
                server,
                side: from,
                ref request,
            } if from == side && request.method == Method::Bye => {
                self.transferor_left(core, head, server)
            }
            other => return self.old_pair_on(core, head, other),
        };
        Concern::Transfer(phase)
    }

    /// The old pair goes on meanwhile, but that the transferor holds nobody.
    fn old_pair_on(mut self: Box<Self>, core: &mut Core, head: &Head, event: Event) -> Concern {
        if let Event::Timer(Timer::Session(side)) = event
            && let Some(transfer) = &self.transfer
            && transfer.side == side
            && transfer.transferor == Transferor::Gone
        {
            core.disarm(head.key, Timer::Session(side));
            self.settle(core, head);
            return Concern::Transfer(Phase::Talking(self));
        }
        Concern::Other(self, event)
    }

    /// Whether the event is one of media that is no leg's of this call any more.
    fn is_foreign(&self, event: &Event) -> bool {
        let Event::Media { event, .. } = event else {
            return false;
        };
        leg_of(event).is_some_and(|leg| leg != self.a.media.id && leg != self.b.media.id)
    }
}

impl Transfer {
    fn is_trying(&self, client: ClientKey) -> bool {
        let trying = self.trying.as_ref();
        trying.is_some_and(|trying| trying.client == client)
    }

    /// Whether the event is one of the new leg's media.
    fn is_new(&self, event: &MediaEvent) -> bool {
        let new = self.trying.as_ref().map(|trying| trying.media.id);
        new.is_some() && leg_of(event) == new
    }

    /// The side of the party that is to be replaced.
    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// What the transferor wants of the party that stays.
    pub(crate) fn intended(&self) -> Direction {
        self.intended
    }

    /// The side that is to be told of the outcome, and the CSeq of its REFER.
    pub(crate) fn owed(&self) -> Option<(Side, u32)> {
        let waits = matches!(self.transferor, Transferor::Waiting(_));
        (waits && self.referral.notify).then_some((self.side, self.referral.id))
    }

    /// The call ends before the transfer does.
    pub(super) fn abandon(self, core: &mut Core, head: &mut Head, end: &End) {
        if let Some(trying) = self.trying {
            trying.cancel(core, head, end);
        }
        core.disarm(head.key, Timer::Transfer);
        let status = end.status.unwrap_or(StatusCode::REQUEST_TERMINATED);
        head.settle_transfer(core.now.wall, status);
    }
}

/// The leg that the event is about.
fn leg_of(event: &MediaEvent) -> Option<LegId> {
    match event {
        MediaEvent::Closed { leg, .. }
        | MediaEvent::Dtmf { leg, .. }
        | MediaEvent::Failed { leg, .. }
        | MediaEvent::FirstAudio { leg, .. }
        | MediaEvent::FirstPacket { leg, .. }
        | MediaEvent::LegState { leg, .. }
        | MediaEvent::Resumed { leg }
        | MediaEvent::Silence { leg, .. }
        | MediaEvent::Stats { leg, .. } => Some(*leg),
        MediaEvent::PortsBound { .. } | MediaEvent::PortsFailed { .. } => None,
    }
}

impl Head {
    /// What the last transfer came to, for the record.
    pub(crate) fn settle_transfer(&mut self, now: WallTime, status: StatusCode) {
        let open = self.record.transfers.last_mut();
        if let Some(record) = open.filter(|record| record.settled.is_none()) {
            record.settled = Some(now);
            record.status = Some(status.code());
        }
    }
}

/// Lets the party of a leg hear the ringing of somebody else, in its own country's tone, or what
/// comes from across again.
fn ring(core: &mut Core, leg: &Leg, rings: bool) {
    let source = match rings {
        true => Source::Tone(Cadence::ringback_of(&leg.trunk.early.tone_country)),
        false => Source::Off,
    };
    let leg = leg.media.id;
    core.media(MediaCommand::Source { leg, source });
}

/// The record of a transfer that is done as soon as it is asked for: nobody is called for it.
fn done(core: &Core, head: &Head, kind: TransferKind, side: Side) -> TransferRecord {
    TransferRecord {
        kind,
        side,
        target: None,
        asked: core.now.wall,
        settled: Some(core.now.wall),
        status: Some(StatusCode::OK.code()),
        attempts_before: head.record.attempts.len(),
        linked: None,
    }
}
