//! `[[trunk]]` and what every trunk has. Features have tables of their own, each in its own file.

use serde::Deserialize;
use toml::Spanned;

use super::{
    Auth, Connection, Context, Dtmf, Early, Headers, Hold, Identity, Numbers, OneOrMany, Reasons,
    Redirect, Register, Registrar, Session, Span, Transfer, TrunkMedia,
};

/// `options = { … }` of a trunk: how its health is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Time between two OPTIONS to one peer; `"0s"` sends none. Default: `"60s"`.
    pub interval: Option<Span>,
    /// Largest deviation from it, either way. Default: a tenth of `interval`.
    pub jitter: Option<Span>,
    /// Time between two OPTIONS to a peer that is down. Default: `"30s"`, at most `interval`.
    pub interval_down: Option<Span>,
    /// Unanswered OPTIONS in a row after which a peer counts as down. Default: 3.
    pub losses: Option<Spanned<u32>>,
    /// Longest silence of the peer's own OPTIONS before the trunk counts as not reachable from
    /// its side; `"0s"` expects none. Default: `"5m"` for `acs` and `teams`, else `"0s"`.
    pub expect_inbound: Option<Span>,
    /// Without an OPTIONS or a TLS handshake for this long, Azure calls a trunk expired; the
    /// forecast of its verdict goes by it. Default: `"15m"`.
    pub expired_after: Option<Span>,
    /// How long a peer gets no calls that answered 503 without `Retry-After`, at most `aside_max`.
    /// Default: `"1s"`.
    pub aside: Option<Spanned<Span>>,
    /// The longest time without calls that a peer's `Retry-After` is granted; `"0s"` grants none.
    /// Default: `"5m"`.
    pub aside_max: Option<Spanned<Span>>,
}

/// `[[trunk]]`: one SIP peering.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// The trunk's name.
    pub name: Spanned<String>,
    /// `"acs"`, `"teams"`, `"carrier"` or `"pbx"`.
    pub preset: Spanned<String>,
    /// Where the peer's messages arrive: `"udp:0.0.0.0:5060"`, also `tcp:` and `tls:`.
    #[serde(default)]
    pub listen: OneOrMany,
    /// The peers in the order they are tried: `"udp:198.51.100.7:5060"`, `"tls:sip.carrier.example"`.
    #[serde(default)]
    pub peers: OneOrMany,
    /// Networks the peer's messages may come from. Default: the peers' own addresses; for `acs`
    /// and `teams` Microsoft's ranges.
    #[serde(default)]
    pub allow: OneOrMany,
    /// Name of the `[[interface]]`. Default: the one of `[gateway]`.
    pub interface: Option<Spanned<String>>,
    /// Name of the `[[certificate]]`. Default: the one of `[tls]`.
    pub certificate: Option<Spanned<String>>,
    /// The name this trunk's peer knows the gateway by. Default: `[gateway] fqdn`.
    pub fqdn: Option<Spanned<String>>,
    /// The customer it belongs to. Calls of one customer never reach a trunk of another. Default:
    /// the operator's own.
    pub customer: Option<Spanned<String>>,
    /// Names of which the certificate of a peer that connects must have one. Default:
    /// `"sip.pstnhub.microsoft.com"` for `acs` and `teams`, else none is asked for.
    #[serde(default)]
    pub peer_names: OneOrMany,
    /// How this side writes numbers.
    pub numbers: Option<Numbers>,
    /// Name of the `[[rates]]` that say what calls towards it cost. Default: nobody knows.
    pub rates: Option<Spanned<String>>,
    /// Calls at once. Default: no limit but the gateway's.
    pub calls: Option<Spanned<u32>>,
    /// New calls a second. Default: no limit.
    pub calls_per_second: Option<Spanned<u32>>,
    /// SRTP towards this trunk. Default: `true` for `acs` and `teams`, else `false`.
    pub srtp: Option<Spanned<bool>>,
    /// Codecs allowed, in order of preference: `["PCMA", "PCMU"]`. Default: whatever is offered.
    #[serde(default)]
    pub codecs: OneOrMany,
    /// Health.
    pub options: Option<Options>,
    /// A target that sends nothing is left after this. Default: `"4s"`.
    pub attempt_timeout: Option<Span>,
    /// From a caller's INVITE until its first 18x or final response, over all targets; Microsoft
    /// waits 10 seconds. Default: `"9500ms"`.
    pub setup_budget: Option<Span>,
    /// An INVITE of ours that was answered with 100 only is given up after this (RFC 3261 §16.6).
    /// Default: `"185s"`.
    pub timer_c: Option<Span>,
    /// A call nobody answers ends after this. Default: `"3m"`.
    pub no_answer: Option<Span>,
    /// A call ends after this. Default: `"4h"`.
    pub max_duration: Option<Span>,
    /// A call without any media ends after this; held calls are left alone. Default: `"5m"`.
    pub media_inactivity: Option<Span>,
    /// The TCP and TLS connections of this trunk.
    #[serde(default)]
    pub connection: Connection,
    /// Digest authentication towards this trunk and of its requests.
    #[serde(default)]
    pub auth: Auth,
    /// How digits travel.
    #[serde(default)]
    pub dtmf: Dtmf,
    /// What a caller hears before the answer.
    #[serde(default)]
    pub early: Early,
    /// Custom context of applications.
    #[serde(default)]
    pub context: Context,
    /// Redirections and header rules.
    #[serde(default)]
    pub headers: Headers,
    /// What hold looks and sounds like.
    #[serde(default)]
    pub hold: Hold,
    /// Who the calling party is said to be.
    #[serde(default)]
    pub identity: Identity,
    /// What its causes and statuses mean.
    #[serde(default)]
    pub reasons: Reasons,
    /// Codecs, SRTP and RTP towards this trunk.
    #[serde(default)]
    pub media: TrunkMedia,
    /// What is done with a 3xx response.
    #[serde(default)]
    pub redirect: Redirect,
    /// Registration of this gateway with the trunk.
    pub register: Option<Spanned<Register>>,
    /// Registration of the trunk's exchange or telephones here.
    pub registrar: Option<Spanned<Registrar>>,
    /// Session timers.
    #[serde(default)]
    pub session: Session,
    /// REFER, Replaces and redirection.
    #[serde(default)]
    pub transfer: Transfer,
}
