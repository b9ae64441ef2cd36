//! What the shards count, readable while they run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

/// The counters of one shard, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that were not carried, for whatever reason.
    pub dropped: u64,
    /// Datagrams that came to a port no leg uses; contained in `dropped`.
    pub no_leg: u64,
    /// Sends that the kernel had no room for (ENOBUFS, EAGAIN).
    pub send_full: u64,
    /// Sends that failed otherwise, ECONNREFUSED mostly.
    pub send_failed: u64,
    /// Receives that failed.
    pub receive_failed: u64,
    /// Faults that were caught; each ended the leg it was met in.
    pub faults: u64,
    /// Packets whose speech was converted, and that were then sent.
    pub converted: u64,
    /// Packets that were not carried because too many waited to be converted; contained in
    /// `dropped`.
    pub unconverted: u64,
    /// Legs open now.
    pub legs: u64,
    /// Pairs of ports bound now.
    pub ports: u64,
    /// Ports whose path knows the peer and tells it from strangers now: by a socket connected to it,
    /// or by the table that datagrams are steered by.
    pub connected: u64,
    /// Datagrams that the path turned away before they were received: from nobody that the leg
    /// hears, and more than are let through to be looked at. Not contained in `received`.
    pub turned_away: u64,
    /// Datagrams that the kernel had no room for in a socket that many ports share.
    pub overflowed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct ShardCounters {
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) no_leg: AtomicU64,
    pub(crate) send_full: AtomicU64,
    pub(crate) send_failed: AtomicU64,
    pub(crate) receive_failed: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) converted: AtomicU64,
    pub(crate) unconverted: AtomicU64,
    pub(crate) legs: AtomicU64,
    pub(crate) ports: AtomicU64,
    pub(crate) connected: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) overflowed: AtomicU64,
}

impl ShardCounters {
    fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            received: read(&self.received),
            sent: read(&self.sent),
            dropped: read(&self.dropped),
            no_leg: read(&self.no_leg),
            send_full: read(&self.send_full),
            send_failed: read(&self.send_failed),
            receive_failed: read(&self.receive_failed),
            faults: read(&self.faults),
            converted: read(&self.converted),
            unconverted: read(&self.unconverted),
            legs: read(&self.legs),
            ports: read(&self.ports),
            connected: read(&self.connected),
            turned_away: read(&self.turned_away),
            overflowed: read(&self.overflowed),
        }
    }

    /// Counts a send that the system refused.
    pub(crate) fn count_refusal(&self, errno: i32) {
        let full = [Errno::EAGAIN, Errno::ENOBUFS]
            .iter()
            .any(|full| *full as i32 == errno);
        count(if full {
            &self.send_full
        } else {
            &self.send_failed
        });
    }
}

/// Counts one. Only the shard's own thread writes, so nothing is lost between reading and writing.
pub(crate) fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Counts several, likewise.
pub(crate) fn count_many(counter: &AtomicU64, number: u64) {
    counter.store(counter.load(Ordering::Relaxed) + number, Ordering::Relaxed);
}

/// Reads the counters of the shards.
#[derive(Clone, Debug)]
pub struct CountersHandle(Arc<[Arc<ShardCounters>]>);

impl CountersHandle {
    pub(crate) fn new(shards: u8) -> Self {
        Self((0..shards).map(|_| Arc::default()).collect())
    }

    pub(crate) fn shard(&self, id: u8) -> Arc<ShardCounters> {
        Arc::clone(&self.0[usize::from(id)])
    }

    /// The counters of each shard.
    pub fn by_shard(&self) -> Vec<Counters> {
        self.0.iter().map(|shard| shard.read()).collect()
    }

    /// The sums over all shards.
    pub fn total(&self) -> Counters {
        self.0
            .iter()
            .map(|shard| shard.read())
            .fold(Counters::default(), |a, b| Counters {
                received: a.received + b.received,
                sent: a.sent + b.sent,
                dropped: a.dropped + b.dropped,
                no_leg: a.no_leg + b.no_leg,
                send_full: a.send_full + b.send_full,
                send_failed: a.send_failed + b.send_failed,
                receive_failed: a.receive_failed + b.receive_failed,
                faults: a.faults + b.faults,
                converted: a.converted + b.converted,
                unconverted: a.unconverted + b.unconverted,
                legs: a.legs + b.legs,
                ports: a.ports + b.ports,
                connected: a.connected + b.connected,
                turned_away: a.turned_away + b.turned_away,
                overflowed: a.overflowed + b.overflowed,
            })
    }
}
