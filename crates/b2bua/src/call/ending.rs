//! The call is over; the shards' last counters complete its record.

use std::collections::BTreeSet;
use std::time::Duration;

use media_relay::{LegId, LegStats, MediaEvent};
use sip_msg::{HeaderName, Headers, StatusCode};

use super::{Event, Head, Phase, Timer};
use crate::cloud::CloudEvent;
use crate::core::Core;
use crate::failure::{Cause, FailureClass, Verdict, cause_from_status};
use crate::io::Output;
use crate::key::Side;
use crate::passlist::{self, Taken};
use crate::profile::TrunkProfile;
use crate::record::EndedBy;

/// Longest wait for the shards' last counters.
const STATS_WAIT: Duration = Duration::from_secs(2);

/// Why and by whom a call ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) by: EndedBy,
    /// The final response the caller saw.
    pub(crate) status: Option<StatusCode>,
    pub(crate) cause: Cause,
    pub(crate) failure: Option<FailureClass>,
    /// What the message that ended it said, if a party did.
    pub(crate) said: Taken<'static>,
}

impl End {
    /// The party of one leg, on that trunk, hung up.
    pub(crate) fn bye(side: Side, said: &Headers, trunk: &TrunkProfile) -> Self {
        let by = match side {
            Side::A => EndedBy::Caller,
            Side::B => EndedBy::Called,
        };
        let said = Taken::new(passlist::Phase::Ending, said, trunk).into_owned();
        let cause = q850(said.headers()).unwrap_or(Cause::NORMAL_CLEARING);
        Self {
            by,
            status: Some(StatusCode::OK),
            cause,
            failure: None,
            said,
        }
    }

    /// The caller, on that trunk, gave up before the answer.
    pub(crate) fn cancelled(said: &Headers, trunk: &TrunkProfile) -> Self {
        let said = Taken::new(passlist::Phase::Ending, said, trunk).into_owned();
        let cause = q850(said.headers()).unwrap_or(Cause::NORMAL_CLEARING);
        Self {
            by: EndedBy::Caller,
            status: None,
            cause,
            failure: None,
            said,
        }
    }

    /// Azure says that the party of one leg, whom it carries, is gone; `None` where it says
    /// anything else.
    pub(crate) fn of_cloud(head: &mut Head, side: Side, event: CloudEvent) -> Option<Self> {
        let (CloudEvent::Gone { reason } | CloudEvent::Failed { reason, .. }) = event else {
            return None;
        };
        head.note_cloud_end(&reason);
        let by = match side {
            Side::A => EndedBy::Caller,
            Side::B => EndedBy::Called,
        };
        Some(Self {
            by,
            status: Some(StatusCode::OK),
            cause: Cause::NORMAL_CLEARING,
            failure: None,
            said: Taken::nothing(),
        })
    }

    /// An operator ended it.
    pub(crate) fn operator() -> Self {
        Self {
            by: EndedBy::Operator,
            status: None,
            cause: Cause::NORMAL_UNSPECIFIED,
            failure: Some(FailureClass::Policy),
            said: Taken::nothing(),
        }
    }

    /// The party of one leg does not answer any more.
    pub(crate) fn lost(side: Side) -> Self {
        let by = match side {
            Side::A => EndedBy::Caller,
            Side::B => EndedBy::Called,
        };
        let failure = Some(FailureClass::Timeout);
        Self {
            by,
            status: None,
            cause: Cause::TIMER_EXPIRY,
            failure,
            said: Taken::nothing(),
        }
    }

    /// A limit or a fault of ours ended it.
    pub(crate) fn gateway(failure: FailureClass, cause: Cause) -> Self {
        Self {
            by: EndedBy::Gateway,
            status: None,
            cause,
            failure: Some(failure),
            said: Taken::nothing(),
        }
    }

    /// What all attempts came to; `said` is what the called party said with it.
    pub(crate) fn failed(verdict: &Verdict, said: Taken<'static>) -> Self {
        let by = match verdict.class {
            FailureClass::User => EndedBy::Called,
            FailureClass::TrunkDown
            | FailureClass::TrunkOverload
            | FailureClass::Timeout
            | FailureClass::Protocol
            | FailureClass::Policy
            | FailureClass::Internal => EndedBy::Gateway,
        };
        let status = Some(verdict.status);
        Self {
            by,
            status,
            cause: verdict.cause,
            failure: Some(verdict.class),
            said,
        }
    }

    /// The call was refused before any attempt was made.
    pub(crate) fn refused(status: StatusCode, failure: FailureClass) -> Self {
        let cause = cause_from_status(status);
        Self {
            by: EndedBy::Gateway,
            status: Some(status),
            cause,
            failure: Some(failure),
            said: Taken::nothing(),
        }
    }

    /// What a BYE, CANCEL or final response of ours toward `to` says of it: what may cross of what
    /// the party said, and a `Reason` in any case (RFC 3326).
    pub(crate) fn headers(&self, phase: passlist::Phase, to: &TrunkProfile) -> Headers {
        let mut headers = Headers::new();
        passlist::carry(phase, &self.said, to, &mut headers);
        if self.failure != Some(FailureClass::User) {
            headers.remove(&HeaderName::RetryAfter);
        }
        if headers.get(&HeaderName::Reason).is_none() {
            headers.push(HeaderName::Reason, self.cause.reason_value());
        }
        headers
    }
}

/// The Q.850 cause that a message gives (RFC 3326).
pub(crate) fn q850(said: &Headers) -> Option<Cause> {
    let q850 = said
        .reason()
        .into_iter()
        .find(|reason| reason.protocol.eq_ignore_ascii_case("Q.850"))?;
    Cause::new(u8::try_from(q850.cause?).ok()?)
}

/// The phase after the last message of the call proper.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Legs whose last counters are still to come.
    waiting: BTreeSet<LegId>,
}

impl Ending {
    /// The call has ended; the media of these legs are being closed.
    pub(crate) fn begin(
        core: &mut Core,
        head: &mut Head,
        end: End,
        legs: impl IntoIterator<Item = LegId>,
    ) -> Phase {
        head.record.ended = core.now.wall;
        head.record.ended_by = end.by;
        head.record.cause = end.cause.value();
        head.record.failure = end.failure;
        head.record.status = head.record.status.or(end.status.map(StatusCode::code));
        core.disarm_all(head.key);
        core.arm(head.key, Timer::Closing, STATS_WAIT);
        Phase::Ending(Self {
            waiting: legs.into_iter().collect(),
        })
    }

    pub(crate) fn on(mut self, core: &mut Core, head: &mut Head, event: Event) -> Phase {
        match event {
            Event::Media {
                side,
                event: MediaEvent::Closed { leg, stats },
                ..
            } => {
                if self.waiting.remove(&leg) {
                    note_stats(head, side, &stats);
                }
            }
            Event::Timer(Timer::Closing) => self.waiting.clear(),
            Event::Request {
                server, request, ..
            } => core.answer_stray(server, &request),
            Event::Provisional { .. }
            | Event::Final { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Acked { .. }
            | Event::AckTimeout
            | Event::PrackTimeout
            | Event::RetryInvite { .. }
            | Event::Timer(_)
            | Event::Media { .. }
            | Event::Cloud { .. }
            | Event::HangUp(_) => {}
        }
        Phase::Ending(self)
    }

    /// Whether nothing more is awaited.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands the record out and forgets the call.
    pub(crate) fn finish(core: &mut Core, head: Head) {
        core.disarm_all(head.key);
        core.forget(head.key);
        core.ledger.settle(core.now, &head.record);
        core.metrics.ended(&head.record);
        core.outputs.push_back(Output::Record(head.record));
    }
}

/// Puts the counters of one leg into the record.
pub(crate) fn note_stats(head: &mut Head, side: Side, stats: &LegStats) {
    let media = match side {
        Side::A => &mut head.record.media_a,
        Side::B => &mut head.record.media_b,
    };
    let media = media.get_or_insert_default();
    media.received = stats.received;
    media.sent = stats.sent;
    media.octets_received = stats.received_octets;
    media.octets_sent = stats.sent_octets;
    media.lost = stats.lost;
    media.jitter_us = stats.jitter_us;
    media.round_trip_us = stats.round_trip_us;
    media.bursts = stats.bursts.count;
    media.burst_packets = stats.bursts.burst_packets;
    media.loss_density = (stats.bursts.burst_density, stats.bursts.gap_density);
    media.mos_centi = stats.mos_centi;
    media.digits = stats.dtmf;
    let dropped = stats.dropped.iter().filter(|(_, count)| *count > 0);
    media.dropped = dropped
        .map(|(reason, count)| (reason.name().to_owned(), count))
        .collect();
}
