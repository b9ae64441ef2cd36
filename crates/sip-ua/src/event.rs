//! What passes between the user agent and its transaction user.

use std::time::Duration;

use sip_msg::wire::{Arrival, TransportError, TrunkName};
use sip_msg::{Headers, Request, Response, Uri};
use thiserror::Error;

use crate::dialog::{DialogSettings, SentBy};
use crate::keys::{ClientKey, DialogKey, ServerKey};
use crate::resolve::LookupError;

/// What the user agent tells its transaction user.
#[derive(Clone, Debug)]
pub enum UaEvent {
    /// A new request, once: in a dialog with its CSeq checked, or outside of any. An INVITE was
    /// answered 100 already. Never an ACK or a CANCEL.
    Request {
        /// To answer it with [`crate::UserAgent::respond`].
        server: ServerKey,
        /// The dialog it came in.
        dialog: Option<DialogKey>,
        /// The request, with `received` and `rport` in its topmost Via.
        request: Request,
        /// How it came.
        arrival: Arrival,
    },
    /// A CANCEL came; the 200 to it and the 487 to the INVITE are sent. Also when the transaction
    /// user left the INVITE unanswered for [`crate::TimerConfig::server_patience`], in which case
    /// 500 was sent.
    Cancelled {
        /// The INVITE, which needs no answer any more.
        server: ServerKey,
        /// The header fields of the CANCEL; none if no CANCEL came.
        headers: Headers,
    },
    /// The ACK of a 2xx of ours, once.
    Acked {
        /// The dialog of the INVITE.
        dialog: DialogKey,
        /// The ACK; its body answers an offer in the 2xx.
        ack: Request,
    },
    /// A 2xx of ours was repeated for 64*T1 and never acknowledged: the session should be ended
    /// with a BYE (RFC 3261 §13.3.1.4).
    AckTimeout {
        /// The dialog of the INVITE.
        dialog: DialogKey,
    },
    /// A reliable provisional response of ours was repeated for 64*T1 and no PRACK came: the
    /// INVITE should be refused with a 5xx response (RFC 3262 §3).
    PrackTimeout {
        /// The INVITE.
        server: ServerKey,
    },
    /// A provisional response other than 100. One that is reliable comes once and in order, and
    /// is to be acknowledged with [`crate::UserAgent::prack`].
    Provisional {
        /// The request it answers.
        client: ClientKey,
        /// The early dialog, where the response has a To tag; otherwise that of the request.
        dialog: Option<DialogKey>,
        /// The response.
        response: Response,
    },
    /// A final response. Of an INVITE, one event for each fork that accepts: the transaction user
    /// must send the ACK of each 2xx with [`crate::UserAgent::ack`].
    Final {
        /// The request it answers.
        client: ClientKey,
        /// The dialog it confirms or came in.
        dialog: Option<DialogKey>,
        /// The response.
        response: Response,
    },
    /// There is and will be no response.
    Failed {
        /// The request.
        client: ClientKey,
        /// Why.
        error: ClientFailure,
    },
    /// The last event of a request of ours: no further fork can come.
    ClientDone {
        /// The request.
        client: ClientKey,
    },
    /// A re-INVITE of ours met one of the peer (491); the time of RFC 3261 §14.1 has passed and
    /// it may be sent again, if it is still wanted.
    RetryInvite {
        /// The dialog of the re-INVITE.
        dialog: DialogKey,
    },
}

/// Why a request of ours has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClientFailure {
    /// Nobody answered in time: timer B or F, timer C, or [`HopPolicy::no_response`].
    #[error("no response in time")]
    TimedOut,
    /// Every address of the next hop failed; the last one like this.
    #[error("not delivered: {0}")]
    Transport(TransportError),
    /// The next hop has no address.
    #[error("nowhere to send to: {0}")]
    NoHop(LookupError),
    /// The table of transactions or of dialogs is full.
    #[error("too many transactions or dialogs")]
    TooMany,
    /// Cancelled before it was sent.
    #[error("cancelled before it was sent")]
    Cancelled,
    /// The request lacks From, To, Call-ID or CSeq.
    #[error("the request lacks a mandatory header field")]
    Incomplete,
}

/// A request of ours outside of any dialog.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Complete but for its Via: with From (and its tag), To, Call-ID, CSeq and, where the method
    /// needs one, Contact. Max-Forwards is added where it is missing.
    pub request: Request,
    /// The trunk it leaves on.
    pub trunk: TrunkName,
    /// Where it goes (RFC 3263), unless its first Route says so.
    pub next_hop: Uri,
    /// What the Via shows.
    pub sent_by: SentBy,
    /// Where requests in the dialogs it creates go when there is no route set.
    pub pinned_hop: Option<Uri>,
    /// The peer by the name its certificate shows, for the addresses that it gives instead.
    pub named_peer: Option<Uri>,
    /// How its addresses are tried.
    pub policy: HopPolicy,
    /// What becomes of it, and of what follows in its dialogs, where it is long.
    pub datagrams: DatagramPolicy,
    /// Whether the trunk's credentials may be shown; not to a host that is none of the trunk's.
    pub credentials: bool,
}

impl Outgoing {
    pub(crate) fn settings(&self) -> DialogSettings {
        DialogSettings {
            trunk: self.trunk.clone(),
            sent_by: self.sent_by.clone(),
            pinned_hop: self.pinned_hop.clone(),
            named_peer: self.named_peer.clone(),
            datagrams: self.datagrams,
            credentials: self.credentials,
        }
    }
}

/// What becomes of long requests to a peer that is reached over UDP (RFC 3261 §18.1.1). Whatever
/// is sent too long over UDP is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramPolicy {
    /// The longest request, in octets, that is sent over UDP as a matter of course. Default 1300.
    pub longest: usize,
    /// Whether longer ones go over TCP, and over UDP only where the peer takes no connection.
    /// Default `true`; `false` for a peer that is known to take none.
    pub streams: bool,
}

impl DatagramPolicy {
    /// Path MTU unknown (RFC 3261 §18.1.1).
    pub const LONGEST: usize = 1300;
}

impl Default for DatagramPolicy {
    fn default() -> Self {
        Self {
            longest: Self::LONGEST,
            streams: true,
        }
    }
}

/// How the addresses of a next hop are tried (RFC 3263 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopPolicy {
    /// Whether a failure or a 503 at one address leads to the next one. Default `true`.
    pub failover: bool,
    /// How long an address may keep silent before the next one is tried; timer B or F if `None`.
    /// Default `None`.
    pub no_response: Option<Duration>,
}

impl Default for HopPolicy {
    fn default() -> Self {
        Self {
            failover: true,
            no_response: None,
        }
    }
}

/// Why a response was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RespondError {
    /// The request is gone: cancelled, abandoned by its client, or never there.
    #[error("the server transaction is gone")]
    Gone,
    /// A final response was sent before.
    #[error("a final response was sent before")]
    AlreadyAnswered,
    /// The response would create a dialog, and nothing says where its requests go.
    #[error("a response that creates a dialog needs dialog settings")]
    NoDialogSettings,
    /// The request lacks what a dialog is made of (RFC 3261 §12.1.1).
    #[error("the request cannot create a dialog")]
    NoDialog,
    /// The response cannot be sent reliably: it is not a 101 to 199 of an INVITE, or the peer did
    /// not say that it supports `100rel` (RFC 3262 §3).
    #[error("the response cannot be sent reliably")]
    NotReliable,
    /// A reliable provisional response waits for its PRACK: neither another one nor, if it has a
    /// session description, a 2xx may be sent before that came (RFC 3262 §3).
    #[error("a reliable provisional response waits for its PRACK")]
    Unacknowledged,
}

/// Why a dialog did not do as told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DialogError {
    /// The dialog ended or was never there.
    #[error("the dialog is gone")]
    Gone,
    /// An INVITE is under way in one direction or the other (RFC 3261 §14.1).
    #[error("an INVITE is under way in the dialog")]
    Glare,
    /// The table of transactions is full.
    #[error("too many transactions")]
    TooMany,
    /// There is no 2xx and no reliable provisional response to acknowledge.
    #[error("nothing to acknowledge")]
    NothingToAcknowledge,
    /// ACK and CANCEL are not sent this way.
    #[error("the method cannot be sent as a request of its own")]
    Method,
    /// The CSeq has reached its end (RFC 3261 §8.1.1.5).
    #[error("the dialog has used up its sequence numbers")]
    Exhausted,
}
