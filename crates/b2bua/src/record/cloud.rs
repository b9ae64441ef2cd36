//! What the record of an attempt says where Microsoft was the carrier.

use serde::{Deserialize, Serialize};

use super::Number;

/// An attempt by Azure Cloud Calling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudRecord {
    /// The number that Azure was asked to dial.
    pub to: Number,
    /// The owned number that was shown.
    pub caller_id: Number,
    /// Azure's `callConnectionId`, where the call got as far.
    pub connection: Option<String>,
    /// Azure's `correlationId`, which its logs have.
    pub correlation: Option<String>,
    /// Why it failed or ended, in words.
    pub reason: Option<String>,
}
