//! What Azure posts to a callback: CloudEvents (version 1.0) about one call.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::identifier::Identifier;
use super::result::ResultInformation;
use super::types::Participant;
use crate::json::given;

/// Octets of the longest body that is read.
pub const LONGEST_BODY: usize = 1 << 20;
/// Events of one body; Azure sends one.
pub const MOST_EVENTS: usize = 64;
/// Participants of one event.
const MOST_PARTICIPANTS: usize = 512;
/// Octets of the longest id.
const LONGEST_ID: usize = 1024;
/// Octets of the longest type of event, and what all of Azure's begin with.
const LONGEST_TYPE: usize = 128;
const PREFIX: &str = "Microsoft.Communication.";

/// Why a body holds no events. None of these shows any of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Larger than what is read.
    #[error("the body is longer than {LONGEST_BODY} octets")]
    TooLong,
    /// More than are read.
    #[error("the body holds more than {MOST_EVENTS} events")]
    TooMany,
    /// Not JSON, or not of the form.
    #[error("the body is no array of events: line {line}, column {column}")]
    Form {
        /// Line of the body, from 1.
        line: usize,
        /// Column of the line.
        column: usize,
    },
    /// An event that lacks something or has too much of it.
    #[error("an event of type {kind}: {what}")]
    Event {
        /// Its type, as far as it is one.
        kind: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// One event about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// Its own id: the same where Azure posts it again.
    pub id: String,
    /// The call.
    pub call_connection_id: String,
    /// Names the call towards Azure's other services.
    pub server_call_id: String,
    /// Names the call in Azure's logs.
    pub correlation_id: String,
    /// What the operation was asked for with.
    pub operation_context: Option<String>,
    /// How the operation or the call ended.
    pub result: Option<ResultInformation>,
    /// What happened.
    pub happened: Happened,
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It is up.
    CallConnected,
    /// It is over; nothing comes after this.
    CallDisconnected,
    /// A call that started at the resource did not come about.
    CreateCallFailed,
    /// A call that came in could not be answered.
    AnswerFailed,
    /// The resource could not join it.
    ConnectFailed,
    /// Who takes part now.
    ParticipantsUpdated {
        /// Counts these events of one call; a smaller one is older news.
        sequence_number: u64,
        /// Who takes part.
        participants: Vec<Participant>,
    },
    /// Somebody who was called in has answered.
    AddParticipantSucceeded(Option<Identifier>),
    /// Somebody who was called in has not.
    AddParticipantFailed(Option<Identifier>),
    /// Somebody was removed.
    RemoveParticipantSucceeded(Option<Identifier>),
    /// Somebody could not be removed.
    RemoveParticipantFailed(Option<Identifier>),
    /// The call to somebody was taken back, by the invitation's id.
    CancelAddParticipantSucceeded(String),
    /// It could not be taken back.
    CancelAddParticipantFailed(String),
    /// A type this version does nothing with, without Azure's prefix.
    Other(String),
}

/// The JSON objects of a body: an array, or one alone.
pub(super) fn objects(body: &[u8]) -> Result<Vec<Value>, Malformed> {
    if body.len() > LONGEST_BODY {
        return Err(Malformed::TooLong);
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| Malformed::Form {
        line: error.line(),
        column: error.column(),
    })?;
    let objects = match value {
        Value::Array(objects) => objects,
        object @ Value::Object(_) => vec![object],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(Malformed::Form { line: 1, column: 1 });
        }
    };
    if objects.len() > MOST_EVENTS {
        return Err(Malformed::TooMany);
    }
    Ok(objects)
}

/// What an event says of itself, before its data are looked at.
pub(super) struct Wrapper {
    object: Value,
    pub(super) kind: String,
}

impl Wrapper {
    pub(super) fn new(object: Value, type_field: &str) -> Result<Self, Malformed> {
        let kind = object.get(type_field).and_then(Value::as_str);
        let kind = kind.map(|kind| kind.chars().take(LONGEST_TYPE + 1).collect::<String>());
        let this = Self {
            object,
            kind: kind.unwrap_or_default(),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if this.kind.is_empty() || this.kind.len() > LONGEST_TYPE || !this.kind.chars().all(plain) {
            return Err(Malformed::Event {
                kind: "?".to_owned(),
                what: "its type is none",
            });
        }
        Ok(this)
    }

    pub(super) fn wrong(&self, what: &'static str) -> Malformed {
        Malformed::Event {
            kind: self.kind.clone(),
            what,
        }
    }

    /// A string that must be there.
    pub(super) fn text(&self, name: &str, what: &'static str) -> Result<String, Malformed> {
        let text = self.object.get(name).and_then(Value::as_str);
        let text = text.filter(|text| !text.is_empty() && text.len() <= LONGEST_ID);
        text.map(str::to_owned).ok_or_else(|| self.wrong(what))
    }

    pub(super) fn data<T: DeserializeOwned>(&mut self) -> Result<T, Malformed> {
        let data = self.object.get_mut("data").map(Value::take);
        serde_json::from_value(data.unwrap_or(Value::Null))
            .map_err(|_| self.wrong("its data are not of the form"))
    }

    /// An id that came with the data.
    pub(super) fn id(&self, id: String) -> Result<String, Malformed> {
        if id.len() > LONGEST_ID {
            return Err(self.wrong("an id is too long"));
        }
        Ok(id)
    }

    /// The type without Azure's prefix.
    pub(super) fn short(&self) -> &str {
        self.kind.strip_prefix(PREFIX).unwrap_or(&self.kind)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    call_connection_id: String,
    #[serde(default, deserialize_with = "given")]
    server_call_id: String,
    #[serde(default, deserialize_with = "given")]
    correlation_id: String,
    #[serde(default)]
    operation_context: Option<String>,
    #[serde(default)]
    result_information: Option<ResultInformation>,
    #[serde(default)]
    participant: Option<Identifier>,
    #[serde(default, deserialize_with = "given")]
    participants: Vec<Participant>,
    #[serde(default, deserialize_with = "given")]
    sequence_number: u64,
    #[serde(default, deserialize_with = "given")]
    invitation_id: String,
}

/// Reads what was posted to a callback.
///
/// # Errors
/// [`Malformed`]: all of a body is taken or none of it.
pub fn call_events(body: &[u8]) -> Result<Vec<CallEvent>, Malformed> {
    objects(body)?.into_iter().map(call_event).collect()
}

fn call_event(object: Value) -> Result<CallEvent, Malformed> {
    let mut wrapper = Wrapper::new(object, "type")?;
    if wrapper.text("specversion", "it has no version of CloudEvents")? != "1.0" {
        return Err(wrapper.wrong("its version of CloudEvents is not 1.0"));
    }
    let id = wrapper.text("id", "it has no id")?;
    let data: Data = wrapper.data()?;
    if data.call_connection_id.is_empty() {
        return Err(wrapper.wrong("it names no call"));
    }
    if data.participants.len() > MOST_PARTICIPANTS {
        return Err(wrapper.wrong("it has too many participants"));
    }
    let invitation_id = wrapper.id(data.invitation_id)?;
    let happened = match wrapper.short() {
        "CallConnected" => Happened::CallConnected,
        "CallDisconnected" => Happened::CallDisconnected,
        "CreateCallFailed" => Happened::CreateCallFailed,
        "AnswerFailed" => Happened::AnswerFailed,
        "ConnectFailed" => Happened::ConnectFailed,
        "ParticipantsUpdated" => Happened::ParticipantsUpdated {
            sequence_number: data.sequence_number,
            participants: data.participants,
        },
        "AddParticipantSucceeded" => Happened::AddParticipantSucceeded(data.participant),
        "AddParticipantFailed" => Happened::AddParticipantFailed(data.participant),
        "RemoveParticipantSucceeded" => Happened::RemoveParticipantSucceeded(data.participant),
        "RemoveParticipantFailed" => Happened::RemoveParticipantFailed(data.participant),
        "CancelAddParticipantSucceeded" => Happened::CancelAddParticipantSucceeded(invitation_id),
        "CancelAddParticipantFailed" => Happened::CancelAddParticipantFailed(invitation_id),
        other => Happened::Other(other.to_owned()),
    };
    Ok(CallEvent {
        id,
        call_connection_id: wrapper.id(data.call_connection_id)?,
        server_call_id: wrapper.id(data.server_call_id)?,
        correlation_id: wrapper.id(data.correlation_id)?,
        operation_context: data
            .operation_context
            .map(|context| wrapper.id(context))
            .transpose()?,
        result: data.result_information,
        happened,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn posted(kind: &str, extra: Value) -> Value {
        let mut data = json!({
            "callConnectionId": "c1", "serverCallId": "s1", "correlationId": "x1",
            "operationContext": "add", "resultInformation": {"code": 200, "subCode": 0,
            "message": "ok", "sipDetails": {"code": 200, "message": "OK"}},
        });
        if let (Value::Object(data), Value::Object(extra)) = (&mut data, extra) {
            data.extend(extra);
        }
        json!({
            "id": "e1", "source": "calling/callConnections/c1", "type": kind,
            "subject": "calling/callConnections/c1", "time": "2026-11-21T00:00:00.0000000+00:00",
            "specversion": "1.0", "datacontenttype": "application/json", "data": data,
        })
    }

    fn read(value: &Value) -> Result<Vec<CallEvent>, Malformed> {
        call_events(value.to_string().as_bytes())
    }

    #[test]
    fn every_event_of_a_call_is_read() {
        let who = json!({"rawId": "4:+14255550100", "phoneNumber": {"value": "+14255550100"}});
        let phone = || Some(Identifier::phone("+14255550100"));
        let participants = json!([{"identifier": who, "isMuted": false, "isOnHold": null}]);
        for (kind, extra, wanted) in [
            ("CallConnected", json!({}), Happened::CallConnected),
            ("CallDisconnected", json!({}), Happened::CallDisconnected),
            ("CreateCallFailed", json!({}), Happened::CreateCallFailed),
            ("AnswerFailed", json!({}), Happened::AnswerFailed),
            ("ConnectFailed", json!({}), Happened::ConnectFailed),
            (
                "ParticipantsUpdated",
                json!({"sequenceNumber": 3, "participants": participants}),
                Happened::ParticipantsUpdated {
                    sequence_number: 3,
                    participants: vec![Participant {
                        identifier: Identifier::phone("+14255550100"),
                        is_muted: false,
                        is_on_hold: false,
                    }],
                },
            ),
            (
                "AddParticipantSucceeded",
                json!({"participant": who}),
                Happened::AddParticipantSucceeded(phone()),
            ),
            (
                "AddParticipantFailed",
                json!({"participant": who}),
                Happened::AddParticipantFailed(phone()),
            ),
            (
                "RemoveParticipantSucceeded",
                json!({"participant": who}),
                Happened::RemoveParticipantSucceeded(phone()),
            ),
            (
                "RemoveParticipantFailed",
                json!({"participant": null}),
                Happened::RemoveParticipantFailed(None),
            ),
            (
                "CancelAddParticipantSucceeded",
                json!({"invitationId": "i1"}),
                Happened::CancelAddParticipantSucceeded("i1".to_owned()),
            ),
            (
                "CancelAddParticipantFailed",
                json!({"invitationId": "i1"}),
                Happened::CancelAddParticipantFailed("i1".to_owned()),
            ),
            (
                "PlayCompleted",
                json!({"of": "some later version"}),
                Happened::Other("PlayCompleted".to_owned()),
            ),
        ] {
            let event = posted(&format!("Microsoft.Communication.{kind}"), extra);
            let read = read(&json!([event])).expect(kind);
            assert_eq!(read.len(), 1);
            assert_eq!(read[0].happened, wanted, "{kind}");
            assert_eq!(read[0].call_connection_id, "c1");
            assert_eq!(read[0].operation_context.as_deref(), Some("add"));
            let result = read[0].result.as_ref().expect("a result");
            assert_eq!(result.sip_details.as_ref().map(|sip| sip.code), Some(200));
        }
    }

    #[test]
    fn one_event_alone_and_none_at_all_are_read() {
        let event = posted("Microsoft.Communication.CallConnected", json!({}));
        assert_eq!(read(&event).expect("one").len(), 1);
        assert_eq!(read(&json!([])).expect("none"), []);
        assert_eq!(read(&json!([event, event])).expect("two").len(), 2);
    }

    #[test]
    fn what_is_no_event_is_refused_whole() {
        let good = posted("Microsoft.Communication.CallConnected", json!({}));
        let without = |name: &str| {
            let mut event = good.clone();
            event.as_object_mut().expect("an object").remove(name);
            event
        };
        let with = |name: &str, value: Value| {
            let mut event = good.clone();
            event[name] = value;
            event
        };
        let long = "a".repeat(2000);
        for (event, what) in [
            (without("id"), "it has no id"),
            (without("type"), "its type is none"),
            (with("type", json!("a\r\nb")), "its type is none"),
            (with("type", json!(long)), "its type is none"),
            (without("specversion"), "it has no version of CloudEvents"),
            (
                with("specversion", json!("0.3")),
                "its version of CloudEvents is not 1.0",
            ),
            (without("data"), "its data are not of the form"),
            (
                with("data", json!({"callConnectionId": 7})),
                "its data are not of the form",
            ),
            (
                with("data", json!({"callConnectionId": ""})),
                "it names no call",
            ),
            (
                with("data", json!({"callConnectionId": long})),
                "an id is too long",
            ),
            (with("id", json!(long)), "it has no id"),
        ] {
            let error = read(&json!([good, event])).expect_err(what);
            assert!(
                matches!(&error, Malformed::Event { what: told, .. } if *told == what),
                "{what}: {error:?}"
            );
        }
        for text in ["", "nothing", "7", "null", "[[]]", "[7]", "{\"a\""] {
            call_events(text.as_bytes()).expect_err(text);
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(
            call_events(deep.as_bytes()),
            Err(Malformed::Form { .. })
        ));
    }

    #[test]
    fn bodies_have_bounds() {
        let event = posted("Microsoft.Communication.CallConnected", json!({}));
        let most = vec![event.clone(); MOST_EVENTS];
        assert_eq!(read(&json!(most)).expect("as many").len(), MOST_EVENTS);
        let more = vec![event; MOST_EVENTS + 1];
        assert_eq!(read(&json!(more)), Err(Malformed::TooMany));
        let long = vec![b' '; LONGEST_BODY + 1];
        assert_eq!(call_events(&long), Err(Malformed::TooLong));
    }
}
