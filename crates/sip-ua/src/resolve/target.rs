//! What a URI asks for, before any record is known.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sip_msg::{Host, Scheme, TransportKind, Uri};

use super::{Endpoint, LookupError};

/// What RFC 3263 §4 calls TARGET, with the parts of the URI that decide.
pub(super) struct Target {
    /// The host of the URI, for certificates.
    server_name: Arc<str>,
    pub(super) host: TargetHost,
    pub(super) port: Option<u16>,
    pub(super) transport: Option<TransportKind>,
    pub(super) secure: bool,
}

pub(super) enum TargetHost {
    Numeric(IpAddr),
    Name(Arc<str>),
}

impl Target {
    pub(super) fn of(uri: &Uri, secure: bool) -> Result<Self, LookupError> {
        let secure = match uri.scheme() {
            Scheme::Sip => secure,
            Scheme::Sips => true,
            Scheme::Tel | Scheme::Other => return Err(LookupError::NotSip),
        };
        let server_name: Arc<str> = uri.host_str().trim_matches(['[', ']']).into();
        if server_name.is_empty() {
            return Err(LookupError::NotSip);
        }
        let host = match (maddr(uri), uri.host().and_then(Host::ip)) {
            (Some(maddr), _) => maddr,
            (None, Some(ip)) => TargetHost::Numeric(ip),
            (None, None) => TargetHost::Name(server_name.to_lowercase().into()),
        };
        let transport = transport(uri, secure)?;
        Ok(Self {
            server_name,
            host,
            port: uri.port(),
            transport,
            secure,
        })
    }

    pub(super) fn default_transport(&self) -> TransportKind {
        match self.secure {
            true => TransportKind::Tls,
            false => TransportKind::Udp,
        }
    }

    pub(super) fn endpoint(
        &self,
        transport: TransportKind,
        ip: IpAddr,
        port: Option<u16>,
    ) -> Endpoint {
        let port = port.unwrap_or_else(|| transport.default_port());
        let server_name = self.server_name.clone();
        Endpoint {
            transport,
            addr: SocketAddr::new(ip, port),
            server_name,
        }
    }
}

/// RFC 3261 §19.1.1: overrides the host.
fn maddr(uri: &Uri) -> Option<TargetHost> {
    let text = uri
        .param("maddr")
        .flatten()
        .filter(|text| !text.is_empty())?;
    Some(match text.trim_matches(['[', ']']).parse() {
        Ok(ip) => TargetHost::Numeric(ip),
        Err(_) => TargetHost::Name(text.to_lowercase().into()),
    })
}

fn transport(uri: &Uri, secure: bool) -> Result<Option<TransportKind>, LookupError> {
    if uri.param("transport").is_none() {
        return Ok(None);
    }
    match (uri.transport_param(), secure) {
        (Some(TransportKind::Tls), _) | (Some(TransportKind::Tcp), true) => {
            Ok(Some(TransportKind::Tls))
        }
        (Some(TransportKind::Udp), true) | (None, _) => Err(LookupError::Transport),
        (Some(TransportKind::Ws | TransportKind::Wss), true) => Ok(Some(TransportKind::Wss)),
        (Some(other), false) => Ok(Some(other)),
    }
}
