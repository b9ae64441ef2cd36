//! A connection, or one peer of a UDP port.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

/// How SIP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams (RFC 3261 §18).
    Udp,
    /// A plain stream.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// As Via spells it.
    pub fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// As the `transport` parameter of a URI spells it.
    pub fn uri_token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// Which side opened a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The peer connected to our listener of this index, or sent to that UDP port.
    Theirs { listener: usize },
    /// We connected.
    Ours,
}

/// One connection, or one peer of a UDP port.
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) transport: Transport,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) origin: Origin,
    /// Names in the peer's certificate.
    pub(crate) names: Vec<String>,
    /// SNI: asked for by the peer, or dialled by us.
    pub(crate) server_name: Option<String>,
    pub(crate) out: Out,
    pub(crate) closed: AtomicBool,
}

/// Datagrams waiting for the writer of a UDP port, with where they go.
pub(crate) type Datagrams = mpsc::UnboundedSender<(Bytes, SocketAddr)>;

pub(crate) enum Out {
    Datagram(Datagrams),
    Stream(mpsc::UnboundedSender<Bytes>),
}

impl Link {
    /// Hands bytes to the link; a link that has failed swallows them.
    pub(crate) fn send(&self, bytes: Bytes) {
        match &self.out {
            // The writer's end is gone when the port or the connection is.
            Out::Datagram(out) => drop(out.send((bytes, self.remote))),
            Out::Stream(out) => drop(out.send(bytes)),
        }
    }

    /// Closes a stream after what was handed to it; a datagram link has nothing to close.
    pub(crate) fn close(&self) {
        self.send(Bytes::new());
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn mark_closed(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_reliable(&self) -> bool {
        self.transport != Transport::Udp
    }
}
