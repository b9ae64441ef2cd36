//! REFER: whether the transfer that it asks for is made, and where the new party is looked for.

use std::collections::VecDeque;
use std::sync::Arc;

use routing::{Attempt, Outcome, Question};
use sdp::Direction;
use sip_msg::{HeaderName, Method, Request, StatusCode, Uri};
use sip_ua::{DialogKey, ServerKey};

use super::referral::Refusal;
use super::{Referral, Transfer, Transferor};
use crate::call::begin::beyond;
use crate::call::talking::Talking;
use crate::call::{Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::key::Side;
use crate::leg::Leg;
use crate::profile::TrunkProfile;
use crate::record::{Number, TransferKind, TransferRecord};

/// Transfers that one call may see: its record stays of a size, and a loop of them ends.
const TRANSFERS_MAX: usize = 32;

impl Talking {
    /// A party asks for its replacement (RFC 3515).
    pub(super) fn referred(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        server: ServerKey,
        side: Side,
        request: &Request,
    ) -> Phase {
        let trunk = Arc::clone(&self.leg(side).trunk);
        let considered = self.consider(core, head, side, request);
        let (referral, plan) = match considered {
            Ok(accepted) => accepted,
            Err(refusal) => {
                refusal.answer(core, server, &trunk);
                return Phase::Talking(self);
            }
        };
        let dialog = self.accepted_referral(core, server, (side, request), &referral);
        let leg = self.leg_mut(side);
        let intended = std::mem::replace(&mut leg.session.intends, Direction::SendRecv);
        core.arm(head.key, Timer::Transfer, trunk.transfer.timeout);
        head.record.transfers.push(TransferRecord {
            kind: TransferKind::Blind,
            side,
            target: referral.target.user().map(Number::new),
            asked: core.now.wall,
            settled: None,
            status: None,
            attempts_before: head.record.attempts.len(),
            linked: None,
        });
        let invite = Request::new(Method::Invite, referral.target.clone());
        self.transfer = Some(Box::new(Transfer {
            side,
            transferor: Transferor::Waiting(dialog),
            referral,
            invite,
            plan,
            trying: None,
            concession: None,
            tried: Vec::new(),
            alerted: false,
            rings: false,
            intended,
        }));
        self.update_media(core);
        self.next_attempt(core, head)
    }

    /// Answers the REFER with 202, and begins to tell its party of the outcome.
    pub(super) fn accepted_referral(
        &self,
        core: &mut Core,
        server: ServerKey,
        (side, request): (Side, &Request),
        referral: &Referral,
    ) -> DialogKey {
        let Leg { trunk, dialog, .. } = self.leg(side);
        let mut reply = Reply::new(StatusCode::ACCEPTED).dialog(request);
        if !referral.notify {
            reply.headers.push(HeaderName::ReferSub, "false");
        }
        core.reply(server, trunk, reply);
        if referral.notify {
            core.subscribe(*dialog, trunk, referral.id, trunk.transfer.timeout);
            core.notify(*dialog, StatusCode::TRYING, false);
        }
        *dialog
    }

    /// What a REFER of the party on `side` asks for, unless it may not be asked now.
    pub(super) fn may_refer(
        &self,
        head: &Head,
        side: Side,
        request: &Request,
    ) -> Result<Referral, Refusal> {
        let trunk = &self.leg(side).trunk;
        let spent = head.record.transfers.len() >= TRANSFERS_MAX;
        if !trunk.transfer.refer || spent {
            let phrase = "Transfer Not Allowed";
            return Err(Refusal::new(StatusCode::FORBIDDEN, phrase));
        }
        if let Some((status, _)) = beyond(trunk, request) {
            return Err(Refusal::new(status, status.default_reason()));
        }
        if self.transfer.is_some() {
            let phrase = "Transfer Under Way";
            return Err(Refusal::new(StatusCode::REQUEST_PENDING, phrase));
        }
        Referral::read(request)
    }

    /// Whether and where.
    fn consider(
        &self,
        core: &mut Core,
        head: &Head,
        side: Side,
        request: &Request,
    ) -> Result<(Referral, VecDeque<Attempt>), Refusal> {
        let leg = self.leg(side);
        let trunk = Arc::clone(&leg.trunk);
        let referral = self.may_refer(head, side, request)?;
        let calling = core
            .ua
            .dialog(leg.dialog)
            .and_then(|dialog| number(&dialog.local_uri()?));
        let plan = if trunk.preset.is_microsoft() && !trunk.is_named(referral.target.host_str()) {
            core.back_to(&trunk, &referral, calling)
        } else if referral.replaces.is_some() {
            // It names no call here that its party could be in, and Replaces is sent to nobody.
            let phrase = "Call to Replace Is Unknown";
            return Err(Refusal::new(StatusCode::DECLINE, phrase));
        } else {
            core.routed(&trunk, &referral, calling)?
        };
        let plan = plan.into_iter().take(core.attempts_per_call).collect();
        Ok((referral, plan))
    }
}

/// The number in a URI of ours, as the trunk it was written for writes numbers; `None` where it is
/// withheld.
fn number(uri: &Uri) -> Option<String> {
    let user = uri.user().filter(|user| !user.is_empty())?;
    (!user.eq_ignore_ascii_case("anonymous")).then(|| user.to_owned())
}

impl Core {
    /// Back to where the referral comes from: its target octet for octet, at each of the trunk's
    /// peers. Those that are down come last.
    fn back_to(
        &self,
        trunk: &TrunkProfile,
        referral: &Referral,
        calling: Option<String>,
    ) -> Vec<Attempt> {
        let up = self.monitor.facts(self.now.moment, [&trunk.name]);
        let is_up = |peer: &usize| {
            up.get(&(trunk.name.clone(), *peer))
                .copied()
                .unwrap_or(true)
        };
        let (first, last): (Vec<usize>, Vec<usize>) = (0..trunk.peers.len()).partition(is_up);
        let attempt = |peer| Attempt {
            trunk: trunk.name.clone(),
            peer,
            request_uri: referral.target.clone(),
            to_user: referral.target.user().unwrap_or_default().to_owned(),
            from_user: calling.clone(),
            from_host: None,
            cloud: None,
            hop: None,
            rewritten: false,
            presented: false,
            tariff: None,
        };
        first.into_iter().chain(last).map(attempt).collect()
    }

    /// Where a call of that trunk to the target would go.
    fn routed(
        &mut self,
        trunk: &TrunkProfile,
        referral: &Referral,
        calling: Option<String>,
    ) -> Result<Vec<Attempt>, Refusal> {
        let Some(called) = referral.target.user().filter(|user| !user.is_empty()) else {
            let phrase = "Refer-To Names No Number";
            return Err(Refusal::new(StatusCode::NOT_FOUND, phrase));
        };
        let question = Question {
            trunk: trunk.name.clone(),
            called: called.to_owned(),
            calling,
            headers: Vec::new(),
        };
        let (decision, ..) = self.decide(None, &question);
        match decision.outcome {
            Outcome::Route(mut plan) => {
                // Whom a party is transferred to is told by its own answer.
                plan.attempts.retain(|attempt| attempt.cloud.is_none());
                Ok(self.located(plan.attempts))
            }
            Outcome::Reject { status, .. } => Err(Refusal::new(status, status.default_reason())),
        }
    }
}
