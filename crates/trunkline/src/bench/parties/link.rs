//! How the called party is reached: UDP, or TLS connections that the gateway opens.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::message::framed;
use crate::demo::authority::Leaf;

/// The first number by which a wait names connections; those below are its owner's.
pub(super) const FIRST: u64 = 16;
/// The number of the listener, and of the UDP socket.
pub(super) const DOOR: u64 = 1;

/// Who said something, and so who is answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    Datagram(SocketAddr),
    Connection(usize),
}

/// Either way.
pub(super) enum Link {
    Udp(UdpSocket),
    Tls(Box<Tls>),
}

pub(super) struct Tls {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    connections: Vec<Option<Connection>>,
}

struct Connection {
    socket: TcpStream,
    tls: ServerConnection,
    heard: Vec<u8>,
}

impl Link {
    /// Listens for TLS, with this certificate.
    pub(super) fn tls(at: SocketAddr, leaf: &Leaf) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
        let listener = TcpListener::bind(at).with_context(|| at.to_string())?;
        listener.set_nonblocking(true)?;
        Ok(Self::Tls(Box::new(Tls {
            listener,
            config: Arc::new(config),
            connections: Vec::new(),
        })))
    }

    /// Where it is reached.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        Ok(match self {
            Self::Udp(socket) => socket.local_addr()?,
            Self::Tls(tls) => tls.listener.local_addr()?,
        })
    }

    /// Has a wait end when somebody says something.
    pub(super) fn watch(&self, epoll: &Epoll) -> Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, DOOR);
        match self {
            Self::Udp(socket) => epoll.add(socket.as_fd(), event)?,
            Self::Tls(tls) => epoll.add(tls.listener.as_fd(), event)?,
        }
        Ok(())
    }

    /// Says something. What cannot be said is lost; over UDP it is said again.
    pub(super) fn send(&mut self, peer: Peer, text: &str) {
        match (self, peer) {
            (Self::Udp(socket), Peer::Datagram(to)) => {
                let _ = socket.send_to(text.as_bytes(), to);
            }
            (Self::Tls(tls), Peer::Connection(number)) => {
                if let Some(Some(connection)) = tls.connections.get_mut(number) {
                    let _ = connection.tls.writer().write_all(text.as_bytes());
                }
            }
            (Self::Udp(_), Peer::Connection(_)) | (Self::Tls(_), Peer::Datagram(_)) => {}
        }
    }

    /// Takes what the event of this number is about: each message with who said it.
    pub(super) fn hear(&mut self, event: u64, epoll: &Epoll) -> Result<Vec<(Peer, Vec<u8>)>> {
        match self {
            Self::Udp(socket) => {
                let mut all = Vec::new();
                let mut buffer = [0; 8192];
                while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    all.push((Peer::Datagram(from), buffer[..len].to_vec()));
                }
                Ok(all)
            }
            Self::Tls(tls) if event == DOOR => {
                tls.accept(epoll)?;
                Ok(Vec::new())
            }
            Self::Tls(tls) => Ok(tls.read((event - FIRST) as usize)),
        }
    }

    /// Gives the kernel what was said.
    pub(super) fn flush(&mut self) {
        let Self::Tls(tls) = self else { return };
        for connection in tls.connections.iter_mut().flatten() {
            while connection.tls.wants_write() {
                if connection.tls.write_tls(&mut connection.socket).is_err() {
                    break;
                }
            }
        }
    }
}

impl Tls {
    fn accept(&mut self, epoll: &Epoll) -> Result<()> {
        while let Ok((socket, _)) = self.listener.accept() {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let number = FIRST + self.connections.len() as u64;
            epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, number))?;
            self.connections.push(Some(Connection {
                socket,
                tls: ServerConnection::new(Arc::clone(&self.config))?,
                heard: Vec::new(),
            }));
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> Vec<(Peer, Vec<u8>)> {
        let Some(slot) = self.connections.get_mut(number) else {
            return Vec::new();
        };
        let Some(connection) = slot else {
            return Vec::new();
        };
        let open = connection.read();
        let mut all = Vec::new();
        while let Some(len) = framed(&connection.heard) {
            let message = connection.heard.drain(..len).collect();
            all.push((Peer::Connection(number), message));
        }
        if !open {
            *slot = None;
        }
        all
    }
}

impl Connection {
    /// Whether there may be more to come.
    fn read(&mut self) -> bool {
        loop {
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
            let Ok(state) = self.tls.process_new_packets() else {
                return false;
            };
            let before = self.heard.len();
            self.heard
                .resize(before + state.plaintext_bytes_to_read(), 0);
            if self
                .tls
                .reader()
                .read_exact(&mut self.heard[before..])
                .is_err()
            {
                return false;
            }
            // Between messages an empty line may stand (RFC 3261 §7.5, RFC 5626 §4.4.1).
            let empty = self
                .heard
                .iter()
                .take_while(|octet| b"\r\n".contains(octet));
            let empty = empty.count();
            self.heard.drain(..empty);
        }
    }
}
