//! What applications tell each other across a trunk: `X-MS-Custom-…` and `User-To-User` (U-11).

/// Whether custom context crosses, and how much of it. The limits are Azure's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextProfile {
    /// Whether it comes from the trunk and goes to it; `None` for trusted trunks only.
    pub pass: Option<bool>,
    /// Most `X-MS-Custom-…` fields of one message.
    pub fields: usize,
    /// Octets of the longest name of one, prefix included.
    pub name: usize,
    /// Octets of the longest value, also of `User-To-User`.
    pub value: usize,
    /// Most `User-To-User` values of one message (RFC 7433 §3).
    pub user_to_user: usize,
}

impl Default for ContextProfile {
    fn default() -> Self {
        Self {
            pass: None,
            fields: 5,
            name: 64,
            value: 256,
            user_to_user: 1,
        }
    }
}
