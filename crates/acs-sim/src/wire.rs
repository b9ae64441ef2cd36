//! Sockets: UDP ports, TCP and TLS connections, and what arrives on them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use sip_msg::{Framing, Limits, Message, Rejected, parse};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::connections::{Connection, Connections};
pub use crate::link::Transport;
use crate::link::{Datagrams, Out};
pub(crate) use crate::link::{Link, Origin};
use crate::stream::{self, StreamLimits, Tapped};
use crate::tap::{Carrier, Tap};
use crate::tls;

/// Largest UDP datagram.
const DATAGRAM: usize = 65_535;
/// Patience for a connection with its handshake.
const CONNECT: Duration = Duration::from_secs(5);

/// What a link brought.
pub(crate) enum Arrived {
    /// A message, or what could not be parsed as one; with its bytes.
    Message(Arc<Link>, Bytes, Box<Result<Message, Box<Rejected>>>),
    /// The keep-alive of RFC 5626 §3.5.1.
    Ping(Arc<Link>),
    /// The stream ended.
    Closed(Arc<Link>),
}

/// Where to connect, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) transport: Transport,
    pub(crate) addr: SocketAddr,
    pub(crate) server_name: String,
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection within five seconds.
    #[error("timed out")]
    Timeout,
    /// TCP or TLS failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The name is not one a certificate can be verified for.
    #[error("not a host name: {0}")]
    Name(String),
    /// No listener or TLS settings for this transport.
    #[error("transport not configured")]
    NotConfigured,
}

/// TLS in both roles.
#[derive(Clone)]
pub(crate) struct TlsEnds {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

/// The one connection to a place; locked while it is being made, so that there is only one.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Link>>>>;

/// All sockets of one simulated peer.
pub(crate) struct Wire {
    arrived: mpsc::UnboundedSender<Arrived>,
    tap: Tap,
    tls: Option<TlsEnds>,
    limits: StreamLimits,
    pub(crate) connections: Arc<Connections>,
    next: AtomicU64,
    udp: Mutex<Vec<(usize, Datagrams)>>,
    /// Connections we opened, by where they lead and which of our listeners' address they left.
    opened: Mutex<HashMap<(SocketAddr, String, usize), Slot>>,
    tasks: Mutex<Vec<AbortHandle>>,
    /// Connections accepted, for closing them with their listener.
    accepted: Mutex<Vec<Weak<Link>>>,
    /// Connections opened, for closing them all at once.
    ours: Mutex<Vec<Weak<Link>>>,
    listeners: Mutex<HashMap<usize, Listener>>,
}

/// The task of a listener. A listener of streams that is told to stop, which dropping `stop` also
/// does, first ends the handshakes on its connections.
struct Listener {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    pub(crate) fn new(
        tap: Tap,
        tls: Option<TlsEnds>,
        limits: StreamLimits,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Arrived>) {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let wire = Self {
            arrived,
            tap,
            tls,
            limits,
            connections: Arc::default(),
            next: AtomicU64::new(1),
            udp: Mutex::default(),
            opened: Mutex::default(),
            tasks: Mutex::default(),
            accepted: Mutex::default(),
            ours: Mutex::default(),
            listeners: Mutex::default(),
        };
        (Arc::new(wire), arrivals)
    }

    /// Opens a listener and says where it is bound.
    pub(crate) async fn listen(
        self: &Arc<Self>,
        index: usize,
        transport: Transport,
        bind: SocketAddr,
    ) -> std::io::Result<SocketAddr> {
        let wire = Arc::clone(self);
        let (stop, stopped) = oneshot::channel();
        let (task, local) = if transport == Transport::Udp {
            let socket = Arc::new(UdpSocket::bind(bind).await?);
            let local = socket.local_addr()?;
            let (out, queue) = mpsc::unbounded_channel();
            locked(&self.udp).push((index, out.clone()));
            let writer = write_datagrams(Arc::clone(&socket), local, self.tap.clone(), queue);
            locked(&self.tasks).push(tokio::spawn(writer).abort_handle());
            let read = async move {
                tokio::select! {
                    () = wire.read_datagrams(index, socket, out, local) => {}
                    _ = stopped => {}
                }
            };
            (tokio::spawn(read), local)
        } else {
            let listener = bind_reusable(bind)?;
            let local = listener.local_addr()?;
            let accept = wire.accept(index, transport, listener, stopped);
            (tokio::spawn(accept), local)
        };
        locked(&self.listeners).insert(index, Listener { stop, task });
        Ok(local)
    }

    /// Closes a listener and every connection accepted on it; returns when the port is free.
    pub(crate) async fn unlisten(&self, index: usize) {
        let listener = locked(&self.listeners).remove(&index);
        if let Some(Listener { stop, task }) = listener {
            drop(stop);
            // It fails only if it panicked, and then it listens no more either.
            let _ = task.await;
        }
        for link in locked(&self.accepted).iter().filter_map(Weak::upgrade) {
            if link.origin == (Origin::Theirs { listener: index }) {
                link.close();
            }
        }
    }

    /// Ends every task and closes every socket.
    pub(crate) fn shutdown(&self) {
        for task in locked(&self.tasks).drain(..) {
            task.abort();
        }
        for (_, listener) in locked(&self.listeners).drain() {
            listener.task.abort();
        }
        locked(&self.opened).clear();
        locked(&self.udp).clear();
    }

    /// The link to `hop`: the UDP port, the connection we already have, or a new one.
    pub(crate) async fn link_to(
        self: &Arc<Self>,
        hop: &Hop,
        from: (usize, SocketAddr),
    ) -> Result<Arc<Link>, ConnectError> {
        if hop.transport == Transport::Udp {
            return self.datagram_link(hop, from);
        }
        let key = (hop.addr, hop.server_name.clone(), from.0);
        let slot = Arc::clone(locked(&self.opened).entry(key).or_default());
        let mut slot = slot.lock().await;
        if let Some(link) = slot.as_ref().filter(|link| link.is_open()) {
            return Ok(Arc::clone(link));
        }
        let link = self.connect(hop, from.1).await?;
        *slot = Some(Arc::clone(&link));
        Ok(link)
    }

    fn datagram_link(
        &self,
        hop: &Hop,
        (listener, local): (usize, SocketAddr),
    ) -> Result<Arc<Link>, ConnectError> {
        let out = locked(&self.udp)
            .iter()
            .find(|(index, _)| *index == listener)
            .map(|(_, out)| out.clone())
            .ok_or(ConnectError::NotConfigured)?;
        Ok(Arc::new(self.datagram(listener, out, local, hop.addr)))
    }

    fn datagram(
        &self,
        listener: usize,
        out: Datagrams,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Link {
        Link {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            transport: Transport::Udp,
            local,
            remote,
            origin: Origin::Theirs { listener },
            names: Vec::new(),
            server_name: None,
            out: Out::Datagram(out),
            closed: AtomicBool::new(false),
        }
    }

    /// Opens a new connection to `hop`, leaving from `source`'s address.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        hop: &Hop,
        source: SocketAddr,
    ) -> Result<Arc<Link>, ConnectError> {
        timeout(CONNECT, self.handshake(hop, source))
            .await
            .map_err(|_| ConnectError::Timeout)?
    }

    async fn handshake(
        self: &Arc<Self>,
        hop: &Hop,
        source: SocketAddr,
    ) -> Result<Arc<Link>, ConnectError> {
        let socket = if hop.addr.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.bind(SocketAddr::new(source.ip(), 0))?;
        let tcp = socket.connect(hop.addr).await?;
        tcp.set_nodelay(true)?;
        let (local, remote) = (tcp.local_addr()?, tcp.peer_addr()?);
        let ends = Ends {
            transport: hop.transport,
            local,
            remote,
            origin: Origin::Ours,
        };
        let tapped = Tapped::new(tcp, self.tap.clone())?;
        let mut seen = Connection::between(local, remote);
        if hop.transport == Transport::Tcp {
            return Ok(self.adopt(tapped, ends, Vec::new(), seen));
        }
        seen.server_name = Some(hop.server_name.clone());
        let tls = self.tls.as_ref().ok_or(ConnectError::NotConfigured)?;
        let name = ServerName::try_from(hop.server_name.clone())
            .map_err(|_| ConnectError::Name(hop.server_name.clone()))?;
        let secure = TlsConnector::from(Arc::clone(&tls.client))
            .connect(name, tapped)
            .await
            .inspect_err(|error| self.failed(seen.clone(), error))?;
        let session = secure.get_ref().1;
        let names = peer_names(session.peer_certificates());
        let seen = seen.shaken(session);
        Ok(self.adopt(secure, ends, names, seen))
    }

    fn adopt<S>(
        self: &Arc<Self>,
        stream: S,
        ends: Ends,
        names: Vec<String>,
        mut seen: Connection,
    ) -> Arc<Link>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (out, queue) = mpsc::unbounded_channel();
        let link = Arc::new(Link {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            transport: ends.transport,
            local: ends.local,
            remote: ends.remote,
            origin: ends.origin,
            names,
            server_name: seen.server_name.clone(),
            out: Out::Stream(out),
            closed: AtomicBool::new(false),
        });
        seen.id = Some(link.id);
        self.connections.note(seen);
        let run = stream::run(
            stream,
            Arc::clone(&link),
            queue,
            self.arrived.clone(),
            self.limits,
        );
        let (id, connections) = (link.id, Arc::clone(&self.connections));
        let task = tokio::spawn(async move {
            run.await;
            connections.ended(id);
        })
        .abort_handle();
        let kept = match ends.origin {
            Origin::Theirs { .. } => &self.accepted,
            Origin::Ours => &self.ours,
        };
        let mut kept = locked(kept);
        kept.retain(|link| link.strong_count() > 0);
        kept.push(Arc::downgrade(&link));
        drop(kept);
        let mut tasks = locked(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
        link
    }

    async fn accept(
        self: Arc<Self>,
        index: usize,
        transport: Transport,
        listener: TcpListener,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut handshakes = JoinSet::new();
        loop {
            let tcp = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((tcp, _)) => tcp,
                    Err(_) => continue,
                },
                Some(_) = handshakes.join_next() => continue,
                _ = &mut stopped => break,
            };
            let wire = Arc::clone(&self);
            handshakes.spawn(async move {
                // A handshake that fails is the peer's to report; it left no link behind.
                let _ = timeout(CONNECT, wire.welcome(index, transport, tcp)).await;
            });
        }
        drop(listener);
        handshakes.shutdown().await;
    }

    async fn welcome(
        self: &Arc<Self>,
        listener: usize,
        transport: Transport,
        tcp: TcpStream,
    ) -> std::io::Result<()> {
        tcp.set_nodelay(true)?;
        let (local, remote) = (tcp.local_addr()?, tcp.peer_addr()?);
        let ends = Ends {
            transport,
            local,
            remote,
            origin: Origin::Theirs { listener },
        };
        let tapped = Tapped::new(tcp, self.tap.clone())?;
        let mut seen = Connection::between(local, remote);
        seen.listener = Some(listener);
        if transport == Transport::Tcp {
            self.adopt(tapped, ends, Vec::new(), seen);
            return Ok(());
        }
        let Some(tls) = &self.tls else { return Ok(()) };
        let secure = TlsAcceptor::from(Arc::clone(&tls.server))
            .accept(tapped)
            .await
            .inspect_err(|error| self.failed(seen.clone(), error))?;
        let session = secure.get_ref().1;
        let names = peer_names(session.peer_certificates());
        seen.server_name = session.server_name().map(str::to_owned);
        let seen = seen.shaken(session);
        self.adopt(secure, ends, names, seen);
        Ok(())
    }

    fn failed(&self, mut seen: Connection, error: &std::io::Error) {
        seen.closed = Some(std::time::SystemTime::now());
        seen.failed = Some(error.to_string());
        self.connections.note(seen);
    }

    /// Closes every connection, opened or accepted; listeners stay.
    pub(crate) fn close_connections(&self) {
        for link in locked(&self.accepted).iter().filter_map(Weak::upgrade) {
            link.close();
        }
        for link in locked(&self.ours)
            .drain(..)
            .filter_map(|link| link.upgrade())
        {
            link.close();
        }
    }

    async fn read_datagrams(
        &self,
        index: usize,
        socket: Arc<UdpSocket>,
        out: Datagrams,
        local: SocketAddr,
    ) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let Ok((length, remote)) = socket.recv_from(&mut buffer).await else {
                continue;
            };
            let bytes = Bytes::copy_from_slice(&buffer[..length]);
            self.tap.record(Carrier::Udp, remote, local, &bytes);
            if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                continue;
            }
            let link = self.datagram(index, out.clone(), local, remote);
            let parsed = parse(bytes.clone(), &Limits::default(), Framing::Datagram);
            if self
                .arrived
                .send(Arrived::Message(Arc::new(link), bytes, Box::new(parsed)))
                .is_err()
            {
                return;
            }
        }
    }
}

/// Sends what is queued for a UDP port until nobody can queue any more.
async fn write_datagrams(
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    tap: Tap,
    mut queue: mpsc::UnboundedReceiver<(Bytes, SocketAddr)>,
) {
    while let Some((bytes, remote)) = queue.recv().await {
        if socket.send_to(&bytes, remote).await.is_ok() {
            tap.record(Carrier::Udp, local, remote, &bytes);
        }
    }
}

struct Ends {
    transport: Transport,
    local: SocketAddr,
    remote: SocketAddr,
    origin: Origin,
}

fn peer_names(chain: Option<&[rustls::pki_types::CertificateDer<'_>]>) -> Vec<String> {
    chain
        .and_then(<[_]>::first)
        .map(tls::names)
        .unwrap_or_default()
}

/// A listener on a port that may have been closed a moment ago.
fn bind_reusable(bind: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if bind.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(bind)?;
    socket.listen(128)
}
