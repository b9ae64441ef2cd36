//! Events as Azure writes them: CloudEvents to callbacks, Event Grid's two schemas.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::acs::guid;

pub(super) const PREFIX: &str = "Microsoft.Communication.";

/// In which form Event Grid delivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// Its own: an array.
    #[default]
    EventGrid,
    /// CloudEvents 1.0: one object.
    CloudEvents,
}

/// A participant on the telephone network.
pub(super) fn phone(number: &str) -> Value {
    if number.is_empty() || number == "anonymous" {
        return json!({
            "kind": "phoneNumber", "rawId": "4:anonymous",
            "phoneNumber": {"value": "anonymous", "isAnonymous": true},
        });
    }
    json!({
        "kind": "phoneNumber", "rawId": format!("4:{number}"),
        "phoneNumber": {"value": number},
    })
}

/// The body of a post to a callback: an array of one.
pub(super) fn cloud(kind: &str, call: &str, now: Timestamp, data: &Value) -> Value {
    let source = format!("calling/callConnections/{call}");
    json!([{
        "id": guid(), "source": source, "type": format!("{PREFIX}{kind}"), "subject": source,
        "time": time(now), "specversion": "1.0", "datacontenttype": "application/json",
        "data": data,
    }])
}

/// Azure's own way of writing a time: seven places and an offset.
fn time(now: Timestamp) -> String {
    format!("{}+00:00", now.strftime("%Y-%m-%dT%H:%M:%S.%6f0"))
}

/// What a call that came in is told with.
pub(super) struct Arrival<'a> {
    pub(super) to: &'a str,
    pub(super) from: &'a str,
    pub(super) display_name: &'a str,
    pub(super) context: &'a str,
    pub(super) server_call_id: &'a str,
    pub(super) correlation_id: &'a str,
    pub(super) headers: &'a [(String, String)],
}

impl Arrival<'_> {
    pub(super) fn data(&self) -> Value {
        let headers: serde_json::Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({
            "to": phone(self.to), "from": phone(self.from),
            "serverCallId": self.server_call_id, "callerDisplayName": self.display_name,
            "customContext": {"sipHeaders": headers, "voipHeaders": {}},
            "incomingCallContext": self.context, "correlationId": self.correlation_id,
        })
    }

    pub(super) fn subject(&self) -> String {
        let id = |number| phone(number)["rawId"].as_str().unwrap_or("").to_owned();
        format!("/caller/{}/recipient/{}", id(self.from), id(self.to))
    }
}

/// The body of a delivery of Event Grid's.
pub(super) fn grid(
    schema: Schema,
    kind: &str,
    topic: &str,
    subject: &str,
    now: Timestamp,
    data: &Value,
) -> Value {
    match schema {
        Schema::EventGrid => json!([{
            "id": guid(), "topic": topic, "subject": subject, "data": data, "eventType": kind,
            "dataVersion": "1.0", "metadataVersion": "1", "eventTime": now.to_string(),
        }]),
        Schema::CloudEvents => json!({
            "id": guid(), "source": topic, "subject": subject, "data": data, "type": kind,
            "time": now.to_string(), "specversion": "1.0",
        }),
    }
}
