//! `[cloud_calling]`.

use serde::Deserialize;
use toml::Spanned;

use super::{OneOrMany, Span};

/// `[cloud_calling]`: Microsoft as the carrier. A route whose `to` names `cloud-calling` has Azure
/// dial the called number, from one of the numbers that the resource owns. The gateway reaches it by
/// an INVITE to `marker` over its `acs` trunk; Azure offers that call to the address in `public_url`,
/// which a subscription of Event Grid to `IncomingCall` has to lead to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudCalling {
    /// Connection string of the Azure resource; write it as `"${NAME}"`. Required for routes to
    /// `cloud-calling`, as everything without a default in this table.
    pub connection_string: Option<Spanned<String>>,
    /// Numbers bought from Microsoft that calls may be shown to come from, at most 1000: the
    /// caller's own if it is among them, else the route's `caller_id`, else the least used.
    #[serde(default)]
    pub caller_ids: OneOrMany,
    /// The trunk over which Azure is reached. Default: the only trunk with preset `"acs"`.
    pub trunk: Option<Spanned<String>>,
    /// The number that the INVITEs go to, `"+14255550199"`. One that nobody else calls, and that
    /// leads to no queue of Omnichannel.
    pub marker: Option<Spanned<String>>,
    /// Where Azure's posts arrive: `"0.0.0.0:8443"`. A listener of its own, TLS only.
    pub listen: Option<Spanned<String>>,
    /// How Azure reaches that listener: `"https://sbc1.contoso.example:8443"`.
    pub public_url: Option<Spanned<String>>,
    /// The part of the path by which a post is known to be one that was asked for, 16 characters or
    /// more; write it as `"${NAME}"`. The subscription leads to `PUBLIC_URL/events/SECRET`.
    pub secret: Option<Spanned<String>>,
    /// The certificate that the listener shows, by its name. Default: the one of `[tls]`.
    pub certificate: Option<Spanned<String>>,
    /// Most calls at once that show one number, 1 to 1000. Default: 2, which is what Azure grants.
    pub calls_per_number: Option<Spanned<u32>>,
    /// How long a called party may ring, up to 180 s. Default: `"60s"`.
    pub ring_timeout: Option<Span>,
    /// Name of the `[[rates]]` of what Microsoft charges. Default: none.
    pub rates: Option<Spanned<String>>,
    /// PEM file of the roots that Azure's certificates are checked against. Default: the operating
    /// system's.
    pub roots: Option<Spanned<String>>,
    /// Whom Azure's posts about a call are made out to: the immutable id of the resource.
    pub audience: Option<Spanned<String>>,
    /// Who signs them. Default: `"https://acscallautomation.communication.azure.com"`.
    pub issuer: Option<Spanned<String>>,
    /// Where the signer's keys are named (OpenID configuration). Default:
    /// `"https://acscallautomation.communication.azure.com/calling/.well-known/acsopenidconfiguration"`.
    pub openid: Option<Spanned<String>>,
}
