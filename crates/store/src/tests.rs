//! The store as its users see it: what goes in comes out, whatever happens between.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const SECOND: i64 = 1_000_000;
/// 2026-01-02 00:00:00 UTC.
const MIDNIGHT: i64 = 1_767_312_000 * SECOND;
const PATIENCE: Duration = Duration::from_secs(30);

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.db");
    (folder, path)
}

fn participant(endpoint: Endpoint, direction: Direction, ended: i64) -> Participant {
    Participant {
        trunk: "contoso-telecom".to_owned(),
        number: Some("+14255550123".to_owned()),
        endpoint,
        direction,
        started: MIDNIGHT,
        ended,
        status: Some(200),
        streams: Vec::new(),
    }
}

/// A call of `seconds` that began at midnight, from a telephone to `far`.
fn call(name: &str, seconds: i64, far: Endpoint) -> Call {
    let ended = MIDNIGHT + seconds * SECOND;
    Call {
        call: name.to_owned(),
        started: MIDNIGHT,
        answered: Some(MIDNIGHT),
        ended,
        from_trunk: "contoso-telecom".to_owned(),
        to_trunk: Some("acs".to_owned()),
        called: "+14255550100".to_owned(),
        calling: Some("+14255550123".to_owned()),
        route: Some("everything".to_owned()),
        snapshot: "00".repeat(32),
        status: Some(200),
        cause: 16,
        failure: None,
        ended_by: "caller".to_owned(),
        participants: vec![
            participant(Endpoint::Pstn, Direction::Inbound, ended),
            participant(far, Direction::Outbound, ended),
        ],
        record: format!("{{\"call\":\"{name}\"}}"),
    }
}

fn numbered(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Call> {
    numbers.map(|number| call(&format!("{number:08}"), 60, Endpoint::Server))
}

fn stored(path: &Path) -> u64 {
    let reader = Reader::open(path).unwrap();
    reader.count(Between::ALWAYS).unwrap()
}

fn spool(path: &Path) -> PathBuf {
    path.with_file_name("calls.db.spool")
}

/// Waits until as many calls are in the database.
fn wait_for(path: &Path, calls: u64) {
    let end = Instant::now() + PATIENCE;
    while stored(path) != calls {
        assert!(Instant::now() < end, "{} calls", stored(path));
        std::thread::yield_now();
    }
}

#[test]
fn what_is_accepted_is_stored_once() {
    let (_folder, path) = place();
    let log = CallLog::open(&path, LogOptions::default()).unwrap();
    for call in numbered(0..1000).chain(numbered(0..10)) {
        assert!(log.write(call));
    }
    log.flush();
    let progress = log.progress();
    assert_eq!((progress.accepted, progress.lost), (1010, 0));
    assert_eq!(progress.acknowledged, 1010);
    drop(log);
    assert_eq!(stored(&path), 1000);
    let mut records = Vec::new();
    let reader = Reader::open(&path).unwrap();
    let each = |record: &str| {
        records.push(record.to_owned());
        ControlFlow::Continue(())
    };
    reader.records(Between::ALWAYS, each).unwrap();
    assert_eq!(records.len(), 1000);
    assert!(records.contains(&"{\"call\":\"00000007\"}".to_owned()));
}

#[test]
fn acknowledged_calls_outlive_a_process_that_ends_anyhow() {
    let (_folder, path) = place();
    let log = CallLog::open(&path, LogOptions::default()).unwrap();
    numbered(0..500).for_each(|call| assert!(log.write(call)));
    log.flush();
    // No destructor runs, as under SIGKILL; what the operating system has is what there is.
    std::mem::forget(log);
    drop(CallLog::open(&path, LogOptions::default()).unwrap());
    assert_eq!(stored(&path), 500);
}

#[test]
fn a_database_that_another_process_holds_delays_nobody() {
    let (_folder, path) = place();
    let options = LogOptions {
        waiting: 16_384,
        batch: 64,
        ..LogOptions::default()
    };
    let log = CallLog::open(&path, options).unwrap();
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    for call in numbered(0..5000) {
        assert!(log.write(call));
    }
    log.flush();
    assert_eq!(stored(&path), 0);
    assert_eq!(log.progress().spooled, 5000);
    holder.execute_batch("ROLLBACK").unwrap();
    wait_for(&path, 5000);
    drop(log);
    assert!(!spool(&path).exists());
    assert_eq!(stored(&path), 5000);
}

#[test]
fn a_spool_of_an_earlier_process_is_taken_over_but_its_broken_end() {
    let (_folder, path) = place();
    let spooled = spool::Spool::beside(&path);
    spooled
        .append(&numbered(0..300).collect::<Vec<_>>())
        .unwrap();
    drop(spooled);
    // The process was killed in the middle of a line.
    let mut half = std::fs::read(spool(&path)).unwrap();
    half.truncate(half.len() - 20);
    std::fs::write(spool(&path), half).unwrap();
    let log = CallLog::open(&path, LogOptions::default()).unwrap();
    numbered(1000..1001).for_each(|call| assert!(log.write(call)));
    wait_for(&path, 300);
    assert_eq!(log.progress().unreadable, 1);
    drop(log);
    assert_eq!(stored(&path), 300);
    let kept = std::fs::read_to_string(path.with_file_name("calls.db.spool-unreadable")).unwrap();
    assert!(kept.starts_with("{\"call\":\"00000299\""), "{kept}");
}

#[test]
fn a_spool_is_emptied_while_calls_go_on() {
    let (_folder, path) = place();
    let spooled = spool::Spool::beside(&path);
    spooled
        .append(&numbered(0..2000).collect::<Vec<_>>())
        .unwrap();
    drop(spooled);
    let options = LogOptions {
        batch: 16,
        ..LogOptions::default()
    };
    let log = CallLog::open(&path, options).unwrap();
    let reader = Connection::open(&path).unwrap();
    let emptied = "SELECT count(*) FROM calls WHERE call < '00002000'";
    let end = Instant::now() + PATIENCE;
    // Never a pause in which there is nothing else to do.
    for fresh in numbered(5000..u32::MAX) {
        assert!(log.write(fresh));
        log.flush();
        let count: i64 = reader.query_row(emptied, [], |row| row.get(0)).unwrap();
        if count == 2000 {
            return;
        }
        assert!(Instant::now() < end, "{count} calls");
    }
}

#[test]
fn what_finds_no_room_is_counted() {
    let (_folder, path) = place();
    let options = LogOptions {
        waiting: 10,
        batch: 1,
        ..LogOptions::default()
    };
    let log = CallLog::open(&path, options).unwrap();
    let accepted = numbered(0..20_000)
        .filter(|call| log.write(call.clone()))
        .count() as u64;
    let progress = log.progress();
    assert_eq!(progress.accepted, accepted);
    assert_eq!(progress.accepted + progress.lost, 20_000);
    assert!(progress.lost > 0);
    drop(log);
    assert_eq!(stored(&path), accepted);
}

#[test]
fn old_calls_are_deleted_with_their_parties() {
    let (_folder, path) = place();
    let options = LogOptions {
        keep: Some(Duration::from_secs(3600)),
        ..LogOptions::default()
    };
    let log = CallLog::open(&path, options).unwrap();
    numbered(0..700).for_each(|call| assert!(log.write(call)));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let fresh = Call {
        ended: i64::try_from(now.unwrap().as_micros()).unwrap(),
        ..call("fresh", 60, Endpoint::Pstn)
    };
    assert!(log.write(fresh));
    log.flush();
    wait_for(&path, 1);
    let reader = Connection::open(&path).unwrap();
    let parties: i64 = reader
        .query_row("SELECT count(*) FROM participants", [], |row| row.get(0))
        .unwrap();
    assert_eq!(parties, 2);
}

#[test]
fn participants_are_counted_as_azure_does_and_calls_once() {
    let (_folder, path) = place();
    let log = CallLog::open(&path, LogOptions::default()).unwrap();
    log.write(call("a", 60, Endpoint::Server));
    log.write(call("b", 120, Endpoint::Server));
    log.write(call("c", 30, Endpoint::Pstn));
    drop(log);
    let reader = Reader::open(&path).unwrap();
    let totals = |counting| -> Vec<(String, String, u64, f64, f64)> {
        let days = reader.by_day(counting, Between::ALWAYS).unwrap();
        let days = days.into_iter();
        days.map(|day| {
            (
                day.day,
                day.call_type,
                day.total,
                day.average_seconds,
                day.minutes,
            )
        })
        .collect()
    };
    let day = || "2026-01-02".to_owned();
    assert_eq!(
        totals(Counting::Participants),
        [
            (day(), "Group".to_owned(), 4, 90.0, 6.0),
            (day(), "P2P".to_owned(), 2, 30.0, 1.0)
        ]
    );
    assert_eq!(
        totals(Counting::Calls),
        [
            (day(), "Group".to_owned(), 2, 90.0, 3.0),
            (day(), "P2P".to_owned(), 1, 30.0, 0.5)
        ]
    );
    let nothing = Between {
        from: MIDNIGHT + 120 * SECOND + 1,
        until: i64::MAX,
    };
    assert_eq!(reader.by_day(Counting::Calls, nothing).unwrap(), []);
}

/// The names are those of Azure's tables, apart from what only a workspace of Azure has.
#[test]
fn the_views_have_the_columns_of_azure() {
    let (_folder, path) = place();
    drop(CallLog::open(&path, LogOptions::default()).unwrap());
    let database = Connection::open(&path).unwrap();
    for (view, columns) in [
        (
            "ACSCallSummary",
            "TimeGenerated OperationName OperationVersion Category CorrelationId Identifier \
             CallStartTime CallDuration CallType TeamsThreadId ParticipantId ParticipantStartTime \
             ParticipantDuration ParticipantEndReason ParticipantEndSubCode ResultCategory \
             EndpointId EndpointType SdkVersion OsVersion ParticipantTenantId ParticipantType \
             PstnParticipantCallType",
        ),
        (
            "ACSCallDiagnostics",
            "TimeGenerated OperationName OperationVersion Category CorrelationId ParticipantId \
             Identifier EndpointId EndpointType MediaType StreamId StreamDirection TransportType \
             RoundTripTimeAvg RoundTripTimeMax JitterAvg JitterMax PacketLossRateAvg \
             PacketLossRateMax JitterBufferSizeAvg JitterBufferSizeMax HealedDataRatioAvg \
             HealedDataRatioMax PacketUtilization CodecName VideoFrameRateAvg VideoBitRateAvg \
             VideoBitRateMax RecvResolutionHeight RecvFreezeDurationPerMinuteInMs",
        ),
    ] {
        let statement = database.prepare(&format!("SELECT * FROM {view}")).unwrap();
        let expected: Vec<&str> = columns.split_whitespace().collect();
        let columns: Vec<&str> = statement.column_names().collect();
        assert_eq!(columns, expected, "{view}");
    }
}

#[test]
fn a_stream_is_a_row_of_diagnostics() {
    let (_folder, path) = place();
    let mut one = call("a", 60, Endpoint::Server);
    one.participants[0].streams = vec![Stream {
        direction: Direction::Inbound,
        codec: Some("PCMU".to_owned()),
        packets: 2970,
        lost: Some(30),
        jitter_us: Some(2600),
        round_trip_us: None,
        mos_centi: Some(432),
    }];
    one.participants[1].status = Some(486);
    let log = CallLog::open(&path, LogOptions::default()).unwrap();
    log.write(one);
    drop(log);
    let database = Connection::open(&path).unwrap();
    let row: (String, i64, f64, Option<i64>) = database
        .query_row(
            "SELECT CodecName, JitterAvg, PacketLossRateMax, RoundTripTimeAvg
             FROM ACSCallDiagnostics",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(row, ("PCMU".to_owned(), 3, 0.01, None));
    let ends: Vec<(String, String, String)> = database
        .prepare(
            "SELECT ParticipantEndReason, ParticipantEndSubCode, ResultCategory
             FROM ACSCallSummary ORDER BY ParticipantId",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let text = |texts: [&str; 3]| texts.map(str::to_owned).into();
    assert_eq!(
        ends,
        [
            text(["0", "540000", "Success"]),
            text(["486", "560486", "ExpectedError"])
        ]
    );
}

#[test]
fn files_of_others_and_of_the_future_are_refused() {
    let (folder, path) = place();
    std::fs::write(
        &path,
        "no database, but long enough to be looked at as if it were one",
    )
    .unwrap();
    let error = CallLog::open(&path, LogOptions::default()).unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
    let newer = folder.path().join("newer.db");
    drop(CallLog::open(&newer, LogOptions::default()).unwrap());
    let database = Connection::open(&newer).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    for error in [
        CallLog::open(&newer, LogOptions::default())
            .map(drop)
            .unwrap_err(),
        Reader::open(&newer).map(drop).unwrap_err(),
    ] {
        assert!(
            matches!(error, StoreError::Newer { found: 99, .. }),
            "{error}"
        );
    }
    assert!(Reader::open(&folder.path().join("none.db")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Both countings agree with a plain sum over the calls.
    #[test]
    fn totals_agree_with_a_sum(lengths in prop::collection::vec((0_i64..7200, any::<bool>()), 1..40)) {
        let (_folder, path) = place();
        let log = CallLog::open(&path, LogOptions::default()).unwrap();
        for (number, (seconds, application)) in lengths.iter().enumerate() {
            let far = if *application { Endpoint::Server } else { Endpoint::Pstn };
            log.write(call(&number.to_string(), *seconds, far));
        }
        drop(log);
        let reader = Reader::open(&path).unwrap();
        for (counting, times) in [(Counting::Participants, 2), (Counting::Calls, 1)] {
            let days = reader.by_day(counting, Between::ALWAYS).unwrap();
            for kind in ["Group", "P2P"] {
                let of_kind = lengths.iter().filter(|(_, application)| *application == (kind == "Group"));
                let lengths: Vec<i64> = of_kind.map(|(seconds, _)| *seconds).collect();
                let day = days.iter().find(|day| day.call_type == kind);
                prop_assert_eq!(day.map_or(0, |day| day.total), times * lengths.len() as u64);
                let minutes = lengths.iter().sum::<i64>() as f64 * times as f64 / 60.0;
                prop_assert!((day.map_or(0.0, |day| day.minutes) - minutes).abs() < 1e-6);
            }
        }
    }
}
