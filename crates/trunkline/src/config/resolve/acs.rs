//! `[acs]`: what Azure is to know, compiled from trunks and routes.
//!
//! Azure's voice routes decide calls that start there, by the called number alone, and the first
//! that matches wins. So each `[[route]]` that names an `acs` trunk in `from` becomes one, in the
//! same order. A route open to every origin does not: that the gateway would take a call is no wish
//! that Azure send it, and the operator who leaves numbers to Microsoft says so by not asking for
//! them. A route whose first target is `cloud-calling` keeps its numbers with Microsoft: they are
//! taken out of every later route, for Azure has no route that means "not this way".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acs_client::ConnectionString;
use acs_client::sip_routing::{LONGEST_NAME, LONGEST_PATTERN, MOST};
use b2bua::profile::Preset;
use routing::CLOUD_CALLING;
use sip_msg::TransportKind;

use super::trunk::Trunk;
use super::{Config, network};
use crate::acs::pattern;
use crate::config::diagnostic::Findings;
use crate::config::load::Document;
use crate::config::raw;

const TIMEOUT: Duration = Duration::from_secs(20);
/// How a list of numbers is named among patterns.
const LIST: &str = "list:";
/// Room in a name for the number of the part.
const PART: usize = 6;

/// The Azure resource: how it is reached.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Where it is, and its key.
    pub connection: Secret,
    /// PEM file of the roots its certificate is checked against.
    pub roots: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// What the Azure resource is to know.
#[derive(Clone, Debug)]
pub struct Acs {
    /// Where the state before a change is kept.
    pub backups: PathBuf,
    /// Trunks by FQDN, with their ports.
    pub trunks: BTreeMap<String, u16>,
    /// Voice routes in order.
    pub routes: Vec<VoiceRoute>,
}

/// A connection string that does not print itself.
#[derive(Clone)]
pub struct Secret(ConnectionString);

impl Secret {
    /// A connection string that does not print itself.
    pub(super) fn new(connection: ConnectionString) -> Self {
        Self(connection)
    }

    /// What it holds.
    pub fn connection(&self) -> &ConnectionString {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One voice route Azure is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceRoute {
    /// Its name there.
    pub name: String,
    /// The `[[route]]` it comes from.
    pub route: String,
    /// The trunk of that route's `from` it was compiled for.
    pub trunk: String,
    /// Its number pattern.
    pub pattern: String,
    /// FQDNs of its trunks.
    pub trunks: Vec<String>,
    /// The numbers as the configuration has them.
    pub called: Vec<String>,
    /// Whether the gateway's route depends on more than the called number.
    pub depends: bool,
}

pub(super) fn resolve(
    document: &Document,
    base: &Path,
    config: &Config,
    findings: &mut Findings,
) -> Option<Acs> {
    let (at, raw) = document.acs.as_ref()?;
    let own: Vec<&Trunk> = config
        .trunks
        .iter()
        .filter(|trunk| trunk.preset == Preset::Acs)
        .collect();
    if own.is_empty() {
        findings.error(at.clone(), "acs: there is no trunk with preset \"acs\"");
        return None;
    }
    let mut trunks = BTreeMap::new();
    for trunk in &own {
        // A trunk without a name was told already.
        if let Some(fqdn) = &trunk.fqdn {
            trunks.insert(fqdn.clone(), port(trunk, config));
        }
    }
    let partners = partners(raw, &mut trunks, findings);
    if trunks.len() > MOST {
        let why = format!("acs: Azure takes {MOST} trunks, these are {}", trunks.len());
        findings.error(at.clone(), why);
    }
    let routes = voice_routes(document, &own, &partners, findings);
    if routes.len() > MOST {
        let why = format!(
            "acs: Azure takes {MOST} voice routes, these are {}",
            routes.len()
        );
        findings
            .error(at.clone(), why)
            .help("put the numbers of several routes into one");
    }
    Some(Acs {
        backups: raw
            .backups
            .as_ref()
            .map_or_else(|| base.to_owned(), |folder| base.join(folder.get_ref())),
        trunks,
        routes,
    })
}

/// The resource that `[acs]` or `[cloud_calling]` names.
pub(super) fn resource(
    document: &Document,
    base: &Path,
    findings: &mut Findings,
) -> Option<Resource> {
    let acs = document.acs.as_ref();
    let shared = document.cloud_calling.as_ref();
    let shared = shared.and_then(|(_, cloud)| cloud.connection_string.as_ref());
    let own = acs.and_then(|(_, raw)| raw.connection_string.as_ref());
    let Some(text) = own.or(shared) else {
        let (at, _) = acs?;
        findings
            .error(at.clone(), "acs: `connection_string` is required")
            .help("write connection_string = \"${ACS_CONNECTION_STRING}\"");
        return None;
    };
    let connection = match ConnectionString::parse(text.get_ref()) {
        Ok(connection) => Secret(connection),
        Err(why) => {
            // A variable that is not set was told already.
            let told = findings
                .0
                .iter()
                .any(|known| known.span == Some(text.span()));
            if !told {
                let table = own.map_or("cloud_calling", |_| "acs");
                findings.error(text.span(), format!("{table}: connection_string: {why}"));
            }
            return None;
        }
    };
    let raw = acs.map(|(_, raw)| raw);
    let roots = raw.and_then(|raw| raw.roots.as_ref());
    Some(Resource {
        connection,
        roots: roots.map(|file| base.join(file.get_ref())),
        timeout: raw
            .and_then(|raw| raw.timeout)
            .map_or(TIMEOUT, |span| span.0),
    })
}

/// The numbers bought from Microsoft, as written.
pub(super) fn caller_ids(document: &Document) -> Vec<String> {
    let cloud = document.cloud_calling.iter();
    let ids = cloud.flat_map(|(_, cloud)| &cloud.caller_ids.0);
    ids.map(|id| id.get_ref().clone()).collect()
}

/// The port Azure is to call at: that of the trunk's first TLS listener.
fn port(trunk: &Trunk, config: &Config) -> u16 {
    let listener = config.listeners.iter().find(|listener| {
        trunk.listeners.contains(&listener.id) && listener.transport == TransportKind::Tls
    });
    listener.map_or(5061, |listener| listener.bind.port())
}

fn partners(
    raw: &raw::Acs,
    trunks: &mut BTreeMap<String, u16>,
    findings: &mut Findings,
) -> Vec<String> {
    let mut partners = Vec::new();
    for text in &raw.partners.0 {
        let read = match text.get_ref().rsplit_once(':') {
            None => Some((text.get_ref().as_str(), 5061)),
            Some((fqdn, port)) => port.parse().ok().map(|port: u16| (fqdn, port)),
        };
        let known = read
            .filter(|(fqdn, port)| *port != 0 && fqdn.contains('.') && network::is_host_name(fqdn));
        let Some((fqdn, port)) = known else {
            findings.error(
                text.span(),
                "acs: partners: a gateway is written sbc2.contoso.example:5061",
            );
            continue;
        };
        let fqdn = fqdn.to_ascii_lowercase();
        if trunks.insert(fqdn.clone(), port).is_some() {
            findings.error(
                text.span(),
                format!("acs: partners: {fqdn} is there already"),
            );
        }
        partners.push(fqdn);
    }
    partners
}

fn voice_routes(
    document: &Document,
    own: &[&Trunk],
    partners: &[String],
    findings: &mut Findings,
) -> Vec<VoiceRoute> {
    let mut routes = Vec::new();
    let mut names = BTreeSet::new();
    let mut kept: Vec<String> = Vec::new();
    for raw in &document.routes {
        let from: Vec<&&Trunk> = own
            .iter()
            .filter(|trunk| {
                raw.from
                    .0
                    .iter()
                    .any(|name| name.get_ref() == trunk.name.as_str())
            })
            .collect();
        // What needs a trunk group takes no call of Azure's: its numbers name none.
        let (Some(first), true) = (from.first(), raw.trunk_group.0.is_empty()) else {
            continue;
        };
        if only_here(raw, findings) {
            continue;
        }
        let numbers = numbers(raw, findings);
        if raw
            .to
            .0
            .first()
            .is_some_and(|to| to.get_ref() == CLOUD_CALLING)
        {
            kept.extend(numbers);
            continue;
        }
        let depends = depends(raw, findings);
        let mut trunks: Vec<String> = from.iter().filter_map(|trunk| trunk.fqdn.clone()).collect();
        trunks.extend(partners.iter().cloned());
        let parts = match pattern::compile(&numbers, &kept, LONGEST_PATTERN) {
            Ok(parts) => parts,
            Err(longest) => {
                let why = format!(
                    "route {}: its pattern for Azure has {longest} characters, {LONGEST_PATTERN} \
                     are the most",
                    raw.name.get_ref()
                );
                findings.error(raw.name.span(), why);
                continue;
            }
        };
        for (part, (pattern, called)) in parts.into_iter().enumerate() {
            let route = raw.name.get_ref();
            let name = match part {
                0 => route.clone(),
                _ => format!("{route} ({})", part + 1),
            };
            named(raw, &name, &mut names, findings);
            routes.push(VoiceRoute {
                name,
                route: route.clone(),
                trunk: first.name.as_str().to_owned(),
                pattern,
                trunks: trunks.clone(),
                called,
                depends,
            });
        }
    }
    routes
}

/// Whether a route depends on what the gateway alone knows of the called number. Azure would be
/// told of numbers that the route does not take, of every number where it names none.
fn only_here(raw: &raw::Route, findings: &mut Findings) -> bool {
    let conditions = [&raw.called_type, &raw.called_country, &raw.called_owner];
    let Some(first) = conditions.iter().find_map(|list| list.0.first()) else {
        return false;
    };
    findings
        .warning(
            first.span(),
            format!(
                "route {}: Azure knows digits, not types, countries and owners of numbers, and is \
                 not told of this route",
                raw.name.get_ref()
            ),
        )
        .help("write a route with the numbers in `called` for calls from Azure");
    true
}

/// Whether a route depends on more than the called number, which is all Azure decides by.
fn depends(raw: &raw::Route, findings: &mut Findings) -> bool {
    let conditions = [
        &raw.calling,
        &raw.calling_type,
        &raw.calling_country,
        &raw.calling_owner,
        &raw.during,
        &raw.outside,
        &raw.header,
    ];
    let Some(first) = conditions.iter().find_map(|list| list.0.first()) else {
        return false;
    };
    findings
        .warning(
            first.span(),
            format!(
                "route {}: Azure decides by the called number alone: it sends these numbers here \
                 whoever calls, and whenever",
                raw.name.get_ref()
            ),
        )
        .help("see to it that a later route takes the other calls");
    true
}

/// Azure's rules for names.
fn named(raw: &raw::Route, name: &str, names: &mut BTreeSet<String>, findings: &mut Findings) {
    if raw.name.get_ref().chars().count() > LONGEST_NAME - PART {
        let why = format!(
            "route: a name Azure is told has at most {} characters",
            LONGEST_NAME - PART
        );
        findings.error(raw.name.span(), why);
    } else if !names.insert(name.to_lowercase()) {
        let why = format!("route: there are two voice routes named `{name}` for Azure");
        findings.error(raw.name.span(), why);
    }
}

/// The called numbers of a route that Azure can match; none means every number.
fn numbers(raw: &raw::Route, findings: &mut Findings) -> Vec<String> {
    if raw.called.0.is_empty() {
        return vec!["*".to_owned()];
    }
    let mut numbers = Vec::new();
    for text in &raw.called.0 {
        if pattern::is_numeric(text.get_ref()) {
            numbers.push(text.get_ref().clone());
        } else if text.get_ref().starts_with(LIST) {
            findings
                .warning(
                    text.span(),
                    format!(
                        "route {}: Azure is not told of number lists",
                        raw.name.get_ref()
                    ),
                )
                .help("write the numbers as prefixes or ranges for calls from Azure");
        } else {
            findings
                .warning(
                    text.span(),
                    format!("route {}: Azure dials digits only", raw.name.get_ref()),
                )
                .help("calls from Azure never match this pattern, and Azure is not told of it");
        }
    }
    numbers
}
