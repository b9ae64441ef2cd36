//! `[acs]`.

use serde::Deserialize;
use toml::Spanned;

use super::{OneOrMany, Span};

/// `[acs]`: the Azure resource whose SIP routing `trunkline acs diff` compares with this file and
/// `trunkline acs apply` sets from it. Its trunks are this gateway's `acs` trunks; its voice routes
/// are the `[[route]]`s that name such a trunk in `from`. The daemon does not use it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acs {
    /// Connection string of the resource; write it as `"${NAME}"`. Default: that of
    /// `[cloud_calling]`.
    pub connection_string: Option<Spanned<String>>,
    /// PEM file of the roots its certificate is checked against. Default: the operating system's.
    pub roots: Option<Spanned<String>>,
    /// How long one request may take. Default: `"20s"`.
    pub timeout: Option<Span>,
    /// Folder in which `apply` keeps what was there before. Default: that of this file.
    pub backups: Option<Spanned<String>>,
    /// Other gateways that take the same calls, `"sbc2.contoso.example:5061"`: each is a trunk,
    /// and stands in each route after this one. Default: none.
    #[serde(default)]
    pub partners: OneOrMany,
}
