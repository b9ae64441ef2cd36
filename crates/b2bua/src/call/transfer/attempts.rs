//! The new party is looked for.

use std::sync::Arc;

use sip_msg::{HeaderName, Request, Response, StatusCode};
use sip_ua::{DialogKey, ServerKey};

use super::joined::NewParty;
use super::{Referral, Transferor, ring};
use crate::call::answer::answer_of;
use crate::call::attempt::{Origin, Trying};
use crate::call::concede::Concession;
use crate::call::talking::Talking;
use crate::call::{End, Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::failure::{self, AttemptFailure, Cause, Verdict};
use crate::index::Owner;
use crate::leg::LegMedia;

impl Referral {
    /// Makes an INVITE back to the referrer's trunk what it expects: To as the referral says, and
    /// the Referred-By that came.
    fn dress(&self, request: &mut Request) {
        let to = format!("<{}>", self.target);
        request.headers.set(HeaderName::To, to);
        if let Some(by) = &self.referred_by {
            request.headers.push(HeaderName::ReferredBy, by.clone());
        }
    }
}

impl Talking {
    /// Makes the next attempt that can be made.
    pub(super) fn next_attempt(mut self: Box<Self>, core: &mut Core, head: &mut Head) -> Phase {
        let Some(transfer) = self.transfer.as_mut() else {
            return Phase::Talking(self);
        };
        let (transferor, stays) = match transfer.side {
            crate::key::Side::A => (&self.a, &self.b),
            crate::key::Side::B => (&self.b, &self.a),
        };
        let audio = stays.session.said(stays.session.intends);
        while let Some(attempt) = transfer.plan.pop_front() {
            let concession = transfer.concession.take();
            let converted = concession.as_ref().and_then(Concession::speech);
            let origin = Origin {
                trunk: &stays.trunk,
                shard: stays.media.pair.shard,
                audio: Some(converted.unwrap_or(&audio)),
                converted: converted.is_some(),
                invite: &transfer.invite,
                side: transfer.side,
            };
            let back = attempt.request_uri == transfer.referral.target
                && attempt.trunk == transferor.trunk.name;
            let referral = transfer.referral.clone();
            let started = Trying::start(core, head, &origin, &attempt, |request| {
                if back {
                    referral.dress(request);
                }
                if let Some(concession) = &concession {
                    concession.apply(&mut request.headers);
                }
            });
            match started {
                Ok(mut trying) => {
                    trying.conceded = concession.is_some();
                    let limit = trying.trunk.timers.attempt_timeout;
                    core.arm(head.key, Timer::Attempt, limit);
                    transfer.trying = Some(trying);
                    self.settle(core, head);
                    return Phase::Talking(self);
                }
                Err(failure) => {
                    let verdict = failure::judge(&failure);
                    transfer.tried.push(verdict);
                    if !verdict.advances {
                        break;
                    }
                }
            }
        }
        self.given_back(core, head)
    }

    /// The new party is alerted: the one that stays hears it, and who asked is told.
    pub(super) fn new_party_alerted(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        dialog: Option<DialogKey>,
        response: &Response,
    ) -> Phase {
        let Some(mut transfer) = self.transfer.take() else {
            return Phase::Talking(self);
        };
        if let Some(trying) = transfer.trying.as_mut() {
            trying.spoke = true;
            core.disarm(head.key, Timer::Attempt);
            let reliable = dialog.is_some_and(|dialog| core.prack(dialog, &trying.trunk));
            if !response.body.is_empty() {
                trying.take_fork(core, dialog, &response.body, reliable);
            }
            if !std::mem::replace(&mut trying.rang, true) {
                let limit = trying.trunk.timers.no_answer;
                core.arm(head.key, Timer::NoAnswer, limit);
            }
        }
        // 199 (RFC 6228) is about an early dialog that is over.
        if response.status.code() == 199 {
            self.transfer = Some(transfer);
            return Phase::Talking(self);
        }
        transfer.alerted = true;
        if let Some(attempt) = head.record.attempts.last_mut() {
            attempt.ringing.get_or_insert(core.now.wall);
        }
        let stays = self.leg(transfer.side.other());
        let may_ring =
            stays.trunk.transfer.ringback && LegMedia::can_ring(&stays.session.negotiated);
        if may_ring && !transfer.rings {
            transfer.rings = true;
            ring(core, stays, true);
        }
        if let Transferor::Waiting(dialog) = transfer.transferor {
            core.notify(dialog, response.status, false);
        }
        self.transfer = Some(transfer);
        self.settle(core, head);
        Phase::Talking(self)
    }

    /// A final response of the new party.
    pub(super) fn new_party_answered(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        dialog: Option<DialogKey>,
        response: Response,
    ) -> Phase {
        if !response.status.is_success() {
            let trying = self
                .transfer
                .as_mut()
                .and_then(|transfer| transfer.trying.as_mut());
            if trying.is_some_and(|trying| trying.try_again(core, head, &response)) {
                return Phase::Talking(self);
            }
            let failure = AttemptFailure::Final {
                status: response.status,
                retry_after: response.headers.retry_after(),
                cause: crate::call::ending::q850(&response.headers),
            };
            return self.new_party_refused(core, head, failure, &response);
        }
        let trying = self
            .transfer
            .as_mut()
            .and_then(|transfer| transfer.trying.take());
        let (Some(trying), Some(dialog)) = (trying, dialog) else {
            return self.attempt_failed(core, head, AttemptFailure::Internal);
        };
        core.acknowledge(dialog);
        let keep = Some(dialog);
        core.index.own_client(trying.client, Owner::Nobody { keep });
        core.disarm_attempt(head.key);
        if let Some(attempt) = head.record.attempts.last_mut() {
            attempt.settled = Some(core.now.wall);
            attempt.status = Some(response.status.code());
        }
        match answer_of(&trying, dialog, &response.body) {
            Some(fork) => self.joined(
                core,
                head,
                NewParty {
                    trying,
                    dialog,
                    fork,
                },
                &response,
            ),
            None => {
                core.bye(dialog, Cause::BEARER_NOT_IMPLEMENTED.into());
                if let Some(transfer) = self.transfer.as_mut() {
                    transfer.trying = Some(trying);
                }
                self.attempt_failed(core, head, AttemptFailure::Negotiation)
            }
        }
    }

    /// The new party refused the INVITE. Once for each attempt, what it balks at is left out.
    fn new_party_refused(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        failure: AttemptFailure,
        response: &Response,
    ) -> Phase {
        let concession = self.transfer.as_ref().and_then(|transfer| {
            let stays = self.leg(transfer.side.other());
            let spoken = stays.session.said(stays.session.intends);
            Concession::of(transfer.trying.as_ref()?, response, Some(&spoken))
        });
        let transfer = self.transfer.as_mut().filter(|_| concession.is_some());
        let Some((transfer, trying)) = transfer.and_then(|transfer| {
            let trying = transfer.trying.take()?;
            Some((transfer, trying))
        }) else {
            return self.attempt_failed(core, head, failure);
        };
        core.report_health(&trying.trunk.name, trying.peer, &failure);
        transfer.plan.push_front(trying.attempt.clone());
        transfer.concession = concession;
        trying.abandon(core, head, &failure, &failure::judge(&failure));
        self.next_attempt(core, head)
    }

    /// The attempt under way came to nothing: the next one, or the old pair again.
    pub(super) fn attempt_failed(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        failure: AttemptFailure,
    ) -> Phase {
        let Some(transfer) = self.transfer.as_mut() else {
            return Phase::Talking(self);
        };
        let verdict = failure::judge(&failure);
        if let Some(trying) = transfer.trying.take() {
            core.report_health(&trying.trunk.name, trying.peer, &failure);
            trying.abandon(core, head, &failure, &verdict);
        }
        transfer.tried.push(verdict);
        if verdict.advances && !transfer.alerted {
            self.next_attempt(core, head)
        } else {
            self.given_back(core, head)
        }
    }

    /// The transfer failed: the old pair goes on, or, without the transferor, the call ends.
    fn given_back(mut self: Box<Self>, core: &mut Core, head: &mut Head) -> Phase {
        let Some(mut transfer) = self.transfer.take() else {
            return Phase::Talking(self);
        };
        let tried = std::mem::take(&mut transfer.tried);
        let verdict = failure::best(tried, |verdict: &Verdict| verdict)
            .unwrap_or_else(|| failure::judge(&AttemptFailure::NoHop));
        core.disarm(head.key, Timer::Transfer);
        head.settle_transfer(core.now.wall, verdict.status);
        if transfer.rings {
            ring(core, self.leg(transfer.side.other()), false);
        }
        let Transferor::Waiting(dialog) = transfer.transferor else {
            let end = End::failed(&verdict, crate::passlist::Taken::nothing());
            return self.hang_up(core, head, end, Some(transfer.side));
        };
        core.notify(dialog, verdict.status, true);
        self.leg_mut(transfer.side).session.intends = transfer.intended;
        self.changed = true;
        self.update_media(core);
        self.settle(core, head);
        Phase::Talking(self)
    }

    /// The transferor hangs up before the outcome: the transfer goes on without it.
    pub(super) fn transferor_left(
        mut self: Box<Self>,
        core: &mut Core,
        head: &Head,
        server: ServerKey,
    ) -> Phase {
        let Some(transfer) = self.transfer.as_mut() else {
            return Phase::Talking(self);
        };
        transfer.transferor = Transferor::Gone;
        let side = transfer.side;
        let leg = self.leg(side);
        let (trunk, dialog) = (Arc::clone(&leg.trunk), leg.dialog);
        core.reply(server, &trunk, Reply::new(StatusCode::OK));
        core.unsubscribe(dialog);
        core.disarm(head.key, Timer::Session(side));
        core.disarm(head.key, Timer::Refresh(side));
        // Another process could give the party that stays nobody to talk to.
        if std::mem::take(&mut self.saved) {
            core.forget_checkpoint(head.key);
        }
        self.settle(core, head);
        Phase::Talking(self)
    }
}
