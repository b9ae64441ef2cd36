//! The ways that datagrams travel between the kernel and a shard, behind one seam.
//!
//! A shard asks a [`Path`] for datagrams one by one, has each carried where it lies, and hands it
//! back. It does not know which path it is on, and neither does `media-relay`: a path inside the
//! kernel can come later without touching either.
//!
//! ```text
//! wait → next → buffer → (carried in place) → send_current ─┐
//!   ↑                                                        │
//!   └───────────────────── flush ────────────────────────────┘
//! ```

mod choose;
mod epoll;
mod moderation;
mod pairs;
mod steered;
mod uring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use media_relay::{Arrival, Fetch, PortPair, PortPairId, ShardId, Transmit};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;

use crate::MediaIoConfig;
use crate::counters::ShardCounters;

pub(crate) use choose::choose;
pub use choose::{PathChoice, PathKind, PathReport};
pub(crate) use epoll::Epolled;
pub(crate) use moderation::Moderation;
pub(crate) use steered::Steered;
pub(crate) use uring::Uring;

/// Octets of the longest datagram that is carried; a longer one is not media.
pub(crate) const MAX_DATAGRAM: usize = 2048;
/// Datagrams, or sockets that have some, taken in after one wait.
pub(crate) const BATCH: usize = 256;

/// What a path is set up with.
pub(crate) struct Setup<'a> {
    pub(crate) shard: ShardId,
    pub(crate) config: &'a MediaIoConfig,
    /// Ends a wait when written to.
    pub(crate) wake: &'a Arc<EventFd>,
    pub(crate) counters: &'a Arc<ShardCounters>,
}

/// A datagram that came in; its octets are in [`Path::buffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) arrival: Arrival,
    /// Octets from the beginning of the buffer.
    pub(crate) len: usize,
    /// It was longer than [`MAX_DATAGRAM`] and lost its end.
    pub(crate) cut: bool,
}

/// One shard's way to the network.
pub(crate) trait Path: Sized {
    /// What goes along when a pair of ports moves to another shard.
    type Pair: Send + 'static;

    /// What the shards of this path have in common, made once before them.
    type Shared: Clone + Send + 'static;

    /// Datagrams that gather for one wake-up, as far as the bounds of the time let them. More of
    /// them would cost little less, and each would wait for longer.
    const TOGETHER: u64 = 32;

    /// Makes what the shards have in common.
    ///
    /// # Errors
    /// What the operating system refused, in words.
    fn share(config: &MediaIoConfig) -> Result<Self::Shared, String>;

    /// A shard's path without ports.
    ///
    /// # Errors
    /// What the operating system refused, in words.
    fn open(setup: &Setup<'_>, shared: &Self::Shared) -> Result<Self, String>;

    /// What is done once on the shard's own thread before anything else.
    ///
    /// # Errors
    /// What the operating system refused.
    fn begin(&mut self) -> Result<(), Errno> {
        Ok(())
    }

    /// Binds so many pairs of an interface, or as many as can be bound.
    fn bind(&mut self, interface: u16, count: u16) -> Vec<PortPair>;

    /// Takes in a pair of another shard; `false` where that was impossible and it was closed.
    fn keep(&mut self, pair: Self::Pair) -> bool;

    /// A pair is about to be taken out: the next datagram that was received for it and is not yet
    /// carried, until there is none. Nothing is received for it any more; what the kernel still
    /// holds goes along.
    fn next_of(&mut self, ports: PortPairId) -> Option<Datagram> {
        let _ = ports;
        None
    }

    /// Takes a pair out; dropping it closes its ports.
    fn forget(&mut self, ports: PortPairId) -> Option<Self::Pair>;

    /// Whether a pair is here.
    fn has(&self, ports: PortPairId) -> bool;

    /// A leg that uses this pair was opened or updated, and these are whom it will hear.
    fn expect(&mut self, ports: PortPairId, rtp: &[SocketAddr], rtcp: &[SocketAddr]);

    /// The leg that used this pair is closed.
    fn release(&mut self, ports: PortPairId);

    /// Waits until something can be received or the shard is woken, `limit` at most. Where `gather`
    /// is given, datagrams are let gather for so long first.
    ///
    /// # Errors
    /// What the operating system refused.
    fn wait(&mut self, gather: Option<Duration>, limit: Duration) -> Result<(), Errno>;

    /// The next datagram that came in since the last wait.
    fn next(&mut self) -> Option<Datagram>;

    /// The ports of the datagram that will be taken `ahead` datagrams after the next one, where
    /// that is known. A guess: nothing depends on it but speed.
    fn coming(&self, ahead: usize) -> Option<PortPairId> {
        let _ = ahead;
        None
    }

    /// Names what sending from a pair, or receiving for it, reads.
    fn foresee(&self, ports: PortPairId, fetch: &mut impl Fetch);

    /// The octets of the last datagram, with [`TAILROOM`](media_relay::TAILROOM) behind them.
    fn buffer(&mut self) -> &mut [u8];

    /// The last datagram was carried: its source is one that the leg hears.
    fn note_carried(&mut self, arrival: &Arrival);

    /// Sends what the buffer of the last datagram holds by now.
    fn send_current(&mut self, transmit: &Transmit);

    /// Sends a packet that lies elsewhere.
    fn send(&mut self, transmit: &Transmit, packet: &[u8]);

    /// Hands over to the kernel what waits to be sent.
    fn flush(&mut self);

    /// Does what is due every [`SURVEY`]; gives datagrams that the path itself turned away, by the
    /// ports they came to.
    fn survey(&mut self, turned_away: &mut dyn FnMut(PortPairId, u64)) {
        let _ = turned_away;
    }

    /// Datagrams to this pair that the path itself turned away and has not yet given: asked before
    /// a leg is closed, so that its count is whole.
    fn turned_away(&mut self, ports: PortPairId) -> u64 {
        let _ = ports;
        0
    }
}

/// How often [`Path::survey`] is called, about.
pub(crate) const SURVEY: Duration = Duration::from_millis(20);
