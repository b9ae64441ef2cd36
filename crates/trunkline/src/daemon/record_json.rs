//! A call record as one JSON object: the form written to `records` and read by other programs.

use std::fmt::Display;

use b2bua::record::{AttemptRecord, CallRecord, CloudRecord, EndedBy, FactsRecord, MediaRecord};
use b2bua::record::{Note, Number};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// One line of the records file. Times are RFC 3339 in UTC, lengths of time milliseconds, numbers
/// in full: the file is the operator's bill.
pub fn line(record: &CallRecord) -> String {
    let mut text = Vec::with_capacity(USUAL);
    write(record, &mut text);
    // What serializes JSON writes UTF-8.
    String::from_utf8(text).unwrap_or_default()
}

/// As [`line()`], at the end of `text`.
pub fn write(record: &CallRecord, text: &mut Vec<u8>) {
    // Neither a vector nor these keys can fail.
    let _ = serde_json::to_writer(text, &Whole(record));
}

/// Octets of a usual record.
const USUAL: usize = 4096;

/// Who ended a call, as records name it.
pub fn ended_by(who: EndedBy) -> &'static str {
    match who {
        EndedBy::Caller => "caller",
        EndedBy::Called => "called",
        EndedBy::Gateway => "gateway",
        EndedBy::Operator => "operator",
    }
}

/// Whatever is shown is written as it is shown.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&self.0)
    }
}

struct Whole<'a>(&'a CallRecord);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("call", &Shown(&record.call))?;
        map.serialize_entry("call_id", &record.call_id)?;
        map.serialize_entry("from_trunk", record.from_trunk.as_str())?;
        map.serialize_entry("to_trunk", &record.to_trunk().map(|trunk| trunk.as_str()))?;
        map.serialize_entry("from_address", &Shown(record.from_address))?;
        map.serialize_entry("called", record.called.reveal())?;
        map.serialize_entry("calling", &record.calling.as_ref().map(Number::reveal))?;
        map.serialize_entry("shown", &record.shown.as_ref().map(Number::reveal))?;
        map.serialize_entry("emergency", &record.emergency)?;
        map.serialize_entry(
            "notes",
            &Each(&record.notes, |note: &Note| Shown(note.to_string())),
        )?;
        map.serialize_entry("started", &Shown(record.started))?;
        map.serialize_entry("ringing", &record.ringing.map(Shown))?;
        map.serialize_entry("answered", &record.answered.map(Shown))?;
        map.serialize_entry("ended", &Shown(record.ended))?;
        let post_dial_delay = record.post_dial_delay().map(millis);
        map.serialize_entry("post_dial_delay_ms", &post_dial_delay)?;
        map.serialize_entry("talk_ms", &millis(record.talk_time()))?;
        map.serialize_entry("cost", &record.price().map(Shown))?;
        map.serialize_entry("ended_by", ended_by(record.ended_by))?;
        map.serialize_entry("status", &record.status)?;
        map.serialize_entry("cause", &record.cause)?;
        map.serialize_entry("failure", &record.failure.map(|class| class.as_str()))?;
        map.serialize_entry("route", &record.route)?;
        map.serialize_entry("snapshot", &hex(&record.snapshot))?;
        map.serialize_entry("facts", &Facts(&record.facts))?;
        map.serialize_entry("question", &record.question)?;
        map.serialize_entry("decision", &record.decision)?;
        map.serialize_entry("shadow", &record.shadow)?;
        map.serialize_entry("steps", &record.steps)?;
        map.serialize_entry("attempts", &Each(&record.attempts, Attempt))?;
        map.serialize_entry("media_a", &record.media_a.as_ref().map(Media))?;
        map.serialize_entry("media_b", &record.media_b.as_ref().map(Media))?;
        map.serialize_entry("restored", &record.restored)?;
        map.end()
    }
}

/// A list, each of it in the form that `1` gives it.
struct Each<'a, T, F>(&'a [T], F);

impl<'a, T, U: Serialize, F: Fn(&'a T) -> U> Serialize for Each<'a, T, F> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.0.iter().map(&self.1))
    }
}

struct Facts<'a>(&'a FactsRecord);

impl Serialize for Facts<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let facts = self.0;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("v", &routing::FACTS_VERSION)?;
        map.serialize_entry("peers", &facts.peers)?;
        map.serialize_entry("room", &facts.room)?;
        map.serialize_entry("limits", &facts.limits)?;
        map.serialize_entry("caller_ids", &facts.caller_ids)?;
        map.serialize_entry("wall_us", &facts.wall_us)?;
        map.serialize_entry("draw", &facts.draw)?;
        map.end()
    }
}

struct Attempt<'a>(&'a AttemptRecord);

impl Serialize for Attempt<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let attempt = self.0;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("trunk", attempt.trunk.as_str())?;
        map.serialize_entry("peer", &attempt.peer)?;
        map.serialize_entry("call_id", &attempt.call_id)?;
        map.serialize_entry("called", attempt.called.reveal())?;
        map.serialize_entry("started", &Shown(attempt.started))?;
        map.serialize_entry("ringing", &attempt.ringing.map(Shown))?;
        map.serialize_entry("settled", &attempt.settled.map(Shown))?;
        map.serialize_entry("status", &attempt.status)?;
        map.serialize_entry("cause", &attempt.cause)?;
        map.serialize_entry("failure", &attempt.failure.map(|class| class.as_str()))?;
        let tariff = attempt.tariff.as_ref();
        let per_minute = tariff.map(|tariff| Shown(&tariff.per_minute));
        map.serialize_entry("cost_per_minute", &per_minute)?;
        map.serialize_entry("limits", &attempt.limits)?;
        map.serialize_entry("cloud_calling", &attempt.cloud.as_deref().map(Cloud))?;
        map.end()
    }
}

struct Cloud<'a>(&'a CloudRecord);

impl Serialize for Cloud<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let cloud = self.0;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("to", cloud.to.reveal())?;
        map.serialize_entry("caller_id", cloud.caller_id.reveal())?;
        map.serialize_entry("call_connection_id", &cloud.connection)?;
        map.serialize_entry("correlation_id", &cloud.correlation)?;
        map.serialize_entry("reason", &cloud.reason)?;
        map.end()
    }
}

struct Media<'a>(&'a MediaRecord);

impl Serialize for Media<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let media = self.0;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("codec", &media.codec)?;
        map.serialize_entry("srtp", &media.srtp)?;
        map.serialize_entry("received", &media.received)?;
        map.serialize_entry("sent", &media.sent)?;
        map.serialize_entry("octets_received", &media.octets_received)?;
        map.serialize_entry("octets_sent", &media.octets_sent)?;
        map.serialize_entry("lost", &media.lost)?;
        map.serialize_entry("jitter_us", &media.jitter_us)?;
        map.serialize_entry("round_trip_us", &media.round_trip_us)?;
        map.serialize_entry("bursts", &media.bursts)?;
        map.serialize_entry("burst_packets", &media.burst_packets)?;
        map.serialize_entry("loss_density", &Density(media.loss_density))?;
        let mos = media.mos_centi.map(|mos| f64::from(mos) / 100.0);
        map.serialize_entry("mos", &mos)?;
        map.serialize_entry("digits", &media.digits)?;
        map.serialize_entry("dropped", &media.dropped)?;
        map.end()
    }
}

struct Density<T>((T, T));

impl<T: Serialize> Serialize for Density<T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let (burst, gap) = &self.0;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("burst", burst)?;
        map.serialize_entry("gap", gap)?;
        map.end()
    }
}

fn millis(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Octets as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xf)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}
