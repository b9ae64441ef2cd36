//! Connections that peers open: accept within bounds, shake hands, serve.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use sip_msg::wire::{Arrival, PeerIdentity};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::admission::Place;
use crate::config::TransportLimits;
use crate::connect::{ReadWrite, tune};
use crate::counters::Counter;
use crate::network;
use crate::shared::{Listener, Shared};
use crate::stream::{self, Clocks, Connected};
use crate::{tls, udp};

/// Connections the kernel completes before we take them.
const BACKLOG: u32 = 1024;

/// Pause after a failed accept: descriptors come back when connections end, not by asking.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds a listening socket. An IPv6 one takes IPv6 connections only.
pub(crate) fn bind(address: SocketAddr, limits: &TransportLimits) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
        socket
    };
    socket.set_reuseaddr(true)?;
    udp::mark(&socket, address, limits.dscp);
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the transport stops.
pub(crate) async fn run(shared: Arc<Shared>, listener: Arc<Listener>, socket: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = shared.stopped() => return,
        };
        match accepted {
            Ok((tcp, remote)) => admit(&shared, &listener, tcp, remote),
            Err(error) => {
                shared.tally.add(Counter::AcceptErrors);
                tracing::warn!(local = %listener.local, %error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, listener: &Arc<Listener>, tcp: TcpStream, remote: SocketAddr) {
    let networks = listener.networks.load();
    if !network::is_allowed(&networks, remote.ip()) {
        shared.tally.add(Counter::UnknownSourceStream);
        return;
    }
    let known = network::is_listed(&networks, remote.ip());
    match shared.admission.admit(remote.ip(), known) {
        Err(reason) => shared.tally.add(reason),
        Ok(place) => {
            let task = {
                let (shared, listener) = (Arc::clone(shared), Arc::clone(listener));
                async move { handle(shared, listener, tcp, remote, place).await }
            };
            shared.spawn(task);
        }
    }
}

async fn handle(
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    tcp: TcpStream,
    remote: SocketAddr,
    place: Place,
) {
    // The peer may be gone already; its end shows in the first read.
    let _ = tune(&tcp, shared.limits.stall);
    let Ok(local) = tcp.local_addr() else { return };
    match &listener.tls {
        None => {
            serve(
                &shared,
                &listener,
                tcp,
                place,
                Peer::over_tcp(local, remote),
            )
            .await
        }
        Some(config) => {
            let acceptor = TlsAcceptor::from(config.load_full());
            let handshake = tokio::select! {
                done = timeout(
                    shared.limits.handshake_timeout,
                    shared.gate.run(acceptor.accept(tcp)),
                ) => done,
                () = place.evicted() => return,
                () = shared.stopped() => return,
            };
            match handshake {
                Err(_) => shared.tally.add(Counter::TlsTimeout),
                Ok(Err(error)) => {
                    shared.tally.add(tls::classify(&error));
                    tracing::info!(%remote, local = %listener.local, %error,
                        "TLS handshake failed");
                }
                Ok(Ok(io)) => {
                    let peer = Peer::over_tls(&io, local, remote);
                    serve(&shared, &listener, io, place, peer).await;
                }
            }
        }
    }
}

/// Whom we accepted.
struct Peer {
    local: SocketAddr,
    remote: SocketAddr,
    server_name: Option<Arc<str>>,
    identity: Option<Arc<PeerIdentity>>,
}

impl Peer {
    fn over_tcp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            remote,
            server_name: None,
            identity: None,
        }
    }

    fn over_tls(io: &TlsStream<TcpStream>, local: SocketAddr, remote: SocketAddr) -> Self {
        let session = io.get_ref().1;
        let certificates = session.peer_certificates();
        let identity = certificates.and_then(|chain| tls::peer_identity(chain.first()?));
        Self {
            local,
            remote,
            server_name: session.server_name().map(Arc::from),
            identity: identity.map(Arc::new),
        }
    }
}

async fn serve<S: ReadWrite>(
    shared: &Arc<Shared>,
    listener: &Listener,
    io: S,
    place: Place,
    peer: Peer,
) {
    shared.tally.add(Counter::ConnectionsAccepted);
    let verified = peer.identity.is_some();
    if verified {
        place.establish();
    }
    let flow = shared
        .flows
        .enter_accepted(listener.transport, peer.remote, listener.id);
    let connected = Connected {
        arrival: Arrival {
            flow: flow.id,
            listener: Some(listener.id),
            opened_for: None,
            transport: listener.transport,
            local: peer.local,
            remote: peer.remote,
            server_name: peer.server_name,
            identity: peer.identity,
        },
        flow: Arc::clone(&flow),
        io,
        clocks: Clocks {
            keep_alive: None,
            idle: Some(shared.limits.accepted_idle),
            first_message: (!verified).then_some(shared.limits.first_message),
        },
        place: Some(place),
    };
    let reason = stream::serve(shared, connected).await;
    stream::announce_end(shared, &flow, reason).await;
}
