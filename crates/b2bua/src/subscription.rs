//! The implicit subscriptions of REFER (RFC 3515 §2.4.4): who asked for a transfer is told, by
//! NOTIFY within the same dialog, how it goes.
//!
//! One NOTIFY is under way in a dialog at a time, so that a lost one cannot be overtaken by the
//! next. A subscription outlives the call's interest in it by its last NOTIFY, and never its dialog.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ambient::Moment;
use bytes::Bytes;
use sip_msg::{HeaderName, Method, StatusCode};
use sip_ua::DialogKey;

use crate::core::Core;
use crate::index::Owner;
use crate::profile::TrunkProfile;

/// The media type of a fragment of a SIP message (RFC 3420), as RFC 3515 §2.4.5 writes it.
const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// NOTIFYs that wait for the one under way; of more, the newest but one is left out.
const WAITING_MAX: usize = 8;

/// What a party that asked for a transfer is still to be told.
#[derive(Debug)]
pub(crate) struct Subscription {
    trunk: Arc<TrunkProfile>,
    /// The CSeq of the REFER.
    pub(crate) id: u32,
    expires: Moment,
    under_way: bool,
    waiting: VecDeque<Notice>,
}

/// The status of the new leg's INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Notice {
    status: StatusCode,
    last: bool,
}

impl Core {
    /// Begins to tell the party of `dialog` of the REFER with the CSeq `id`, for as long as the
    /// transfer may take.
    pub(crate) fn subscribe(
        &mut self,
        dialog: DialogKey,
        trunk: &Arc<TrunkProfile>,
        id: u32,
        lasts: Duration,
    ) {
        let subscription = Subscription {
            trunk: Arc::clone(trunk),
            id,
            expires: self.now.moment + lasts,
            under_way: false,
            waiting: VecDeque::new(),
        };
        self.subscriptions.insert(dialog, subscription);
    }

    /// Tells the party of `dialog`, if it listens, that the new leg's INVITE was answered so.
    /// `last` ends the subscription.
    pub(crate) fn notify(&mut self, dialog: DialogKey, status: StatusCode, last: bool) {
        let Some(subscription) = self.subscriptions.get_mut(&dialog) else {
            return;
        };
        let waiting = &mut subscription.waiting;
        if waiting.len() >= WAITING_MAX {
            waiting.pop_back();
        }
        waiting.push_back(Notice { status, last });
        self.notify_next(dialog);
    }

    /// A NOTIFY was answered with `status`, or not at all.
    pub(crate) fn notified(&mut self, dialog: DialogKey, status: Option<StatusCode>) {
        let Some(subscription) = self.subscriptions.get_mut(&dialog) else {
            return;
        };
        subscription.under_way = false;
        // RFC 6665 §4.2.2: the subscriber does not know of the subscription, or is gone.
        let gone = match status {
            Some(status) => status == StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
            None => true,
        };
        if gone {
            self.unsubscribe(dialog);
        } else {
            self.notify_next(dialog);
        }
    }

    /// Nobody listens any more.
    pub(crate) fn unsubscribe(&mut self, dialog: DialogKey) {
        self.subscriptions.remove(&dialog);
    }

    fn notify_next(&mut self, dialog: DialogKey) {
        let now = self.now.moment;
        let Some(subscription) = self.subscriptions.get_mut(&dialog) else {
            return;
        };
        if subscription.under_way {
            return;
        }
        let Some(notice) = subscription.waiting.pop_front() else {
            return;
        };
        subscription.under_way = true;
        let Notice { status, last } = notice;
        let (id, trunk) = (subscription.id, Arc::clone(&subscription.trunk));
        let left = subscription.expires.saturating_since(now).as_secs().max(1);
        let state = match last {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={left}"),
        };
        let capabilities = trunk.capability_headers(&self.software);
        let said = format!("SIP/2.0 {} {}\r\n", status.code(), status.default_reason());
        let sent = self
            .ua
            .dialog_request(self.now, dialog, Method::Notify, |request| {
                let headers = &mut request.headers;
                headers.push(HeaderName::Event, format!("refer;id={id}"));
                headers.push(HeaderName::SubscriptionState, state);
                for (name, value) in capabilities {
                    headers.push(name, &*value);
                }
                request.set_body(SIPFRAG, Bytes::from(said));
            });
        match sent {
            Ok(client) if last => {
                self.index
                    .own_client(client, Owner::Nobody { keep: Some(dialog) });
                self.unsubscribe(dialog);
            }
            Ok(client) => self.index.own_client(client, Owner::Notice(dialog)),
            Err(_) => self.unsubscribe(dialog),
        }
    }
}
