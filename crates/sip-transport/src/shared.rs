//! What all tasks of the transport hold in common.

use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig};
use sip_msg::TransportKind;
use sip_msg::wire::{Hop, ListenerId, TransportError, TrunkName};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::admission::Admission;
use crate::config::{TransportLimits, TrunkFlow};
use crate::counters::{Counter, Tally};
use crate::dns::Resolver;
use crate::flow::{Failure, Flows, Stream};
use crate::lanes::Lanes;
use crate::network::AllowedNetwork;
use crate::outage::Outages;
use crate::stream;
use crate::tls::{self, HandshakeGate, Terms, TlsClientSettings, TlsError};
use crate::udp::{UdpFlow, UdpListener};

/// A trunk as the transport needs it.
#[derive(Debug)]
pub(crate) struct Trunk {
    pub(crate) flow: TrunkFlow,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Trunk {
    pub(crate) fn new(flow: TrunkFlow, terms: &Terms) -> Result<Arc<Self>, TlsError> {
        let tls = match &flow.tls {
            Some(settings) => Some(Arc::new(tls::client_config(settings, terms)?)),
            None => None,
        };
        Ok(Arc::new(Self { flow, tls }))
    }

    /// The same trunk under another identity.
    pub(crate) fn with_tls(
        &self,
        settings: TlsClientSettings,
        terms: &Terms,
    ) -> Result<Arc<Self>, TlsError> {
        Self::new(
            TrunkFlow {
                tls: Some(settings),
                ..self.flow.clone()
            },
            terms,
        )
    }
}

pub(crate) type Trunks = BTreeMap<TrunkName, Arc<Trunk>>;

/// A listener that is bound.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) id: ListenerId,
    pub(crate) transport: TransportKind,
    pub(crate) local: SocketAddr,
    pub(crate) networks: ArcSwap<Vec<AllowedNetwork>>,
    pub(crate) tls: Option<ArcSwap<ServerConfig>>,
    /// The flow that requests of ours leave by, on UDP listeners.
    pub(crate) udp: Option<UdpFlow>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: TransportLimits,
    pub(crate) lanes: Lanes,
    pub(crate) tally: Arc<Tally>,
    pub(crate) flows: Flows,
    pub(crate) outages: Outages,
    pub(crate) admission: Arc<Admission>,
    pub(crate) gate: HandshakeGate,
    pub(crate) trunks: ArcSwap<Trunks>,
    pub(crate) listeners: Vec<Arc<Listener>>,
    pub(crate) resolver: Resolver,
    pub(crate) terms: Terms,
    pub(crate) hash_keys: RandomState,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) runtime: Handle,
    pub(crate) running: watch::Sender<usize>,
    pub(crate) drawn: AtomicU64,
    /// Streams with messages that wait for the next flush.
    pub(crate) unwoken: Mutex<Vec<Arc<Stream>>>,
}

impl Shared {
    pub(crate) fn unwoken(&self) -> MutexGuard<'_, Vec<Arc<Stream>>> {
        self.unwoken
            .lock()
            .expect("no holder of the streams can panic")
    }

    /// A value between 0 and 255 to spread things by. Nothing depends on its being secret.
    pub(crate) fn draw(&self) -> u8 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        self.hash_keys.hash_one(count).to_le_bytes()[0]
    }

    pub(crate) fn trunk(&self, name: &TrunkName) -> Option<Arc<Trunk>> {
        self.trunks.load().get(name).cloned()
    }

    /// A failure to reach a hop, as its trunk's policy judges it.
    pub(crate) fn failure(&self, hop: &Hop, error: TransportError) -> Failure {
        let policy = self
            .trunk(&hop.trunk)
            .map(|trunk| trunk.flow.reconnect)
            .unwrap_or_default();
        Failure {
            error,
            policy,
            draw: self.draw(),
        }
    }

    /// Sends what waits at a UDP socket, counts it, and reports what could not go.
    pub(crate) fn flush_udp(&self, listener: &UdpListener) {
        let flushed = listener.flush();
        self.tally.add_many(Counter::MessagesOut, flushed.sent);
        self.tally
            .add_many(Counter::DatagramsUnsent, flushed.unsent);
        for (id, error) in flushed.failed {
            stream::fail(self, id, error);
        }
    }

    /// Returns once the transport is to stop.
    pub(crate) async fn stopped(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Runs a task that [`crate::Transport::stop`] waits for.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let guard = Running::enter(Arc::clone(self));
        self.runtime.spawn(async move {
            let _guard = guard;
            task.await;
        });
    }
}

/// Counts a task for as long as it exists, however it ends.
struct Running(Arc<Shared>);

impl Running {
    fn enter(shared: Arc<Shared>) -> Self {
        shared.running.send_modify(|running| *running += 1);
        Self(shared)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}
