//! The ACK of a 2xx: sent by the user agent core along the dialog's route, and again whenever the
//! 2xx comes again (RFC 3261 §13.2.2.4).

use std::collections::VecDeque;

use ambient::Now;
use bytes::Bytes;
use sip_msg::wire::{Hop, To, Transmit};
use sip_msg::{HeaderName, Method, Response, Scheme};

use super::commands::hop_by_hop;
use super::delivery::written;
use super::lookups::Waiter;
use super::oversize::is_for_length;
use super::{Deadline, Sender, UserAgent};
use crate::client::{Ack, AckDraft, Answer, Delivery};
use crate::dialog::{DialogSettings, Routing};
use crate::event::DialogError;
use crate::keys::{ClientKey, DialogKey};
use crate::resolve::Missing;

impl UserAgent {
    /// Sends the ACK of the last 2xx that came in `dialog`, with a body when that 2xx held an
    /// offer: its Content-Type and content. The ACK is repeated when the 2xx is.
    ///
    /// # Errors
    /// [`DialogError::Gone`], or [`DialogError::NothingToAcknowledge`] when no 2xx came or 64*T1
    /// have passed since.
    pub fn ack(
        &mut self,
        now: Now,
        dialog: DialogKey,
        body: Option<(&str, Bytes)>,
    ) -> Result<(), DialogError> {
        let entry = self.dialogs.get(dialog).ok_or(DialogError::Gone)?;
        let key = entry.accepted.ok_or(DialogError::NothingToAcknowledge)?;
        let client = self
            .clients
            .get(key)
            .ok_or(DialogError::NothingToAcknowledge)?;
        let seq = client.request.headers.cseq().map_or(0, |cseq| cseq.seq);
        let routing = Routing::of(&entry.dialog);
        let settings = DialogSettings::clone(&entry.dialog.settings);
        let mut request = self
            .dialog_skeleton(dialog, &Method::Ack, seq)
            .ok_or(DialogError::Gone)?;
        // RFC 3261 §22.1: what let the INVITE pass lets its ACK pass.
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            for value in client.request.headers.get_all(&name) {
                request.headers.push(name.clone(), value);
            }
        }
        if let Some((content_type, content)) = body {
            request.set_body(content_type, content);
        }
        let ack = Ack::new(AckDraft {
            request,
            next_hop: routing.next_hop,
            settings,
        });
        let answer = self
            .clients
            .get_mut(key)
            .and_then(|client| client.answer(dialog));
        let answer = answer.ok_or(DialogError::NothingToAcknowledge)?;
        if let Some(before) = answer.ack.replace(ack) {
            self.forget_ack_transmit(&before);
        }
        self.locate_ack(now, key, dialog, Missing::Wait);
        Ok(())
    }

    /// A 2xx to a re-INVITE came after the peer's BYE had ended the dialog. Nobody above waits for
    /// it, and without an ACK it would come for 64*T1: the ACK is made from the re-INVITE.
    pub(super) fn ack_without_dialog(
        &mut self,
        now: Now,
        key: ClientKey,
        (dialog, remote_tag): (DialogKey, String),
        response: &Response,
    ) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let mut request = hop_by_hop(&client.request, Method::Ack);
        if let Some(to) = response.headers.get(&HeaderName::To) {
            request.headers.push(HeaderName::To, to);
        }
        let ack = Ack::new(AckDraft {
            request,
            next_hop: client.next_hop.clone(),
            settings: client.settings.clone(),
        });
        client.answers.push(Answer {
            remote_tag,
            dialog,
            ack: Some(ack),
        });
        self.locate_ack(now, key, dialog, Missing::Wait);
    }

    /// The 2xx came again.
    pub(super) fn repeat_ack(&mut self, key: ClientKey, dialog: DialogKey) {
        let Some(ack) = self.ack_of(key, dialog) else {
            return;
        };
        match &ack.delivery {
            Delivery::Sent {
                wire,
                hop,
                transmit,
                ..
            } => {
                let (id, to, message) = (*transmit, To::Hop(hop.clone()), wire.clone());
                self.out.transmits.push_back(Transmit { id, to, message });
            }
            Delivery::Resolving | Delivery::Failed => {}
        }
    }

    pub(super) fn locate_ack(
        &mut self,
        now: Now,
        key: ClientKey,
        dialog: DialogKey,
        missing: Missing,
    ) {
        let Some(ack) = self.ack_of(key, dialog) else {
            return;
        };
        if !matches!(ack.delivery, Delivery::Resolving) {
            return;
        }
        let Some(draft) = &ack.draft else {
            return;
        };
        let secure = draft.request.uri.scheme() == Scheme::Sips;
        let (uri, settings) = (draft.next_hop.clone(), draft.settings.clone());
        let deadline = Deadline::Ack(key, dialog);
        match self.hops(
            now,
            Waiter::Ack(key, dialog),
            (&uri, secure, &settings),
            missing,
        ) {
            Ok(Some(hops)) => {
                self.schedule(deadline, None);
                self.send_ack(now, key, dialog, hops);
            }
            Ok(None) => {
                if self.deadlines.deadline(&deadline).is_none() {
                    self.schedule(deadline, Some(now.moment + self.config.timers.lookup));
                }
            }
            Err(_) => {
                self.schedule(deadline, None);
                self.send_ack(now, key, dialog, VecDeque::new());
            }
        }
    }

    fn send_ack(&mut self, now: Now, key: ClientKey, dialog: DialogKey, mut rest: VecDeque<Hop>) {
        let branch = self.rng.branch();
        let transmit = self.mint_transmit();
        let Some(ack) = self.ack_of(key, dialog) else {
            return;
        };
        let (Some(mut hop), Some(draft)) = (rest.pop_front(), ack.draft.take()) else {
            ack.delivery = Delivery::Failed;
            self.counters.undelivered += 1;
            return;
        };
        let datagrams = draft.settings.datagrams;
        let (_, mut wire) = written(&draft.request, &draft.settings, &hop, &branch);
        let stream = self.instead_of_datagram(now, &hop, wire.len(), datagrams);
        let Some(ack) = self.ack_of(key, dialog) else {
            return;
        };
        if let Some(stream) = stream {
            rest.push_front(std::mem::replace(&mut hop, stream));
            (_, wire) = written(&draft.request, &draft.settings, &hop, &branch);
        }
        ack.draft = (!rest.is_empty()).then_some(draft);
        let (to, message) = (To::Hop(hop.clone()), wire.clone());
        ack.delivery = Delivery::Sent {
            wire,
            hop,
            rest,
            transmit,
        };
        self.out.transmits.push_back(Transmit {
            id: transmit,
            to,
            message,
        });
        self.transmits.insert(transmit, Sender::Ack(key, dialog));
    }

    fn ack_of(&mut self, key: ClientKey, dialog: DialogKey) -> Option<&mut Ack> {
        let client = self.clients.get_mut(key)?;
        client.answer(dialog)?.ack.as_mut()
    }

    /// The ACK goes to the next address; without one, the repeated 2xx asks for it again.
    pub(super) fn on_ack_undelivered(&mut self, now: Now, key: ClientKey, dialog: DialogKey) {
        let Some(ack) = self.ack_of(key, dialog) else {
            return;
        };
        let Delivery::Sent {
            hop,
            rest,
            transmit,
            ..
        } = &mut ack.delivery
        else {
            return;
        };
        let (transport, addr, transmit) = (hop.transport, hop.addr, *transmit);
        let rest = std::mem::take(rest);
        if is_for_length(hop, rest.front()) {
            self.resolver.without_streams(now.moment, addr);
        } else {
            self.resolver.failed(now.moment, transport, addr);
        }
        if !rest.is_empty() {
            self.transmits.remove(&transmit);
            self.send_ack(now, key, dialog, rest);
        } else {
            self.counters.undelivered += 1;
        }
    }

    pub(super) fn drop_ack(&mut self, key: ClientKey, answer: &Answer) {
        self.waiting.forget(Waiter::Ack(key, answer.dialog));
        self.deadlines.cancel(&Deadline::Ack(key, answer.dialog));
        if let Some(ack) = &answer.ack {
            self.forget_ack_transmit(ack);
        }
    }

    fn forget_ack_transmit(&mut self, ack: &Ack) {
        if let Delivery::Sent { transmit, .. } = &ack.delivery {
            self.transmits.remove(transmit);
        }
    }
}
