//! A call record as the store keeps it: its parties one by one.

use ambient::WallTime;
use b2bua::Side;
use b2bua::profile::Profiles;
use b2bua::record::{AttemptRecord, CallRecord, MediaRecord, Number};
use sip_msg::wire::TrunkName;
use store::{Call, Direction, Endpoint, Participant, Stream};

use super::record_json;

/// What is stored of a call. `trunks` tells which of them lead to Microsoft.
pub fn call(record: &CallRecord, trunks: &Profiles) -> Call {
    Call {
        call: record.call.to_string(),
        started: micros(record.started),
        answered: record.answered.map(micros),
        ended: micros(record.ended),
        from_trunk: record.from_trunk.to_string(),
        to_trunk: record.to_trunk().map(TrunkName::to_string),
        called: record.called.reveal().to_owned(),
        calling: reveal(record.calling.as_ref()),
        route: record.route.as_deref().map(str::to_owned),
        snapshot: record_json::hex(&record.snapshot),
        status: record.status,
        cause: record.cause,
        failure: record.failure.map(|class| class.as_str().to_owned()),
        ended_by: record_json::ended_by(record.ended_by).to_owned(),
        participants: participants(record, trunks),
        record: record_json::line(record),
    }
}

/// The caller, whoever took the call or was tried last, and those it was transferred to.
fn participants(record: &CallRecord, trunks: &Profiles) -> Vec<Participant> {
    let ended = micros(record.ended);
    let endpoint = |trunk: &TrunkName| match trunks.trunks.get(trunk) {
        Some(trunk) if trunk.preset.is_microsoft() => Endpoint::Server,
        Some(_) | None => Endpoint::Pstn,
    };
    let caller = Participant {
        trunk: record.from_trunk.to_string(),
        number: reveal(record.calling.as_ref()),
        endpoint: endpoint(&record.from_trunk),
        direction: Direction::Inbound,
        started: micros(record.started),
        ended,
        status: record.status,
        streams: streams(record.media_a.as_ref()),
    };
    let called = |attempt: &AttemptRecord, media| Participant {
        trunk: attempt.trunk.to_string(),
        number: reveal(Some(&attempt.called)),
        endpoint: endpoint(&attempt.trunk),
        direction: Direction::Outbound,
        started: micros(attempt.started),
        ended: match attempt.status {
            Some(200..=299) => ended,
            Some(_) | None => attempt.settled.map_or(ended, micros),
        },
        status: attempt.status,
        streams: streams(media),
    };
    let mut all = vec![caller];
    // Who is on the line now, as places in `all`.
    let mut present = [0, 0];
    let first = record.transfers.first();
    let made = first.map_or(record.attempts.len(), |first| first.attempts_before);
    if let Some(attempt) = record.attempts.get(..made).and_then(<[_]>::last) {
        present[1] = all.len();
        all.push(called(attempt, record.media_b.as_ref()));
    }
    for (index, transfer) in record.transfers.iter().enumerate() {
        let next = record.transfers.get(index + 1);
        let until = next.map_or(record.attempts.len(), |next| next.attempts_before);
        let attempts = record.attempts.get(transfer.attempts_before..until);
        let went_through = matches!(transfer.status, Some(200..=299));
        let Some(attempt) = attempts.and_then(<[_]>::last).filter(|_| went_through) else {
            continue;
        };
        let left = &mut present[usize::from(transfer.side == Side::B)];
        if let Some(party) = all.get_mut(*left) {
            party.ended = transfer.settled.map_or(ended, micros);
        }
        *left = all.len();
        all.push(called(attempt, None));
    }
    all
}

/// Both directions of a leg, where there was media.
fn streams(media: Option<&MediaRecord>) -> Vec<Stream> {
    let Some(media) = media else {
        return Vec::new();
    };
    let received = Stream {
        direction: Direction::Inbound,
        codec: media.codec.clone(),
        packets: media.received,
        lost: Some(media.lost),
        jitter_us: Some(media.jitter_us),
        round_trip_us: media.round_trip_us,
        mos_centi: media.mos_centi,
    };
    let sent = Stream {
        direction: Direction::Outbound,
        codec: media.codec.clone(),
        packets: media.sent,
        lost: None,
        jitter_us: None,
        round_trip_us: media.round_trip_us,
        mos_centi: None,
    };
    vec![received, sent]
}

fn reveal(number: Option<&Number>) -> Option<String> {
    number.map(|number| number.reveal().to_owned())
}

fn micros(at: WallTime) -> i64 {
    i64::try_from(at.as_unix_micros()).unwrap_or(i64::MAX)
}
