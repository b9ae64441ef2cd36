//! The handle: start, transmit, resolve, change, observe, stop.

use std::collections::BTreeSet;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use rustls::{KeyLog, NoKeyLog};
use sip_msg::TransportKind;
use sip_msg::dns::{DnsAnswer, Query};
use sip_msg::wire::{
    Arrival, FlowId, Hop, ListenerId, To, Transmit, TransmitId, TransportError, TrunkName,
};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::admission::Admission;
use crate::config::{FlowPolicy, ListenerConfig, StartError, TransportConfig, TrunkFlow};
use crate::counters::{Counter, Counters, Tally};
use crate::dns::Resolver;
use crate::flow::{Choice, Flows, Origin, Stream, Wish};
use crate::lanes::{Incoming, Lanes, Receiver};
use crate::outage::Outages;
use crate::outbox::Unqueued;
use crate::reload::compile;
use crate::shared::{Listener, Shared, Trunk};
use crate::tls::{HandshakeGate, KeyLogFile, Terms, TlsError};
use crate::udp::{UdpFlow, UdpListener};
use crate::{accept, connect, stream, tls};

/// How long streams may take to end when the transport stops.
const STOP_TIME: Duration = Duration::from_secs(3);

/// A running transport. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(crate) shared: Arc<Shared>,
}

/// Who opened a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowDirection {
    /// The peer, at this listener.
    Accepted(ListenerId),
    /// We, for this trunk.
    Opened(TrunkName),
}

/// One stream, for status pages.
#[derive(Clone, Debug)]
pub struct FlowStatus {
    /// Which.
    pub flow: FlowId,
    /// TCP or TLS.
    pub transport: TransportKind,
    /// The peer's address.
    pub remote: SocketAddr,
    /// Who opened it.
    pub direction: FlowDirection,
    /// What is known of it once it is up. None: it is connecting.
    pub arrival: Option<Arrival>,
    /// It was replaced and ends when all is quiet.
    pub retiring: bool,
    /// Time since a message passed.
    pub quiet: Duration,
}

impl Transport {
    /// Binds every listener and starts. Nothing is started if anything fails. Must be called
    /// within a tokio runtime, which runs all tasks.
    pub fn start(config: TransportConfig) -> Result<(Self, Receiver), StartError> {
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let limits = config.limits;
        let key_log: Arc<dyn KeyLog> = match &config.key_log {
            Some(path) => Arc::new(KeyLogFile::open(path).map_err(StartError::KeyLog)?),
            None => Arc::new(NoKeyLog {}),
        };
        let terms = Terms::new(&config.tls, key_log).map_err(StartError::Tls)?;
        let mut bound = Vec::new();
        let mut seen = BTreeSet::new();
        for listener in config.listeners {
            if !seen.insert(listener.id) {
                return Err(StartError::DuplicateListener(listener.id));
            }
            bound.push(bind(listener, &limits, &terms)?);
        }
        let resolver = Resolver::new(
            &config.resolver,
            &config.host_map,
            limits.dns_queries,
            limits.dns_timeout,
        )?;
        let trunks = compile(config.trunks, &terms)
            .map_err(|(trunk, error)| StartError::TrunkTls { trunk, error })?;
        let stop = watch::Sender::new(false);
        let (lanes, ends) = Lanes::new(limits.first_lane, limits.second_lane);
        let tally = Arc::new(Tally::new());
        let shared = Arc::new(Shared {
            lanes,
            flows: Flows::new(limits.outbox_bytes, limits.connections),
            outages: Outages::new(limits.connections),
            admission: Admission::new(&limits, Arc::clone(&tally)),
            gate: HandshakeGate::new(limits.handshake_workers),
            limits,
            tally,
            trunks: ArcSwap::from_pointee(trunks),
            listeners: bound
                .iter()
                .map(|(listener, _)| Arc::clone(listener))
                .collect(),
            resolver,
            terms,
            hash_keys: RandomState::new(),
            stop,
            runtime,
            running: watch::Sender::new(0),
            drawn: AtomicU64::new(0),
            unwoken: Mutex::default(),
        });
        for (listener, socket) in bound {
            if let Socket::Stream(socket) = socket {
                shared.spawn(accept::run(Arc::clone(&shared), listener, socket));
            }
        }
        let receiver = Receiver::new(ends, &shared);
        Ok((Self { shared }, receiver))
    }

    /// Sends a message, or reports in due course why it could not. Never waits.
    pub fn transmit(&self, transmit: Transmit) {
        self.queue(transmit);
        self.flush();
    }

    /// As [`Transport::transmit`], but the message goes with the next [`Transport::flush`]: many
    /// datagrams in one system call, many messages of a stream in one record.
    pub fn queue(&self, transmit: Transmit) {
        let Transmit { id, to, message } = transmit;
        let outcome = match to {
            To::Hop(hop) => self.to_hop(id, message, &hop),
            To::Flow {
                flow,
                remote,
                fallback,
            } => self.to_flow(id, message, flow, remote, fallback.as_ref()),
        };
        if let Err(error) = outcome {
            if error == TransportError::NoFlow {
                self.shared.tally.add(Counter::NoFlow);
            }
            stream::fail(&self.shared, id, error);
        }
    }

    /// Sends what was queued.
    pub fn flush(&self) {
        for stream in self.shared.unwoken().drain(..) {
            stream.outbox.wake();
        }
        for listener in &self.shared.listeners {
            if let Some(flow) = &listener.udp {
                self.shared.flush_udp(&flow.listener);
            }
        }
    }

    /// Sends nothing new on a connection that was opened here, and closes it once it is quiet:
    /// the next request to its peer opens another one. Does nothing for other flows.
    pub fn leave(&self, flow: FlowId) {
        if let Some(stream) = self.shared.flows.stream(flow)
            && matches!(stream.origin, Origin::Opened(_))
        {
            self.shared.flows.detach(&stream);
            stream.retire();
        }
    }

    fn to_flow(
        &self,
        id: TransmitId,
        message: Bytes,
        flow: FlowId,
        remote: SocketAddr,
        fallback: Option<&Hop>,
    ) -> Result<(), TransportError> {
        if let Some(udp) = self.shared.flows.udp(flow) {
            return udp.queue(Some(id), message, remote);
        }
        if let Some(stream) = self.shared.flows.stream(flow)
            && self.may_carry(&stream, &message, fallback)
        {
            match self.put(&stream, id, message.clone()) {
                Ok(()) => return Ok(()),
                Err(Unqueued::Full) => return Err(TransportError::Stalled),
                Err(Unqueued::Closed) => {}
            }
        }
        match fallback {
            Some(hop) => self.to_hop(id, message, hop),
            None => Err(TransportError::NoFlow),
        }
    }

    /// Queues a message at a stream, which is woken by the next flush.
    fn put(&self, stream: &Arc<Stream>, id: TransmitId, message: Bytes) -> Result<(), Unqueued> {
        stream.outbox.put(Some(id), message)?;
        let mut unwoken = self.shared.unwoken();
        if unwoken.last().is_none_or(|last| !Arc::ptr_eq(last, stream)) {
            unwoken.push(Arc::clone(stream));
        }
        Ok(())
    }

    /// A connection that a one-way peer opened carries no request of ours.
    fn may_carry(&self, stream: &Stream, message: &[u8], fallback: Option<&Hop>) -> bool {
        if !stream::is_request(message) || matches!(stream.origin, Origin::Opened(_)) {
            return true;
        }
        let trunk = fallback.and_then(|hop| self.shared.trunk(&hop.trunk));
        let one_way = trunk.is_none_or(|trunk| trunk.flow.flows == FlowPolicy::OneWay);
        if one_way {
            self.shared.tally.add(Counter::OneWayRefused);
        }
        !one_way
    }

    fn to_hop(&self, id: TransmitId, message: Bytes, hop: &Hop) -> Result<(), TransportError> {
        let trunk = self
            .shared
            .trunk(&hop.trunk)
            .ok_or(TransportError::NoFlow)?;
        match hop.transport {
            TransportKind::Udp => {
                let udp = self
                    .udp_flow(&trunk.flow, hop.addr)
                    .ok_or(TransportError::NoFlow)?;
                udp.queue(Some(id), message, hop.addr)
            }
            TransportKind::Tcp | TransportKind::Tls => self.to_stream(id, message, hop, trunk),
            TransportKind::Ws | TransportKind::Wss => Err(TransportError::NoFlow),
        }
    }

    fn to_stream(
        &self,
        id: TransmitId,
        message: Bytes,
        hop: &Hop,
        trunk: Arc<Trunk>,
    ) -> Result<(), TransportError> {
        let shared = &self.shared;
        if let Some(stream) = self.peers_own(hop, trunk.flow.flows)
            && self.put(&stream, id, message.clone()).is_ok()
        {
            return Ok(());
        }
        if trunk.flow.flows == FlowPolicy::ClientFlow {
            return Err(TransportError::NoFlow);
        }
        // Twice: the connection found first may be at its end without having left the pool yet.
        for _ in 0..2 {
            let stream = match shared.flows.choose(hop, Instant::now()) {
                Choice::Existing(stream) => stream,
                Choice::Fresh(stream) => {
                    connect::spawn(shared, hop.clone(), Arc::clone(&trunk), Arc::clone(&stream));
                    stream
                }
                Choice::Resting(error) => {
                    shared.tally.add(Counter::ConnectHeldBack);
                    return Err(error);
                }
                Choice::Full => {
                    shared.tally.add(Counter::TooManyConnections);
                    return Err(TransportError::NoFlow);
                }
            };
            match self.put(&stream, id, message.clone()) {
                Ok(()) => return Ok(()),
                Err(Unqueued::Full) => {
                    let error = TransportError::Stalled;
                    shared.flows.give_up(&stream, shared.failure(hop, error));
                    return Err(error);
                }
                Err(Unqueued::Closed) => shared.flows.detach(&stream),
            }
        }
        Err(TransportError::Closed)
    }

    /// The connection the peer opened, where the policy lets our requests take it.
    fn peers_own(&self, hop: &Hop, policy: FlowPolicy) -> Option<Arc<Stream>> {
        if policy == FlowPolicy::OneWay {
            return None;
        }
        let stream = self.shared.flows.accepted_from(hop.transport, hop.addr)?;
        let identity = stream
            .arrival
            .get()
            .and_then(|arrival| arrival.identity.as_ref());
        let proven = match (policy, hop.transport) {
            (FlowPolicy::Reuse, TransportKind::Tls) => {
                identity.is_some_and(|identity| tls::bears(identity, &hop.server_name))
            }
            _ => true,
        };
        proven.then_some(stream)
    }

    fn udp_flow(&self, trunk: &TrunkFlow, remote: SocketAddr) -> Option<UdpFlow> {
        let fits = |listener: &&Arc<Listener>| {
            listener.udp.is_some() && listener.local.is_ipv4() == remote.is_ipv4()
        };
        let listeners = || self.shared.listeners.iter().filter(fits);
        let chosen = match trunk.udp {
            Some(id) => listeners().find(|listener| listener.id == id),
            None => listeners()
                .find(|listener| {
                    listener
                        .networks
                        .load()
                        .iter()
                        .any(|allowed| allowed.trunk == trunk.name)
                })
                .or_else(|| listeners().next()),
        };
        chosen.and_then(|listener| listener.udp.clone())
    }

    /// Asks for records; the answer comes as [`Incoming::Dns`]. Never waits.
    pub fn resolve(&self, query: Query) {
        let task = {
            let shared = Arc::clone(&self.shared);
            async move {
                shared.tally.add(Counter::DnsQueries);
                let answer = shared.resolver.answer(query).await;
                if answer.result.is_err() {
                    shared.tally.add(Counter::DnsFailures);
                }
                shared.lanes.send_first(Incoming::Dns(answer)).await;
            }
        };
        self.shared.spawn(task);
    }

    /// Asks for records and waits for the answer, in bounded time: for who has no core.
    pub async fn look_up(&self, query: Query) -> DnsAnswer {
        self.shared.tally.add(Counter::DnsQueries);
        self.shared.resolver.answer(query).await
    }

    /// Where a listener is bound; with port 0 in the configuration, the port it was given.
    pub fn local_addr(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.listener(listener).map(|listener| listener.local)
    }

    pub(crate) fn listener(&self, id: ListenerId) -> Option<&Arc<Listener>> {
        self.shared
            .listeners
            .iter()
            .find(|listener| listener.id == id)
    }

    /// All counts.
    pub fn counters(&self) -> Counters {
        self.shared.tally.snapshot()
    }

    /// All TCP and TLS connections, those being made included.
    pub fn flows(&self) -> Vec<FlowStatus> {
        let now = Instant::now();
        let streams = self.shared.flows.streams();
        streams
            .into_iter()
            .map(|stream| FlowStatus {
                flow: stream.id,
                transport: stream.transport,
                remote: stream.remote,
                direction: match &stream.origin {
                    Origin::Accepted(listener) => FlowDirection::Accepted(*listener),
                    Origin::Opened(hop) => FlowDirection::Opened(hop.trunk.clone()),
                },
                arrival: stream.arrival.get().cloned(),
                retiring: *stream.wish.borrow() == Wish::Retire,
                quiet: now.saturating_duration_since(stream.last_message()),
            })
            .collect()
    }

    /// Stops listening, writes what is queued, and closes everything: done within seconds.
    pub async fn stop(&self) {
        self.shared.stop.send_replace(true);
        let mut running = self.shared.running.subscribe();
        let _ = timeout(STOP_TIME, running.wait_for(|running| *running == 0)).await;
    }
}

enum Socket {
    Udp(UdpFlow),
    Stream(TcpListener),
}

fn bind(
    config: ListenerConfig,
    limits: &crate::TransportLimits,
    terms: &Terms,
) -> Result<(Arc<Listener>, Socket), StartError> {
    let ListenerConfig {
        id,
        transport,
        bind,
        tls,
        networks,
    } = config;
    let failed = |error| StartError::Bind {
        listener: id,
        bind,
        error,
    };
    let refused = |error| StartError::ListenerTls {
        listener: id,
        error,
    };
    let tls = match (transport, &tls) {
        (TransportKind::Tls, None) => return Err(refused(TlsError::NoIdentity)),
        (TransportKind::Tls, Some(settings)) => {
            let config = tls::server_config(settings, terms).map_err(refused)?;
            Some(ArcSwap::from_pointee(config))
        }
        _ => None,
    };
    let (socket, local) = match transport {
        TransportKind::Udp => {
            let socket = UdpListener::bind(bind, limits.datagram_bytes, limits.dscp);
            let socket = socket.map_err(failed)?;
            let local = socket.local;
            (
                Socket::Udp(UdpFlow {
                    listener: Arc::new(socket),
                    source: None,
                }),
                local,
            )
        }
        TransportKind::Tcp | TransportKind::Tls => {
            let socket = accept::bind(bind, limits).map_err(failed)?;
            let local = socket.local_addr().map_err(failed)?;
            (Socket::Stream(socket), local)
        }
        TransportKind::Ws | TransportKind::Wss => return Err(StartError::Transport(id)),
    };
    let udp = match &socket {
        Socket::Udp(flow) => Some(flow.clone()),
        Socket::Stream(_) => None,
    };
    let networks = ArcSwap::from_pointee(networks);
    Ok((
        Arc::new(Listener {
            id,
            transport,
            local,
            networks,
            tls,
            udp,
        }),
        socket,
    ))
}
