//! Dialogs whose leg was replaced: the party was told so and is to say BYE. One that does
//! not in time gets a BYE from here.

use std::sync::Arc;
use std::time::Duration;

use sip_msg::{Method, Request, StatusCode};
use sip_ua::{DialogKey, ServerKey};

use crate::core::{Core, Due, Reply};
use crate::failure::Cause;
use crate::key::CallKey;
use crate::profile::TrunkProfile;

/// A dialog without a leg.
#[derive(Debug)]
pub(crate) struct Departure {
    /// The call it was in, with which it is written down.
    pub(crate) call: CallKey,
    pub(crate) trunk: Arc<TrunkProfile>,
}

impl Core {
    /// Leaves the dialog to its party for so long.
    pub(crate) fn depart(&mut self, dialog: DialogKey, departure: Departure, patience: Duration) {
        self.index.disown_dialog(dialog);
        self.departures.insert(dialog, departure);
        self.deadlines
            .set(Due::Departure(dialog), self.now.moment + patience);
    }

    /// A request in such a dialog: the call it was of, if that is to be written down anew.
    pub(crate) fn departed_asked(
        &mut self,
        dialog: DialogKey,
        server: ServerKey,
        request: &Request,
    ) -> Option<CallKey> {
        let departure = self.departures.get(&dialog)?;
        let trunk = Arc::clone(&departure.trunk);
        if request.method != Method::Bye {
            let reply = Reply::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
            self.reply(server, &trunk, reply);
            return None;
        }
        self.reply(server, &trunk, Reply::new(StatusCode::OK));
        self.departed(dialog)
    }

    /// The party had its time.
    pub(crate) fn departure_due(&mut self, dialog: DialogKey) -> Option<CallKey> {
        let call = self.departed(dialog);
        self.bye(dialog, Cause::NORMAL_CLEARING.into());
        call
    }

    fn departed(&mut self, dialog: DialogKey) -> Option<CallKey> {
        self.deadlines.cancel(&Due::Departure(dialog));
        self.unsubscribe(dialog);
        self.departures
            .remove(&dialog)
            .map(|departure| departure.call)
    }
}
