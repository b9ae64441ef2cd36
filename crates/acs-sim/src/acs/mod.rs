//! Microsoft's side of the SIP Interface: three names, mutual TLS, connections used one way, and
//! a strict reading of everything the gateway sends.

mod checks;
mod config;
mod description;
mod dial;
mod manner;
mod probe;
mod report;
mod texture;
mod transfer;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

use sip_msg::{HeaderName, Headers};
use tokio::sync::{broadcast, oneshot, watch};

pub use config::{AcsConfig, Flavour, PROXY_NAMES, ProxyConfig, ProxyMode, TrunkRegistration};
pub use report::{Ping, PingStatus, TlsStatus, TrunkState, TrunkStatus, Violation};

use crate::agent::{Agent, AgentConfig, locked};
use crate::call::CallHandle;
use crate::connections::Connection;
use crate::log::Logged;
use crate::manner::{Manner, supply};
use crate::media::MediaConfig;
use crate::party::{Announcements, StartError, tls_ends};
use crate::script::{Behaviour, CallOptions, same_number};
use crate::stream::StreamLimits;
use crate::wire::{Hop, Transport};
pub(crate) use dial::Dialler;
use probe::Probing;
use report::Ledger;
pub(crate) use texture::guid;
use transfer::Issued;

/// A number that declined is not called again within this.
const DECLINED: Duration = Duration::from_secs(3);
/// Contacts and connections remembered.
const REMEMBERED: usize = 10_000;

/// Microsoft's side, running. Everything of it ends when it is dropped.
pub struct AcsSim {
    agent: Arc<Agent>,
    side: Arc<Microsoft>,
}

impl Drop for AcsSim {
    fn drop(&mut self) {
        self.agent.shutdown();
    }
}

impl AcsSim {
    /// Opens the listeners of all proxies.
    ///
    /// # Errors
    /// When a socket cannot be bound or the TLS settings are unusable.
    pub async fn start(config: AcsConfig) -> Result<Self, StartError> {
        let agent_config = AgentConfig {
            transport: Transport::Tls,
            binds: config.proxies.iter().map(|proxy| proxy.bind).collect(),
            tls: tls_ends(Some(&config.tls))?,
            limits: StreamLimits {
                idle: Some(config.idle),
                piece: config.piece,
            },
            timers: config.timers,
            media: MediaConfig {
                secure: true,
                ..config.media.clone()
            },
            tap: config.tap.clone(),
        };
        let side = Arc::new(Microsoft::new(config));
        let manner: Arc<dyn Manner> = Arc::clone(&side) as _;
        let agent = Agent::start(agent_config, |locals| {
            // Set once, here.
            let _ = side.locals.set(locals.to_vec());
            let _ = side.me.set(Arc::downgrade(&side));
            manner
        })
        .await?;
        let _ = side.agent.set(Arc::downgrade(&agent));
        Ok(Self { agent, side })
    }

    /// Name and address of each proxy.
    pub fn proxies(&self) -> Vec<(String, SocketAddr)> {
        let names = self
            .side
            .config
            .proxies
            .iter()
            .map(|proxy| proxy.name.clone());
        names.zip(self.agent.locals().iter().copied()).collect()
    }

    /// Changes how a proxy behaves. `Down` closes its listener and its connections; `Up` opens
    /// the listener again on the same port.
    ///
    /// # Errors
    /// When the port cannot be bound again.
    pub async fn set_mode(&self, proxy: usize, mode: ProxyMode) -> std::io::Result<()> {
        let before = std::mem::replace(&mut locked(&self.side.modes)[proxy], mode);
        match (before == ProxyMode::Down, mode == ProxyMode::Down) {
            (false, true) => self.agent.wire.unlisten(proxy).await,
            (true, false) => {
                let bind = self.agent.local(proxy);
                self.agent.wire.listen(proxy, Transport::Tls, bind).await?;
            }
            (true, true) | (false, false) => {}
        }
        Ok(())
    }

    /// Treats calls to this number so from now on.
    pub fn set_behaviour(&self, number: &str, behaviour: Behaviour) {
        let mut behaviours = locked(&self.side.behaviours);
        behaviours
            .by_number
            .retain(|(known, _)| !same_number(known, number));
        behaviours.by_number.push((number.to_owned(), behaviour));
    }

    /// Calls a number through the trunk of that name, as an application in Azure would.
    ///
    /// # Errors
    /// When the trunk is not registered, the number makes no URI, or no media ports can be bound.
    pub async fn call(
        &self,
        number: &str,
        trunk: &str,
        options: CallOptions,
    ) -> std::io::Result<CallHandle> {
        dial::place(&self.agent, &self.side, number, trunk, options).await
    }

    /// A way to call that does not keep this side alive.
    pub(crate) fn dialler(&self) -> Dialler {
        Dialler::new(&self.agent, &self.side)
    }

    /// Resolves to the next incoming call to this number. Ask before the call is placed.
    pub fn expect(&self, number: &str) -> oneshot::Receiver<CallHandle> {
        self.side.calls.expect(number)
    }

    /// Every incoming call from now on.
    pub fn incoming(&self) -> broadcast::Receiver<CallHandle> {
        self.side.calls.subscribe()
    }

    /// Leaves calls to whoever hears of them by [`Self::handed_over`], unless something else is said
    /// about their number.
    pub(crate) fn hand_over(&self) {
        locked(&self.side.behaviours).otherwise = Behaviour::Manual { trying: true };
    }

    /// Every call from now on that is left to who hears of it.
    pub(crate) fn handed_over(&self) -> broadcast::Receiver<CallHandle> {
        self.side.handed.subscribe()
    }

    /// Everything the gateway did against the rules so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.side.ledger().violations.clone()
    }

    /// How a trunk stands.
    pub fn trunk(&self, fqdn: &str) -> TrunkState {
        let fqdn = fqdn.to_ascii_lowercase();
        let mut state = self
            .side
            .ledger()
            .trunks
            .get(&fqdn)
            .copied()
            .unwrap_or_default();
        state.window = Some(self.side.config.expired_after);
        state
    }

    /// Waits until a trunk is Online, at most `limit`; says whether it is.
    pub async fn online(&self, fqdn: &str, limit: Duration) -> bool {
        let mut news = self.side.news.subscribe();
        tokio::time::timeout(limit, async {
            while self.trunk(fqdn).status() != TrunkStatus::Online {
                if news.changed().await.is_err() {
                    break;
                }
            }
        })
        .await
        .is_ok()
    }

    /// When a trunk's OPTIONS came to a proxy, and to which, in order.
    pub fn pings(&self, fqdn: &str) -> Vec<Ping> {
        let ledger = self.side.ledger();
        let of_trunk = ledger.pings.iter().filter(|ping| ping.fqdn == fqdn);
        of_trunk.cloned().collect()
    }

    /// `host:port` of a proxy.
    fn side_host(&self, proxy: usize) -> String {
        self.side.host(self.agent.local(proxy))
    }

    /// Every message sent and received, in order.
    pub fn messages(&self) -> Vec<Logged> {
        self.agent.log.all()
    }

    /// Every connection so far, in the order they ended their handshakes, failed ones included.
    pub fn connections(&self) -> Vec<Connection> {
        self.agent.wire.connections.all()
    }

    /// Changes whenever [`messages`](Self::messages) or [`connections`](Self::connections) do: what
    /// was looked for in vain is worth another look.
    pub fn activity(&self) -> watch::Receiver<()> {
        self.agent.activity()
    }

    /// Closes every connection in both directions, as Microsoft does in maintenance; calls go on.
    pub fn close_connections(&self) {
        self.agent.wire.close_connections();
    }

    /// Ends every call without a word and closes every socket.
    pub fn shutdown(&self) {
        self.agent.shutdown();
    }
}

/// The manner of Microsoft's side.
pub(crate) struct Microsoft {
    config: AcsConfig,
    ledger: Mutex<Ledger>,
    news: watch::Sender<()>,
    behaviours: Mutex<crate::script::Behaviours>,
    calls: Announcements,
    /// Calls of behaviour [`Behaviour::Manual`].
    handed: broadcast::Sender<CallHandle>,
    modes: Mutex<Vec<ProxyMode>>,
    probing: Mutex<Probing>,
    /// Contacts given to the gateway.
    contacts: Mutex<BTreeSet<String>>,
    /// Calls answered with 603: called, caller, when.
    declined: Mutex<Vec<(String, String, Instant)>>,
    /// Connections on which 503 was sent.
    shunned: Mutex<BTreeSet<u64>>,
    /// Transfers asked for.
    issued: Mutex<Vec<Issued>>,
    locals: OnceLock<Vec<SocketAddr>>,
    agent: OnceLock<Weak<Agent>>,
    me: OnceLock<Weak<Self>>,
}

impl Microsoft {
    fn new(config: AcsConfig) -> Self {
        Self {
            ledger: Mutex::default(),
            news: watch::Sender::new(()),
            behaviours: Mutex::new(config.behaviours.clone()),
            calls: Announcements::default(),
            handed: broadcast::Sender::new(REMEMBERED),
            modes: Mutex::new(vec![ProxyMode::Up; config.proxies.len()]),
            probing: Mutex::default(),
            contacts: Mutex::default(),
            declined: Mutex::default(),
            shunned: Mutex::default(),
            issued: Mutex::default(),
            locals: OnceLock::new(),
            agent: OnceLock::new(),
            me: OnceLock::new(),
            config,
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    fn contacts(&self) -> MutexGuard<'_, BTreeSet<String>> {
        locked(&self.contacts)
    }

    fn declined(&self) -> MutexGuard<'_, Vec<(String, String, Instant)>> {
        locked(&self.declined)
    }

    fn shunned(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        locked(&self.shunned)
    }

    fn probing(&self) -> MutexGuard<'_, Probing> {
        locked(&self.probing)
    }

    fn mode(&self, proxy: usize) -> ProxyMode {
        locked(&self.modes)[proxy]
    }

    fn agent(&self) -> Option<Arc<Agent>> {
        self.agent.get()?.upgrade()
    }

    fn trunk(&self, fqdn: &str) -> Option<&TrunkRegistration> {
        self.config
            .trunks
            .iter()
            .find(|trunk| trunk.fqdn.eq_ignore_ascii_case(fqdn))
    }

    fn update_trunk(&self, fqdn: &str, update: impl FnOnce(&mut TrunkState)) {
        update(self.ledger().trunks.entry(fqdn.to_owned()).or_default());
        self.news.send_replace(());
    }

    /// Where a trunk is reached: its name in the host map, its configured port.
    fn hop_to(&self, fqdn: &str) -> Option<Hop> {
        let trunk = self.trunk(fqdn)?;
        let ip = self.config.host_map.get(&trunk.fqdn)?;
        let addr = SocketAddr::new(*ip, trunk.port);
        Some(Hop {
            transport: Transport::Tls,
            addr,
            server_name: trunk.fqdn.clone(),
        })
    }

    fn proxy_at(&self, local: SocketAddr) -> usize {
        let locals = self.locals.get().map(Vec::as_slice).unwrap_or_default();
        locals
            .iter()
            .position(|known| *known == local)
            .unwrap_or_default()
    }

    fn record_route(&self, local: SocketAddr) -> String {
        format!("<sip:{};transport=tls;lr>", self.host(local))
    }

    fn complete_invite(&self, headers: &mut Headers, local: SocketAddr) {
        headers.push(HeaderName::RecordRoute, self.record_route(local));
        supply(headers, HeaderName::Supported, "timer");
        supply(
            headers,
            HeaderName::SessionExpires,
            texture::SESSION_EXPIRES,
        );
        if headers.to_tag().is_some() {
            return;
        }
        let caller = headers
            .from()
            .ok()
            .and_then(|from| from.uri.user().map(str::to_owned));
        if let Some(caller) = caller.filter(|caller| caller.starts_with('+')) {
            let tel = format!("<tel:{caller}>");
            let value = match self.config.flavour {
                Flavour::Acs => tel,
                Flavour::Teams => format!("{tel},<sip:{caller}@{}>", self.host(local)),
            };
            supply(headers, HeaderName::PAssertedIdentity, value);
        }
        if let Some(privacy) = &self.config.privacy {
            supply(headers, HeaderName::Privacy, privacy);
        }
    }
}
