//! What Event Grid posts: the proof that a subscription is wanted, and calls that come in. Both in
//! Event Grid's own schema and as CloudEvents.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Malformed, Wrapper, objects};
use super::identifier::Identifier;
use crate::json::given;

/// Octets of the longest context of a call that is read.
const LONGEST_CONTEXT: usize = 64 << 10;
/// SIP header fields of one call, and octets of the longest name and value.
const MOST_HEADERS: usize = 64;
const LONGEST_HEADER: usize = 2048;

/// What an incoming call is answered, rejected or redirected by. Whoever has it and the access key
/// has the call, so it shows itself to nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallContext(String);

impl CallContext {
    /// A context as an event holds it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallContext(redacted)")
    }
}

/// A call that came in at the resource and waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingCall {
    /// Who is called.
    pub to: Identifier,
    /// Who calls.
    pub from: Identifier,
    /// The caller's name; empty for none.
    pub caller_display_name: String,
    /// What it is answered by.
    pub incoming_call_context: CallContext,
    /// Names the call towards Azure's other services.
    pub server_call_id: String,
    /// Names the call in Azure's logs and in its later events.
    pub correlation_id: String,
    /// `X-MS-Custom-…` and `User-To-User` of the INVITE. Names in lower case.
    pub sip_headers: BTreeMap<String, String>,
}

/// What Event Grid posts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// Whether the subscription is wanted: the code is to be given back in the answer, or the
    /// address read.
    Validation {
        /// What the answer repeats.
        code: String,
        /// What can be read instead.
        url: Option<String>,
    },
    /// A call came in.
    IncomingCall(Box<IncomingCall>),
    /// A type this version does nothing with.
    Other(String),
}

/// One event of Event Grid's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridEvent {
    /// Its own id: the same where Event Grid posts it again.
    pub id: String,
    /// What it says.
    pub notification: Notification,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Validation {
    validation_code: String,
    #[serde(default)]
    validation_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    to: Identifier,
    from: Identifier,
    #[serde(default, deserialize_with = "given")]
    caller_display_name: String,
    incoming_call_context: CallContext,
    #[serde(default, deserialize_with = "given")]
    server_call_id: String,
    #[serde(default, deserialize_with = "given")]
    correlation_id: String,
    #[serde(default, deserialize_with = "given")]
    custom_context: Context,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Context {
    #[serde(deserialize_with = "given")]
    sip_headers: BTreeMap<String, Option<String>>,
}

/// Reads what Event Grid posted.
///
/// # Errors
/// [`Malformed`]: all of a body is taken or none of it.
pub fn grid_events(body: &[u8]) -> Result<Vec<GridEvent>, Malformed> {
    objects(body)?.into_iter().map(grid_event).collect()
}

fn grid_event(object: Value) -> Result<GridEvent, Malformed> {
    let cloud = object.get("specversion").is_some();
    let mut wrapper = Wrapper::new(object, if cloud { "type" } else { "eventType" })?;
    if cloud && wrapper.text("specversion", "it has no version of CloudEvents")? != "1.0" {
        return Err(wrapper.wrong("its version of CloudEvents is not 1.0"));
    }
    let id = wrapper.text("id", "it has no id")?;
    let notification = match wrapper.kind.as_str() {
        "Microsoft.EventGrid.SubscriptionValidationEvent" => {
            let data: Validation = wrapper.data()?;
            Notification::Validation {
                code: wrapper.id(data.validation_code)?,
                url: data.validation_url.map(|url| wrapper.id(url)).transpose()?,
            }
        }
        "Microsoft.Communication.IncomingCall" => {
            let data = wrapper.data()?;
            Notification::IncomingCall(Box::new(incoming(&wrapper, data)?))
        }
        other => Notification::Other(other.to_owned()),
    };
    Ok(GridEvent { id, notification })
}

fn incoming(wrapper: &Wrapper, data: Incoming) -> Result<IncomingCall, Malformed> {
    let context = data.incoming_call_context;
    if context.0.is_empty() || context.0.len() > LONGEST_CONTEXT {
        return Err(wrapper.wrong("its context is empty or too long"));
    }
    let headers = data.custom_context.sip_headers;
    let long = |(name, value): (&String, &Option<String>)| {
        name.len() > LONGEST_HEADER || value.as_ref().is_some_and(|v| v.len() > LONGEST_HEADER)
    };
    if headers.len() > MOST_HEADERS || headers.iter().any(long) {
        return Err(wrapper.wrong("it has too many header fields or too long ones"));
    }
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value?)));
    Ok(IncomingCall {
        to: data.to,
        from: data.from,
        caller_display_name: wrapper.id(data.caller_display_name)?,
        incoming_call_context: context,
        server_call_id: wrapper.id(data.server_call_id)?,
        correlation_id: wrapper.id(data.correlation_id)?,
        sip_headers: headers.collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data() -> Value {
        json!({
            "to": {"kind": "phoneNumber", "rawId": "4:+18335550100",
                   "phoneNumber": {"value": "+18335550100"}},
            "from": {"kind": "PhoneNumber", "rawId": "4:+14255550100",
                     "phoneNumber": {"value": "+14255550100"}},
            "serverCallId": "s1", "callerDisplayName": "", "incomingCallContext": "eyJhbGc.e30.",
            "customContext": {"sipHeaders": {"X-MS-Custom-Nonce": "n", "User-To-User": "u",
            "X-MS-Custom-Empty": null}, "voipHeaders": {}}, "correlationId": "x1",
            "onBehalfOfCallee": null,
        })
    }

    fn grid(kind: &str, data: Value) -> Value {
        json!([{
            "id": "g1", "topic": "/subscriptions/s", "subject": "/caller/4:+1425/recipient/4:+1833",
            "data": data, "eventType": kind, "dataVersion": "1.0", "metadataVersion": "1",
            "eventTime": "2026-11-21T00:00:00Z",
        }])
    }

    fn cloud(kind: &str, data: Value) -> Value {
        json!({
            "id": "g1", "source": "/subscriptions/s", "subject": "/caller", "type": kind,
            "time": "2026-11-21T00:00:00Z", "specversion": "1.0", "data": data,
        })
    }

    fn read(value: &Value) -> Result<Vec<GridEvent>, Malformed> {
        grid_events(value.to_string().as_bytes())
    }

    const INCOMING: &str = "Microsoft.Communication.IncomingCall";

    #[test]
    fn a_call_is_read_in_both_schemas() {
        let one = read(&grid(INCOMING, data())).expect("Event Grid's schema");
        let two = read(&cloud(INCOMING, data())).expect("CloudEvents");
        assert_eq!(one, two);
        let Notification::IncomingCall(call) = &one[0].notification else {
            panic!("{one:?}");
        };
        assert_eq!(call.to, Identifier::phone("+18335550100"));
        assert_eq!(call.from, Identifier::phone("+14255550100"));
        let header = |name: &str| call.sip_headers.get(name).map(String::as_str);
        assert_eq!(header("x-ms-custom-nonce"), Some("n"));
        assert_eq!(header("user-to-user"), Some("u"));
        assert_eq!(header("x-ms-custom-empty"), None);
        assert!(!format!("{call:?}").contains("eyJ"));
    }

    #[test]
    fn a_subscription_is_validated() {
        let kind = "Microsoft.EventGrid.SubscriptionValidationEvent";
        let code = json!({"validationCode": "c", "validationUrl": "https://eventgrid.example/v"});
        let wanted = Notification::Validation {
            code: "c".to_owned(),
            url: Some("https://eventgrid.example/v".to_owned()),
        };
        assert_eq!(
            read(&grid(kind, code)).expect("both")[0].notification,
            wanted
        );
        read(&grid(kind, json!({}))).expect_err("no code");
    }

    #[test]
    fn what_is_not_known_is_a_value_and_what_is_none_an_error() {
        let other = read(&grid(
            "Microsoft.Communication.CallStarted",
            json!({"a": 1}),
        ));
        let wanted = Notification::Other("Microsoft.Communication.CallStarted".to_owned());
        assert_eq!(other.expect("a value")[0].notification, wanted);
        for (name, value) in [
            ("to", json!(null)),
            ("from", json!("4:+1")),
            ("incomingCallContext", json!("")),
            ("incomingCallContext", json!("a".repeat(100_000))),
            (
                "customContext",
                json!({"sipHeaders": {"X-MS-Custom-A": "a".repeat(5000)}}),
            ),
            ("customContext", json!({"sipHeaders": {"X-MS-Custom-A": 7}})),
        ] {
            let mut data = data();
            data[name] = value;
            read(&grid(INCOMING, data)).expect_err(name);
        }
        let mut bare = data();
        bare.as_object_mut()
            .expect("an object")
            .remove("customContext");
        read(&cloud(INCOMING, bare)).expect("no header fields");
    }
}
