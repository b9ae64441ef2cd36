//! A call record as one JSON object: the form written to `records` and read by other programs.

use ambient::WallTime;
use b2bua::record::{AttemptRecord, CallRecord, EndedBy, MediaRecord, Number};
use serde_json::{Value, json};

/// One line of the records file. Times are RFC 3339 in UTC, lengths of time milliseconds, numbers
/// in full: the file is the operator's bill.
pub fn line(record: &CallRecord) -> String {
    let at = |time: Option<WallTime>| time.map(|time| time.to_string());
    json!({
        "call": record.call.to_string(),
        "call_id": record.call_id,
        "from_trunk": record.from_trunk.as_str(),
        "to_trunk": record.to_trunk().map(|trunk| trunk.as_str()),
        "from_address": record.from_address.to_string(),
        "called": record.called.reveal(),
        "calling": record.calling.as_ref().map(Number::reveal),
        "shown": record.shown.as_ref().map(Number::reveal),
        "emergency": record.emergency,
        "notes": record.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "started": record.started.to_string(),
        "ringing": at(record.ringing),
        "answered": at(record.answered),
        "ended": record.ended.to_string(),
        "post_dial_delay_ms": record.post_dial_delay().map(millis),
        "talk_ms": millis(record.talk_time()),
        "cost": record.price().map(|price| price.to_string()),
        "ended_by": ended_by(record.ended_by),
        "status": record.status,
        "cause": record.cause,
        "failure": record.failure.map(|class| class.as_str()),
        "route": record.route,
        "snapshot": hex(&record.snapshot),
        "facts": {
            "v": routing::FACTS_VERSION,
            "peers": record.facts.peers,
            "room": record.facts.room,
            "limits": record.facts.limits,
            "caller_ids": record.facts.caller_ids,
            "wall_us": record.facts.wall_us,
            "draw": record.facts.draw,
        },
        "question": record.question,
        "decision": record.decision,
        "shadow": record.shadow,
        "steps": record.steps,
        "attempts": record.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "media_a": record.media_a.as_ref().map(media),
        "media_b": record.media_b.as_ref().map(media),
        "restored": record.restored,
    })
    .to_string()
}

/// Who ended a call, as records name it.
pub fn ended_by(who: EndedBy) -> &'static str {
    match who {
        EndedBy::Caller => "caller",
        EndedBy::Called => "called",
        EndedBy::Gateway => "gateway",
        EndedBy::Operator => "operator",
    }
}

fn attempt(attempt: &AttemptRecord) -> Value {
    json!({
        "trunk": attempt.trunk.as_str(),
        "peer": attempt.peer,
        "call_id": attempt.call_id,
        "called": attempt.called.reveal(),
        "started": attempt.started.to_string(),
        "ringing": attempt.ringing.map(|time| time.to_string()),
        "settled": attempt.settled.map(|time| time.to_string()),
        "status": attempt.status,
        "cause": attempt.cause,
        "failure": attempt.failure.map(|class| class.as_str()),
        "cost_per_minute": attempt.tariff.map(|tariff| tariff.per_minute.to_string()),
        "limits": attempt.limits,
        "cloud_calling": attempt.cloud.as_ref().map(|cloud| json!({
            "to": cloud.to.reveal(),
            "caller_id": cloud.caller_id.reveal(),
            "call_connection_id": cloud.connection,
            "correlation_id": cloud.correlation,
            "reason": cloud.reason,
        })),
    })
}

fn media(media: &MediaRecord) -> Value {
    json!({
        "codec": media.codec,
        "srtp": media.srtp,
        "received": media.received,
        "sent": media.sent,
        "octets_received": media.octets_received,
        "octets_sent": media.octets_sent,
        "lost": media.lost,
        "jitter_us": media.jitter_us,
        "round_trip_us": media.round_trip_us,
        "bursts": media.bursts,
        "burst_packets": media.burst_packets,
        "loss_density": { "burst": media.loss_density.0, "gap": media.loss_density.1 },
        "mos": media.mos_centi.map(|mos| f64::from(mos) / 100.0),
        "digits": media.digits,
        "dropped": media.dropped,
    })
}

fn millis(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Octets as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
