//! `[trunk.auth]`: digest authentication towards this trunk and of its requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{OneOrMany, Span};

/// `[trunk.auth]`: digest authentication (RFC 8760). `username` and `password` answer the trunk's
/// challenges; `users` are asked for by this gateway, with INVITE and REGISTER.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Who this gateway is to the trunk. Default: nobody; challenges stay unanswered.
    pub username: Option<Spanned<String>>,
    /// The password; write it as `"${NAME}"`.
    pub password: Option<Spanned<String>>,
    /// The realm the credentials are for; challenges for another stay unanswered. Default: whatever
    /// the trunk asks for first.
    pub realm: Option<Spanned<String>>,
    /// The weakest algorithm that is answered: `"MD5"`, `"SHA-256"` or `"SHA-512-256"`. Default:
    /// `"MD5"`.
    pub weakest: Option<Spanned<String>>,
    /// Names and passwords that requests of the trunk must show: `{ pbx1 = "${PBX1_PASSWORD}" }`.
    /// Default: none; the address or certificate is proof.
    #[serde(default)]
    pub users: BTreeMap<String, Spanned<String>>,
    /// The realm they are asked for. Default: the trunk's `fqdn`, or `"trunkline"`.
    pub own_realm: Option<Spanned<String>>,
    /// The algorithms they may use. Default: `["SHA-256", "MD5"]`.
    #[serde(default)]
    pub algorithms: OneOrMany,
    /// How long a challenge may be answered, again and again. Default: `"5m"`.
    pub nonce_lifetime: Option<Span>,
}
