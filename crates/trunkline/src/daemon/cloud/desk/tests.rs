use std::collections::BTreeMap;

use acs_client::call_automation::{CallEvent, Happened, Identifier, Participant};
use ambient::KeyRng;
use b2bua::CallKey;
use b2bua::cloud::Nonce;

use super::*;

const TO: &str = "+14255550123";
const TOKEN: &str = "0123456789abcdef";
const LEG: LegId = LegId(7);

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn number(text: &str) -> E164Number {
    E164Number::parse(text).unwrap()
}

fn nonce() -> Nonce {
    Nonce::drawn(&mut KeyRng::from_entropy([3; 32]))
}

fn expecting() -> Desk {
    let mut desk = Desk::default();
    desk.handle_request(
        at(0),
        CloudRequest::Expect(Expectation {
            leg: LEG,
            call: CallKey(1),
            nonce: nonce(),
            to: number(TO),
            caller_id: number("+18005550101"),
            ring_timeout: Duration::from_secs(30),
        }),
    );
    assert!(desk.actions().is_empty());
    desk
}

fn incoming(nonce: &str, to: &str) -> IncomingCall {
    let header = |name: &str, value: &str| (name.to_ascii_lowercase(), value.to_owned());
    IncomingCall {
        to: Identifier::phone("+14255550199"),
        from: Identifier::phone("+14255550177"),
        caller_display_name: String::new(),
        incoming_call_context: CallContext::new("ctx"),
        server_call_id: "s".to_owned(),
        correlation_id: "k".to_owned(),
        sip_headers: BTreeMap::from([header(NONCE_HEADER, nonce), header(DESTINATION_HEADER, to)]),
    }
}

fn connection() -> CallConnection {
    serde_json::from_value(serde_json::json!({
        "callConnectionId": "c", "correlationId": "k"
    }))
    .unwrap()
}

fn event(happened: Happened) -> CallEvent {
    CallEvent {
        id: "e".to_owned(),
        call_connection_id: "c".to_owned(),
        server_call_id: "s".to_owned(),
        correlation_id: "k".to_owned(),
        operation_context: None,
        result: None,
        happened,
    }
}

fn with(happened: Happened, result: &str) -> CallEvent {
    CallEvent {
        result: Some(serde_json::from_str(result).unwrap()),
        ..event(happened)
    }
}

/// What a list of actions says, in words.
fn words(desk: &mut Desk) -> Vec<String> {
    let word = |action: Action| match action {
        Action::Ask(_, Ask::Answer { .. }) => "answer".to_owned(),
        Action::Ask(_, Ask::Dial { connection, .. }) => format!("dial in {connection}"),
        Action::Ask(_, Ask::HangUp { connection }) => format!("hang up {connection}"),
        Action::Tell(_, CloudEvent::Accepted { connection, .. }) => {
            format!("accepted {connection}")
        }
        Action::Tell(_, CloudEvent::Connected) => "connected".to_owned(),
        Action::Tell(_, CloudEvent::Failed { status, .. }) => format!("failed {}", status.code()),
        Action::Tell(_, CloudEvent::Gone { .. }) => "gone".to_owned(),
    };
    desk.actions().into_iter().map(word).collect()
}

fn release(desk: &mut Desk) {
    let connection = None;
    desk.handle_request(
        at(60),
        CloudRequest::Release {
            leg: LEG,
            connection,
        },
    );
}

fn answering() -> Desk {
    let mut desk = expecting();
    let event = incoming(&nonce().to_wire(), TO);
    desk.handle_incoming(at(1), &event, TOKEN.to_owned())
        .unwrap();
    assert_eq!(words(&mut desk), ["answer"]);
    desk
}

fn dialling() -> Desk {
    let mut desk = answering();
    desk.handle_answer(LEG, Answer::Answered(Ok(connection())));
    assert_eq!(words(&mut desk), ["accepted c"]);
    let up = event(Happened::CallConnected);
    desk.handle_event(at(2), TOKEN, &up).unwrap();
    assert_eq!(words(&mut desk), ["dial in c"]);
    desk
}

fn succeeded() -> CallEvent {
    event(Happened::AddParticipantSucceeded(Some(Identifier::phone(
        TO,
    ))))
}

fn talking() -> Desk {
    let mut desk = dialling();
    desk.handle_event(at(9), TOKEN, &succeeded()).unwrap();
    assert_eq!(words(&mut desk), ["connected"]);
    assert_eq!(desk.deadline(), None);
    desk
}

#[test]
fn a_call_goes_from_the_event_to_the_called_party_and_is_hung_up_once() {
    let mut desk = talking();
    // What comes twice changes nothing.
    desk.handle_event(at(10), TOKEN, &succeeded()).unwrap();
    let up = event(Happened::CallConnected);
    desk.handle_event(at(10), TOKEN, &up).unwrap();
    assert!(words(&mut desk).is_empty());
    release(&mut desk);
    assert_eq!(words(&mut desk), ["hang up c"]);
    assert_eq!(desk.len(), 0);
    let late = desk.handle_event(at(61), TOKEN, &succeeded());
    assert_eq!(late, Err(Refused::Callback));
    assert!(words(&mut desk).is_empty());
}

#[test]
fn an_event_is_good_once_for_ten_seconds_and_one_number() {
    let right = nonce().to_wire();
    let refused = |desk: &mut Desk, seconds, event: &IncomingCall| {
        desk.handle_incoming(at(seconds), event, TOKEN.to_owned())
            .unwrap_err()
    };
    let mut desk = expecting();
    let mut bare = incoming(&right, TO);
    bare.sip_headers.clear();
    assert_eq!(refused(&mut desk, 1, &bare), Refused::NoNonce);
    for forged in ["", "00", &right[1..], &"0".repeat(32)] {
        assert_eq!(refused(&mut desk, 1, &incoming(forged, TO)), Refused::Nonce);
    }
    let elsewhere = incoming(&right, "+19005550100");
    assert_eq!(refused(&mut desk, 1, &elsewhere), Refused::Destination);
    assert_eq!(
        refused(&mut desk, 10, &incoming(&right, TO)),
        Refused::Nonce
    );
    let mut desk = answering();
    assert_eq!(refused(&mut desk, 2, &incoming(&right, TO)), Refused::Nonce);
    assert!(words(&mut desk).is_empty());
}

#[test]
fn an_event_that_never_comes_fails_the_attempt() {
    let mut desk = expecting();
    assert_eq!(desk.deadline(), Some(at(10)));
    desk.handle_timeout(at(9));
    assert!(words(&mut desk).is_empty());
    desk.handle_timeout(at(10));
    assert_eq!(words(&mut desk), ["failed 408"]);
    desk.handle_timeout(at(11));
    release(&mut desk);
    assert!(words(&mut desk).is_empty());
}

#[test]
fn a_called_party_that_is_not_reached_is_named_by_its_status() {
    for (result, status) in [
        (r#"{"code":486,"subCode":560486}"#, "failed 486"),
        (r#"{"code":403,"subCode":510403}"#, "failed 403"),
        (r#"{"code":0,"subCode":0}"#, "failed 480"),
    ] {
        let mut desk = dialling();
        let failed = Happened::AddParticipantFailed(Some(Identifier::phone(TO)));
        desk.handle_event(at(9), TOKEN, &with(failed, result))
            .unwrap();
        assert_eq!(words(&mut desk), [status]);
        release(&mut desk);
        assert_eq!(words(&mut desk), ["hang up c"]);
    }
}

#[test]
fn a_refusal_of_the_interface_fails_the_attempt() {
    let forbidden = || {
        Error::Forbidden(acs_client::Answer {
            status: 403,
            code: "403".to_owned(),
            inner: None,
            message: String::new(),
            request: None,
        })
    };
    let mut desk = answering();
    desk.handle_answer(LEG, Answer::Answered(Err(forbidden())));
    assert_eq!(words(&mut desk), ["failed 403"]);
    let mut desk = dialling();
    desk.handle_answer(LEG, Answer::Dialled(Err(forbidden())));
    assert_eq!(words(&mut desk), ["failed 403"]);
    release(&mut desk);
    assert_eq!(words(&mut desk), ["hang up c"]);
}

#[test]
fn nothing_is_left_at_azure_when_the_caller_gives_up_while_it_answers() {
    let mut desk = answering();
    release(&mut desk);
    assert!(words(&mut desk).is_empty());
    desk.handle_answer(LEG, Answer::Answered(Ok(connection())));
    assert_eq!(words(&mut desk), ["hang up c"]);
    // Nor when Azure takes too long.
    let mut desk = answering();
    desk.handle_timeout(at(30));
    assert_eq!(words(&mut desk), ["failed 408"]);
    release(&mut desk);
    desk.handle_answer(LEG, Answer::Answered(Ok(connection())));
    assert_eq!(words(&mut desk), ["hang up c"]);
}

#[test]
fn the_call_is_up_before_azure_has_said_that_it_answered() {
    let mut desk = answering();
    let up = event(Happened::CallConnected);
    desk.handle_event(at(2), TOKEN, &up).unwrap();
    assert_eq!(words(&mut desk), ["accepted c", "dial in c"]);
    desk.handle_answer(LEG, Answer::Answered(Ok(connection())));
    assert!(words(&mut desk).is_empty());
}

#[test]
fn an_event_of_another_call_is_refused() {
    let mut desk = dialling();
    let other = CallEvent {
        call_connection_id: "other".to_owned(),
        ..succeeded()
    };
    let refused = desk.handle_event(at(3), TOKEN, &other);
    assert_eq!(refused, Err(Refused::Connection));
    let forged = desk.handle_event(at(3), "fedcba9876543210", &succeeded());
    assert_eq!(forged, Err(Refused::Callback));
    assert!(words(&mut desk).is_empty());
}

fn list(sequence_number: u64, numbers: &[&str]) -> CallEvent {
    let participant = |number: &&str| Participant {
        identifier: Identifier::phone(*number),
        is_muted: false,
        is_on_hold: false,
    };
    event(Happened::ParticipantsUpdated {
        sequence_number,
        participants: numbers.iter().map(participant).collect(),
    })
}

#[test]
fn a_called_party_that_leaves_ends_the_call() {
    let mut desk = talking();
    let caller = "+14255550177";
    for event in [
        list(1, &[caller]),
        list(3, &[caller, TO]),
        list(2, &[caller]),
    ] {
        desk.handle_event(at(10), TOKEN, &event).unwrap();
        assert!(words(&mut desk).is_empty());
    }
    desk.handle_event(at(11), TOKEN, &list(4, &[caller]))
        .unwrap();
    assert_eq!(words(&mut desk), ["gone"]);
    let over = event(Happened::CallDisconnected);
    desk.handle_event(at(12), TOKEN, &over).unwrap();
    assert!(words(&mut desk).is_empty());
    release(&mut desk);
    assert_eq!(words(&mut desk), ["hang up c"]);
    let mut desk = talking();
    desk.handle_event(at(12), TOKEN, &over).unwrap();
    assert_eq!(words(&mut desk), ["gone"]);
    let mut desk = dialling();
    desk.handle_event(at(12), TOKEN, &over).unwrap();
    assert_eq!(words(&mut desk), ["failed 480"]);
}

#[test]
fn a_call_of_the_process_before_is_hung_up_by_its_name() {
    let mut desk = Desk::default();
    let connection: Option<Box<str>> = Some("old".into());
    let leg = LEG;
    desk.handle_request(
        at(0),
        CloudRequest::Resume {
            leg,
            connection: connection.clone(),
        },
    );
    desk.handle_request(at(1), CloudRequest::Release { leg, connection });
    assert_eq!(words(&mut desk), ["hang up old"]);
}

#[test]
fn the_called_party_rings_so_long_and_no_longer() {
    let mut desk = dialling();
    assert_eq!(desk.deadline(), Some(at(42)));
    desk.handle_timeout(at(42));
    assert_eq!(words(&mut desk), ["failed 408"]);
    // Too late.
    desk.handle_event(at(43), TOKEN, &succeeded()).unwrap();
    assert!(words(&mut desk).is_empty());
}
