//! TLS connections that a row opens itself, in Microsoft's place: with any certificate, SNI and
//! source address.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection};

use super::believing::Believing;
use super::trial::der;
use crate::certificates::Leaf;
use crate::gateway::{FQDN, MICROSOFT};
use crate::sip::Sip;

const PATIENCE: Duration = Duration::from_secs(10);

/// How to connect.
#[derive(Clone, Copy, Debug)]
pub struct Dial<'a> {
    /// Where to.
    pub to: SocketAddr,
    /// From which address.
    pub from: IpAddr,
    /// SNI.
    pub server_name: Option<&'a str>,
    /// The certificate to show.
    pub identity: Option<&'a Leaf>,
}

/// A connection, its handshake over as far as this end can tell.
#[derive(Debug)]
pub struct Line {
    tls: ClientConnection,
    socket: TcpStream,
    stream: Vec<u8>,
    from: IpAddr,
}

/// What a line brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brought {
    /// A message.
    Message(Sip),
    /// An empty line.
    Blank,
    /// The end, or an alert.
    End,
    /// Nothing within the time given.
    Nothing,
}

impl Dial<'_> {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// The gateway does not take the connection.
    pub fn open(self) -> Result<Line> {
        let socket = connect_from(self.from, self.to)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believing::everybody(provider)));
        let config = match self.identity {
            Some(leaf) => {
                let (chain, key) = der(leaf);
                builder.with_client_auth_cert(chain, key)?
            }
            None => builder.with_no_client_auth(),
        };
        // Without SNI a name is needed all the same; it is not sent.
        let name = match self.server_name {
            Some(name) => ServerName::try_from(name.to_owned())?,
            None => ServerName::from(self.to.ip()),
        };
        let mut tls = ClientConnection::new(Arc::new(config), name)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut &socket)?;
        }
        Ok(Line {
            tls,
            socket,
            stream: Vec::new(),
            from: self.from,
        })
    }
}

impl Line {
    /// What the gateway showed, leaf first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = self.tls.peer_certificates().unwrap_or_default();
        chain.iter().map(|one| one.clone().into_owned()).collect()
    }

    /// Sends text.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.tls.writer().write_all(text.as_bytes())?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut &self.socket)?;
        }
        Ok(())
    }

    /// The next that comes within `patience`.
    pub fn next(&mut self, patience: Duration) -> Brought {
        let end = Instant::now() + patience;
        let mut sealed = vec![0; 16_384];
        loop {
            if self.stream.starts_with(b"\r\n") {
                self.stream.drain(..2);
                return Brought::Blank;
            }
            if let Some(message) = Sip::take(&mut self.stream) {
                return Brought::Message(message);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.socket.set_read_timeout(Some(left)).is_err() {
                return Brought::Nothing;
            }
            match (&self.socket).read(&mut sealed) {
                Ok(0) => return Brought::End,
                Ok(length) => {
                    if !self.decrypt(&sealed[..length]) {
                        return Brought::End;
                    }
                }
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Brought::Nothing,
                Err(_) => return Brought::End,
            }
        }
    }

    fn decrypt(&mut self, mut sealed: &[u8]) -> bool {
        while !sealed.is_empty() {
            if self.tls.read_tls(&mut sealed).is_err() {
                return false;
            }
            let Ok(state) = self.tls.process_new_packets() else {
                return false;
            };
            let start = self.stream.len();
            self.stream
                .resize(start + state.plaintext_bytes_to_read(), 0);
            if self
                .tls
                .reader()
                .read_exact(&mut self.stream[start..])
                .is_err()
            {
                self.stream.truncate(start);
            }
            if state.peer_has_closed() && self.stream.is_empty() {
                return false;
            }
        }
        true
    }

    /// Sends Microsoft's OPTIONS and gives the final status of the answer; `None` where the
    /// gateway closes instead.
    ///
    /// # Errors
    /// Neither happens in time.
    pub fn ask(&mut self, token: &str) -> Result<Option<u16>> {
        if self.send(&options(self.from, token)).is_err() {
            return Ok(None);
        }
        loop {
            match self.next(PATIENCE) {
                Brought::Message(message) if message.first("Call-ID") == Some(token) => {
                    return Ok(message.status());
                }
                Brought::Message(_) | Brought::Blank => {}
                Brought::End => return Ok(None),
                Brought::Nothing => bail!("OPTIONS {token} is not answered"),
            }
        }
    }
}

/// Opens a line and asks once: the final status, or `None` for whoever is not let in.
///
/// # Errors
/// Neither an answer nor an end comes.
pub fn ask(dial: Dial<'_>, token: &str) -> Result<Option<u16>> {
    match dial.open() {
        Ok(mut line) => line.ask(token).context("after the handshake"),
        Err(_) => Ok(None),
    }
}

/// Microsoft's OPTIONS from this address.
#[must_use]
pub fn options(from: IpAddr, token: &str) -> String {
    format!(
        "OPTIONS sip:{FQDN}:5061;transport=tls SIP/2.0\r\n\
         FROM: <sip:{MICROSOFT}:5061>;tag=o{token}\r\n\
         TO: <sip:{FQDN}:5061>\r\n\
         CSEQ: 1 OPTIONS\r\nCALL-ID: {token}\r\nMAX-FORWARDS: 70\r\n\
         VIA: SIP/2.0/TLS {from}:5061;branch=z9hG4bK{token}\r\n\
         CONTACT: <sip:{MICROSOFT}:5061;transport=tls>\r\nCONTENT-LENGTH: 0\r\n\r\n"
    )
}

/// Connects from this address.
///
/// # Errors
/// Nobody listens there, or the address is not this machine's.
pub fn connect_from(source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let (IpAddr::V4(source), SocketAddr::V4(to)) = (source, to) else {
        return TcpStream::connect(to);
    };
    let stream = (AddressFamily::Inet, SockType::Stream);
    let socket = socket(stream.0, stream.1, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    let here = SockaddrIn::from(SocketAddrV4::new(source, 0));
    bind(socket.as_raw_fd(), &here)?;
    connect(socket.as_raw_fd(), &SockaddrIn::from(to))?;
    Ok(TcpStream::from(socket))
}
