//! What a trunk's causes and statuses mean to everybody else (`[trunk.reasons]`).

use std::collections::BTreeMap;

use sip_msg::StatusCode;

use crate::failure::Cause;

/// Causes and statuses of one trunk that are read as others. Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReasonMap {
    /// Q.850 causes (RFC 3326) of the trunk.
    pub causes: BTreeMap<Cause, Cause>,
    /// Final responses of 400 and more to INVITEs towards the trunk, as they are judged and shown.
    pub statuses: BTreeMap<StatusCode, StatusCode>,
    /// Whether the next target is tried after a final response, as it is judged; what is not here
    /// is decided by what it says of the called party.
    pub advances: BTreeMap<StatusCode, bool>,
}

impl ReasonMap {
    /// What `cause` of the trunk means.
    #[must_use]
    pub fn cause(&self, cause: Cause) -> Cause {
        self.causes.get(&cause).copied().unwrap_or(cause)
    }

    /// What a final response of the trunk means.
    #[must_use]
    pub fn status(&self, status: StatusCode) -> StatusCode {
        self.statuses.get(&status).copied().unwrap_or(status)
    }
}
