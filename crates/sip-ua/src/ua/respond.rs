//! Responses of ours.

use ambient::Now;
use sip_msg::wire::Arrival;
use sip_msg::{HeaderName, Method, Response, StatusCode, TransportKind};

use super::UserAgent;
use crate::dialog::{Dialog, DialogEntry, DialogId, DialogSettings, DialogState};
use crate::event::RespondError;
use crate::keys::{DialogKey, ServerKey};
use crate::server::{RequestFacts, ServerMachine};
use crate::timers::Pace;

/// How often a response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As its transaction has it.
    Once,
    /// Until its PRACK comes (RFC 3262 §3).
    UntilPrack,
}

impl UserAgent {
    /// The frame of a response: Via, From, To with our tag, Call-ID, CSeq and, where it is needed,
    /// Record-Route. `None` once the request has its final response.
    pub fn respond_to(&self, server: ServerKey, status: StatusCode) -> Option<Response> {
        let server = self.servers.get(server)?;
        let tag = (status != StatusCode::TRYING).then_some(server.tag.as_str());
        Some(Response::to_request(server.request.as_ref()?, status, tag))
    }

    /// How a request came; `None` once it is gone.
    #[must_use]
    pub fn arrival(&self, server: ServerKey) -> Option<&Arrival> {
        Some(&self.servers.get(server)?.arrival)
    }

    /// The transport that the request came over. `None` once the request is gone.
    pub fn arrived_over(&self, server: ServerKey) -> Option<TransportKind> {
        self.servers
            .get(server)
            .map(|server| server.arrival.transport)
    }

    /// Sends a response. To an INVITE outside of a dialog, 101-199 create an early dialog and a
    /// 2xx confirms it; `settings` says where that dialog's requests go. A 2xx to an INVITE is
    /// repeated until its ACK.
    ///
    /// # Errors
    /// See [`RespondError`]; then nothing was sent. A 2xx is
    /// [`RespondError::Unacknowledged`] while a reliable provisional response with a session
    /// description waits for its PRACK.
    pub fn respond(
        &mut self,
        now: Now,
        server: ServerKey,
        response: Response,
        settings: Option<&DialogSettings>,
    ) -> Result<Option<DialogKey>, RespondError> {
        self.respond_as(now, server, response, settings, Delivery::Once)
    }

    pub(super) fn respond_as(
        &mut self,
        now: Now,
        server: ServerKey,
        mut response: Response,
        settings: Option<&DialogSettings>,
        delivery: Delivery,
    ) -> Result<Option<DialogKey>, RespondError> {
        let entry = self.servers.get_mut(server).ok_or(RespondError::Gone)?;
        if entry.is_answered() {
            return Err(RespondError::AlreadyAnswered);
        }
        if response.status.is_success() && entry.awaits_prack(true) {
            return Err(RespondError::Unacknowledged);
        }
        let request = entry
            .request
            .as_ref()
            .ok_or(RespondError::AlreadyAnswered)?;
        if response.status != StatusCode::TRYING && response.headers.to_tag().is_none() {
            let framed = Response::to_request(request, response.status, Some(entry.tag.as_str()));
            if let Some(to) = framed.headers.get(&HeaderName::To) {
                response.headers.set(HeaderName::To, to);
            }
        }
        // A datagram has one way back; only a connection that is gone is opened again for a trunk.
        if let Some(settings) = settings.filter(|_| entry.arrival.transport.is_reliable())
            && let Some(facts) = RequestFacts::of(request)
        {
            entry.reply = facts.reply(&entry.arrival, Some(&settings.trunk));
        }
        let dialog = match entry.dialog {
            Some(dialog) => Some(dialog),
            None => self.establish(server, &response, settings)?,
        };
        self.send_response(now, server, dialog, response, delivery);
        Ok(dialog)
    }

    /// Answers by ourselves, without the transaction user.
    pub(super) fn refuse(&mut self, now: Now, server: ServerKey, status: StatusCode) {
        let Some(mut response) = self.respond_to(server, status) else {
            return;
        };
        let out_of_turn = status == StatusCode::SERVER_INTERNAL_ERROR;
        if out_of_turn {
            // §14.2: between 0 and 10 s.
            let wait = self.rng.below(11);
            response
                .headers
                .push(HeaderName::RetryAfter, wait.to_string());
        }
        let Some(entry) = self.servers.get(server) else {
            return;
        };
        if !entry.is_answered() {
            let dialog = entry.dialog;
            self.send_response(now, server, dialog, response, Delivery::Once);
        }
    }

    fn send_response(
        &mut self,
        now: Now,
        key: ServerKey,
        dialog: Option<DialogKey>,
        mut response: Response,
        delivery: Delivery,
    ) {
        self.complete_response(&mut response);
        let status = response.status;
        let message = response.to_bytes();
        let timers = self.config.timers;
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        let pace = Pace {
            now: now.moment,
            timers: &timers,
            transport: server.reliability(),
        };
        server.machine = server
            .machine
            .take()
            .and_then(|machine| machine.on_respond(&pace, status, message.clone()));
        if let (Delivery::UntilPrack, Some(ServerMachine::Invite(machine))) =
            (delivery, &mut server.machine)
        {
            machine.await_prack(&pace, message.clone(), !response.body.is_empty());
        }
        let over = server.machine.is_none();
        let (to, method) = (server.reply.clone(), server.method.clone());
        self.transmit_unwatched(to, message);
        match over {
            true => self.finish_server(now, key),
            false => self.schedule_server(key),
        }
        if status.is_provisional() {
            return;
        }
        self.servers.answer(key);
        if method == Method::Invite {
            self.on_invite_answered(now, key, dialog, status);
        }
        self.on_bye_done(now, &method, dialog);
    }

    /// A final response to an INVITE was sent.
    fn on_invite_answered(
        &mut self,
        now: Now,
        key: ServerKey,
        dialog: Option<DialogKey>,
        status: StatusCode,
    ) {
        if let Some(entry) = dialog.and_then(|dialog| self.dialogs.get_mut(dialog)) {
            if entry.remote_invite == Some(key) {
                entry.remote_invite = None;
            }
            if let (true, Some(server)) = (status.is_success(), self.servers.get_mut(key)) {
                server.answered = dialog;
                entry.unacknowledged.push((server.seq, key));
            }
        }
        let made = self
            .servers
            .get_mut(key)
            .map(|server| std::mem::take(&mut server.made));
        let made = made.unwrap_or_default();
        for &other in &made {
            if let Some(entry) = self.dialogs.get_mut(other) {
                entry.remote_invite = None;
            }
        }
        self.end_early_dialogs(now, &made);
    }

    /// Creates or confirms the dialog of a response to an INVITE of the peer (RFC 3261 §12.1.1).
    fn establish(
        &mut self,
        server: ServerKey,
        response: &Response,
        settings: Option<&DialogSettings>,
    ) -> Result<Option<DialogKey>, RespondError> {
        let entry = self.servers.get(server).ok_or(RespondError::Gone)?;
        let status = response.status;
        let creates = status != StatusCode::TRYING
            && (status.is_provisional() || status.is_success())
            && entry.method == Method::Invite;
        let Some(request) = entry.request.as_ref().filter(|_| creates) else {
            return Ok(None);
        };
        let call_id = request
            .headers
            .call_id()
            .map_err(|_| RespondError::NoDialog)?;
        let id = DialogId {
            call_id: call_id.to_owned(),
            local_tag: response.headers.to_tag().ok_or(RespondError::NoDialog)?,
            remote_tag: request.headers.from_tag().unwrap_or_default(),
        };
        let known = self.dialogs.find(&id);
        let dialog = match known {
            Some(dialog) => dialog,
            None => {
                let settings = settings.ok_or(RespondError::NoDialogSettings)?.clone();
                let made = Dialog::of_uas(request, response, settings);
                let mut made = DialogEntry::new(made.ok_or(RespondError::NoDialog)?);
                made.remote_invite = Some(server);
                self.dialogs.insert(made)
            }
        };
        if let Some(server) = self.servers.get_mut(server).filter(|_| known.is_none()) {
            server.made.push(dialog);
        }
        if let Some(entry) = self.dialogs.get_mut(dialog) {
            if status.is_success() {
                entry.dialog.state = DialogState::Confirmed;
            }
            if let Some(contact) = response.headers.get_str(&HeaderName::Contact) {
                entry.dialog.local_contact = Some(contact.into());
            }
        }
        Ok(Some(dialog))
    }

    pub(super) fn complete_response(&self, response: &mut Response) {
        if let Some(software) = &self.config.software
            && response.status != StatusCode::TRYING
            && !response.headers.contains(&HeaderName::Server)
        {
            response.headers.push(HeaderName::Server, software);
        }
    }
}
