//! Reliable provisional responses (RFC 3262), of ours and of the peer.

use ambient::Now;
use sip_msg::{HeaderName, Headers, Method, Request, Response};

use super::UserAgent;
use super::respond::Delivery;
use crate::client::Purpose;
use crate::dialog::{DialogSettings, HeardReliable};
use crate::event::{DialogError, RespondError};
use crate::keys::{ClientKey, DialogKey, ServerKey};
use crate::server::{Reliable, Server, ServerMachine};

/// The option tag of reliable provisional responses (RFC 3262 §8.1).
const OPTION_TAG: &str = "100rel";

/// The first RSeq is below this; the sequence never wraps (RFC 3262 §3).
const FIRST_RSEQ_MAX: u64 = 1 << 31;

impl UserAgent {
    /// Sends a provisional response to an INVITE reliably: with `Require: 100rel` and `RSeq`, and
    /// again until its PRACK comes, which comes up as a request of its own. Without one in 64*T1
    /// there is [`crate::UaEvent::PrackTimeout`].
    ///
    /// # Errors
    /// [`RespondError::NotReliable`] where the response or the peer does not allow it,
    /// [`RespondError::Unacknowledged`] while the one before waits for its PRACK, and those of
    /// [`Self::respond`]; then nothing was sent.
    pub fn respond_reliably(
        &mut self,
        now: Now,
        server: ServerKey,
        mut response: Response,
        settings: Option<&DialogSettings>,
    ) -> Result<Option<DialogKey>, RespondError> {
        let entry = self.servers.get(server).ok_or(RespondError::Gone)?;
        let status = response.status;
        let knows = |request: &Request| knows_100rel(&request.headers);
        let possible = entry.method == Method::Invite
            && status.is_provisional()
            && status != sip_msg::StatusCode::TRYING
            && entry.request.as_ref().is_none_or(knows);
        if !possible {
            return Err(RespondError::NotReliable);
        }
        if entry.awaits_prack(false) {
            return Err(RespondError::Unacknowledged);
        }
        let rseq = match entry.reliable {
            Some(before) => before
                .rseq
                .checked_add(1)
                .ok_or(RespondError::NotReliable)?,
            None => u32::try_from(1 + self.rng.below(FIRST_RSEQ_MAX - 1)).unwrap_or(1),
        };
        response.headers.push(HeaderName::Require, OPTION_TAG);
        response.headers.push(HeaderName::RSeq, rseq.to_string());
        let dialog = self.respond_as(now, server, response, settings, Delivery::UntilPrack)?;
        if let Some(entry) = self.servers.get_mut(server) {
            let acknowledged = false;
            entry.reliable = Some(Reliable { rseq, acknowledged });
        }
        Ok(dialog)
    }

    /// Whether a reliable provisional response of ours to this INVITE waits for its PRACK.
    pub fn awaits_prack(&self, server: ServerKey) -> bool {
        let entry = self.servers.get(server);
        entry.is_some_and(|entry| entry.awaits_prack(false))
    }

    /// A PRACK came in `dialog`; whether it acknowledges what waits for one (RFC 3262 §3).
    pub(super) fn on_prack(&mut self, dialog: DialogKey, prack: &Request) -> bool {
        let (Ok(Some(rack)), Some(entry)) = (prack.headers.rack(), self.dialogs.get(dialog)) else {
            return false;
        };
        let matches = |server: &Server| {
            (server.seq, &server.method) == (rack.cseq.seq, &rack.cseq.method)
                && server
                    .reliable
                    .is_some_and(|sent| sent.rseq == rack.rseq && !sent.acknowledged)
        };
        let answered = entry.unacknowledged.iter().map(|(_, server)| *server);
        let key = answered
            .chain(entry.remote_invite)
            .find(|key| self.servers.get(*key).is_some_and(matches));
        let Some((key, server)) = key.and_then(|key| Some((key, self.servers.get_mut(key)?)))
        else {
            return false;
        };
        if let Some(sent) = &mut server.reliable {
            sent.acknowledged = true;
        }
        if let Some(ServerMachine::Invite(machine)) = &mut server.machine {
            machine.on_pracked();
        }
        self.schedule_server(key);
        true
    }

    /// Whether a provisional response to an INVITE of ours is to be looked at: a reliable one only
    /// if it is the next of its dialog (RFC 3262 §4). A repetition was acknowledged when it came
    /// first; one that came too early will come again.
    pub(super) fn is_in_order(&mut self, dialog: Option<DialogKey>, response: &Response) -> bool {
        let reliable = response.headers.require().iter().any(|tag| is_100rel(tag));
        let rseq = response.headers.rseq().ok().flatten();
        let (true, Some(rseq), Ok(cseq)) = (reliable, rseq, response.headers.cseq()) else {
            return true;
        };
        let Some(entry) = dialog.and_then(|dialog| self.dialogs.get_mut(dialog)) else {
            return true;
        };
        let before = entry.reliable.filter(|heard| heard.cseq == cseq.seq);
        match before {
            Some(heard) if rseq <= heard.rseq => {
                self.counters.responses_absorbed += 1;
                return false;
            }
            Some(heard) if rseq != heard.rseq + 1 => {
                self.counters.provisionals_early += 1;
                return false;
            }
            Some(_) | None => {}
        }
        entry.reliable = Some(HeardReliable {
            cseq: cseq.seq,
            rseq,
            owed: true,
        });
        true
    }

    /// Whether the last provisional response of `dialog` was reliable and has no PRACK yet.
    pub fn owes_prack(&self, dialog: DialogKey) -> bool {
        let entry = self.dialogs.get(dialog);
        entry
            .and_then(|entry| entry.reliable)
            .is_some_and(|heard| heard.owed)
    }

    /// Acknowledges the last reliable provisional response of `dialog` (RFC 3262 §4); `build`
    /// adds a body where one is due. What becomes of the PRACK comes as events.
    ///
    /// # Errors
    /// [`DialogError::NothingToAcknowledge`] where [`Self::owes_prack`] is false, and those of
    /// [`Self::dialog_request`].
    pub fn prack(
        &mut self,
        now: Now,
        dialog: DialogKey,
        build: impl FnOnce(&mut Request),
    ) -> Result<ClientKey, DialogError> {
        let entry = self.dialogs.get_mut(dialog).ok_or(DialogError::Gone)?;
        let heard = entry.reliable.as_mut().filter(|heard| heard.owed);
        let heard = heard.ok_or(DialogError::NothingToAcknowledge)?;
        heard.owed = false;
        let rack = format!("{} {} INVITE", heard.rseq, heard.cseq);
        self.request_within(now, dialog, Method::Prack, Purpose::User, |request| {
            request.headers.push(HeaderName::RAck, rack);
            build(request);
        })
    }
}

/// Whether the sender of a request takes reliable provisional responses.
fn knows_100rel(headers: &Headers) -> bool {
    let supported = headers.supported();
    let required = headers.require();
    supported.iter().chain(&required).any(|tag| is_100rel(tag))
}

fn is_100rel(tag: &str) -> bool {
    tag.eq_ignore_ascii_case(OPTION_TAG)
}
