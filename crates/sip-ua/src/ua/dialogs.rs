//! The life of dialogs as the transaction user sees it.

use std::time::Duration;

use ambient::{Now, TokenRng};
use sip_msg::{Method, StatusCode};

use super::{Deadline, UserAgent};
use crate::client::Client;
use crate::dialog::{
    CheckpointError, Dialog, DialogCheckpoint, DialogEntry, DialogId, DialogState, Role,
};
use crate::keys::{ClientKey, DialogKey, ServerKey};
use crate::resolve::Missing;
use crate::server::ServerMachine;

impl UserAgent {
    /// The dialog, while it is there.
    pub fn dialog(&self, dialog: DialogKey) -> Option<&Dialog> {
        self.dialogs.get(dialog).map(|entry| &entry.dialog)
    }

    /// All dialogs, in the order of their creation.
    pub fn dialogs(&self) -> impl Iterator<Item = DialogKey> {
        self.dialogs.keys()
    }

    /// The dialog with these identifiers, for Replaces (RFC 3891) and the like.
    pub fn find_dialog(
        &self,
        call_id: &str,
        local_tag: &str,
        remote_tag: &str,
    ) -> Option<DialogKey> {
        self.dialogs.find(&DialogId {
            call_id: call_id.to_owned(),
            local_tag: local_tag.to_owned(),
            remote_tag: remote_tag.to_owned(),
        })
    }

    /// Forgets a dialog: a 2xx of ours is not repeated any more, an INVITE of the peer that waits
    /// in it is refused with 487, and requests that still come for it are answered 481. Sends no
    /// BYE. A dialog ends by itself with the final response to a BYE in either direction, when a
    /// BYE has no response, and, if it is early, when its INVITE is refused.
    pub fn terminate(&mut self, now: Now, dialog: DialogKey) {
        let Some(entry) = self.dialogs.remove(dialog) else {
            return;
        };
        self.deadlines.cancel(&Deadline::RetryInvite(dialog));
        for (_, server) in entry.unacknowledged {
            self.stop_repeating(server);
        }
        if let Some(server) = entry.remote_invite {
            self.refuse(now, server, StatusCode::REQUEST_TERMINATED);
        }
        if let Some(bye) = entry.held_bye {
            self.locate_client(now, bye, Missing::Wait);
        }
    }

    /// A confirmed dialog as a value that outlives the process; `None` for an early one.
    pub fn checkpoint_dialog(&self, dialog: DialogKey) -> Option<DialogCheckpoint> {
        DialogCheckpoint::of(self.dialog(dialog)?)
    }

    /// Takes a dialog up again; its next request has the bytes it would have had, but for the
    /// branch.
    ///
    /// # Errors
    /// When the checkpoint cannot be read, the dialog is there already, or there is no room.
    pub fn restore_dialog(
        &mut self,
        checkpoint: DialogCheckpoint,
    ) -> Result<DialogKey, CheckpointError> {
        let dialog = checkpoint.restore()?;
        if self
            .find_dialog(&dialog.call_id, &dialog.local_tag, &dialog.remote_tag)
            .is_some()
        {
            return Err(CheckpointError::Exists);
        }
        if self.dialogs.len() >= self.config.limits.dialogs {
            return Err(CheckpointError::TooMany);
        }
        Ok(self.dialogs.insert(DialogEntry::new(dialog)))
    }

    /// Ends those of `dialogs` that were never confirmed.
    pub(super) fn end_early_dialogs(&mut self, now: Now, dialogs: &[DialogKey]) {
        for &key in dialogs {
            let entry = self.dialogs.get(key);
            if entry.is_some_and(|entry| entry.dialog.state == DialogState::Early) {
                self.terminate(now, key);
            }
        }
    }

    /// A re-INVITE of ours was refused; after a 491, the wait of RFC 3261 §14.1 begins.
    pub(super) fn on_reinvite_refused(
        &mut self,
        now: Now,
        dialog: DialogKey,
        client: ClientKey,
        status: StatusCode,
    ) {
        let Some(entry) = self.dialogs.get_mut(dialog) else {
            return;
        };
        if entry.local_invite == Some(client) {
            entry.local_invite = None;
        }
        if status == StatusCode::REQUEST_PENDING {
            let wait = glare_wait(entry.dialog.role, &mut self.rng);
            self.schedule(Deadline::RetryInvite(dialog), Some(now.moment + wait));
        }
    }

    /// The dialog of a BYE ends with its final response.
    pub(super) fn on_bye_done(&mut self, now: Now, method: &Method, dialog: Option<DialogKey>) {
        if let (Method::Bye, Some(dialog)) = (method, dialog) {
            self.terminate(now, dialog);
        }
    }

    /// A client transaction is over; nothing may point at it any more.
    pub(super) fn on_client_gone(&mut self, now: Now, key: ClientKey, client: &Client) {
        let within = client.dialog.into_iter();
        let accepted = client.answers.iter().map(|answer| answer.dialog);
        for dialog in within.chain(accepted) {
            let Some(entry) = self.dialogs.get_mut(dialog) else {
                continue;
            };
            for slot in [
                &mut entry.local_invite,
                &mut entry.accepted,
                &mut entry.held_bye,
            ] {
                if *slot == Some(key) {
                    *slot = None;
                }
            }
        }
        self.on_bye_done(now, &client.request.method, client.dialog);
    }

    /// The ACK of a 2xx came, or will not come: a BYE that waited for it may go.
    pub(super) fn on_ack_settled(&mut self, now: Now, dialog: DialogKey, server: ServerKey) {
        let Some(entry) = self.dialogs.get_mut(dialog) else {
            return;
        };
        entry.unacknowledged.retain(|(_, other)| *other != server);
        if !entry.unacknowledged.is_empty() {
            return;
        }
        if let Some(bye) = entry.held_bye.take() {
            self.locate_client(now, bye, Missing::Wait);
        }
    }

    pub(super) fn stop_repeating(&mut self, server: ServerKey) {
        if let Some(entry) = self.servers.get_mut(server)
            && let Some(ServerMachine::Invite(machine)) = &mut entry.machine
        {
            machine.on_acknowledged();
        }
        self.schedule_server(server);
    }
}

/// RFC 3261 §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other 0 to 2 s, in units of
/// 10 ms.
fn glare_wait(role: Role, rng: &mut TokenRng) -> Duration {
    let units = match role {
        Role::Uac => 210 + rng.below(191),
        Role::Uas => rng.below(201),
    };
    Duration::from_millis(units * 10)
}
