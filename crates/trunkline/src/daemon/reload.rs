//! A new configuration for a running daemon: read and judged whole, shown as a diff, swapped at
//! once. What cannot be used changes nothing.
//!
//! Calls keep the profiles they began with. A trunk that is gone takes no new calls at once, and
//! keeps its sockets' ears and its connections until the last call on it has ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use b2bua::profile::Profiles;
use rustls::ServerConfig;
use rustls::pki_types::UnixTime;
use sip_msg::wire::{ListenerId, TrunkName};
use sip_transport::{AllowedNetwork, Identities, Transport, TrunkFlow};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::cloud;
use super::diff::{self, Difference};
use super::names::Names;
use super::pages::{Decisions, PageRequest};
use super::wiring::{self, Keys};
use crate::config::{self, Config, Reading};

/// How often trunks that are gone are asked whether a call is left.
const SWEEP: Duration = Duration::from_secs(5);

/// What came of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in use, or would be without `dry_run`.
    Taken {
        /// What is different now.
        differences: Vec<Difference>,
        /// Warnings of the check, rendered with their places.
        warnings: Vec<String>,
    },
    /// Nothing was changed.
    Refused {
        /// Why, rendered with the places.
        diagnostics: Vec<String>,
    },
}

/// What is in use.
#[derive(Debug)]
struct Running {
    config: Config,
    keys: Keys,
    /// Trunks that are gone and may have calls left.
    leaving: BTreeMap<TrunkName, Leaving>,
}

#[derive(Clone, Debug)]
struct Leaving {
    flow: TrunkFlow,
    networks: Vec<(ListenerId, AllowedNetwork)>,
}

/// Reads configurations into a running daemon, one at a time.
#[derive(Debug)]
pub struct Reloader {
    file: PathBuf,
    running: Mutex<Running>,
    transport: Transport,
    signalling: mpsc::Sender<PageRequest>,
    names: Arc<Names>,
    /// What the listener of [cloud_calling] shows.
    cloud: Option<Arc<ArcSwap<ServerConfig>>>,
}

impl Reloader {
    /// For a daemon that was started with `config` from `file`.
    pub fn new(
        file: PathBuf,
        config: Config,
        keys: Keys,
        transport: Transport,
        signalling: mpsc::Sender<PageRequest>,
        names: Arc<Names>,
    ) -> Self {
        Self {
            file,
            running: Mutex::new(Running {
                config,
                keys,
                leaving: BTreeMap::new(),
            }),
            transport,
            signalling,
            names,
            cloud: None,
        }
    }

    /// The same, with the listener of `[cloud_calling]`.
    pub fn with_cloud(self, cloud: Option<Arc<ArcSwap<ServerConfig>>>) -> Self {
        Self { cloud, ..self }
    }

    /// Reads the file again. With `dry_run` nothing is changed, only told.
    pub async fn reload(&self, dry_run: bool) -> Outcome {
        let mut running = self.running.lock().await;
        let (reading, keys) = match self.read() {
            Ok(read) => read,
            Err(diagnostics) => return Outcome::Refused { diagnostics },
        };
        let warnings = reading
            .findings
            .0
            .iter()
            .map(|finding| reading.source.render(finding).to_string())
            .collect();
        let mut config = reading.config;
        if let Err(diagnostics) = settle_static(&running.config, &mut config) {
            return Outcome::Refused { diagnostics };
        }
        let differences = diff::differences((&running.config, &running.keys), (&config, &keys));
        if !dry_run {
            if let Err(fault) = self.take(&mut running, config, keys).await {
                let diagnostics = vec![format!("error: {fault:#}\n")];
                return Outcome::Refused { diagnostics };
            }
            for difference in &differences {
                tracing::info!(%difference, "reloaded");
            }
            tracing::info!(differences = differences.len(), "configuration reloaded");
        }
        Outcome::Taken {
            differences,
            warnings,
        }
    }

    fn read(&self) -> Result<(Reading, Keys), Vec<String>> {
        let mut reading = config::read(&self.file)
            .map_err(|error| vec![format!("error: {}: {error}\n", self.file.display())])?;
        if !reading.findings.has_errors() {
            config::certificates::check(&reading.config, UnixTime::now(), &mut reading.findings);
        }
        if reading.findings.has_errors() {
            let all = reading.findings.0.iter();
            return Err(all
                .map(|finding| reading.source.render(finding).to_string())
                .collect());
        }
        let keys =
            Keys::load(&reading.config).map_err(|error| vec![format!("error: {error:#}\n")])?;
        Ok((reading, keys))
    }

    /// Everything is made before anything is swapped.
    async fn take(&self, running: &mut Running, config: Config, keys: Keys) -> anyhow::Result<()> {
        let profiles = Arc::new(wiring::profiles(&config)?);
        let decisions = wiring::decisions(&config)?;
        let before = wiring::transport(&running.config, &running.keys);
        let after = wiring::transport(&config, &keys);
        let mut leaving = running.leaving.clone();
        leaving.retain(|name, _| config.trunks.iter().all(|trunk| trunk.name != *name));
        for flow in &before.trunks {
            if after.trunks.iter().all(|kept| kept.name != flow.name) {
                let networks = before.listeners.iter().flat_map(|listener| {
                    let own = listener.networks.iter();
                    own.filter(|allowed| allowed.trunk == flow.name)
                        .map(|allowed| (listener.id, allowed.clone()))
                });
                let gone = Leaving {
                    flow: flow.clone(),
                    networks: networks.collect(),
                };
                leaving.insert(flow.name.clone(), gone);
            }
        }
        let identities = renewed(&running.keys, &keys, &after);
        self.set_trunks(after.trunks, &leaving)
            .map_err(|(trunk, error)| anyhow::anyhow!("trunk {}: {error}", trunk.as_str()))?;
        for listener in after.listeners {
            self.set_networks(listener.id, listener.networks, &leaving);
        }
        let shown = config.cloud.as_ref().map(|cloud| cloud.certificate);
        let shown = shown.and_then(|index| keys.identities.get(index));
        let shown = shown.map(cloud::tls).transpose()?;
        self.transport.set_identities(identities)?;
        if let (Some(listener), Some(shown)) = (&self.cloud, shown) {
            listener.store(shown);
        }
        self.tell(profiles, decisions).await?;
        self.names.configure(&config, &keys);
        *running = Running {
            config,
            keys,
            leaving,
        };
        Ok(())
    }

    fn set_trunks(
        &self,
        mut trunks: Vec<TrunkFlow>,
        leaving: &BTreeMap<TrunkName, Leaving>,
    ) -> Result<(), (TrunkName, sip_transport::TlsError)> {
        trunks.extend(leaving.values().map(|gone| gone.flow.clone()));
        self.transport.set_trunks(trunks)
    }

    fn set_networks(
        &self,
        listener: ListenerId,
        mut networks: Vec<AllowedNetwork>,
        leaving: &BTreeMap<TrunkName, Leaving>,
    ) {
        // A list that is empty hears everybody; what leaves must not make it shorter-sighted.
        if !networks.is_empty() {
            let gone = leaving.values().flat_map(|gone| &gone.networks);
            networks.extend(
                gone.filter(|(at, _)| *at == listener)
                    .map(|(_, network)| network.clone()),
            );
        }
        self.transport.set_networks(listener, networks);
    }

    async fn tell(&self, profiles: Arc<Profiles>, decisions: Decisions) -> anyhow::Result<()> {
        let (done, is_done) = oneshot::channel();
        self.signalling
            .send(PageRequest::Reload(profiles, decisions, done))
            .await
            .map_err(|_| anyhow::anyhow!("the signalling loop has ended"))?;
        is_done
            .await
            .map_err(|_| anyhow::anyhow!("the signalling loop has ended"))
    }

    /// Lets go of trunks that are gone once their last call has ended. Runs until the daemon ends.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let mut running = self.running.lock().await;
            if running.leaving.is_empty() {
                continue;
            }
            let (answer, answered) = oneshot::channel();
            let asked = self.signalling.send(PageRequest::Status(answer)).await;
            let Some(status) = (match asked {
                Ok(()) => answered.await.ok(),
                Err(_) => None,
            }) else {
                return;
            };
            let in_use = |name: &TrunkName| {
                let mut usage = status.metrics.trunks.iter();
                usage.any(|(trunk, usage)| trunk == name && usage.in_use > 0)
            };
            let kept = running.leaving.len();
            running.leaving.retain(|name, _| in_use(name));
            if running.leaving.len() < kept {
                let now = wiring::transport(&running.config, &running.keys);
                let leaving = &running.leaving;
                // These settings are in use already, so nothing in them can be refused.
                let _ = self.set_trunks(now.trunks, leaving);
                for listener in now.listeners {
                    self.set_networks(listener.id, listener.networks, leaving);
                }
                tracing::info!(left = leaving.len(), "trunks without calls let go");
            }
        }
    }
}

/// The identities and roots that differ, for every listener and trunk that uses one.
fn renewed(before: &Keys, after: &Keys, now: &sip_transport::TransportConfig) -> Identities {
    let all = before.roots_digest != after.roots_digest;
    let changed = |chain: &sip_transport::Identity| {
        all || !before
            .identities
            .iter()
            .any(|known| known.chain() == chain.chain())
    };
    let listeners = now.listeners.iter().filter_map(|listener| {
        let tls = listener.tls.clone()?;
        Some((listener.id, tls))
    });
    let trunks = now.trunks.iter().filter_map(|trunk| {
        let tls = trunk.tls.clone()?;
        Some((trunk.name.clone(), tls))
    });
    Identities {
        listeners: listeners
            // A listener that no trunk uses any more has nothing to show.
            .filter(|(_, tls)| !tls.identities.is_empty())
            .filter(|(_, tls)| all || tls.identities.iter().any(changed))
            .collect(),
        trunks: trunks
            .filter(|(_, tls)| all || tls.identity.iter().any(changed))
            .collect(),
    }
}

/// Gives the listeners of `new` the numbers they have, and refuses what takes a restart, by name.
fn settle_static(running: &Config, new: &mut Config) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    let mut fixed = |same: bool, what: &str| {
        if !same {
            refused.push(format!("error: {what} takes a restart\n"));
        }
    };
    fixed(
        running.interfaces == new.interfaces,
        "a change of interfaces or media ports",
    );
    fixed(
        running.shards == new.shards,
        "a change of `shards` in [media]",
    );
    fixed(
        running.media == new.media,
        "a change of path, ports' rest, reserve, alarm or DSCP in [media]",
    );
    fixed(
        running.signalling == new.signalling,
        "a change in [sip], [limits], [bans], [dns] or TLS versions and suites",
    );
    fixed(running.hosts == new.hosts, "a change of [hosts]");
    fixed(
        running.records == new.records,
        "a change of `records` in [gateway]",
    );
    fixed(running.store == new.store, "a change in [store]");
    fixed(running.admin == new.admin, "a change in [admin]");
    fixed(running.log == new.log, "a change in [log]");
    let reached = match (&running.cloud, &new.cloud) {
        (Some(before), Some(after)) => before.is_reached_like(after),
        // Without a route to it nobody needs it.
        (_, None) => true,
        (None, Some(_)) => false,
    };
    fixed(
        reached,
        "how Azure is reached, or reaches this gateway, by [cloud_calling]",
    );
    let mut numbers = BTreeMap::new();
    for listener in &new.listeners {
        let known = running
            .listeners
            .iter()
            .find(|known| known.transport == listener.transport && known.bind == listener.bind);
        match known {
            Some(known) => {
                numbers.insert(listener.id, known.id);
            }
            None => fixed(
                false,
                &format!(
                    "the new listener {}:{}",
                    listener.transport.uri_token(),
                    listener.bind
                ),
            ),
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let renumber = |id: &mut ListenerId| {
        if let Some(number) = numbers.get(id) {
            *id = *number;
        }
    };
    // Sockets nobody uses any more stay bound until the next start, and hear nobody.
    let mut listeners = running.listeners.clone();
    for listener in &mut listeners {
        let used = new
            .listeners
            .iter()
            .find(|other| numbers.get(&other.id) == Some(&listener.id));
        listener.trunks = used.map(|used| used.trunks.clone()).unwrap_or_default();
    }
    new.listeners = listeners;
    for trunk in &mut new.trunks {
        trunk.listeners.iter_mut().for_each(renumber);
        trunk.profile.listeners.iter_mut().for_each(renumber);
    }
    Ok(())
}
