//! A witness of every byte on the wire, for captures.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// What carried a [`Chunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// One UDP datagram: SIP, RTP or RTCP.
    Udp,
    /// A piece of a TCP stream, in the order sent; ciphertext when the stream is TLS.
    Tcp,
}

/// Bytes as they were on the wire, at the moment this end wrote or read them.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// When.
    pub at: SystemTime,
    /// The sender's address.
    pub source: SocketAddr,
    /// The receiver's address.
    pub destination: SocketAddr,
    /// Datagram or stream.
    pub carrier: Carrier,
    /// The bytes: SRTP and TLS stay encrypted.
    pub bytes: &'a [u8],
}

/// Is called with each [`Chunk`]; must be quick, for it is called between two packets.
#[derive(Clone, Default)]
pub struct Tap(Option<Arc<Record>>);

type Record = dyn Fn(Chunk<'_>) + Send + Sync;

impl Tap {
    /// A tap which calls `record`.
    pub fn new(record: impl Fn(Chunk<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(record)))
    }

    pub(crate) fn record(
        &self,
        carrier: Carrier,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        if let Some(record) = &self.0 {
            record(Chunk {
                at: SystemTime::now(),
                source,
                destination,
                carrier,
                bytes,
            });
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Tap(on)"
        } else {
            "Tap(off)"
        })
    }
}
