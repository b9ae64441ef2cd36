//! `[[trunk]]`: presets filled in, addresses parsed, trunks that could be confused told apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use b2bua::profile::{
    MICROSOFT_SIGNALLING_NETS, MICROSOFT_SIP_PORT, MICROSOFT_SIP_PROXIES, Preset, TrunkProfile,
};
use ipnet::IpNet;
use sip_msg::TransportKind;
use sip_msg::wire::{ListenerId, TrunkName};
use sip_transport::TrunkFlow;
use toml::Spanned;

use super::connection;
use super::network::{self, PeerText};
use super::profile::{Surroundings, profile};
use super::{Config, DEFAULT, Listener, choice};
use crate::config::diagnostic::{Findings, nearest};
use crate::config::load::Document;
use crate::config::raw;

/// One peer of a trunk.
pub type Peer = PeerText;

/// One peering, every default filled in.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// Its name.
    pub name: TrunkName,
    /// What kind of peer it leads to.
    pub preset: Preset,
    /// Sockets its peer's messages arrive at.
    pub listeners: Vec<ListenerId>,
    /// Peers in the order they are tried.
    pub peers: Vec<Peer>,
    /// Index into [`Config::interfaces`].
    pub interface: usize,
    /// Index into [`Config::certificates`]; `None` where the trunk does without TLS.
    pub certificate: Option<usize>,
    /// The name its peer knows the gateway by.
    pub fqdn: Option<String>,
    /// How this side writes numbers.
    pub numbers: raw::Numbers,
    /// The customer it belongs to; `None` for the operator's own.
    pub customer: Option<String>,
    /// Name of the rates of calls towards it.
    pub rates: Option<String>,
    /// How its connections are kept.
    pub flow: TrunkFlow,
    /// Everything else the core is told: the preset's values with the file's put over them. Only
    /// the address it advertises is left to the machine it runs on.
    pub profile: TrunkProfile,
    /// Where the trunk's name stands in the file.
    pub span: Range<usize>,
}

const PRESETS: [&str; 4] = ["acs", "teams", "carrier", "pbx"];

pub(super) fn resolve(document: &Document, config: &mut Config, findings: &mut Findings) {
    for raw in &document.trunks {
        if let Some(trunk) = one(raw, document, config, findings) {
            config.trunks.push(trunk);
        }
    }
    one_name_for_two_services(config, findings);
}

fn one(
    raw: &raw::Trunk,
    document: &Document,
    config: &mut Config,
    findings: &mut Findings,
) -> Option<Trunk> {
    if !name_is_free(raw, config, findings) {
        return None;
    }
    let name = raw.name.get_ref();
    let preset = preset(raw, findings)?;
    let interface = named(
        raw.interface.as_ref(),
        config.interfaces.iter().map(|known| known.name.as_str()),
        &format!("trunk {name}: interface"),
        findings,
    )
    .unwrap_or(0);
    let fqdn = match &raw.fqdn {
        Some(own) => super::fqdn(own, findings),
        None => config.fqdn.clone(),
    };
    let peers = peers(raw, preset, findings);
    let allow = allow(raw, preset, &peers, findings);
    let listeners = listeners(raw, preset, config, findings);
    let certificate = certificate(raw, preset, &peers, &listeners, config, findings);
    if fqdn.is_none() && document.gateway.fqdn.is_none() {
        microsoft_knows_names(raw, preset, findings);
    }
    microsoft_takes_srtp(raw, preset, findings);
    let around = Surroundings {
        preset,
        peers: &peers,
        allow,
        listeners: &listeners,
        interface,
        fqdn: fqdn.as_deref(),
    };
    let called_back = raw.registrar.is_some() && raw.peers.0.is_empty();
    let flow = connection::flow(
        &raw.connection,
        &TrunkName::from(name.as_str()),
        (preset, called_back),
        findings,
    );
    let mut profile = profile(raw, around, config, findings);
    let customer = super::customer(raw.customer.as_ref(), findings);
    profile.customer = customer.as_deref().map(Into::into);
    Some(Trunk {
        name: TrunkName::from(name.as_str()),
        preset,
        listeners,
        peers,
        interface,
        certificate,
        fqdn,
        numbers: raw.numbers.clone().unwrap_or_default(),
        customer,
        rates: raw.rates.as_ref().map(|name| name.get_ref().clone()),
        flow,
        profile,
        span: raw.name.span(),
    })
}

fn name_is_free(raw: &raw::Trunk, config: &Config, findings: &mut Findings) -> bool {
    let name = raw.name.get_ref();
    let fault = if name.is_empty() || name == routing::CLOUD_CALLING {
        format!("a trunk cannot be named `{name}`")
    } else if config
        .trunks
        .iter()
        .any(|known| known.name.as_str() == name)
    {
        format!("there are two trunks named `{name}`")
    } else {
        return true;
    };
    findings.error(raw.name.span(), fault);
    false
}

fn preset(raw: &raw::Trunk, findings: &mut Findings) -> Option<Preset> {
    let what = format!("trunk {}: preset", raw.name.get_ref());
    let preset = choice(Some(&raw.preset), &what, &PRESETS, findings)?;
    Some(match preset.as_str() {
        "acs" => Preset::Acs,
        "teams" => Preset::Teams,
        "carrier" => Preset::Carrier,
        _ => Preset::Pbx,
    })
}

/// Asked where the gateway has no name. A name of the trunk's own that is none was told already.
fn microsoft_knows_names(raw: &raw::Trunk, preset: Preset, findings: &mut Findings) {
    if preset.is_microsoft() && raw.fqdn.is_none() {
        let name = raw.name.get_ref();
        findings
            .error(
                raw.name.span(),
                format!("trunk {name}: Microsoft knows gateways by name only"),
            )
            .help("set `fqdn` in [gateway] or in the trunk");
    }
}

fn microsoft_takes_srtp(raw: &raw::Trunk, preset: Preset, findings: &mut Findings) {
    if let Some(srtp) = &raw.srtp
        && preset.is_microsoft()
        && !srtp.get_ref()
    {
        findings.error(
            srtp.span(),
            format!(
                "trunk {}: Microsoft refuses calls without SRTP",
                raw.name.get_ref()
            ),
        );
    }
}

fn peers(raw: &raw::Trunk, preset: Preset, findings: &mut Findings) -> Vec<Peer> {
    let name = raw.name.get_ref();
    let mut peers = Vec::new();
    for text in &raw.peers.0 {
        match network::peer(text.get_ref()) {
            Ok(peer) => {
                microsoft_peer(name, preset, &peer, text.span(), findings);
                if peers.contains(&peer) {
                    findings.warning(text.span(), format!("trunk {name}: this peer stands twice"));
                } else {
                    peers.push(peer);
                }
            }
            Err(fault) => {
                findings.error(text.span(), format!("trunk {name}: peers: {fault}"));
            }
        }
    }
    if raw.peers.0.is_empty() {
        if preset.is_microsoft() {
            return MICROSOFT_SIP_PROXIES
                .iter()
                .map(|host| Peer {
                    transport: TransportKind::Tls,
                    host: (*host).to_owned(),
                    port: Some(MICROSOFT_SIP_PORT),
                })
                .collect();
        }
        if raw.registrar.is_none() {
            findings.warning(
                raw.name.span(),
                format!("trunk {name} has no `peers`: no call can go to it"),
            );
        }
    }
    peers
}

fn microsoft_peer(
    name: &str,
    preset: Preset,
    peer: &Peer,
    span: Range<usize>,
    findings: &mut Findings,
) {
    if !preset.is_microsoft() {
        return;
    }
    if peer.transport != TransportKind::Tls {
        findings.error(span, format!("trunk {name}: Microsoft speaks TLS only"));
    } else if peer.host.starts_with("sip-all.") {
        findings
            .error(
                span,
                format!("trunk {name}: sip-all was withdrawn in June 2022"),
            )
            .help("leave `peers` out: sip, sip2 and sip3 are the default");
    } else if peer.host.parse::<IpAddr>().is_ok() {
        findings.warning(
            span,
            format!("trunk {name}: Microsoft's addresses move; name the host"),
        );
    }
}

fn allow(raw: &raw::Trunk, preset: Preset, peers: &[Peer], findings: &mut Findings) -> Vec<IpNet> {
    let name = raw.name.get_ref();
    let mut networks = Vec::new();
    for text in &raw.allow.0 {
        match b2bua::profile::network(text.get_ref()) {
            Ok(network) => networks.push(network),
            Err(fault) => {
                findings.error(text.span(), format!("trunk {name}: allow: {fault}"));
            }
        }
    }
    if !raw.allow.0.is_empty() {
        return networks;
    }
    if preset.is_microsoft() {
        return MICROSOFT_SIGNALLING_NETS
            .iter()
            .filter_map(|(first, prefix)| IpNet::new((*first).into(), *prefix).ok())
            .collect();
    }
    if raw.registrar.is_some() {
        let everybody: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let nets = everybody
            .into_iter()
            .filter_map(|any| IpNet::new(any, 0).ok());
        return nets.collect();
    }
    let named: Vec<&str> = peers
        .iter()
        .filter(|peer| peer.host.parse::<IpAddr>().is_err())
        .map(|peer| peer.host.as_str())
        .collect();
    if !named.is_empty()
        && peers
            .iter()
            .any(|peer| peer.transport != TransportKind::Tls)
    {
        findings
            .warning(
                raw.name.span(),
                format!(
                    "trunk {name}: calls from {} come from addresses not known here",
                    named.join(", ")
                ),
            )
            .help("add allow = [\"198.51.100.0/28\"] with the peer's networks");
    }
    peers
        .iter()
        .filter_map(|peer| peer.host.parse::<IpAddr>().ok())
        .map(IpNet::from)
        .collect()
}

fn listeners(
    raw: &raw::Trunk,
    preset: Preset,
    config: &mut Config,
    findings: &mut Findings,
) -> Vec<ListenerId> {
    let name = raw.name.get_ref();
    let mut wanted = Vec::new();
    for text in &raw.listen.0 {
        match network::listen(text.get_ref()) {
            Ok((transport, _)) if preset.is_microsoft() && transport != TransportKind::Tls => {
                findings.error(
                    text.span(),
                    format!("trunk {name}: Microsoft speaks TLS only"),
                );
            }
            Ok(listener) => wanted.push(listener),
            Err(fault) => {
                findings.error(text.span(), format!("trunk {name}: listen: {fault}"));
            }
        }
    }
    if raw.listen.0.is_empty() {
        if preset.is_microsoft() {
            wanted.push((TransportKind::Tls, ([0, 0, 0, 0], 5061).into()));
        } else {
            findings
                .error(
                    raw.name.span(),
                    format!("trunk {name}: `listen` is required"),
                )
                .help("for example listen = \"udp:0.0.0.0:5060\"");
        }
    }
    let trunk = TrunkName::from(name.as_str());
    let mut ids = Vec::new();
    for (transport, bind) in wanted {
        let known = config
            .listeners
            .iter_mut()
            .find(|known| known.transport == transport && known.bind == bind);
        match known {
            Some(listener) => {
                listener.trunks.push(trunk.clone());
                ids.push(listener.id);
            }
            None => {
                let id = ListenerId(config.listeners.len() as u16);
                config.listeners.push(Listener {
                    id,
                    transport,
                    bind,
                    trunks: vec![trunk.clone()],
                });
                ids.push(id);
            }
        }
    }
    ids
}

fn certificate(
    raw: &raw::Trunk,
    preset: Preset,
    peers: &[Peer],
    listeners: &[ListenerId],
    config: &Config,
    findings: &mut Findings,
) -> Option<usize> {
    let name = raw.name.get_ref();
    let named = named(
        raw.certificate.as_ref(),
        config.certificates.iter().map(|known| known.name.as_str()),
        &format!("trunk {name}: certificate"),
        findings,
    );
    let default = config
        .certificates
        .iter()
        .position(|known| known.name == DEFAULT);
    let found = named.or(default.filter(|_| raw.certificate.is_none()));
    let tls = preset.is_microsoft()
        || peers
            .iter()
            .any(|peer| peer.transport == TransportKind::Tls)
        || listeners
            .iter()
            .any(|id| config.listeners[usize::from(id.0)].transport == TransportKind::Tls);
    if tls && found.is_none() && raw.certificate.is_none() {
        findings
            .error(
                raw.name.span(),
                format!("trunk {name} uses TLS and has no certificate"),
            )
            .help("set `certificate` and `private_key` in [tls]");
    }
    found.filter(|_| tls)
}

/// Position of the item a key names; a name that is none is told with the nearest.
fn named<'a>(
    key: Option<&Spanned<String>>,
    known: impl Iterator<Item = &'a str>,
    what: &str,
    findings: &mut Findings,
) -> Option<usize> {
    let key = key?;
    let known: Vec<&str> = known.collect();
    let found = known
        .iter()
        .position(|name| *name == key.get_ref().as_str());
    if found.is_none() {
        let finding = findings.error(
            key.span(),
            format!("{what}: there is no `{}`", key.get_ref()),
        );
        if let Some(meant) = nearest(key.get_ref(), known) {
            finding.help(format!("did you mean `{meant}`?"));
        }
    }
    found
}

/// A name paired with Teams cannot be paired with an ACS resource as well (C-05).
fn one_name_for_two_services(config: &Config, findings: &mut Findings) {
    for acs in config
        .trunks
        .iter()
        .filter(|trunk| trunk.preset == Preset::Acs)
    {
        for teams in config
            .trunks
            .iter()
            .filter(|trunk| trunk.preset == Preset::Teams)
        {
            if let (Some(name), Some(other)) = (&acs.fqdn, &teams.fqdn)
                && name == other
            {
                findings
                    .error(
                        teams.span.clone(),
                        format!("{name} serves Teams and ACS: Microsoft accepts one of the two"),
                    )
                    .help("give each trunk an `fqdn` of its own; both may be in one certificate");
            }
        }
    }
}
