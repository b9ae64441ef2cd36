//! Responses to requests of ours.

use ambient::Now;
use bytes::Bytes;
use sip_msg::wire::To;
use sip_msg::{HeaderName, Method, Request, Response, StatusCode};

use super::UserAgent;
use super::commands::{hop_by_hop, is_target_refresh};
use super::delivery::Left;
use super::delivery::on_wire;
use crate::client::{Answer, Client, ClientMachine, InviteResponse, NonInviteResponse, Purpose};
use crate::dialog::{Dialog, DialogEntry, DialogId};
use crate::event::UaEvent;
use crate::keys::{ClientKey, DialogKey};
use crate::timers::Pace;

impl UserAgent {
    pub(super) fn on_response(&mut self, now: Now, response: Response) {
        // §8.1.3.3: with another Via below ours, it was meant for someone else.
        let (Ok(via), Ok(cseq), 1) = (
            response.headers.top_via(),
            response.headers.cseq(),
            response.headers.items(&HeaderName::Via).take(2).count(),
        ) else {
            self.counters.malformed += 1;
            return;
        };
        let branch = via.branch().unwrap_or_default();
        let Some(key) = self.clients.find(branch, &cseq.method) else {
            self.counters.stray_responses += 1;
            return;
        };
        let Some(attempt) = self.clients.get_mut(key).and_then(Client::attempt) else {
            return;
        };
        if attempt.is_unheard() {
            let (transport, addr) = (attempt.hop.transport, attempt.hop.addr);
            self.resolver.succeeded(transport, addr);
        }
        match self
            .clients
            .get(key)
            .map(|client| client.request.method == Method::Invite)
        {
            Some(true) => self.on_invite_response(now, key, response),
            Some(false) => self.on_other_response(now, key, response),
            None => {}
        }
    }

    fn on_invite_response(&mut self, now: Now, key: ClientKey, response: Response) {
        let timers = self.config.timers;
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let Some(attempt) = client.attempt() else {
            return;
        };
        let pace = Pace {
            now: now.moment,
            timers: &timers,
            transport: attempt.reliability(),
        };
        let Some(ClientMachine::Invite(machine)) = attempt.machine.take() else {
            return;
        };
        let via = attempt.via.clone();
        let request = &client.request;
        let (next, verdict) = machine.on_response(&pace, response.status, || {
            ack_of_refusal(request, &response, &via)
        });
        let over = next.is_none();
        let Some(attempt) = client.attempt() else {
            return;
        };
        attempt.machine = next.map(ClientMachine::Invite);
        let hop = attempt.hop.clone();
        self.schedule_client(key);
        match verdict {
            InviteResponse::Absorbed => self.counters.responses_absorbed += 1,
            InviteResponse::AckAgain(message) => {
                self.counters.responses_absorbed += 1;
                self.transmit_unwatched(To::Hop(hop), message);
            }
            InviteResponse::Refused(message) => {
                self.transmit_unwatched(To::Hop(hop), message);
                self.on_refused(now, key, response, over);
            }
            InviteResponse::Deliver if response.status.is_provisional() => {
                self.on_provisional(now, key, response);
            }
            InviteResponse::Deliver => self.on_accepted(now, key, response),
        }
    }

    fn on_provisional(&mut self, now: Now, key: ClientKey, response: Response) {
        self.cancel_if_possible(now, key);
        if response.status == StatusCode::TRYING {
            return;
        }
        match self.early_dialog(key, &response) {
            Ok(dialog) => {
                if !self.is_in_order(dialog, &response) {
                    return;
                }
                self.tell(
                    key,
                    UaEvent::Provisional {
                        client: key,
                        dialog,
                        response,
                    },
                );
            }
            Err(Full) => self.counters.forks_refused += 1,
        }
    }

    /// The dialog of a provisional response: one for each To tag (RFC 3261 §12.1.2).
    fn early_dialog(
        &mut self,
        key: ClientKey,
        response: &Response,
    ) -> Result<Option<DialogKey>, Full> {
        let Some(client) = self.clients.get(key) else {
            return Ok(None);
        };
        if client.dialog.is_some() || response.headers.to_tag().is_none() {
            return Ok(client.dialog);
        }
        self.fork(key, response)
    }

    /// Finds or creates the dialog of a response to an INVITE of ours.
    fn fork(&mut self, key: ClientKey, response: &Response) -> Result<Option<DialogKey>, Full> {
        let Some(id) = DialogId::of_response(&response.headers) else {
            return Ok(None);
        };
        if let Some(known) = self.dialogs.find(&id) {
            return Ok(Some(known));
        }
        let Some(client) = self.clients.get(key) else {
            return Ok(None);
        };
        if client.forks.len() >= self.config.limits.forks {
            return Err(Full);
        }
        let made = Dialog::of_uac(&client.request, response, client.settings.clone());
        let Some(dialog) = made else { return Ok(None) };
        let mut entry = DialogEntry::new(dialog);
        entry.local_invite = Some(key);
        let dialog = self.dialogs.insert(entry);
        if let Some(client) = self.clients.get_mut(key) {
            client.forks.push(dialog);
        }
        Ok(Some(dialog))
    }

    /// A 2xx, the first of its fork or a repetition.
    fn on_accepted(&mut self, now: Now, key: ClientKey, response: Response) {
        let remote_tag = response.headers.to_tag().unwrap_or_default();
        let Some(client) = self.clients.get(key) else {
            return;
        };
        let known = client
            .answers
            .iter()
            .find(|answer| answer.remote_tag == remote_tag);
        if let Some(dialog) = known.map(|answer| answer.dialog) {
            self.counters.responses_absorbed += 1;
            self.repeat_ack(key, dialog);
            return;
        }
        let dialog = match client.dialog {
            Some(dialog) => Some(dialog),
            None => match self.fork(key, &response) {
                Ok(dialog) => dialog,
                Err(Full) => {
                    self.counters.forks_refused += 1;
                    return;
                }
            },
        };
        if let Some(dialog) = dialog.filter(|dialog| self.dialogs.get(*dialog).is_none()) {
            self.ack_without_dialog(now, key, (dialog, remote_tag), &response);
            return;
        }
        if let Some(dialog) = dialog {
            self.confirm(key, dialog, remote_tag, &response);
        }
        self.tell(
            key,
            UaEvent::Final {
                client: key,
                dialog,
                response,
            },
        );
        if let Some(dialog) = dialog {
            self.end_if_abandoned(now, key, dialog);
        }
    }

    fn confirm(
        &mut self,
        key: ClientKey,
        dialog: DialogKey,
        remote_tag: String,
        response: &Response,
    ) {
        if let Some(entry) = self.dialogs.get_mut(dialog) {
            entry.dialog.confirm_by(response);
            entry.local_invite = None;
            entry.accepted = Some(key);
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.forks.retain(|fork| *fork != dialog);
            client.answers.push(Answer {
                remote_tag,
                dialog,
                ack: None,
            });
        }
        self.clients.answer(key);
    }

    /// A 2xx to an INVITE that was left for another address: nobody wants the session.
    fn end_if_abandoned(&mut self, now: Now, key: ClientKey, dialog: DialogKey) {
        let purpose = self
            .clients
            .get(key)
            .map(|client| (client.purpose, client.dialog));
        // A re-INVITE's dialog belongs to the transaction user and goes on.
        let Some((Purpose::Abandoned, within)) = purpose else {
            return;
        };
        // These fail only if the dialog is gone, which is what is wanted here.
        let _ = self.ack(now, dialog, None);
        if within.is_none() {
            let _ = self.request_within(now, dialog, Method::Bye, Purpose::Internal, |_| {});
        }
    }

    fn on_refused(&mut self, now: Now, key: ClientKey, response: Response, over: bool) {
        if response.status == StatusCode::SERVICE_UNAVAILABLE
            && self.try_next_address(now, key, Left::Nothing)
        {
            return;
        }
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let forks = std::mem::take(&mut client.forks);
        let dialog = client.dialog;
        self.end_early_dialogs(now, &forks);
        if self.authenticate(now, key, &response) {
            return;
        }
        self.clients.answer(key);
        if let Some(dialog) = dialog {
            self.on_reinvite_refused(now, dialog, key, response.status);
        }
        self.tell(
            key,
            UaEvent::Final {
                client: key,
                dialog,
                response,
            },
        );
        if over {
            self.finish_client(now, key);
        }
    }

    fn on_other_response(&mut self, now: Now, key: ClientKey, response: Response) {
        let timers = self.config.timers;
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let (dialog, method) = (client.dialog, client.request.method.clone());
        let Some(attempt) = client.attempt() else {
            return;
        };
        let pace = Pace {
            now: now.moment,
            timers: &timers,
            transport: attempt.reliability(),
        };
        let Some(ClientMachine::NonInvite(machine)) = attempt.machine.take() else {
            return;
        };
        let (next, verdict) = machine.on_response(&pace, response.status);
        let over = next.is_none();
        attempt.machine = next.map(ClientMachine::NonInvite);
        self.schedule_client(key);
        let status = response.status;
        match verdict {
            NonInviteResponse::Absorbed => self.counters.responses_absorbed += 1,
            NonInviteResponse::Deliver if status == StatusCode::TRYING => {}
            NonInviteResponse::Deliver if status.is_provisional() => {
                self.tell(
                    key,
                    UaEvent::Provisional {
                        client: key,
                        dialog,
                        response,
                    },
                );
            }
            NonInviteResponse::Deliver => {
                if status == StatusCode::SERVICE_UNAVAILABLE
                    && self.try_next_address(now, key, Left::Nothing)
                {
                    return;
                }
                if self.authenticate(now, key, &response) {
                    return;
                }
                self.clients.answer(key);
                if status.is_success()
                    && is_target_refresh(&method)
                    && let Some(entry) = dialog.and_then(|dialog| self.dialogs.get_mut(dialog))
                {
                    entry.dialog.refresh_target(&response.headers);
                }
                self.tell(
                    key,
                    UaEvent::Final {
                        client: key,
                        dialog,
                        response,
                    },
                );
                self.on_bye_done(now, &method, dialog);
            }
        }
        if over {
            self.finish_client(now, key);
        }
    }
}

/// One INVITE may not create more dialogs.
struct Full;

/// RFC 3261 §17.1.1.3: the INVITE's Request-URI, Via, From, Call-ID and Route, and the response's
/// To.
fn ack_of_refusal(invite: &Request, response: &Response, via: &str) -> Bytes {
    let mut ack = hop_by_hop(invite, Method::Ack);
    if let Some(to) = response.headers.get(&HeaderName::To) {
        ack.headers.push(HeaderName::To, to);
    }
    on_wire(&ack, via)
}
