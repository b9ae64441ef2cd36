//! From a [`Document`] to a [`Config`]: defaults filled in, names resolved, contradictions told.

mod acs;
mod announcements;
mod auth;
mod certificate_rules;
mod cloud;
mod connection;
mod context;
mod customers;
mod dtmf;
mod early;
mod features;
mod headers;
mod hold;
mod identity;
mod limits;
mod media;
pub mod network;
mod numbers;
mod operation;
mod profile;
mod reasons;
mod redirect;
mod register;
mod routes;
mod session;
mod sip;
mod tables;
mod transfer;
mod trunk;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sip_msg::TransportKind;
use sip_msg::wire::{ListenerId, TrunkName};
use toml::Spanned;

use super::announcement::Announcement;
use super::diagnostic::{Findings, nearest};
use super::load::Document;
pub use acs::{Acs, Resource, Secret, VoiceRoute};
pub use certificate_rules::{CertificateRules, ExpectedRoot};
pub use cloud::Cloud;
pub use media::MediaPlane;
pub use operation::{Admin, Log, Shadow, StoreFile, Token};
pub use sip::Signalling;
pub use trunk::{Peer, Trunk};

/// A configuration in which every name stands for something.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The gateway's own name, if it has one.
    pub fqdn: Option<String>,
    /// Calls at once over all trunks.
    pub calls_max: u32,
    /// New calls a second over all trunks.
    pub calls_per_second: Option<u32>,
    /// Clocks, bounds, name servers and TLS.
    pub signalling: Signalling,
    /// How long before a certificate's end the warnings begin.
    pub warn_before: Duration,
    /// What certificates are held against.
    pub certificate_rules: CertificateRules,
    /// Time between two looks at this gateway's own names in DNS; `None` never looks.
    pub self_check: Option<Duration>,
    /// How long a drain waits.
    pub drain: Duration,
    /// Where call records go.
    pub records: Option<PathBuf>,
    /// The database of call records.
    pub store: Option<StoreFile>,
    /// The other configuration whose choice is recorded beside this one's.
    pub shadow: Option<Shadow>,
    /// The file of `[inventory]`.
    pub inventory: Option<PathBuf>,
    /// Addresses the gateway is reached at.
    pub interfaces: Vec<Interface>,
    /// Sockets messages arrive at, each once, shared by the trunks that name it.
    pub listeners: Vec<Listener>,
    /// Identities, by name; files, not yet read.
    pub certificates: Vec<CertificateFiles>,
    /// PEM file of trusted roots; `None` means the operating system's.
    pub roots: Option<PathBuf>,
    /// Media threads; `None` lets the machine decide.
    pub shards: Option<u8>,
    /// The media plane's other settings.
    pub media: MediaPlane,
    /// Peerings.
    pub trunks: Vec<Trunk>,
    /// Trunks and routes as the routing engine takes them.
    pub routing: routing::Document,
    /// What callers hear when nobody takes their call.
    pub announcements: Vec<Announcement>,
    /// Names answered without DNS.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Where the operator's pages are.
    pub admin: Admin,
    /// The daemon's own messages.
    pub log: Log,
    /// The Azure resource, of `[acs]` or `[cloud_calling]`.
    pub azure: Option<Resource>,
    /// Numbers bought from Microsoft that calls through it are to come from, as written.
    pub caller_ids: Vec<String>,
    /// What that resource's SIP routing is to be.
    pub acs: Option<Acs>,
    /// Microsoft as the carrier, where a route leads to it.
    pub cloud: Option<Cloud>,
    /// Routes of calls from Azure that leave their numbers to it.
    pub left_to_azure: Vec<String>,
}

/// One address the gateway is reached at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name; `default` for the one of `[gateway]`.
    pub name: String,
    /// The local address.
    pub bind: IpAddr,
    /// The address peers are told.
    pub advertise: IpAddr,
    /// Media ports, from an even one on.
    pub ports: RangeInclusive<u16>,
}

/// One socket messages arrive at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its number, as transport and core name it.
    pub id: ListenerId,
    /// UDP, TCP or TLS.
    pub transport: TransportKind,
    /// The local address.
    pub bind: SocketAddr,
    /// The trunks that listen here.
    pub trunks: Vec<TrunkName>,
}

/// Files of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Its name; `default` for the one of `[tls]`.
    pub name: String,
    /// Leaf and intermediates, PEM.
    pub certificate: PathBuf,
    /// Key, PEM.
    pub private_key: PathBuf,
    /// Where the file names stand in the configuration.
    pub span: std::ops::Range<usize>,
}

/// Name of the interface and the certificate that the shorthand sections stand for.
pub const DEFAULT: &str = "default";
/// Microsoft's own warnings begin this long before a certificate ends (H-03).
const WARN_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
const SELF_CHECK: Duration = Duration::from_secs(300);
const DEFAULT_PORTS: RangeInclusive<u16> = 20000..=29999;

/// Resolves a document; `base` is the folder relative file names start from.
pub fn resolve(document: &Document, base: &Path, findings: &mut Findings) -> Config {
    let mut config = Config {
        fqdn: document
            .gateway
            .fqdn
            .as_ref()
            .and_then(|name| fqdn(name, findings)),
        calls_max: document
            .gateway
            .calls
            .as_ref()
            .map_or(10_000, |calls| *calls.get_ref()),
        calls_per_second: document
            .gateway
            .calls_per_second
            .as_ref()
            .map(|calls| *calls.get_ref()),
        signalling: sip::resolve(document, findings),
        certificate_rules: certificate_rules::resolve(&document.tls, findings),
        warn_before: document.tls.warn_before.map_or(WARN_BEFORE, |span| span.0),
        self_check: Some(document.dns.self_check.map_or(SELF_CHECK, |span| span.0))
            .filter(|pause| !pause.is_zero()),
        drain: document
            .gateway
            .drain
            .map_or(Duration::from_secs(300), |span| span.0),
        records: document
            .gateway
            .records
            .as_ref()
            .map(|path| base.join(path.get_ref())),
        roots: document
            .tls
            .roots
            .as_ref()
            .map(|path| base.join(path.get_ref())),
        ..Config::default()
    };
    if config.calls_max == 0 {
        let span = document.gateway.calls.as_ref().map_or(0..0, Spanned::span);
        findings.error(span, "gateway: `calls` of 0 would refuse every call");
    }
    interfaces(document, &mut config, findings);
    certificates(document, base, &mut config, findings);
    config.shards = document.media.shards.as_ref().and_then(|shards| {
        let count = *shards.get_ref();
        if (1..=64).contains(&count) {
            return Some(count);
        }
        findings.error(shards.span(), "media: `shards` is a number from 1 to 64");
        None
    });
    config.media = media::plane(&document.media, findings);
    trunk::resolve(document, &mut config, findings);
    announcements::resolve(document, base, &mut config, findings);
    routes::resolve(document, base, &mut config, findings);
    let inventory = document.inventory.file.as_ref();
    config.inventory = inventory.map(|file| base.join(file.get_ref()));
    config.azure = acs::resource(document, base, findings);
    config.acs = acs::resolve(document, base, &config, findings);
    config.caller_ids = acs::caller_ids(document);
    hosts(document, &mut config, findings);
    operation::resolve(document, base, &mut config, findings);
    config
}

/// Whether `name` can be a customer's: letters, digits, `-`, `_` and `.`.
pub fn is_customer(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}

/// What a `customer` key names.
fn customer(value: Option<&Spanned<String>>, findings: &mut Findings) -> Option<String> {
    let value = value?;
    if !is_customer(value.get_ref()) {
        findings.error(
            value.span(),
            "customer: a name of letters, digits, `-`, `_` and `.` is wanted here",
        );
        return None;
    }
    Some(value.get_ref().clone())
}

/// A name others know the gateway by: a host name with a domain, not an address (C-01…C-06).
fn fqdn(name: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    let text = name.get_ref().to_ascii_lowercase();
    let fault = if text.parse::<IpAddr>().is_ok() {
        "an address is not a name; Microsoft refuses addresses in Contact"
    } else if !network::is_host_name(&text) || !text.contains('.') {
        "a host name with its domain is wanted here, such as sbc1.contoso.example"
    } else if text.len() > 63 {
        "Microsoft takes names of at most 63 characters"
    } else if text.ends_with(".onmicrosoft.com") || text.ends_with(".azure.com") {
        "Microsoft refuses names below onmicrosoft.com and azure.com; use a domain of your own"
    } else {
        return Some(text);
    };
    findings.error(name.span(), format!("fqdn: {fault}"));
    None
}

fn interfaces(document: &Document, config: &mut Config, findings: &mut Findings) {
    let default_ports = match &document.media.ports {
        Some(text) => match network::ports(text.get_ref()) {
            Ok(ports) => ports,
            Err(fault) => {
                findings.error(text.span(), format!("media: ports: {fault}"));
                DEFAULT_PORTS
            }
        },
        None => DEFAULT_PORTS,
    };
    let bind = document
        .gateway
        .bind
        .as_ref()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |bind| *bind.get_ref());
    let advertise = document
        .gateway
        .public_address
        .as_ref()
        .map_or(bind, |at| *at.get_ref());
    if let Some(public) = &document.gateway.public_address
        && public.get_ref().is_unspecified()
    {
        findings.error(
            public.span(),
            "gateway: peers cannot send to an unspecified address",
        );
    }
    config.interfaces.push(Interface {
        name: DEFAULT.to_owned(),
        bind,
        advertise,
        ports: default_ports.clone(),
    });
    for raw in &document.interfaces {
        let name = raw.name.get_ref();
        if config.interfaces.iter().any(|known| known.name == *name) {
            findings.error(
                raw.name.span(),
                format!("there are two interfaces named `{name}`"),
            );
            continue;
        }
        let ports = match &raw.ports {
            Some(text) => network::ports(text.get_ref()).unwrap_or_else(|fault| {
                findings.error(text.span(), format!("interface {name}: ports: {fault}"));
                default_ports.clone()
            }),
            None => default_ports.clone(),
        };
        let bind = *raw.bind.get_ref();
        let advertise = raw.advertise.as_ref().map_or(bind, |at| *at.get_ref());
        if advertise.is_ipv4() != bind.is_ipv4() {
            findings.error(
                raw.advertise
                    .as_ref()
                    .map_or_else(|| raw.bind.span(), Spanned::span),
                format!("interface {name}: `bind` and `advertise` are of different families"),
            );
        }
        config.interfaces.push(Interface {
            name: name.clone(),
            bind,
            advertise,
            ports,
        });
    }
}

fn certificates(document: &Document, base: &Path, config: &mut Config, findings: &mut Findings) {
    match (&document.tls.certificate, &document.tls.private_key) {
        (Some(certificate), Some(private_key)) => config.certificates.push(CertificateFiles {
            name: DEFAULT.to_owned(),
            certificate: base.join(certificate.get_ref()),
            private_key: base.join(private_key.get_ref()),
            span: certificate.span(),
        }),
        (Some(lonely), None) | (None, Some(lonely)) => {
            let missing = if document.tls.certificate.is_some() {
                "private_key"
            } else {
                "certificate"
            };
            findings.error(lonely.span(), format!("tls: `{missing}` is missing"));
            // Told once: trunks that need the identity are not to complain as well.
            config.certificates.push(CertificateFiles {
                name: DEFAULT.to_owned(),
                certificate: base.join(lonely.get_ref()),
                private_key: base.join(lonely.get_ref()),
                span: lonely.span(),
            });
        }
        (None, None) => {}
    }
    for raw in &document.certificates {
        let name = raw.name.get_ref();
        if config.certificates.iter().any(|known| known.name == *name) {
            findings.error(
                raw.name.span(),
                format!("there are two certificates named `{name}`"),
            );
            continue;
        }
        config.certificates.push(CertificateFiles {
            name: name.clone(),
            certificate: base.join(raw.certificate.get_ref()),
            private_key: base.join(raw.private_key.get_ref()),
            span: raw.certificate.span(),
        });
    }
}

fn hosts(document: &Document, config: &mut Config, findings: &mut Findings) {
    for (name, addresses) in &document.hosts {
        if !network::is_host_name(name.get_ref()) {
            findings.error(
                name.span(),
                format!("hosts: `{}` is not a host name", name.get_ref()),
            );
        }
        let mut resolved = Vec::new();
        for address in addresses {
            match address.get_ref().parse() {
                Ok(address) => resolved.push(address),
                Err(_) => {
                    findings.error(
                        address.span(),
                        format!("hosts: `{}` is not an IP address", address.get_ref()),
                    );
                }
            }
        }
        config
            .hosts
            .insert(name.get_ref().to_ascii_lowercase(), resolved);
    }
}

/// One of a few words; anything else is told with the nearest of them.
fn choice(
    value: Option<&Spanned<String>>,
    what: &str,
    known: &[&str],
    findings: &mut Findings,
) -> Option<String> {
    let value = value?;
    let text = value.get_ref();
    if known.contains(&text.as_str()) {
        return Some(text.clone());
    }
    findings
        .error(value.span(), format!("{what}: `{text}` is not known"))
        .help(match nearest(text, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("one of {}", known.join(", ")),
        });
    None
}
