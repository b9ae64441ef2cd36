//! Call records: what is known about a call once it is over, as plain values.
//!
//! Records are also part of checkpoints, so everything here can be written down and read back.
//! The binary decides how a record is printed and whether numbers are shown.

mod cloud;
mod facts;
mod note;
mod number;
mod transfer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ambient::WallTime;
use routing::{DecisionRecord, Difference, Money, Question, Remaining, Tariff};
use serde::{Deserialize, Serialize};
use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;

use crate::failure::{Cause, FailureClass};
use crate::key::{CallKey, Side};

pub use cloud::CloudRecord;
pub use note::Note;
pub use number::Number;
pub use transfer::{TransferKind, TransferRecord};

/// Everything about one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call, as named in traces and checkpoints: the ladder is found by it.
    pub call: CallKey,
    /// The trunk that the call came from.
    #[serde(with = "trunk_name")]
    pub from_trunk: TrunkName,
    /// `Call-ID` of the A leg.
    pub call_id: Box<str>,
    /// Where the A leg's INVITE came from.
    pub from_address: SocketAddr,
    /// The called number as received.
    pub called: Number,
    /// The calling number as received, unless it was withheld.
    pub calling: Option<Number>,
    /// The number shown instead of the caller's, where screening put one in its place.
    #[serde(default)]
    pub shown: Option<Number>,
    /// Whether an emergency number was called.
    #[serde(default)]
    pub emergency: bool,
    /// What the operator should know; at most [`CallRecord::MOST_NOTES`].
    #[serde(default)]
    pub notes: Vec<Note>,
    /// When the INVITE arrived.
    #[serde(with = "wall_time")]
    pub started: WallTime,
    /// When the first 180 or 183 was sent to the caller.
    #[serde(with = "optional_wall_time")]
    pub ringing: Option<WallTime>,
    /// When the call was answered.
    #[serde(with = "optional_wall_time")]
    pub answered: Option<WallTime>,
    /// When the call ended.
    #[serde(with = "wall_time")]
    pub ended: WallTime,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// The final response that the caller saw; `None` when it cancelled or vanished before.
    pub status: Option<u16>,
    /// The Q.850 cause, 1 to 127.
    pub cause: u8,
    /// Whose doing it was, if it failed.
    #[serde(with = "failure_class")]
    pub failure: Option<FailureClass>,
    /// The route that matched.
    pub route: Option<Box<str>>,
    /// SHA-256 of the routing snapshot that decided.
    pub snapshot: [u8; 32],
    /// What was asked of routing; `None` of a call that never came to be routed.
    #[serde(default)]
    pub question: Option<Question>,
    /// What the decision knew.
    pub facts: FactsRecord,
    /// What it decided, and why.
    #[serde(default)]
    pub decision: Option<Box<DecisionRecord>>,
    /// What the configuration beside this one would have decided, where there is one.
    #[serde(default)]
    pub shadow: Option<Box<DecisionRecord>>,
    /// What was decided after it, as redirections asked for, step by step.
    pub steps: Vec<String>,
    /// Every attempt, in the order they were made.
    pub attempts: Vec<AttemptRecord>,
    /// The caller's media.
    pub media_a: Option<MediaRecord>,
    /// The called party's media.
    pub media_b: Option<MediaRecord>,
    /// Every transfer of the call, in the order they were asked for.
    #[serde(default)]
    pub transfers: Vec<TransferRecord>,
    /// Whether any part of the call was carried by an earlier process.
    pub restored: bool,
}

impl CallRecord {
    /// The record of a call that has just begun, ended at once by the gateway until said otherwise.
    #[must_use]
    pub fn begin(begin: Begin) -> Self {
        let Begin {
            call,
            from_trunk,
            call_id,
            from_address,
            called,
            calling,
            started,
        } = begin;
        Self {
            call,
            from_trunk,
            call_id,
            from_address,
            called,
            calling,
            shown: None,
            emergency: false,
            notes: Vec::new(),
            started,
            ringing: None,
            answered: None,
            ended: started,
            ended_by: EndedBy::Gateway,
            status: None,
            cause: Cause::NORMAL_UNSPECIFIED.value(),
            failure: None,
            route: None,
            snapshot: [0; 32],
            question: None,
            facts: FactsRecord::default(),
            decision: None,
            shadow: None,
            steps: Vec::new(),
            attempts: Vec::new(),
            media_a: None,
            media_b: None,
            transfers: Vec::new(),
            restored: false,
        }
    }

    /// How the other configuration's choice differs, where there is one.
    #[must_use]
    pub fn shadow_difference(&self) -> Option<Difference> {
        Some(self.decision.as_ref()?.compare(self.shadow.as_ref()?))
    }

    /// Why the call went where it went, step by step: the decision, and what redirections led to.
    pub fn why(&self) -> impl Iterator<Item = &str> {
        let decision = self.decision.iter().flat_map(|decision| &decision.steps);
        decision.chain(&self.steps).map(String::as_str)
    }

    /// Most notes of one call.
    pub const MOST_NOTES: usize = 16;

    /// Keeps what is new of `notes`.
    pub(crate) fn note(&mut self, notes: impl IntoIterator<Item = Note>) {
        for note in notes {
            if self.notes.len() < Self::MOST_NOTES && !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Post-dial delay: from the INVITE to the first ringing or answer that the caller got.
    #[must_use]
    pub fn post_dial_delay(&self) -> Option<Duration> {
        let heard = self.ringing.or(self.answered)?;
        Some(heard.saturating_since(self.started))
    }

    /// How long it rang.
    #[must_use]
    pub fn ring_time(&self) -> Option<Duration> {
        let until = self.answered.unwrap_or(self.ended);
        Some(until.saturating_since(self.ringing?))
    }

    /// How long it was connected; zero if it never was.
    #[must_use]
    pub fn talk_time(&self) -> Duration {
        self.answered.map_or(Duration::ZERO, |answered| {
            self.ended.saturating_since(answered)
        })
    }

    /// What the call cost on the trunk that took it, by the tariff it was routed with; `None` where
    /// nobody answered or no tariff is known.
    #[must_use]
    pub fn price(&self) -> Option<Money> {
        self.answered?;
        let made = self.transfers.first().map(|first| first.attempts_before);
        let made = self.attempts.get(..made.unwrap_or(self.attempts.len()))?;
        let tariff = made.last()?.tariff?;
        // A second that was begun counts.
        let seconds = self.talk_time().as_micros().div_ceil(1_000_000);
        let micros = tariff.price(u64::try_from(seconds).unwrap_or(u64::MAX));
        Some(Money {
            micros,
            ..tariff.per_minute
        })
    }

    /// The trunk that took the call: of the last attempt made before any transfer.
    #[must_use]
    pub fn to_trunk(&self) -> Option<&TrunkName> {
        let made = self.transfers.first().map(|first| first.attempts_before);
        let made = made.unwrap_or(self.attempts.len());
        let attempts = self.attempts.get(..made).unwrap_or_default();
        attempts.last().map(|attempt| &attempt.trunk)
    }

    /// The final response that the caller saw.
    #[must_use]
    pub fn status_code(&self) -> Option<StatusCode> {
        self.status.and_then(StatusCode::new)
    }

    /// The caller's or the called party's media.
    #[must_use]
    pub fn media(&self, side: Side) -> Option<&MediaRecord> {
        match side {
            Side::A => self.media_a.as_ref(),
            Side::B => self.media_b.as_ref(),
        }
    }
}

/// What is known when a call begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The call's name.
    pub call: CallKey,
    /// The trunk it came from.
    pub from_trunk: TrunkName,
    /// `Call-ID` of the A leg.
    pub call_id: Box<str>,
    /// Where the INVITE came from.
    pub from_address: SocketAddr,
    /// The called number as received.
    pub called: Number,
    /// The calling number as received, unless it was withheld.
    pub calling: Option<Number>,
    /// When the INVITE arrived.
    pub started: WallTime,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// The calling party: BYE, or CANCEL before the answer.
    Caller,
    /// The called party: BYE, or a final response of its own.
    Called,
    /// This gateway: a limit, a timer, a route that rejects, a fault.
    Gateway,
    /// An operator.
    Operator,
}

/// One attempt to reach a called party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The trunk.
    #[serde(with = "trunk_name")]
    pub trunk: TrunkName,
    /// The index of the trunk's peer.
    pub peer: usize,
    /// `Call-ID` of the B leg.
    pub call_id: String,
    /// The called number as sent.
    pub called: Number,
    /// When its INVITE was sent.
    #[serde(with = "wall_time")]
    pub started: WallTime,
    /// When its first 180 or 183 came.
    #[serde(with = "optional_wall_time")]
    pub ringing: Option<WallTime>,
    /// When it ended, or was answered.
    #[serde(with = "optional_wall_time")]
    pub settled: Option<WallTime>,
    /// Its final response.
    pub status: Option<u16>,
    /// The Q.850 cause, 1 to 127.
    pub cause: Option<u8>,
    /// Whose doing it was, if it failed.
    #[serde(with = "failure_class")]
    pub failure: Option<FailureClass>,
    /// What the call cost there, where that is known.
    #[serde(default)]
    pub tariff: Option<Tariff>,
    /// The limits it counted against.
    #[serde(default)]
    pub limits: Vec<String>,
    /// Where Microsoft was the carrier: the trunk is the one over which it was reached.
    #[serde(default)]
    pub cloud: Option<Box<CloudRecord>>,
}

impl AttemptRecord {
    /// The record of an attempt that has just been made.
    #[must_use]
    pub fn begin(
        trunk: TrunkName,
        peer: usize,
        call_id: String,
        called: Number,
        started: WallTime,
    ) -> Self {
        Self {
            trunk,
            peer,
            call_id,
            called,
            started,
            ringing: None,
            settled: None,
            status: None,
            cause: None,
            failure: None,
            tariff: None,
            limits: Vec::new(),
            cloud: None,
        }
    }
}

/// What one leg's media did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRecord {
    /// Encoding name of the negotiated codec, as in SDP.
    pub codec: Option<String>,
    /// Whether it was SRTP.
    pub srtp: bool,
    /// RTP packets received from the party.
    pub received: u64,
    /// RTP packets sent to the party.
    pub sent: u64,
    /// RTP payload octets received.
    pub octets_received: u64,
    /// RTP payload octets sent.
    pub octets_sent: u64,
    /// Packets that the party sent and that never came (RFC 3550 A.3).
    pub lost: u64,
    /// Interarrival jitter at the end, in microseconds (RFC 3550 A.8).
    pub jitter_us: u32,
    /// The last round trip to the party in microseconds (RFC 3550 §6.4.1), if its reports told.
    #[serde(default)]
    pub round_trip_us: Option<u32>,
    /// Bursts of loss (RFC 3611 §4.7.2).
    #[serde(default)]
    pub bursts: u32,
    /// Their mean length in packets.
    #[serde(default)]
    pub burst_packets: u32,
    /// Loss within bursts and within the gaps between, in 1/256.
    #[serde(default)]
    pub loss_density: (u8, u8),
    /// The mean opinion score of what was received, in hundredths, estimated by the E-model (ITU-T
    /// G.107); `None` where the codec's parameters are not known.
    #[serde(default)]
    pub mos_centi: Option<u16>,
    /// Digits that the party dialled during the call; which ones is not kept.
    #[serde(default)]
    pub digits: u32,
    /// Packets received and not relayed, by the name of the reason; only reasons that occurred.
    pub dropped: BTreeMap<String, u64>,
}

/// The facts that a routing decision was made on, apart from the snapshot and the question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactsRecord {
    /// Trunk, index of its peer, whether it was up. Peers not listed were up.
    pub peers: Vec<(String, usize, bool)>,
    /// Trunk and how many more legs it could take. Trunks not listed had no limit.
    pub room: Vec<(String, u32)>,
    /// What was left of limits, by their names. Limits not listed were not looked at.
    #[serde(default)]
    pub limits: Vec<(String, Remaining)>,
    /// Owned numbers that Azure was showing, and how many more calls each could have.
    #[serde(default)]
    pub caller_ids: Vec<(Number, u32)>,
    /// The wall time of the decision, microseconds since the Unix epoch.
    pub wall_us: u64,
    /// The random draw.
    pub draw: u64,
}

/// Writes a trunk's name as a string.
mod trunk_name {
    use serde::{Deserialize, Deserializer, Serializer};
    use sip_msg::wire::TrunkName;

    pub(super) fn serialize<S: Serializer>(name: &TrunkName, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(name.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TrunkName, D::Error> {
        String::deserialize(from).map(|name| TrunkName::from(name.as_str()))
    }
}

/// Writes a time as microseconds since the Unix epoch.
mod wall_time {
    use ambient::WallTime;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &WallTime, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(at.as_unix_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WallTime, D::Error> {
        u64::deserialize(from).map(WallTime::from_unix_micros)
    }
}

/// Writes a time that may be missing as microseconds since the Unix epoch.
mod optional_wall_time {
    use ambient::WallTime;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        at: &Option<WallTime>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(WallTime::as_unix_micros).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<WallTime>, D::Error> {
        Ok(Option::deserialize(from)?.map(WallTime::from_unix_micros))
    }
}

/// Writes a failure class by its name in metrics.
mod failure_class {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::failure::FailureClass;

    pub(super) fn serialize<S: Serializer>(
        class: &Option<FailureClass>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        class.map(FailureClass::as_str).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<FailureClass>, D::Error> {
        let Some(name) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        FailureClass::parse(&name)
            .map(Some)
            .ok_or_else(|| de::Error::custom("failure class"))
    }
}

#[cfg(test)]
mod tests;
