//! What the operator sees and says: `[admin]`, `[log]`, `[store]`, `[cloud_calling]`.

use serde::Deserialize;
use toml::Spanned;

use super::{OneOrMany, Span};

/// `[admin]`: where the running daemon answers its operator.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Unix socket of `trunkline status`, `reload` and the other commands, and of `/metrics` and
    /// `/healthz`. Whoever may open the file may look; only root and the daemon's own user and
    /// group may change anything. Default: none.
    pub socket: Option<Spanned<String>>,
    /// TCP address of `/metrics` and `/healthz`: `"127.0.0.1:9090"`. Read-only pages; anything
    /// but a loopback address needs `token`.
    pub listen: Option<Spanned<String>>,
    /// Bearer token for `listen`; write it as `"${NAME}"`.
    pub token: Option<Spanned<String>>,
}

/// `[store]`: where a record of every call is kept, for `trunkline report`, and the inventory of
/// `trunkline numbers`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The database, one SQLite file; made where there is none. Records that it cannot take in time
    /// wait in a file beside it. Required in this table.
    pub path: Spanned<String>,
    /// How long a record is kept. Default: `"400d"`.
    pub keep: Option<Span>,
}

/// `[cloud_calling]`: Microsoft as the carrier. Calls have no use for it yet; `trunkline numbers`
/// finds the Azure resource here where there is no `[acs]`, and compares the numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudCalling {
    /// Connection string of the Azure resource; write it as `"${NAME}"`.
    pub connection_string: Option<Spanned<String>>,
    /// Numbers bought from Microsoft.
    #[serde(default)]
    pub caller_ids: OneOrMany,
}

/// `[log]`: the daemon's own messages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`. Default: `"info"`.
    pub level: Option<Spanned<String>>,
    /// `"text"` or `"json"`. Default: `"text"`.
    pub format: Option<Spanned<String>>,
}
