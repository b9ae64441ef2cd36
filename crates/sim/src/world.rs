//! What a run starts with: trunks, parties, links and routes.

mod places;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ambient::TokenRng;
use b2bua::bans::BanPolicy;
use b2bua::limits::GateLimits;
use b2bua::profile::{
    Advertised, CoreBounds, CoreConfig, DrainPolicy, ListenerInfo, MICROSOFT_SIP_PROXIES,
    MediaConfig, PeerProfile, Profiles, TimerConfig, TrunkProfile,
};
use media_relay::{Cadence, Clip, ShardId};
use routing::{Document, EmergencyDoc, PeerDoc, RouteDoc, Snapshot, TrunkDoc};
use sip_msg::TransportKind;
use sip_msg::wire::{ListenerId, TrunkName};

use crate::description::Direction;
use crate::link::Link;
use crate::party::{Party, Place, Style};
use crate::sim::Sim;

/// The gateway's signalling address.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The gateway's media address.
pub(crate) const GATEWAY_MEDIA: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The name by which Microsoft knows the gateway.
pub(crate) const GATEWAY_NAME: &str = "sbc1.example.com";

const CARRIER_LISTENER: ListenerId = ListenerId(1);
const PBX_LISTENER: ListenerId = ListenerId(2);
const TLS_LISTENER: ListenerId = ListenerId(3);

/// What a test changes in the whole routing document.
type Policy = Box<dyn Fn(&mut Document)>;

/// What a test changes in a trunk as routing sees it.
type Alteration = Box<dyn Fn(&mut TrunkDoc)>;

/// A run before it starts.
///
/// The standard world has a `carrier` and a `pbx` on UDP, and Microsoft's side on TLS: the trunk
/// `acs` with its three proxies `acs`, `acs2` and `acs3`. Calls from the carrier and the PBX to
/// +1425555… go to `acs`, other calls of the PBX and calls from `acs` go to the carrier.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) profiles: BTreeMap<String, TrunkProfile>,
    pub(crate) parties: Vec<(Party, TrunkName, ListenerId, Link)>,
    pub(crate) hosts: BTreeMap<String, Vec<IpAddr>>,
    pub(crate) shards: u8,
    pub(crate) limits: GateLimits,
    bans: BanPolicy,
    drain: DrainPolicy,
    routes: Vec<RouteDoc>,
    documents: BTreeMap<String, Alteration>,
    emergency: EmergencyDoc,
    policy: Option<Policy>,
    /// The gateway has media on IPv6, too.
    ipv6: bool,
    announcements: BTreeMap<Box<str>, Arc<Clip>>,
}

impl World {
    /// The standard world; everything that chance decides follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            seed,
            profiles: BTreeMap::new(),
            parties: Vec::new(),
            hosts: BTreeMap::new(),
            shards: 2,
            limits: GateLimits::default(),
            bans: BanPolicy::default(),
            drain: DrainPolicy::default(),
            routes: Vec::new(),
            documents: BTreeMap::new(),
            emergency: EmergencyDoc::default(),
            policy: None,
            ipv6: false,
            announcements: BTreeMap::new(),
        };
        world.add_plain(
            "carrier",
            CARRIER_LISTENER,
            5060,
            [198, 51, 100, 7],
            "+12065550100",
        );
        world.add_plain("pbx", PBX_LISTENER, 5070, [203, 0, 113, 20], "+14255550177");
        world.add_microsoft();
        world
            .route(
                "to the application",
                &["carrier", "pbx"],
                &["+1425555*"],
                &["acs"],
            )
            .route(
                "to the telephone network",
                &["acs", "pbx"],
                &[],
                &["carrier"],
            )
    }

    /// Changes a trunk's profile.
    ///
    /// # Panics
    /// If there is no such trunk.
    #[must_use]
    pub fn profile(mut self, trunk: &str, change: impl FnOnce(&mut TrunkProfile)) -> Self {
        change(self.profiles.get_mut(trunk).expect("a trunk of this world"));
        self
    }

    /// Changes a party.
    ///
    /// # Panics
    /// If there is no such party.
    #[must_use]
    pub fn party(mut self, name: &str, change: impl FnOnce(&mut Party)) -> Self {
        let found = self
            .parties
            .iter_mut()
            .find(|(party, ..)| party.name == name);
        change(&mut found.expect("a party of this world").0);
        self
    }

    /// Changes how a trunk writes numbers, and what else routing knows of it.
    #[must_use]
    pub fn numbers(mut self, trunk: &str, change: impl Fn(&mut TrunkDoc) + 'static) -> Self {
        self.documents.insert(trunk.to_owned(), Box::new(change));
        self
    }

    /// Changes what routing knows: routes, limits, rates.
    #[must_use]
    pub fn policy(mut self, change: impl Fn(&mut Document) + 'static) -> Self {
        self.policy = Some(Box::new(change));
        self
    }

    /// Gives emergency calls their own order of trunks, and further numbers.
    #[must_use]
    pub fn emergency(mut self, numbers: &[&str], to: &[&str]) -> Self {
        self.emergency = EmergencyDoc {
            numbers: numbers.iter().map(|&number| number.to_owned()).collect(),
            to: to.iter().map(|&trunk| TrunkName::from(trunk)).collect(),
        };
        self
    }

    /// Adds a route behind the others whose callers hear a second of a tone when no target takes
    /// their call.
    #[must_use]
    pub fn announced_route(mut self, from: &str, to: &[&str]) -> Self {
        let busy = (0..8000).map(|at| Cadence::BUSY.sample(at));
        let clip = Clip::new(busy.collect::<Vec<i16>>(), false).expect("a second of samples");
        self.announcements.insert("away".into(), Arc::new(clip));
        self = self.route("announced", &[from], &[], to);
        let route = self.routes.last_mut().expect("it was added");
        route.announcement = Some("away".to_owned());
        self
    }

    /// Puts a party behind another link.
    ///
    /// # Panics
    /// If there is no such party.
    #[must_use]
    pub fn link(mut self, name: &str, link: Link) -> Self {
        let found = self
            .parties
            .iter_mut()
            .find(|(party, ..)| party.name == name);
        found.expect("a party of this world").3 = link;
        self
    }

    /// Adds a route behind the others.
    #[must_use]
    pub fn route(mut self, name: &str, from: &[&str], called: &[&str], to: &[&str]) -> Self {
        self.routes.push(RouteDoc {
            name: name.to_owned(),
            from: from.iter().map(|&trunk| TrunkName::from(trunk)).collect(),
            called: called.iter().map(|&pattern| pattern.to_owned()).collect(),
            to: to.iter().map(|&trunk| TrunkName::from(trunk)).collect(),
            ..RouteDoc::default()
        });
        self
    }

    /// Adds peers to a trunk on UDP: parties named as the trunk with 2, 3 and so on behind it.
    ///
    /// # Panics
    /// If there is no such trunk.
    #[must_use]
    pub fn further_peers(mut self, trunk: &str, count: u8) -> Self {
        let found = self.parties.iter().find(|(party, ..)| party.name == trunk);
        let (first, _, listener, _) = found.expect("a trunk of this world");
        let (style, listener, gateway) = (first.style.clone(), *listener, first.gateway.clone());
        let IpAddr::V4(address) = first.sip.ip() else {
            return self;
        };
        for number in 2..2 + count {
            let [a, b, c, d] = address.octets();
            let sip = SocketAddr::from(([a, b, c, d + 64 * (number - 1)], 5060));
            let media = IpAddr::from([a, b, c, d + 64 * (number - 1) + 1]);
            let name = format!("{trunk}{number}");
            let style = Style {
                contact: format!("sip:{}@{sip}", style.number),
                host: sip.ip().to_string(),
                ..style.clone()
            };
            let place = Place {
                sip,
                media,
                transport: TransportKind::Udp,
                gateway: gateway.clone(),
            };
            let party = Party::new(&name, place, style, self.chance(&name));
            let peer = PeerProfile::new(&sip.ip().to_string(), Some(5060), TransportKind::Udp);
            let link = Link::good();
            self.parties
                .push((party, TrunkName::from(trunk), listener, link));
            self = self.profile(trunk, |profile| profile.peers.push(peer));
        }
        self
    }

    /// Makes a party that is reached over UDP send its own requests over TCP.
    #[must_use]
    pub fn over_tcp(self, name: &str) -> Self {
        self.party(name, |party| {
            party.transport = TransportKind::Tcp;
            party.style.contact.push_str(";transport=tcp");
        })
    }

    /// Removes all routes.
    #[must_use]
    pub fn without_routes(mut self) -> Self {
        self.routes.clear();
        self
    }

    /// Sends no OPTIONS.
    #[must_use]
    pub fn without_pings(mut self) -> Self {
        for profile in self.profiles.values_mut() {
            profile.options.enabled = false;
        }
        self
    }

    /// The number of media shards.
    #[must_use]
    pub fn shards(mut self, shards: u8) -> Self {
        self.shards = shards;
        self
    }

    /// The limits of the gateway as a whole.
    #[must_use]
    pub fn limits(mut self, limits: GateLimits) -> Self {
        self.limits = limits;
        self
    }

    /// When sources that scan or guess are no longer heard.
    #[must_use]
    pub fn bans(mut self, bans: BanPolicy) -> Self {
        self.bans = bans;
        self
    }

    /// What those are told who come while the gateway drains.
    #[must_use]
    pub fn draining(mut self, drain: DrainPolicy) -> Self {
        self.drain = drain;
        self
    }

    /// Starts the gateway and the clock.
    #[must_use]
    pub fn start(self) -> Sim {
        Sim::start(self)
    }

    pub(crate) fn config(&self) -> CoreConfig {
        let listener = |id, transport, port| ListenerInfo {
            id,
            transport,
            local: SocketAddr::from((GATEWAY, port)),
        };
        CoreConfig {
            profiles: Arc::new(
                Profiles::new(self.profiles.values().cloned(), self.limits)
                    .with_announcements(self.announcements.clone()),
            ),
            listeners: vec![
                listener(CARRIER_LISTENER, TransportKind::Udp, 5060),
                listener(PBX_LISTENER, TransportKind::Udp, 5070),
                listener(TLS_LISTENER, TransportKind::Tls, 5061),
            ],
            media: MediaConfig {
                interfaces: self.media_interfaces(),
                shards: (0..self.shards).map(ShardId).collect(),
                reserve: 8,
                cool_down: Duration::from_secs(5),
                cool_down_floor: Duration::from_millis(500),
                alarm_percent: 80,
            },
            bounds: CoreBounds::default(),
            timers: TimerConfig::default(),
            software: Arc::from("Trunkline/0.0.0"),
            bans: self.bans,
            drain: self.drain,
        }
    }

    /// The routing snapshot of this world.
    ///
    /// # Panics
    /// If a route of the test does not compile.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let trunks = self.profiles.values().map(|profile| {
            let peers = profile.peers.iter().map(|peer| PeerDoc {
                host: peer.uri.host_str().to_owned(),
                port: peer.uri.port(),
                transport: profile.transport,
            });
            let mut doc = TrunkDoc::new(profile.name.clone(), peers.collect());
            if doc.peers.is_empty() && profile.registrar.is_some() {
                doc.peers.push(PeerDoc {
                    host: "registered.invalid".to_owned(),
                    port: None,
                    transport: profile.transport,
                });
            }
            doc.user_phone = profile.preset.is_microsoft();
            doc.transport_param = profile.preset.is_microsoft();
            if let Some(change) = self.documents.get(profile.name.as_str()) {
                change(&mut doc);
            }
            doc
        });
        let mut document = Document {
            trunks: trunks.collect(),
            routes: self.routes.clone(),
            emergency: self.emergency.clone(),
            ..Document::default()
        };
        if let Some(change) = &self.policy {
            change(&mut document);
        }
        Arc::new(Snapshot::compile(&document).expect("the routes of a test compile"))
    }

    fn add_plain(
        &mut self,
        name: &str,
        listener: ListenerId,
        port: u16,
        address: [u8; 4],
        number: &str,
    ) {
        let sip = SocketAddr::from((address, 5060));
        let [a, b, c, d] = address;
        let media = IpAddr::from([a, b, c, d + 1]);
        let advertised = Advertised {
            host: Arc::from(GATEWAY.to_string()),
            port,
        };
        let peer = PeerProfile::new(&sip.ip().to_string(), Some(5060), TransportKind::Udp);
        let build = if name == "pbx" {
            TrunkProfile::pbx
        } else {
            TrunkProfile::carrier
        };
        let profile = build(TrunkName::from(name), advertised, listener, vec![peer]);
        self.profiles.insert(name.to_owned(), profile);
        let style = Style {
            upper_case: false,
            contact: format!("sip:{number}@{sip}"),
            record_route: None,
            host: sip.ip().to_string(),
            number: number.to_owned(),
            srtp: false,
            rtcp_mux: false,
            hold: Direction::SendOnly,
            formats: vec![8, 0, 101],
            strict: false,
        };
        let gateway = (GATEWAY.to_string(), port);
        let place = Place {
            sip,
            media,
            transport: TransportKind::Udp,
            gateway,
        };
        let party = Party::new(name, place, style, self.chance(name));
        self.parties
            .push((party, TrunkName::from(name), listener, Link::good()));
    }

    fn add_microsoft(&mut self) {
        let advertised = Advertised {
            host: Arc::from(GATEWAY_NAME),
            port: 5061,
        };
        let mut profile = TrunkProfile::acs(TrunkName::from("acs"), advertised, TLS_LISTENER);
        profile.allow = vec!["203.0.113.0/24".parse().expect("a network")];
        profile.media.networks = profile.allow.clone().into();
        self.profiles.insert("acs".to_owned(), profile);
        let regions = [("acs", "us", 41), ("acs2", "eu", 42), ("acs3", "as", 43)];
        for (proxy, (name, region, last)) in MICROSOFT_SIP_PROXIES.iter().zip(regions) {
            let sip = SocketAddr::from(([203, 0, 113, last], 5061));
            let home = format!("sip-du-a-{region}.pstnhub.microsoft.com");
            self.hosts.insert((*proxy).to_owned(), vec![sip.ip()]);
            self.hosts.insert(home.clone(), vec![sip.ip()]);
            let style = Style {
                upper_case: true,
                contact: format!(
                    "sip:api-du-a-{region}.pstnhub.microsoft.com:443;x-i=0b1d;x-c=a35e/s/1/4b30"
                ),
                record_route: Some(format!("sip:{home}:5061;transport=tls;lr")),
                host: "sip.pstnhub.microsoft.com".to_owned(),
                number: "+14255550142".to_owned(),
                srtp: true,
                rtcp_mux: true,
                hold: Direction::Inactive,
                formats: vec![8, 0, 101],
                strict: true,
            };
            let place = Place {
                sip,
                media: IpAddr::from([203, 0, 113, last + 10]),
                transport: TransportKind::Tls,
                gateway: (GATEWAY_NAME.to_owned(), 5061),
            };
            let party = Party::new(name, place, style, self.chance(name));
            let trunk = TrunkName::from("acs");
            self.parties
                .push((party, trunk, TLS_LISTENER, Link::good()));
        }
    }

    /// Chance of one name, the same whatever else is in the world.
    pub(crate) fn chance(&self, name: &str) -> TokenRng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        for (at, byte) in name.bytes().enumerate() {
            seed[8 + at % 24] ^= byte;
        }
        TokenRng::from_seed(seed)
    }
}
