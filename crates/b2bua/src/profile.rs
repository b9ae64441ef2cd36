//! What the core knows about each side of the gateway, as data resolved from the configuration.
//!
//! The binary reads files and fills these values in; nothing here is parsed or looked up again
//! while a call runs. A call keeps the profiles it started with across a reload.

mod auth;
mod context;
mod derived;
mod dtmf;
mod early;
mod headers;
mod hold;
mod identity;
mod media;
mod net;
mod presets;
mod reasons;
mod redirect;
mod session;
mod transfer;
mod trunks;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use media_relay::{LatchPolicy, ShardId};
use sip_msg::wire::{ListenerId, TrunkName};
use sip_msg::{Method, TransportKind, Uri};

use self::derived::Derived;
use crate::bans::BanPolicy;
use crate::limits::TrunkLimits;

pub use auth::{Demand, Registering, RegistrarPolicy, TrunkAuth};
pub use context::ContextProfile;
pub use dtmf::{DtmfMode, DtmfPolicy};
pub use early::{Early, EarlyPolicy, Reliable};
pub use headers::{
    HeaderAction, HeaderProfile, HeaderRule, HeaderRuleError, MOST_RULES, Redirections, Way,
    protected,
};
pub use hold::{HoldMusic, HoldPolicy};
pub use identity::{
    Assertion, Caller, IdentityProfile, Preference, Privacy, Signatures, Unscreened,
};
pub use media::MediaPolicy;
pub(crate) use net::holds;
pub use net::{NetworkError, network};
pub use presets::{
    MICROSOFT_CLIENT_NAME, MICROSOFT_SIGNALLING_NETS, MICROSOFT_SIP_PORT, MICROSOFT_SIP_PROXIES,
};
pub use reasons::ReasonMap;
pub use redirect::{Redirect, RedirectTarget};
pub use session::{RefreshMethod, RefresherChoice, SessionPolicy};
pub use sip_ua::auth::{Algorithm, Credentials, Password};
pub use sip_ua::{DatagramPolicy, TimerConfig};
pub use transfer::TransferPolicy;
pub use trunks::Profiles;

/// The kind of system on the other side of a trunk. It only chooses defaults and the few rules
/// that a public specification ties to the kind, never behaviour hidden from the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// The SIP Interface of Azure Communication Services.
    Acs,
    /// Teams Direct Routing: the same proxies, another directory of numbers.
    Teams,
    /// A telephone company.
    Carrier,
    /// A private branch exchange of the operator's own.
    Pbx,
}

impl Preset {
    /// Whether Microsoft's SIP proxies are on the other side.
    #[must_use]
    pub fn is_microsoft(self) -> bool {
        matches!(self, Self::Acs | Self::Teams)
    }

    /// The name used in configuration files, records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acs => "acs",
            Self::Teams => "teams",
            Self::Carrier => "carrier",
            Self::Pbx => "pbx",
        }
    }
}

/// Everything the signalling core is started with. Static: it changes by restart, except for
/// [`Profiles`], which a reload swaps.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// The dynamic part: trunks and limits.
    pub profiles: Arc<Profiles>,
    /// The sockets that accept SIP.
    pub listeners: Vec<ListenerInfo>,
    /// Where media ports come from.
    pub media: MediaConfig,
    /// Bounds of the tables of the core.
    pub bounds: CoreBounds,
    /// The clocks of RFC 3261.
    pub timers: TimerConfig,
    /// Value of `Server` and `User-Agent`, and the middle of `X-MS-SBC`.
    pub software: Arc<str>,
    /// When sources that scan or guess are no longer heard.
    pub bans: BanPolicy,
    /// What those are told who come while the gateway drains.
    pub drain: DrainPolicy,
}

/// What a draining gateway says to new calls and to OPTIONS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainPolicy {
    /// `Retry-After` of the 503, in seconds (RFC 3261 §20.33).
    pub retry_after: u32,
}

impl Default for DrainPolicy {
    fn default() -> Self {
        Self { retry_after: 60 }
    }
}

/// Bounds of the core's tables. Reaching one is answered with 503, never with growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreBounds {
    /// SIP transactions without a final response at once.
    pub transactions: usize,
    /// SIP transactions with one, kept for its repetitions: three for each call of the last 32 s
    /// over UDP.
    pub remembered: usize,
    /// SIP dialogs, early and confirmed, alive at once.
    pub dialogs: usize,
    /// B legs that one call may try in its life.
    pub attempts_per_call: usize,
    /// Early dialogs that one B leg may fork into.
    pub forks_per_leg: usize,
    /// Bytes of messages kept for ladders.
    pub trace_bytes: usize,
}

impl Default for CoreBounds {
    fn default() -> Self {
        Self {
            transactions: 50_000,
            remembered: 500_000,
            dialogs: 50_000,
            attempts_per_call: 8,
            forks_per_leg: 8,
            trace_bytes: 64 << 20,
        }
    }
}

/// Where media ports come from.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// The media interfaces, each with the address that SDP advertises.
    pub interfaces: Vec<MediaInterface>,
    /// The shards that run.
    pub shards: Vec<ShardId>,
    /// Bound pairs kept free for each interface and shard, ahead of need.
    pub reserve: u16,
    /// How long a released pair rests before a new call may have it, so that late packets of the
    /// old call meet nobody.
    pub cool_down: Duration,
    /// How long it rests at least, where no pair is left that rested longer.
    pub cool_down_floor: Duration,
    /// Percent of an interface's pairs, held or resting, from which on its alarm is raised, 1..=100;
    /// it ends ten below.
    pub alarm_percent: u8,
}

/// One address that media is received on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaInterface {
    /// The number that the media shell knows it by.
    pub id: u16,
    /// The address that sockets are bound to.
    pub bind: IpAddr,
    /// The address that SDP names; differs from `bind` behind 1:1 NAT.
    pub advertise: IpAddr,
    /// Pairs of ports that its range has; 0 where that is not known, and no alarm is raised.
    pub pairs: u32,
}

/// A socket that accepts SIP.
#[derive(Clone, Debug)]
pub struct ListenerInfo {
    /// The number that the transport knows it by.
    pub id: ListenerId,
    /// What it speaks.
    pub transport: TransportKind,
    /// The address it is bound to.
    pub local: SocketAddr,
}

/// The host and port by which a trunk knows this gateway: `Via`, `Contact`, `From`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// An FQDN (mandatory towards Microsoft, S-02) or an IP address.
    pub host: Arc<str>,
    /// The port of our listener as the other side sees it.
    pub port: u16,
}

/// One address of a trunk that calls and OPTIONS are sent to.
#[derive(Clone, Debug)]
pub struct PeerProfile {
    /// Where to send: RFC 3263 is applied to it. Carries `transport`.
    pub uri: Uri,
}

/// Whether identities and private data may cross to this trunk (RFC 3324's trust domain).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Inside the operator's trust domain.
    Trusted,
    /// Outside of it: the public telephone network, or another company.
    Untrusted,
}

/// How connections to and from a trunk may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowPolicy {
    /// Requests of ours only on connections we opened, and the other way round (K-01).
    OneWay,
    /// Any connection with the peer may carry requests of both sides.
    Reuse,
    /// The flow that the peer keeps open towards us (RFC 5626).
    ClientFlow,
}

/// Health probing by OPTIONS (RFC 3261 §11, P-01 to P-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionsPing {
    /// Whether this gateway probes the peers of the trunk.
    pub enabled: bool,
    /// Mean time between two probes of one peer.
    pub interval: Duration,
    /// Largest deviation from it, either way.
    pub jitter: Duration,
    /// Mean time between two probes of a peer that is down.
    pub interval_down: Duration,
    /// Losses in a row that mark a peer down; at least 1.
    pub losses: u8,
    /// Longest silence of the peer's own OPTIONS before the trunk counts as not reachable from
    /// its side; `None` where the peer sends none.
    pub expect_inbound: Option<Duration>,
    /// Without an OPTIONS or a TLS handshake for this long, Azure calls a trunk expired (P-07,
    /// H-02).
    pub expired_after: Duration,
    /// How long a peer is put aside that answered 503 without `Retry-After`.
    pub aside: Duration,
    /// The longest that a `Retry-After` puts a peer aside, whatever the peer asks for.
    pub aside_max: Duration,
}

/// Time limits of the calls of one trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkTimers {
    /// A peer that answers nothing at all for this long is left for the next one.
    pub attempt_timeout: Duration,
    /// A TCP or TLS connection that is not up after this long has failed.
    pub connect: Duration,
    /// From a caller's INVITE until its first 18x or final response, over all attempts (U-04).
    pub setup_budget: Duration,
    /// From a called party's first 18x until its final response.
    pub no_answer: Duration,
    /// From the answer until the call is ended from here.
    pub max_duration: Option<Duration>,
    /// A call that hears no media from this trunk for this long is ended; held calls are exempt.
    pub media_inactivity: Option<Duration>,
    /// RFC 3261 §16.6 step 11: proceeding client transactions end after this long.
    pub timer_c: Duration,
}

impl Default for TrunkTimers {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(4),
            connect: Duration::from_secs(2),
            setup_budget: Duration::from_millis(9_500),
            no_answer: Duration::from_secs(180),
            max_duration: Some(Duration::from_secs(4 * 3600)),
            media_inactivity: Some(Duration::from_secs(60)),
            timer_c: Duration::from_secs(185),
        }
    }
}

/// One side of the gateway: who is there, how it is reached and how it is spoken to.
#[derive(Clone, Debug)]
pub struct TrunkProfile {
    /// The name in configuration, records and metrics.
    pub name: TrunkName,
    /// The kind of system there.
    pub preset: Preset,
    /// The customer it belongs to; `None` where it is the operator's own.
    pub customer: Option<Arc<str>>,
    /// What SIP travels on.
    pub transport: TransportKind,
    /// How the trunk knows this gateway.
    pub advertised: Advertised,
    /// Where the trunk's listeners for other transports are, as the other side sees their ports;
    /// `advertised` is that for `transport`.
    pub also_at: Vec<(TransportKind, u16)>,
    /// Where requests go, in order of preference.
    pub peers: Vec<PeerProfile>,
    /// Where in-dialog requests go when a dialog has no route set, instead of the remote target;
    /// Microsoft's Contact names a port that must never be dialled (G-05).
    pub pinned_hop: Option<Uri>,
    /// Source addresses that requests may come from.
    pub allow: Vec<IpNet>,
    /// The listeners that requests of this trunk arrive at.
    pub listeners: Vec<ListenerId>,
    /// DNS names of which the peer's certificate must have one; empty where TLS identifies nobody.
    pub expected_names: Vec<Arc<str>>,
    /// Hosts in a Request-URI that mean this trunk (lower case); empty for any.
    pub request_hosts: Vec<Arc<str>>,
    /// How connections may be used.
    pub flows: FlowPolicy,
    /// What becomes of requests too long for a datagram (RFC 3261 §18.1.1).
    pub datagrams: DatagramPolicy,
    /// SRTP by SDES (RFC 4568) is demanded in both directions; plain RTP is refused with 488.
    pub srtp: bool,
    /// RTP and RTCP on one port are offered (RFC 5761).
    pub rtcp_mux: bool,
    /// How hold is expressed, and what a held party hears.
    pub hold: HoldPolicy,
    /// Session timers.
    pub session: SessionPolicy,
    /// How digits travel.
    pub dtmf: DtmfPolicy,
    /// Encoding names in order of preference (`G722`, `PCMA`); empty passes every codec.
    pub codecs: Vec<Arc<str>>,
    /// What else holds for its media.
    pub media: MediaPolicy,
    /// The interface that media of this trunk uses.
    pub media_interface: u16,
    /// Which source addresses media may come from.
    pub latch: LatchPolicy,
    /// What the caller hears and is told before the answer.
    pub early: Early,
    /// What becomes of redirections by this trunk.
    pub redirect: Redirect,
    /// A peer that answers an INVITE with 503 and `Retry-After` has its connection dropped (M-07).
    pub close_when_busy: bool,
    /// Health probing.
    pub options: OptionsPing,
    /// Time limits of calls.
    pub timers: TrunkTimers,
    /// Calls and calls per second.
    pub limits: TrunkLimits,
    /// Whether private data may cross.
    pub trust: Trust,
    /// Who may call as whom, and who is told.
    pub identity: IdentityProfile,
    /// Redirections, and header rules of the operator.
    pub headers: HeaderProfile,
    /// Custom context.
    pub context: ContextProfile,
    /// What its causes and statuses mean.
    pub reasons: ReasonMap,
    /// Methods of the `Allow` header field towards this trunk.
    pub allow_methods: Vec<Method>,
    /// Option tags of the `Supported` header field towards this trunk.
    pub supported: Vec<Arc<str>>,
    /// Methods that the trunk may be sent in a dialog; others are absorbed here (M-01).
    pub sends_methods: Vec<Method>,
    /// Whether `X-MS-SBC` is in every request and response (S-09).
    pub x_ms_sbc: bool,
    /// Whether and how its parties transfer calls.
    pub transfer: TransferPolicy,
    /// Who each side has to prove to be.
    pub auth: TrunkAuth,
    /// How this gateway registers with the trunk, if it does.
    pub register: Option<Registering>,
    /// How the trunk registers here, if it does.
    pub registrar: Option<RegistrarPolicy>,
    /// What follows from the rest, once [`Profiles::new`] has taken it.
    derived: Derived,
}

impl TrunkProfile {
    /// Whether a call may have parties of both trunks: never those of two customers (W-01).
    #[must_use]
    pub fn may_meet(&self, other: &Self) -> bool {
        match (&self.customer, &other.customer) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        }
    }

    /// `Contact` of this gateway towards the trunk, with `user` where one is known (S-01, S-08).
    #[must_use]
    pub fn contact(&self, user: Option<&str>) -> Uri {
        self.contact_over(user, self.transport)
    }

    /// The same for a dialog whose first request travels over `transport`: requests within the
    /// dialog come the same way, if the trunk is listened to there.
    #[must_use]
    pub fn contact_over(&self, user: Option<&str>, transport: TransportKind) -> Uri {
        let user = user.filter(|user| !user.is_empty());
        let own = (self.transport, self.advertised.port);
        let mut others = self.also_at.iter().copied();
        let other = others.find(|(known, _)| *known == transport && transport != self.transport);
        let (transport, port) = other.unwrap_or(own);
        let transport = [("transport", transport.uri_token())];
        Uri::sip_with(user, &self.advertised.host, Some(port), &transport)
    }

    /// Whether the extension of that option tag is done on this trunk (RFC 3261 §8.2.2.3).
    #[must_use]
    pub fn supports(&self, tag: &str) -> bool {
        let done = |known: &str| known.eq_ignore_ascii_case(tag);
        done("timer")
            || self.supported.iter().any(|known| done(known))
            || self.early.reliable != Reliable::Never && done(OPTION_100REL)
            || self.transfer.replaces && done(OPTION_REPLACES)
            || self.transfer.refer && done(OPTION_NOREFERSUB)
    }

    /// Whether `host` is one by which the trunk knows this gateway.
    #[must_use]
    pub fn is_named(&self, host: &str) -> bool {
        let ours = |known: &str| known.eq_ignore_ascii_case(host);
        ours(&self.advertised.host) || self.request_hosts.iter().any(|known| ours(known))
    }

    /// Whether `method` may be sent to the trunk inside a dialog.
    #[must_use]
    pub fn may_send(&self, method: &Method) -> bool {
        self.sends_methods.contains(method)
    }
}

/// The option tag of RFC 3891.
const OPTION_REPLACES: &str = "replaces";
/// The option tag of RFC 4488.
const OPTION_NOREFERSUB: &str = "norefersub";
/// The option tag of reliable provisional responses (RFC 3262 §8.1).
pub(crate) const OPTION_100REL: &str = "100rel";

#[cfg(test)]
mod tests;
