//! From a [`Config`] to what core, transport and media are started with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use b2bua::cloud::CloudProfile;
use b2bua::limits::GateLimits;
use b2bua::profile::{
    CoreConfig, ListenerInfo, MediaConfig, MediaInterface, Profiles, TrunkProfile,
};
use media_io::{Events, MediaIo, MediaIoConfig};
use media_relay::{RelayConfig, ShardId};
use routing::Snapshot;
use sha1::{Digest as _, Sha1};
use sip_msg::TransportKind;
use sip_transport::{
    AllowedNetwork, ClientAuthentication, Identity, ListenerConfig, Roots, TlsClientSettings,
    TlsServerSettings, TransportConfig, TrunkFlow,
};

use super::clock::Clock;
use super::pages::Decisions;
use crate::config::resolve::{Interface, Listener, Trunk};
use crate::config::{Config, certificates};

/// `Product/Version`, as it stands in `User-Agent` and `X-MS-SBC`.
pub const SOFTWARE: &str = concat!("Trunkline/", env!("CARGO_PKG_VERSION"));

/// Identities and roots, read from their files.
#[derive(Clone, Debug)]
pub struct Keys {
    /// As [`Config::certificates`], in the same order.
    pub identities: Vec<Identity>,
    /// The trusted roots.
    pub roots: Roots,
    /// Tells one set of roots from another.
    pub roots_digest: [u8; 20],
}

impl Keys {
    /// Reads the files the configuration names.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should.
    pub fn load(config: &Config) -> Result<Self> {
        let mut identities = Vec::new();
        for files in &config.certificates {
            let read = certificates::identity(files).map_err(anyhow::Error::msg)?;
            identities.push(Identity::from_der(read.chain, read.key)?);
        }
        let tls = config
            .trunks
            .iter()
            .any(|trunk| trunk.certificate.is_some());
        let roots = match (&config.roots, tls) {
            (Some(path), _) => {
                let text = std::fs::read(path).with_context(|| path.display().to_string())?;
                Roots::from_pem(&text).with_context(|| path.display().to_string())?
            }
            (None, true) => Roots::none().with_native(),
            (None, false) => Roots::none(),
        };
        let mut digest = Sha1::new();
        if !roots.is_empty() {
            let der = certificates::roots(config.roots.as_deref()).map_err(anyhow::Error::msg)?;
            der.iter().for_each(|root| digest.update(root));
        }
        Ok(Self {
            identities,
            roots,
            roots_digest: digest.finalize().into(),
        })
    }
}

/// What the core is started with.
///
/// # Errors
/// An interface has no address that peers could be told.
pub fn core(config: &Config) -> Result<CoreConfig> {
    let mut interfaces = Vec::new();
    for (index, interface) in config.interfaces.iter().enumerate() {
        interfaces.push(MediaInterface {
            id: u16::try_from(index).context("too many interfaces")?,
            bind: interface.bind,
            advertise: reachable(interface, interface.advertise, towards(config, index))?,
            pairs: pairs(&interface.ports),
        });
    }
    let shards = shards(config);
    Ok(CoreConfig {
        profiles: Arc::new(profiles(config)?),
        listeners: config
            .listeners
            .iter()
            .map(|listener| ListenerInfo {
                id: listener.id,
                transport: listener.transport,
                local: listener.bind,
            })
            .collect(),
        media: MediaConfig {
            interfaces,
            shards: (0..shards).map(ShardId).collect(),
            reserve: config.media.reserve,
            cool_down: config.media.quarantine,
            cool_down_floor: config.media.quarantine_floor,
            alarm_percent: config.media.ports_alarm,
        },
        bounds: config.signalling.bounds,
        timers: config.signalling.timers,
        software: Arc::from(SOFTWARE),
        bans: config.signalling.bans,
        drain: config.signalling.drain,
    })
}

/// Pairs of an even port and the next one within a range.
fn pairs(ports: &RangeInclusive<u16>) -> u32 {
    let first = u32::from(*ports.start()).next_multiple_of(2);
    (u32::from(*ports.end()) + 1).saturating_sub(first) / 2
}

/// How many media threads run.
pub fn shards(config: &Config) -> u8 {
    config.shards.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        u8::try_from(cores.clamp(2, 16)).unwrap_or(16)
    })
}

/// The trunks, as the core knows them.
///
/// # Errors
/// A trunk has no address that its peer could be told.
pub fn profiles(config: &Config) -> Result<Profiles> {
    let mut trunks = Vec::new();
    for trunk in &config.trunks {
        trunks.push(profile(config, trunk)?);
    }
    let limits = GateLimits {
        calls: config.calls_max,
        calls_per_second: config.calls_per_second,
    };
    let announcements = config.announcements.iter().map(|announcement| {
        let clip = announcement.load().map_err(anyhow::Error::msg)?;
        Ok((announcement.name.as_str().into(), Arc::new(clip)))
    });
    let announcements = announcements.collect::<Result<_>>()?;
    let profiles = Profiles::new(trunks, limits).with_announcements(announcements);
    Ok(match &config.cloud {
        Some(cloud) => profiles.with_cloud(CloudProfile {
            calls_per_number: cloud.calls_per_number,
            ring_timeout: cloud.ring_timeout,
            ..CloudProfile::default()
        }),
        None => profiles,
    })
}

/// Compiles the routes, and those that are asked beside them.
///
/// # Errors
/// They have mistakes, which the configuration's check tells one by one.
pub fn decisions(config: &Config) -> Result<Decisions> {
    let compiled = |what: &str, document| match Snapshot::compile(document) {
        Ok(snapshot) => Ok(Arc::new(snapshot)),
        Err(errors) => bail!("{what}: {} mistakes", errors.len()),
    };
    let shadow = config.shadow.as_ref();
    let shadow = shadow.map(|shadow| compiled("the shadow's routes", &shadow.routing));
    Ok(Decisions {
        routes: compiled("routes", &config.routing)?,
        shadow: shadow.transpose()?,
    })
}

/// The trunk's profile, with the address that only this machine can tell.
fn profile(config: &Config, trunk: &Trunk) -> Result<TrunkProfile> {
    let mut profile = trunk.profile.clone();
    profile.advertised.host = advertised(config, trunk)?;
    Ok(profile)
}

fn advertised(config: &Config, trunk: &Trunk) -> Result<Arc<str>> {
    let name = trunk.name.as_str();
    if trunk.preset.is_microsoft() {
        let Some(fqdn) = &trunk.fqdn else {
            bail!("trunk {name}: Microsoft knows gateways by name only");
        };
        return Ok(Arc::from(fqdn.as_str()));
    }
    let listener = trunk
        .profile
        .listeners
        .iter()
        .map(|id| &config.listeners[usize::from(id.0)])
        .find(|listener| listener.transport == trunk.profile.transport);
    let Some(listener) = listener else {
        bail!("trunk {name} listens nowhere");
    };
    let interface = &config.interfaces[trunk.interface];
    let own = if listener.bind.ip().is_unspecified() || interface.advertise != interface.bind {
        interface.advertise
    } else {
        listener.bind.ip()
    };
    let host = reachable(interface, own, first_address(trunk))?;
    Ok(Arc::from(if host.is_ipv6() {
        format!("[{host}]")
    } else {
        host.to_string()
    }))
}

/// `own`, or where it is unspecified the address this machine would use towards `peer`.
fn reachable(interface: &Interface, own: IpAddr, peer: Option<IpAddr>) -> Result<IpAddr> {
    if !own.is_unspecified() {
        return Ok(own);
    }
    let fallback: IpAddr = match interface.bind {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    // Connecting a datagram socket sends nothing; it only asks the routing table.
    let ask = |peer: IpAddr| -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind(SocketAddr::new(interface.bind, 0))?;
        socket.connect(SocketAddr::new(peer, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    ask(peer.unwrap_or(fallback)).with_context(|| {
        format!(
            "no address of interface {} could be told to peers; set `public_address`",
            interface.name
        )
    })
}

fn first_address(trunk: &Trunk) -> Option<IpAddr> {
    trunk.peers.iter().find_map(|peer| peer.host.parse().ok())
}

fn towards(config: &Config, interface: usize) -> Option<IpAddr> {
    config
        .trunks
        .iter()
        .filter(|trunk| trunk.interface == interface)
        .find_map(first_address)
}

/// What the transport is started with.
pub fn transport(config: &Config, keys: &Keys) -> TransportConfig {
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        listeners.push(ListenerConfig {
            id: listener.id,
            transport: listener.transport,
            bind: listener.bind,
            tls: server_tls(config, keys, listener),
            networks: networks(config, listener),
        });
    }
    let trunks = config
        .trunks
        .iter()
        .map(|trunk| flow(config, keys, trunk))
        .collect();
    TransportConfig {
        listeners,
        trunks,
        limits: config.signalling.transport.clone(),
        tls: config.signalling.tls.clone(),
        ..lookups(config)
    }
}

/// A transport without sockets, which looks names up as the daemon does.
pub fn lookups(config: &Config) -> TransportConfig {
    TransportConfig {
        host_map: config.hosts.clone(),
        resolver: config.signalling.resolver.clone(),
        ..TransportConfig::default()
    }
}

fn networks(config: &Config, listener: &Listener) -> Vec<AllowedNetwork> {
    let mut networks = Vec::new();
    for trunk in using(config, listener) {
        for allowed in &trunk.profile.allow {
            networks.push(AllowedNetwork {
                network: *allowed,
                trunk: trunk.name.clone(),
            });
        }
    }
    networks
}

fn using<'a>(config: &'a Config, listener: &'a Listener) -> impl Iterator<Item = &'a Trunk> {
    config
        .trunks
        .iter()
        .filter(|trunk| trunk.listeners.contains(&listener.id))
}

fn server_tls(config: &Config, keys: &Keys, listener: &Listener) -> Option<TlsServerSettings> {
    if listener.transport != TransportKind::Tls {
        return None;
    }
    let mut shown: Vec<usize> = using(config, listener)
        .filter_map(|trunk| trunk.certificate)
        .collect();
    shown.dedup();
    let mut names: Vec<String> = using(config, listener)
        .flat_map(|trunk| {
            trunk
                .profile
                .expected_names
                .iter()
                .map(|name| name.to_string())
        })
        .collect();
    names.sort();
    names.dedup();
    // Trunks that expect no name identify their peers by address.
    let anyone = using(config, listener).any(|trunk| trunk.profile.expected_names.is_empty());
    Some(TlsServerSettings {
        identities: shown
            .into_iter()
            .map(|index| keys.identities[index].clone())
            .collect(),
        client_authentication: if !anyone {
            ClientAuthentication::Required
        } else {
            ClientAuthentication::Optional
        },
        roots: keys.roots.clone(),
        client_names: if anyone { Vec::new() } else { names },
    })
}

fn flow(config: &Config, keys: &Keys, trunk: &Trunk) -> TrunkFlow {
    let mut flow = trunk.flow.clone();
    flow.tls = trunk.certificate.map(|index| TlsClientSettings {
        identity: Some(keys.identities[index].clone()),
        roots: keys.roots.clone(),
    });
    flow.udp = trunk
        .listeners
        .iter()
        .find(|id| config.listeners[usize::from(id.0)].transport == TransportKind::Udp)
        .copied();
    let bind = config.interfaces[trunk.interface].bind;
    flow.bind = Some(bind).filter(|bind| !bind.is_unspecified());
    flow
}

/// Starts the media plane.
///
/// # Errors
/// The operating system refuses a thread or a descriptor.
pub fn media(config: &Config, clock: Clock) -> Result<(MediaIo, Events)> {
    let mut interfaces = Vec::new();
    for (index, interface) in config.interfaces.iter().enumerate() {
        interfaces.push(media_io::MediaInterface {
            id: u16::try_from(index).context("too many interfaces")?,
            bind: interface.bind,
            ports: interface.ports.clone(),
        });
    }
    let (media, events) = MediaIo::start(MediaIoConfig {
        shards: shards(config),
        interfaces,
        relay: RelayConfig::default(),
        dscp: config.media.dscp,
        path: config.media.path,
        clock: Arc::new(move || clock.now()),
    })?;
    let path = media.path();
    tracing::info!(path = %path.kind, reason = path.reason, "media packets travel by this path");
    Ok((media, events))
}
