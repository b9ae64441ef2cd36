//! What is asked of a call, and what Azure says about one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identifier::{Identifier, PhoneNumber};
use super::incoming::CallContext;
use crate::json::given;

/// How far a call is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallState {
    /// It is not said.
    #[default]
    Unknown,
    /// It is being set up.
    Connecting,
    /// It is up.
    Connected,
    /// It is being handed to somebody else.
    Transferring,
    /// Somebody else has taken it.
    TransferAccepted,
    /// It is being ended.
    Disconnecting,
    /// It is over.
    Disconnected,
    /// A state this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// A call as Azure tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallConnection {
    /// What every operation on the call names it by.
    pub call_connection_id: String,
    /// Names the call towards Azure's other services.
    #[serde(default, deserialize_with = "given")]
    pub server_call_id: String,
    /// Names the call in Azure's logs and in its events.
    #[serde(default, deserialize_with = "given")]
    pub correlation_id: String,
    /// How far it is.
    #[serde(default, deserialize_with = "given")]
    pub call_connection_state: CallState,
    /// Who is called.
    #[serde(default, deserialize_with = "given")]
    pub targets: Vec<Identifier>,
    /// Who calls.
    #[serde(default)]
    pub source: Option<Identifier>,
    /// The number shown to who is called.
    #[serde(default)]
    pub source_caller_id_number: Option<PhoneNumber>,
    /// The number that was called, of a call that came in.
    #[serde(default)]
    pub answered_for: Option<PhoneNumber>,
}

/// Why a call is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RejectReason {
    /// None is given.
    None,
    /// Whoever was called is busy.
    Busy,
    /// The caller may not.
    Forbidden,
}

/// How a call that came in is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerCall {
    /// What the event of the incoming call holds.
    pub incoming_call_context: CallContext,
    /// Where Azure posts what happens to the call; `https` only.
    pub callback_uri: String,
    /// Comes back in the events of this operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_context: Option<String>,
}

/// A call that starts at the resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateCall {
    /// Who is called.
    pub targets: Vec<Identifier>,
    /// The number shown: one the resource owns, unless a voice route takes the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_caller_id_number: Option<PhoneNumber>,
    /// The name shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_display_name: Option<String>,
    /// Comes back in the events of this operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_context: Option<String>,
    /// Where Azure posts what happens to the call; `https` only.
    pub callback_uri: String,
}

/// Words that travel beside a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomContext {
    /// `User-To-User` and at most five `X-MS-Custom-…` (64 characters, values 256).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sip_headers: BTreeMap<String, String>,
    /// For users of Azure.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub voip_headers: BTreeMap<String, String>,
}

/// Somebody to be called into a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddParticipant {
    /// Who.
    pub participant_to_add: Identifier,
    /// The number shown: one the resource owns, unless a voice route takes the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_caller_id_number: Option<PhoneNumber>,
    /// The name shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_display_name: Option<String>,
    /// How long it may ring, 0 to 180 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation_timeout_in_seconds: Option<u8>,
    /// Words that travel beside the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_calling_context: Option<CustomContext>,
    /// Comes back in the events of this operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_context: Option<String>,
    /// Where the events of this operation go instead of the call's own callback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_callback_uri: Option<String>,
}

impl AddParticipant {
    /// Calls somebody, with nothing said beyond that.
    #[must_use]
    pub fn new(participant: Identifier) -> Self {
        Self {
            participant_to_add: participant,
            source_caller_id_number: None,
            source_display_name: None,
            invitation_timeout_in_seconds: None,
            custom_calling_context: None,
            operation_context: None,
            operation_callback_uri: None,
        }
    }
}

/// Somebody who takes part in a call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Who.
    pub identifier: Identifier,
    /// Whether nobody hears them.
    #[serde(default, deserialize_with = "given")]
    pub is_muted: bool,
    /// Whether they are on hold.
    #[serde(default, deserialize_with = "given")]
    pub is_on_hold: bool,
}

/// That somebody is being called; how it ends is an event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Who.
    #[serde(default)]
    pub participant: Option<Participant>,
    /// What was asked for with.
    #[serde(default)]
    pub operation_context: Option<String>,
    /// What the call to them is taken back by.
    #[serde(default, deserialize_with = "given")]
    pub invitation_id: String,
}
