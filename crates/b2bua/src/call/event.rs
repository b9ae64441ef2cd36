//! What can happen to a call, translated from the layers below.

use media_relay::MediaEvent;
use serde::{Deserialize, Serialize};
use sip_msg::{Headers, Request, Response};
use sip_ua::{ClientFailure, ClientKey, DialogKey, ServerKey};

use super::ending::End;
use crate::cloud::CloudEvent;
use crate::key::Side;

/// Something that concerns one call.
#[derive(Debug)]
pub(crate) enum Event {
    /// 101 to 199 to a request of ours.
    Provisional {
        client: ClientKey,
        dialog: Option<DialogKey>,
        response: Response,
    },
    /// A final response to a request of ours.
    Final {
        client: ClientKey,
        dialog: Option<DialogKey>,
        response: Response,
    },
    /// A request of ours got no response.
    Failed {
        client: ClientKey,
        error: ClientFailure,
    },
    /// The caller gave up, with a CANCEL that has these; 487 was sent already.
    Cancelled { headers: Headers },
    /// A request within one of the call's dialogs.
    Request {
        server: ServerKey,
        side: Side,
        request: Request,
    },
    /// ACK to a 2xx of ours.
    Acked { side: Side, ack: Request },
    /// A 2xx of ours was never acknowledged.
    AckTimeout,
    /// A reliable provisional response of ours to the caller was never acknowledged.
    PrackTimeout,
    /// A re-INVITE that met one of the party's may be sent again (RFC 3261 §14.1).
    RetryInvite { side: Side },
    /// A time limit of the call has passed.
    Timer(Timer),
    /// The media of one leg has something to say.
    Media { side: Side, event: MediaEvent },
    /// Something happened at Azure that concerns one leg.
    Cloud { side: Side, event: CloudEvent },
    /// The gateway itself ends the call.
    HangUp(End),
}

/// The time limits of a call. Each runs at most once at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Timer {
    /// The attempt under way has answered nothing at all.
    Attempt,
    /// The caller has seen neither an 18x nor a final response.
    Budget,
    /// The called party rings and does not answer.
    NoAnswer,
    /// The announcement that the caller hears before the refusal is over.
    Announcement,
    /// The call has lasted as long as it may.
    Duration,
    /// The session of this leg was not refreshed in time (RFC 4028 §10).
    Session(Side),
    /// It is time to refresh the session of this leg (RFC 4028 §7.4).
    Refresh(Side),
    /// The transfer under way takes too long.
    Transfer,
    /// The media statistics of an ended call did not come.
    Closing,
}

impl Timer {
    /// Every timer, to stop them all.
    pub(crate) const ALL: [Self; 11] = [
        Self::Attempt,
        Self::Budget,
        Self::NoAnswer,
        Self::Announcement,
        Self::Duration,
        Self::Session(Side::A),
        Self::Session(Side::B),
        Self::Refresh(Side::A),
        Self::Refresh(Side::B),
        Self::Transfer,
        Self::Closing,
    ];
}
