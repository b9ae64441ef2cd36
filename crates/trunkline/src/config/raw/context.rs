//! `[trunk.context]`: what applications tell each other across a trunk.

use serde::Deserialize;
use toml::Spanned;

/// `[trunk.context]`: `X-MS-Custom-…` and `User-To-User` from and to the trunk. The limits are
/// Azure's; what exceeds them is left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Whether custom context is taken from the trunk and given to it. Default: whether the trunk
    /// is trusted.
    pub pass: Option<bool>,
    /// Most `X-MS-Custom-…` fields of one message, 0 to 64. Default: 5.
    pub fields: Option<Spanned<u8>>,
    /// Octets of the longest name of one, prefix included. Default: 64.
    pub name: Option<Spanned<u8>>,
    /// Octets of the longest value, 1 to 4096. Default: 256.
    pub value: Option<Spanned<u16>>,
    /// Most `User-To-User` values of one message, 0 to 8. Default: 1.
    pub user_to_user: Option<Spanned<u8>>,
}
