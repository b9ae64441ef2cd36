//! Reliable provisional responses (RFC 3262) and UPDATE in early dialogs (RFC 3311), ended here on
//! both legs: neither is ever relayed.

use bytes::Bytes;
use sdp::{SessionDescription, answer_for};
use sip_msg::{HeaderName, Method, Request, StatusCode};
use sip_ua::{DialogKey, ServerKey};

use super::early::{EarlyAnswer, EarlySession};
use super::ending::End;
use super::setup::Setup;
use super::{Head, Phase};
use crate::core::{Core, Reply};
use crate::failure::FailureClass;
use crate::index::Owner;
use crate::key::Side;
use crate::leg::Heard;
use crate::profile::{OPTION_100REL, Reliable, TrunkProfile};

/// Provisional responses that wait for a PRACK; the oldest that says least goes when one more
/// comes.
const UNSENT_MAX: usize = 4;

impl Setup {
    /// Whether the caller's provisional responses are reliable.
    pub(super) fn is_reliable(&self, head: &Head) -> bool {
        let named = |tags: Vec<String>| {
            tags.iter()
                .any(|tag| tag.eq_ignore_ascii_case(OPTION_100REL))
        };
        let headers = &self.invite.headers;
        match head.trunk.early.reliable {
            Reliable::Never => false,
            Reliable::OnDemand => named(headers.require()),
            Reliable::Preferred => named(headers.require()) || named(headers.supported()),
        }
    }

    /// Sends the caller a provisional response, or keeps it until the PRACK of the one before.
    pub(super) fn tell_caller(&mut self, core: &mut Core, head: &Head, reply: Reply) {
        let reliable = self.is_reliable(head);
        if reliable && (core.ua.awaits_prack(self.server) || !self.early.unsent.is_empty()) {
            if self.early.unsent.len() >= UNSENT_MAX {
                let least = self.early.unsent.iter().position(|kept| !kept.has_body());
                self.early.unsent.remove(least.unwrap_or(0));
            }
            self.early.unsent.push_back(reply);
            return;
        }
        self.send_provisional(core, head, reply);
    }

    fn send_provisional(&self, core: &mut Core, head: &Head, reply: Reply) {
        let reply = match self.is_reliable(head) {
            true => reply.reliable(),
            false => reply,
        };
        if let Some(dialog) = core.reply(self.server, &head.trunk, reply) {
            core.own_dialog(dialog, head.key, Side::A);
        }
    }

    /// Whether the caller owes a PRACK without which its INVITE cannot be accepted: that of a
    /// session description.
    pub(super) fn owes_prack(&self, core: &Core) -> bool {
        let waits = core.ua.awaits_prack(self.server) || !self.early.unsent.is_empty();
        match self.early.session {
            EarlySession::Offered { .. } => true,
            EarlySession::Agreed(_) => waits,
            EarlySession::Untold | EarlySession::Previewed(_) => false,
        }
    }

    /// The caller acknowledged a provisional response. What waited for that goes on.
    pub(super) fn pracked(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        server: ServerKey,
        prack: &Request,
    ) -> Phase {
        let answered = match &self.early.session {
            EarlySession::Offered { .. } => {
                self.answered_early(core, head, &prack.body).map(|()| None)
            }
            _ if prack.body.is_empty() => Ok(None),
            EarlySession::Untold | EarlySession::Previewed(_) | EarlySession::Agreed(_) => {
                self.reoffered(core, head, &prack.body).map(Some)
            }
        };
        let (status, body) = match &answered {
            Ok(body) => (StatusCode::OK, body.clone()),
            Err(status) => (*status, None),
        };
        reply_to(core, &head.trunk, server, Reply::new(status), body);
        if answered.is_err() && matches!(self.early.session, EarlySession::Offered { .. }) {
            // RFC 3262 §5: without an answer there is no session to go on with.
            let end = End::refused(StatusCode::NOT_ACCEPTABLE_HERE, FailureClass::Protocol);
            return self.give_up(core, head, end);
        }
        if let Some(reply) = self.early.unsent.pop_front() {
            self.send_provisional(core, head, reply);
        }
        if !self.owes_prack(core)
            && let Some(accepted) = self.early.accepted.take()
        {
            return self.answered(core, head, accepted.dialog, &accepted.response);
        }
        Phase::Setup(self)
    }

    /// No PRACK came in 64*T1 (RFC 3262 §3).
    pub(super) fn never_pracked(self: Box<Self>, core: &mut Core, head: &mut Head) -> Phase {
        let end = End::refused(StatusCode::SERVER_TIMEOUT, FailureClass::Timeout);
        self.give_up(core, head, end)
    }

    /// The answer to our offer came in a PRACK.
    fn answered_early(
        &mut self,
        core: &mut Core,
        head: &Head,
        heard: &Bytes,
    ) -> Result<(), StatusCode> {
        let EarlySession::Offered { told, offer } = &self.early.session else {
            return Ok(());
        };
        let answer = SessionDescription::parse(heard);
        let answer = answer.map_err(|_| StatusCode::NOT_ACCEPTABLE_HERE)?;
        let negotiated = offer.fork().answered(&answer);
        let negotiated = negotiated.map_err(|_| StatusCode::NOT_ACCEPTABLE_HERE)?;
        self.media.local = negotiated.local.clone();
        self.early.session = EarlySession::Agreed(EarlyAnswer {
            told: told.clone(),
            heard: Heard::of(heard),
            negotiated,
        });
        self.update_early_media(core, head);
        Ok(())
    }

    /// UPDATE in an early dialog (RFC 3311 §5.2).
    pub(super) fn updated(
        &mut self,
        core: &mut Core,
        head: &Head,
        server: ServerKey,
        side: Side,
        update: &Request,
    ) {
        let trunk = match (&self.trying, side) {
            (Some(trying), Side::B) => std::sync::Arc::clone(&trying.trunk),
            _ => std::sync::Arc::clone(&head.trunk),
        };
        let answered = match side {
            _ if update.body.is_empty() => Ok(None),
            Side::A => match self.early.session {
                EarlySession::Agreed(_) => self.reoffered(core, head, &update.body).map(Some),
                EarlySession::Offered { .. } => Err(StatusCode::REQUEST_PENDING),
                // The offer of its INVITE has no binding answer yet.
                EarlySession::Untold | EarlySession::Previewed(_) => {
                    Err(StatusCode::SERVER_INTERNAL_ERROR)
                }
            },
            Side::B => self.fork_reoffered(core, head, update).map(Some),
        };
        match answered {
            Ok(body) => {
                let reply = Reply::new(StatusCode::OK).dialog(update);
                reply_to(core, &trunk, server, reply, body);
            }
            Err(status) => reply_to(core, &trunk, server, Reply::new(status), None),
        }
    }

    /// A fork of the called party offers anew.
    fn fork_reoffered(
        &mut self,
        core: &mut Core,
        head: &Head,
        update: &Request,
    ) -> Result<Bytes, StatusCode> {
        let refusal = |code| StatusCode::new(code).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE);
        let headers = &update.headers;
        let (call_id, ours, theirs) = (headers.call_id(), headers.to_tag(), headers.from_tag());
        let dialog = core.ua.find_dialog(
            call_id.unwrap_or_default(),
            &ours.unwrap_or_default(),
            &theirs.unwrap_or_default(),
        );
        let caller = self.early.session.answer();
        let trying = self.trying.as_mut().ok_or(StatusCode::REQUEST_PENDING)?;
        let fork = trying.forks.iter_mut().find(|fork| fork.dialog == dialog);
        // Our own offer, that of the INVITE, has no binding answer in this dialog yet.
        let fork = fork
            .filter(|fork| fork.binding)
            .ok_or(StatusCode::REQUEST_PENDING)?;
        let offer = SessionDescription::parse(&update.body).map_err(|e| refusal(e.status()))?;
        let other = match (
            caller,
            self.offer
                .as_ref()
                .and_then(|offer| offer.audio_for(head.trunk.srtp)),
        ) {
            (Some(caller), _) => {
                let negotiated = &caller.negotiated;
                crate::leg::agreed(negotiated, negotiated.remote.direction)
            }
            (None, Some(audio)) => audio.clone(),
            (None, None) => {
                let negotiated = &fork.negotiated;
                crate::leg::agreed(negotiated, negotiated.remote.direction)
            }
        };
        let mut local = fork.negotiated.local.clone();
        let (answer, negotiated) =
            answer_for(&offer, &other, &mut local, &trying.trunk.sdp_policy())
                .map_err(|error| refusal(error.status()))?;
        let told = Bytes::from(answer.to_bytes());
        fork.told = told.clone();
        fork.heard = Heard::of(&update.body);
        fork.negotiated = negotiated;
        self.update_early_media(core, head);
        Ok(told)
    }
}

fn reply_to(
    core: &mut Core,
    trunk: &TrunkProfile,
    server: ServerKey,
    mut reply: Reply,
    body: Option<Bytes>,
) {
    if let Some(body) = body {
        reply = reply.body(body);
    }
    if reply.status == StatusCode::SERVER_INTERNAL_ERROR {
        // RFC 3311 §5.2: between 0 and 10 s.
        let wait = core.tokens.below(11);
        reply.headers.push(HeaderName::RetryAfter, wait.to_string());
    }
    core.reply(server, trunk, reply);
}

impl Core {
    /// Acknowledges a reliable provisional response of the called party, where there is one and
    /// the trunk takes PRACK; whether it was one (RFC 3262 §4).
    pub(crate) fn prack(&mut self, dialog: DialogKey, trunk: &TrunkProfile) -> bool {
        if !self.ua.owes_prack(dialog) || trunk.early.reliable == Reliable::Never {
            return false;
        }
        debug_assert!(
            trunk.may_send(&Method::Prack),
            "a trunk that takes 100rel takes PRACK"
        );
        if let Ok(client) = self.ua.prack(self.now, dialog, |_| {}) {
            let keep = Some(dialog);
            self.index.own_client(client, Owner::Nobody { keep });
        }
        true
    }
}
