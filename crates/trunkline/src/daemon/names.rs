//! What the world is told about this gateway, watched: each name in DNS, its certificate, and
//! what Azure makes of its trunks.

mod finding;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ambient::WallTime;
use b2bua::health::forecast::{self, Forecast, Seen};
use b2bua::health::{PeerState, ProbeResult, TrunkHealth, TrunkView};
use b2bua::profile::Preset;
use jiff::Timestamp;
use serde_json::{Value, json};
use sip_msg::TransportKind;
use sip_msg::wire::TrunkName;
use sip_transport::{FlowDirection, FlowStatus, Transport};

use super::pages::Status;
use super::wiring::Keys;
use crate::config::Config;
use crate::config::certificates::Leaf;

pub use finding::{NameFinding, ask, judge};

/// The addresses that this gateway's names should lead to; none where only the machine knows them.
pub fn own_addresses(config: &Config) -> Vec<IpAddr> {
    let all = config
        .interfaces
        .iter()
        .map(|interface| interface.advertise);
    all.filter(|ip| !ip.is_unspecified()).collect()
}

#[derive(Clone, Debug)]
struct Trunk {
    fqdn: Option<String>,
    customer: Option<String>,
    microsoft: bool,
    certificate: Option<usize>,
    expired_after: Duration,
}

#[derive(Debug, Default)]
struct Known {
    trunks: BTreeMap<TrunkName, Trunk>,
    certificates: Vec<(String, Option<Leaf>)>,
    own: Vec<IpAddr>,
    findings: BTreeMap<String, NameFinding>,
    warn_before: i64,
}

/// What is known, shared between the watch and the pages.
#[derive(Debug, Default)]
pub struct Names {
    known: RwLock<Known>,
}

impl Names {
    /// Takes over what a configuration says.
    pub fn configure(&self, config: &Config, keys: &Keys) {
        let trunks = config.trunks.iter().map(|trunk| {
            let known = Trunk {
                fqdn: trunk.fqdn.clone(),
                customer: trunk.customer.clone(),
                microsoft: matches!(trunk.preset, Preset::Acs | Preset::Teams),
                certificate: trunk.certificate,
                expired_after: trunk.profile.options.expired_after,
            };
            (trunk.name.clone(), known)
        });
        let leaves = keys
            .identities
            .iter()
            .map(|identity| Leaf::of(identity.chain()));
        let mut known = self.write();
        known.trunks = trunks.collect();
        known.certificates = config
            .certificates
            .iter()
            .map(|files| files.name.clone())
            .zip(leaves)
            .collect();
        known.own = own_addresses(config);
        known.warn_before = i64::try_from(config.warn_before.as_secs()).unwrap_or(i64::MAX);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known
            .read()
            .expect("no holder of what is known can panic")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.known
            .write()
            .expect("no holder of what is known can panic")
    }

    /// The customer a trunk belongs to.
    pub fn customer(&self, trunk: &TrunkName) -> Option<String> {
        self.read().trunks.get(trunk)?.customer.clone()
    }

    /// Whether a trunk is to be shown to whoever asks about `customer`; everything, to who asks
    /// about nobody.
    pub fn belongs(&self, trunk: &TrunkName, customer: Option<&str>) -> bool {
        customer.is_none_or(|asked| self.customer(trunk).as_deref() == Some(asked))
    }

    /// Looks at DNS and certificates again and again, and tells the log what is wrong: each thing
    /// when it begins, and certificates once a day.
    pub async fn watch(self: Arc<Self>, transport: Transport, pause: Option<Duration>) {
        let mut warned: BTreeMap<String, i64> = BTreeMap::new();
        loop {
            if pause.is_some() {
                self.look(&transport).await;
            }
            self.warn_of_certificates(&mut warned);
            tokio::time::sleep(pause.unwrap_or(Duration::from_secs(3600))).await;
        }
    }

    async fn look(&self, transport: &Transport) {
        let (names, own) = {
            let known = self.read();
            let microsoft = known.trunks.values().filter(|trunk| trunk.microsoft);
            let names: BTreeSet<String> =
                microsoft.filter_map(|trunk| trunk.fqdn.clone()).collect();
            (names, known.own.clone())
        };
        let mut findings = BTreeMap::new();
        for name in names {
            let finding = ask(transport, &name, &own).await;
            let before = self.read().findings.get(&name).cloned();
            if before.as_ref() != Some(&finding) {
                if finding.is_wrong() {
                    tracing::warn!(name, "{}", finding.in_words(&name));
                } else {
                    tracing::info!(name, "{}", finding.in_words(&name));
                }
            }
            findings.insert(name, finding);
        }
        self.write().findings = findings;
    }

    fn warn_of_certificates(&self, warned: &mut BTreeMap<String, i64>) {
        let now = Timestamp::now().as_second();
        let known = self.read();
        for (name, leaf) in &known.certificates {
            let Some(leaf) = leaf else { continue };
            let days = leaf.days_left(now);
            let due = leaf.not_after - now < known.warn_before;
            if due && warned.get(&leaf.serial) != Some(&days) {
                warned.insert(leaf.serial.clone(), days);
                tracing::warn!(certificate = name, days, "certificate ends soon: {leaf}");
            }
        }
    }

    /// The certificates in use; with a customer, those that its trunks show.
    pub fn certificates_json(&self, customer: Option<&str>) -> Value {
        let now = Timestamp::now().as_second();
        let known = self.read();
        let is_shown = |index: usize| {
            let mut trunks = known.trunks.values();
            let theirs = |trunk: &Trunk| trunk.customer.as_deref() == customer;
            customer.is_none()
                || trunks.any(|trunk| trunk.certificate == Some(index) && theirs(trunk))
        };
        let all = known.certificates.iter().enumerate();
        let shown = all.filter(|(index, _)| is_shown(*index));
        let shown = shown.map(|(_, (name, leaf))| {
            let Some(leaf) = leaf else {
                return json!({ "name": name });
            };
            json!({
                "name": name,
                "names": leaf.names,
                "serial": leaf.serial,
                "issuer": leaf.issuer,
                "ends": leaf.ends(),
                "days": leaf.days_left(now),
                "warning": leaf.not_after - now < known.warn_before,
                "intermediates": leaf.intermediates,
            })
        });
        Value::Array(shown.collect())
    }

    /// Days each certificate has left, for metrics.
    pub fn days_left(&self) -> Vec<(String, i64)> {
        let now = Timestamp::now().as_second();
        let known = self.read();
        let leaves = known.certificates.iter();
        leaves
            .filter_map(|(name, leaf)| Some((name.clone(), leaf.as_ref()?.days_left(now))))
            .collect()
    }

    /// Whether each name leads here, for metrics.
    pub fn in_dns(&self) -> Vec<(String, bool)> {
        let known = self.read();
        let findings = known.findings.iter();
        findings
            .map(|(name, finding)| (name.clone(), !finding.is_wrong()))
            .collect()
    }

    /// The state of each name Microsoft knows this gateway by (H-05).
    pub fn json(&self, status: &Status, customer: Option<&str>) -> Value {
        let now = Timestamp::now();
        let known = self.read();
        let mut shown = Vec::new();
        for view in &status.metrics.health {
            let Some(trunk) = known.trunks.get(&view.trunk) else {
                continue;
            };
            let (true, Some(fqdn)) = (trunk.microsoft, &trunk.fqdn) else {
                continue;
            };
            if customer.is_some() && trunk.customer.as_deref() != customer {
                continue;
            }
            let leaf = trunk
                .certificate
                .and_then(|index| known.certificates.get(index)?.1.as_ref());
            let finding = known.findings.get(fqdn).unwrap_or(&NameFinding::Unknown);
            let told = foretell(view, status, leaf, trunk.expired_after, now);
            shown.push(json!({
                "fqdn": fqdn,
                "trunk": view.trunk.as_str(),
                "dns": { "fine": !finding.is_wrong(), "in_words": finding.in_words(fqdn) },
                "connections": flows_json(&view.trunk, &status.flows),
                "certificate_days": leaf.map(|leaf| leaf.days_left(now.as_second())),
                "in_words": health_in_words(view),
                "azure": {
                    "tls": told.tls.as_str(),
                    "ping": told.ping.as_str(),
                    "overall": told.overall.as_str(),
                    "reason": told.overall.reason(),
                    "portal": told.portal(),
                },
            }));
        }
        Value::Array(shown)
    }
}

/// What Azure says of a trunk, from what is seen here.
fn foretell(
    view: &TrunkView,
    status: &Status,
    leaf: Option<&Leaf>,
    window: Duration,
    now: Timestamp,
) -> Forecast {
    let wall = |seconds: i64| {
        WallTime::from_unix_micros(
            u64::try_from(seconds)
                .unwrap_or(0)
                .saturating_mul(1_000_000),
        )
    };
    let outbound = view
        .peers
        .iter()
        .filter_map(|peer| match peer.answered {
            Some((at, ProbeResult::Answered { status, .. })) => Some((at, status)),
            _ => None,
        })
        .max_by_key(|(at, _)| *at);
    // A connection that is up and whose peer is verified proves a handshake.
    let up = status
        .flows
        .iter()
        .any(|flow| is_of(flow, &view.trunk) && flow.arrival.is_some());
    let now = wall(now.as_second());
    let inbound = view.last_inbound.map(|(at, _)| {
        let status = if status.metrics.draining { 503 } else { 200 };
        (at, status)
    });
    let seen = Seen {
        handshake: up.then_some(now),
        outbound,
        inbound,
        call: None,
        certificate_end: leaf.map(|leaf| wall(leaf.not_after)),
    };
    forecast::forecast(now, &seen, window)
}

fn is_of(flow: &FlowStatus, trunk: &TrunkName) -> bool {
    flow.transport == TransportKind::Tls
        && matches!(&flow.direction, FlowDirection::Opened(of) if of == trunk)
}

/// The TLS connections opened for a trunk, with whom they lead to.
fn flows_json(trunk: &TrunkName, flows: &[FlowStatus]) -> Value {
    let shown = flows.iter().filter(|flow| is_of(flow, trunk)).map(|flow| {
        let identity = flow.arrival.as_ref().and_then(|up| up.identity.as_ref());
        json!({
            "remote": flow.remote.to_string(),
            "state": match (&flow.arrival, flow.retiring) {
                (None, _) => "connecting",
                (Some(_), true) => "going",
                (Some(_), false) => "up",
            },
            "subject": identity.map(|identity| identity.subject.clone()),
            "names": identity.map(|identity| identity.names.clone()),
            "quiet_ms": u64::try_from(flow.quiet.as_millis()).unwrap_or(u64::MAX),
        })
    });
    Value::Array(shown.collect())
}

/// A trunk's health as a sentence for who has never read a SIP trace.
pub fn health_in_words(view: &TrunkView) -> String {
    let total = view.peers.len();
    let up = view
        .peers
        .iter()
        .filter(|peer| matches!(peer.state, PeerState::Up { .. }) && peer.aside.is_none())
        .count();
    match view.health {
        TrunkHealth::Up => "all is well in both directions".to_owned(),
        TrunkHealth::Unknown => "no peer has answered yet".to_owned(),
        TrunkHealth::Degraded => format!("{up} of {total} peers take calls"),
        TrunkHealth::Down => "no peer takes calls".to_owned(),
        TrunkHealth::InboundMissing => match view.last_inbound {
            None => "outbound ok, inbound never: the peers answer our OPTIONS and send none; \
                     look at DNS, the firewall and the port of the trunk"
                .to_owned(),
            Some((at, _)) => format!("outbound ok, inbound silent since {at}"),
        },
    }
}
