//! How Microsoft's side is set up.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::media::MediaConfig;
use crate::script::{Behaviours, Timers};
use crate::tap::Tap;
use crate::tls::TlsSettings;

/// The three names, in the order a gateway must try them.
pub const PROXY_NAMES: [&str; 3] = [
    "sip.pstnhub.microsoft.com",
    "sip2.pstnhub.microsoft.com",
    "sip3.pstnhub.microsoft.com",
];

/// For which service Microsoft's side speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// Azure Communication Services direct routing.
    #[default]
    Acs,
    /// Teams Direct Routing.
    Teams,
}

/// One of the connection points.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Its name, which the gateway must dial and ask for in SNI.
    pub name: String,
    /// Where it listens; port 0 for any. Its own connections leave from the same address.
    pub bind: SocketAddr,
}

/// A gateway that the customer's resource knows.
#[derive(Clone, Debug)]
pub struct TrunkRegistration {
    /// The gateway's name, as in its certificate and its Contact.
    pub fqdn: String,
    /// The port configured for it.
    pub port: u16,
}

/// How Microsoft's side is set up.
#[derive(Clone, Debug)]
pub struct AcsConfig {
    /// For which service it speaks.
    pub flavour: Flavour,
    /// The connection points.
    pub proxies: Vec<ProxyConfig>,
    /// Its certificate (SAN `sip.pstnhub.microsoft.com` and so on), key, and trusted roots.
    pub tls: TlsSettings,
    /// The gateways it knows.
    pub trunks: Vec<TrunkRegistration>,
    /// Addresses of the gateways' names.
    pub host_map: BTreeMap<String, IpAddr>,
    /// Its media; always secure, whatever this says.
    pub media: MediaConfig,
    /// How calls to it are treated.
    pub behaviours: Behaviours,
    /// Retransmission timers.
    pub timers: Timers,
    /// A connection without messages is closed after this; Microsoft's own limit is 2 minutes.
    pub idle: Duration,
    /// Time between two OPTIONS to a trunk.
    pub options_interval: Duration,
    /// Whether it sends OPTIONS of its own at all; without, nothing of it reaches the trunk.
    pub probes: bool,
    /// How long a trunk may take to answer OPTIONS.
    pub options_patience: Duration,
    /// How long a trunk may take to send 18x or a final response to an INVITE.
    pub progress_patience: Duration,
    /// Repeat the description of a confirmed call unchanged after this.
    pub refresh_after: Option<Duration>,
    /// Send each BYE on a connection of its own.
    pub bye_on_new_connection: bool,
    /// The trunk property `privacyHeader`: what Privacy says, or that there is none.
    pub privacy: Option<String>,
    /// Witness of every byte.
    pub tap: Tap,
}

impl AcsConfig {
    /// The three names on free loopback ports.
    pub fn new(tls: TlsSettings) -> Self {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let proxies = PROXY_NAMES
            .iter()
            .map(|name| ProxyConfig {
                name: (*name).to_owned(),
                bind,
            })
            .collect();
        Self {
            flavour: Flavour::Acs,
            proxies,
            tls,
            trunks: Vec::new(),
            host_map: BTreeMap::new(),
            media: MediaConfig {
                secure: true,
                ..MediaConfig::default()
            },
            behaviours: Behaviours::default(),
            timers: Timers::default(),
            idle: Duration::from_secs(120),
            options_interval: Duration::from_secs(60),
            probes: true,
            options_patience: Duration::from_secs(1),
            progress_patience: Duration::from_secs(10),
            refresh_after: None,
            bye_on_new_connection: false,
            privacy: Some("id".to_owned()),
            tap: Tap::default(),
        }
    }

    /// Adds a gateway reachable at `address`.
    #[must_use]
    pub fn with_trunk(mut self, fqdn: &str, address: SocketAddr) -> Self {
        let fqdn = fqdn.to_ascii_lowercase();
        self.trunks.push(TrunkRegistration {
            fqdn: fqdn.clone(),
            port: address.port(),
        });
        self.host_map.insert(fqdn, address.ip());
        self
    }
}

/// How one connection point behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// As it should.
    #[default]
    Up,
    /// Answers every INVITE with 503 and `Retry-After: 1`.
    Busy,
    /// Its listener is closed.
    Down,
}
