//! Connections we open: connect, verify, serve, renew.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use rustls_pki_types::ServerName;
use sip_msg::TransportKind;
use sip_msg::wire::{Arrival, Hop, PeerIdentity, TransportError};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::counters::Counter;
use crate::flow::{Stream, Wish};
use crate::outage::Cause;
use crate::shared::{Shared, Trunk};
use crate::stream::{self, Clocks, CloseReason, Connected};
use crate::{tls, udp};

/// Connects a stream that is already in the table, and serves it in a task of its own.
pub(crate) fn spawn(shared: &Arc<Shared>, hop: Hop, trunk: Arc<Trunk>, flow: Arc<Stream>) {
    let task = {
        let shared = Arc::clone(shared);
        async move { run(shared, hop, trunk, flow).await }
    };
    shared.spawn(task);
}

async fn run(shared: Arc<Shared>, hop: Hop, trunk: Arc<Trunk>, flow: Arc<Stream>) {
    let connected = tokio::select! {
        connected = connect(&shared, &hop, &trunk) => connected.map_err(|cause| {
            shared.outages.begin(&hop, &cause);
            cause.as_error()
        }),
        () = shared.stopped() => Err(TransportError::Closed),
    };
    let reason = match connected {
        Err(error) => {
            let reason = CloseReason::NotConnected(error);
            stream::finish(&shared, &flow, reason);
            reason
        }
        Ok((io, local, identity)) => {
            shared.tally.add(Counter::ConnectionsOpened);
            shared.flows.take_over(&hop, &flow);
            let connected = Connected {
                arrival: Arrival {
                    flow: flow.id,
                    listener: None,
                    opened_for: Some(hop.trunk.clone()),
                    transport: hop.transport,
                    local,
                    remote: hop.addr,
                    server_name: None,
                    identity,
                },
                flow: Arc::clone(&flow),
                io,
                clocks: Clocks {
                    keep_alive: trunk.flow.keep_alive,
                    idle: trunk.flow.idle,
                    first_message: None,
                },
                place: None,
            };
            tokio::select! {
                reason = stream::serve(&shared, connected) => reason,
                never = renew(&shared, &hop, &trunk, &flow) => match never {},
            }
        }
    };
    stream::announce_end(&shared, &flow, reason).await;
}

/// A TCP or TLS stream; one type for both keeps the flow's life in one place.
type Io = Box<dyn ReadWrite>;

pub(crate) trait ReadWrite:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin
{
}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> ReadWrite for S {}

type Up = (Io, SocketAddr, Option<Arc<PeerIdentity>>);

async fn connect(shared: &Shared, hop: &Hop, trunk: &Trunk) -> Result<Up, Cause> {
    shared.tally.add(Counter::ConnectAttempts);
    let limit = trunk.flow.connect_timeout;
    let attempt = timeout(limit, attempt(shared, hop, trunk)).await;
    attempt.unwrap_or_else(|_| {
        shared.tally.add(Counter::ConnectTimeouts);
        Err(Cause::Late(limit))
    })
}

async fn attempt(shared: &Shared, hop: &Hop, trunk: &Trunk) -> Result<Up, Cause> {
    let tcp = dial(shared, hop, trunk).await.map_err(|error| {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            shared.tally.add(Counter::ConnectRefused);
            Cause::Refused
        } else {
            shared.tally.add(Counter::ConnectUnreachable);
            Cause::Unreachable(error)
        }
    })?;
    let gone = |_| Cause::Ended(CloseReason::Broken);
    let local = tcp.local_addr().map_err(gone)?;
    if hop.transport == TransportKind::Tcp {
        return Ok((Box::new(tcp), local, None));
    }
    let (Some(config), Ok(name)) = (
        &trunk.tls,
        ServerName::try_from(hop.server_name.to_string()),
    ) else {
        return Err(Cause::NoTls);
    };
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, tcp);
    let io = shared.gate.run(handshake).await.map_err(|error| {
        shared.tally.add(tls::classify(&error));
        Cause::Handshake(error)
    })?;
    let certificates = io.get_ref().1.peer_certificates();
    let identity = certificates.and_then(|chain| tls::peer_identity(chain.first()?));
    Ok((Box::new(io), local, identity.map(Arc::new)))
}

async fn dial(shared: &Shared, hop: &Hop, trunk: &Trunk) -> io::Result<TcpStream> {
    let socket = if hop.addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(address) = trunk.flow.bind {
        socket.bind(SocketAddr::new(address, 0))?;
    }
    udp::mark(&socket, hop.addr, shared.limits.dscp);
    let tcp = socket.connect(hop.addr).await?;
    tune(&tcp, shared.limits.stall)?;
    Ok(tcp)
}

/// Small messages go at once; a peer that vanished without a word is noticed by what it does not
/// acknowledge, long before TCP itself would give up.
pub(crate) fn tune(tcp: &TcpStream, stall: Duration) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let milliseconds = u32::try_from(stall.as_millis()).unwrap_or(u32::MAX);
    setsockopt(&tcp.as_fd(), sockopt::TcpUserTimeout, &milliseconds)?;
    Ok(())
}

/// Opens a successor when the connection's time has come; the successor retires it.
async fn renew(
    shared: &Arc<Shared>,
    hop: &Hop,
    trunk: &Arc<Trunk>,
    flow: &Arc<Stream>,
) -> std::convert::Infallible {
    let period = trunk.flow.renewal;
    let mut pause = period.map(|period| period - period / 10 * u32::from(shared.draw()) / 255);
    loop {
        tokio::select! {
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            () = flow.renew.notified() => {}
        }
        if *flow.wish.borrow() == Wish::Retire {
            return std::future::pending().await;
        }
        // The trunk's settings of today, which may not be those this connection was opened with.
        let Some(trunk) = shared.trunk(&hop.trunk) else {
            return std::future::pending().await;
        };
        shared.tally.add(Counter::Renewed);
        let successor = shared.flows.enter_replacement(hop);
        spawn(shared, hop.clone(), Arc::clone(&trunk), successor);
        // If it fails this connection goes on, and the next successor is tried in due time.
        pause = Some(trunk.flow.connect_timeout + trunk.flow.reconnect.longest);
    }
}
