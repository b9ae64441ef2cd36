//! Defaults for each kind of system. Every value can be overridden in the profile afterwards.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use media_relay::LatchPolicy;
use sdp::HoldDialect;
use sip_msg::wire::{ListenerId, TrunkName};
use sip_msg::{Method, TransportKind, Uri};

use super::derived::Derived;
use super::{
    Advertised, ContextProfile, DatagramPolicy, DtmfPolicy, Early, FlowPolicy, HeaderProfile,
    HoldPolicy, IdentityProfile, MediaPolicy, OptionsPing, PeerProfile, Preset, ReasonMap,
    Redirect, Redirections, SessionPolicy, TransferPolicy, TrunkAuth, TrunkProfile, TrunkTimers,
    Trust,
};
use crate::limits::TrunkLimits;

/// Microsoft's SIP proxies in the order they are tried: nearest, second and third region (N-01).
pub const MICROSOFT_SIP_PROXIES: [&str; 3] = [
    "sip.pstnhub.microsoft.com",
    "sip2.pstnhub.microsoft.com",
    "sip3.pstnhub.microsoft.com",
];

/// The port of Microsoft's SIP proxies (N-01); TLS is the only transport (N-12).
pub const MICROSOFT_SIP_PORT: u16 = 5061;

/// The name that the certificate of a connecting Microsoft proxy must have (C-16).
pub const MICROSOFT_CLIENT_NAME: &str = "sip.pstnhub.microsoft.com";

/// Where Microsoft's signalling and media come from (N-05).
pub const MICROSOFT_SIGNALLING_NETS: [(Ipv4Addr, u8); 2] = [
    (Ipv4Addr::new(52, 112, 0, 0), 14),
    (Ipv4Addr::new(52, 120, 0, 0), 14),
];

/// What this gateway does on every trunk, in the order Microsoft prints them.
const METHODS: [Method; 6] = [
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Notify,
];

/// What is done on the trunks of carriers and PBXs besides (RFC 3262, RFC 3311, RFC 6086). None of
/// it goes on to Microsoft, which has no use for it (M-01, M-02).
const PLAIN_METHODS: [Method; 3] = [Method::Prack, Method::Update, Method::Info];

/// What Microsoft says it takes (M-01).
const MICROSOFT_TAKES: [Method; 6] = [
    Method::Invite,
    Method::Ack,
    Method::Options,
    Method::Cancel,
    Method::Bye,
    Method::Notify,
];

impl TrunkProfile {
    /// A trunk to Azure Communication Services for the gateway that Microsoft knows as
    /// `advertised`, taking requests at `listener`.
    #[must_use]
    pub fn acs(name: TrunkName, advertised: Advertised, listener: ListenerId) -> Self {
        Self::microsoft(Preset::Acs, name, advertised, listener)
    }

    /// A trunk to Teams Direct Routing. Its FQDN must differ from that of any `acs` trunk (C-05).
    #[must_use]
    pub fn teams(name: TrunkName, advertised: Advertised, listener: ListenerId) -> Self {
        Self::microsoft(Preset::Teams, name, advertised, listener)
    }

    fn microsoft(
        preset: Preset,
        name: TrunkName,
        advertised: Advertised,
        listener: ListenerId,
    ) -> Self {
        let peers: Vec<PeerProfile> = MICROSOFT_SIP_PROXIES
            .iter()
            .map(|host| PeerProfile::new(host, Some(MICROSOFT_SIP_PORT), TransportKind::Tls))
            .collect();
        let request_host = Arc::from(advertised.host.to_ascii_lowercase());
        Self {
            name,
            preset,
            customer: None,
            transport: TransportKind::Tls,
            pinned_hop: peers.first().map(|peer| peer.uri.clone()),
            advertised,
            also_at: Vec::new(),
            peers,
            allow: microsoft_nets(),
            listeners: vec![listener],
            expected_names: vec![Arc::from(MICROSOFT_CLIENT_NAME)],
            request_hosts: vec![request_host],
            flows: FlowPolicy::OneWay,
            datagrams: DatagramPolicy::default(),
            srtp: true,
            rtcp_mux: true,
            hold: HoldPolicy::new(HoldDialect::InactiveOnly),
            session: SessionPolicy::default(),
            dtmf: DtmfPolicy::default(),
            codecs: Vec::new(),
            media: MediaPolicy {
                networks: microsoft_nets().into(),
                ..MediaPolicy::default()
            },
            media_interface: 0,
            latch: LatchPolicy::Authenticated,
            early: Early::microsoft(),
            redirect: Redirect::default(),
            close_when_busy: true,
            options: OptionsPing {
                expect_inbound: Some(Duration::from_secs(300)),
                ..OptionsPing::default()
            },
            timers: TrunkTimers::default(),
            limits: TrunkLimits::default(),
            trust: Trust::Trusted,
            identity: IdentityProfile::default(),
            // I-09, U-10: History-Info is preserved and on; Diversion is not known there.
            headers: HeaderProfile {
                redirections: Redirections::HistoryInfo,
                rules: Vec::new(),
            },
            context: ContextProfile::default(),
            reasons: ReasonMap::default(),
            allow_methods: METHODS.to_vec(),
            supported: vec![Arc::from("timer")],
            sends_methods: MICROSOFT_TAKES.to_vec(),
            x_ms_sbc: true,
            transfer: TransferPolicy::of(preset),
            auth: TrunkAuth::default(),
            register: None,
            registrar: None,
            derived: Derived::default(),
        }
    }

    /// A trunk to a telephone company.
    #[must_use]
    pub fn carrier(
        name: TrunkName,
        advertised: Advertised,
        listener: ListenerId,
        peers: Vec<PeerProfile>,
    ) -> Self {
        Self::plain(Preset::Carrier, name, advertised, listener, peers)
    }

    /// A trunk to a private branch exchange of the operator's own.
    #[must_use]
    pub fn pbx(
        name: TrunkName,
        advertised: Advertised,
        listener: ListenerId,
        peers: Vec<PeerProfile>,
    ) -> Self {
        Self::plain(Preset::Pbx, name, advertised, listener, peers)
    }

    fn plain(
        preset: Preset,
        name: TrunkName,
        advertised: Advertised,
        listener: ListenerId,
        peers: Vec<PeerProfile>,
    ) -> Self {
        let transport = peers
            .first()
            .and_then(|peer| peer.uri.transport_param())
            .unwrap_or(TransportKind::Udp);
        let trust = match preset {
            Preset::Pbx => Trust::Trusted,
            Preset::Acs | Preset::Teams | Preset::Carrier => Trust::Untrusted,
        };
        let redirections = match trust {
            Trust::Trusted => Redirections::Both,
            Trust::Untrusted => Redirections::None,
        };
        Self {
            name,
            preset,
            customer: None,
            transport,
            advertised,
            also_at: Vec::new(),
            allow: peers
                .iter()
                .filter_map(PeerProfile::literal)
                .map(IpNet::from)
                .collect(),
            peers,
            pinned_hop: None,
            listeners: vec![listener],
            expected_names: Vec::new(),
            request_hosts: Vec::new(),
            flows: FlowPolicy::Reuse,
            datagrams: DatagramPolicy::default(),
            srtp: false,
            rtcp_mux: false,
            hold: HoldPolicy::default(),
            session: SessionPolicy::default(),
            dtmf: DtmfPolicy::default(),
            codecs: Vec::new(),
            media: MediaPolicy::default(),
            media_interface: 0,
            latch: LatchPolicy::Signalled,
            early: Early::default(),
            redirect: Redirect::default(),
            close_when_busy: false,
            options: OptionsPing::default(),
            timers: TrunkTimers::default(),
            limits: TrunkLimits::default(),
            trust,
            identity: IdentityProfile::default(),
            headers: HeaderProfile {
                redirections,
                rules: Vec::new(),
            },
            context: ContextProfile::default(),
            reasons: ReasonMap::default(),
            allow_methods: [METHODS.as_slice(), &PLAIN_METHODS].concat(),
            supported: vec![Arc::from("timer")],
            sends_methods: [MICROSOFT_TAKES.as_slice(), &PLAIN_METHODS].concat(),
            x_ms_sbc: false,
            transfer: TransferPolicy::of(preset),
            auth: TrunkAuth::default(),
            register: None,
            registrar: None,
            derived: Derived::default(),
        }
    }
}

impl PeerProfile {
    /// The peer at `host` (a name or an address), reached over `transport`.
    #[must_use]
    pub fn new(host: &str, port: Option<u16>, transport: TransportKind) -> Self {
        let uri = Uri::sip(None, host, port).with_param("transport", Some(transport.uri_token()));
        Self { uri }
    }

    /// The peer's address where its URI names one.
    fn literal(&self) -> Option<IpAddr> {
        let host = self.uri.host_str();
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()
    }
}

impl Default for OptionsPing {
    /// Once a minute and peer, spread by six seconds; down after three losses (P-03, P-07). Who has
    /// too much to do is left alone for a second, or for as long as it asks, up to five minutes.
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(60),
            jitter: Duration::from_secs(6),
            interval_down: Duration::from_secs(30),
            losses: 3,
            expect_inbound: None,
            expired_after: Duration::from_secs(15 * 60),
            aside: Duration::from_secs(1),
            aside_max: Duration::from_secs(300),
        }
    }
}

fn microsoft_nets() -> Vec<IpNet> {
    MICROSOFT_SIGNALLING_NETS
        .iter()
        .filter_map(|&(first, prefix)| IpNet::new(IpAddr::V4(first), prefix).ok())
        .collect()
}
