use super::*;

fn at(seconds: u64) -> WallTime {
    WallTime::from_unix_micros(seconds * 1_000_000)
}

fn record() -> CallRecord {
    let mut record = CallRecord::begin(Begin {
        call: CallKey(7),
        from_trunk: TrunkName::from("carrier"),
        call_id: "a@192.0.2.1".into(),
        from_address: "192.0.2.1:5060".parse().unwrap(),
        called: Number::new("+14255550123"),
        calling: None,
        started: at(100),
    });
    let mut attempt = AttemptRecord::begin(
        TrunkName::from("acs"),
        1,
        "b@sbc.example.com".to_owned(),
        Number::new("+14255550123"),
        at(101),
    );
    attempt.failure = Some(FailureClass::TrunkOverload);
    record.attempts.push(attempt);
    record
}

#[test]
fn durations_follow_from_times() {
    let mut record = record();
    assert_eq!(record.post_dial_delay(), None);
    assert_eq!(record.talk_time(), Duration::ZERO);
    record.ended = at(109);
    record.ringing = Some(at(103));
    assert_eq!(record.ring_time(), Some(Duration::from_secs(6)));
    record.answered = Some(at(105));
    assert_eq!(record.post_dial_delay(), Some(Duration::from_secs(3)));
    assert_eq!(record.ring_time(), Some(Duration::from_secs(2)));
    assert_eq!(record.talk_time(), Duration::from_secs(4));
    assert_eq!(record.to_trunk().map(TrunkName::as_str), Some("acs"));
}

#[test]
fn a_record_can_be_written_down_and_read_back() {
    let mut record = record();
    record.answered = Some(at(105));
    record.media_a = Some(MediaRecord {
        lost: 3,
        ..MediaRecord::default()
    });
    record.facts.peers.push(("acs".to_owned(), 2, false));
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<CallRecord>(&text).unwrap(), record);
}

#[test]
fn numbers_do_not_show_themselves() {
    let number = Number::new("+14255550123");
    assert_eq!(format!("{number} {number:?}"), "+1425******* +1425*******");
    assert_eq!(Number::new("911").to_string(), "***");
    assert_eq!(
        Number::new("a\r\nb: injected").to_string().lines().count(),
        1
    );
    assert!(!format!("{:?}", record()).contains("0123"));
    assert_eq!(number.reveal(), "+14255550123");
}
#[test]
fn facts_come_back_as_they_were() {
    let mut facts = FactsRecord::default().to_facts();
    facts.up.insert((TrunkName::from("acs"), 2), false);
    facts.room.insert(TrunkName::from("carrier"), 3);
    facts.draw = 9;
    assert_eq!(FactsRecord::from(&facts).to_facts(), facts);
}
