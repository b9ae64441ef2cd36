//! One stream as the rest of the transport sees it, and the table of all flows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use sip_msg::TransportKind;
use sip_msg::wire::{Arrival, FlowId, Hop, ListenerId, TransportError};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::backoff::{Backoff, ReconnectPolicy};
use crate::outbox::Outbox;
use crate::udp::UdpFlow;

/// Who opened a stream, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Accepted(ListenerId),
    Opened(Hop),
}

/// What a stream is asked to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Go on.
    Serve,
    /// Take no new requests, and end once all is quiet.
    Retire,
}

/// One TCP or TLS connection, from the moment it is wanted to its end.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: FlowId,
    pub(crate) transport: TransportKind,
    pub(crate) remote: SocketAddr,
    pub(crate) origin: Origin,
    pub(crate) outbox: Outbox,
    pub(crate) wish: watch::Sender<Wish>,
    /// Asks a stream we opened to be replaced before its time.
    pub(crate) renew: Notify,
    /// Set once the connection is up.
    pub(crate) arrival: OnceLock<Arrival>,
    last_message: Mutex<Instant>,
    /// Requests that passed, of either side, less the final responses.
    unanswered: AtomicU64,
}

impl Stream {
    pub(crate) fn new(
        id: FlowId,
        transport: TransportKind,
        remote: SocketAddr,
        origin: Origin,
        outbox_bytes: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            transport,
            remote,
            origin,
            outbox: Outbox::new(outbox_bytes),
            wish: watch::Sender::new(Wish::Serve),
            renew: Notify::new(),
            arrival: OnceLock::new(),
            last_message: Mutex::new(Instant::now()),
            unanswered: AtomicU64::new(0),
        })
    }

    /// This message has passed, in either direction.
    pub(crate) fn passed(&self, message: &[u8]) {
        self.touch();
        match Exchange::of(message) {
            Exchange::Opens => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
            }
            Exchange::Closes => {
                // A 2xx that is repeated until its ACK comes closes nothing more.
                let fewer = |count: u64| Some(count.saturating_sub(1));
                let _ = self
                    .unanswered
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
            }
            Exchange::Neither => {}
        }
    }

    /// Whether nobody waits for an answer on this stream.
    pub(crate) fn is_settled(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) == 0
    }

    /// Something has passed, in either direction.
    pub(crate) fn touch(&self) {
        *self
            .last_message
            .lock()
            .expect("no holder of the time can panic") = Instant::now();
    }

    pub(crate) fn last_message(&self) -> Instant {
        *self
            .last_message
            .lock()
            .expect("no holder of the time can panic")
    }

    /// Asks the stream to take no new requests, and to end once all is quiet.
    pub(crate) fn retire(&self) {
        self.wish.send_replace(Wish::Retire);
    }
}

/// What a message does to the exchange it belongs to.
enum Exchange {
    Opens,
    Closes,
    Neither,
}

impl Exchange {
    /// From the first bytes of a framed message (RFC 3261 §7.1 and §7.2). ACK is never answered.
    fn of(message: &[u8]) -> Self {
        match message.strip_prefix(b"SIP/2.0 ") {
            Some(status) if status.starts_with(b"1") => Self::Neither,
            Some(_) => Self::Closes,
            None if message.starts_with(b"ACK ") => Self::Neither,
            None => Self::Opens,
        }
    }
}

/// Whether this message is a request that waits for an answer.
pub(crate) fn is_to_be_answered(message: &[u8]) -> bool {
    matches!(Exchange::of(message), Exchange::Opens)
}

/// The connection requests to a hop take, or why there is none at the moment.
#[derive(Debug)]
enum Slot {
    Live {
        stream: Arc<Stream>,
        /// Failures since the hop last proved good.
        failed: Option<Backoff>,
    },
    Resting {
        backoff: Backoff,
        error: TransportError,
    },
}

/// Why a hop has to rest, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) error: TransportError,
    pub(crate) policy: ReconnectPolicy,
    /// Random, 0 to 255.
    pub(crate) draw: u8,
}

/// What the table says to a request for a connection.
#[derive(Debug)]
pub(crate) enum Choice {
    /// Use this one.
    Existing(Arc<Stream>),
    /// This one is new: the caller has to connect it.
    Fresh(Arc<Stream>),
    /// The hop failed moments ago.
    Resting(TransportError),
    /// The table is full.
    Full,
}

/// All flows there are.
#[derive(Debug)]
pub(crate) struct Flows {
    table: Mutex<Table>,
    next: AtomicU64,
    outbox_bytes: usize,
    most: usize,
}

#[derive(Debug, Default)]
struct Table {
    streams: BTreeMap<FlowId, Arc<Stream>>,
    accepted: BTreeMap<(TransportKind, SocketAddr), FlowId>,
    udp: BTreeMap<FlowId, UdpFlow>,
    pool: BTreeMap<Hop, Slot>,
}

impl Table {
    /// Empties the slot of a stream, if it has one still.
    fn vacate(&mut self, stream: &Stream, failure: Option<Failure>) {
        let Origin::Opened(hop) = &stream.origin else {
            return;
        };
        let failed = match self.pool.get(hop) {
            Some(Slot::Live {
                stream: current,
                failed,
            }) if current.id == stream.id => *failed,
            Some(Slot::Live { .. } | Slot::Resting { .. }) | None => return,
        };
        match failure {
            None => self.pool.remove(hop),
            Some(Failure {
                error,
                policy,
                draw,
            }) => {
                let backoff = Backoff::after_failure(failed, policy, Instant::now(), draw);
                self.pool
                    .insert(hop.clone(), Slot::Resting { backoff, error })
            }
        };
    }
}

impl Flows {
    pub(crate) fn new(outbox_bytes: usize, most: usize) -> Self {
        Self {
            table: Mutex::default(),
            next: AtomicU64::new(1),
            outbox_bytes,
            most,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no holder of the table can panic")
    }

    fn mint(&self) -> FlowId {
        FlowId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Enters a UDP flow and gives it its number.
    pub(crate) fn enter_udp(&self, flow: UdpFlow) -> FlowId {
        let id = self.mint();
        self.lock().udp.insert(id, flow);
        id
    }

    pub(crate) fn udp(&self, id: FlowId) -> Option<UdpFlow> {
        self.lock().udp.get(&id).cloned()
    }

    pub(crate) fn stream(&self, id: FlowId) -> Option<Arc<Stream>> {
        self.lock().streams.get(&id).cloned()
    }

    pub(crate) fn streams(&self) -> Vec<Arc<Stream>> {
        self.lock().streams.values().cloned().collect()
    }

    /// Enters an accepted stream whose handshake is done.
    pub(crate) fn enter_accepted(
        &self,
        transport: TransportKind,
        remote: SocketAddr,
        listener: ListenerId,
    ) -> Arc<Stream> {
        let stream = Stream::new(
            self.mint(),
            transport,
            remote,
            Origin::Accepted(listener),
            self.outbox_bytes,
        );
        let mut table = self.lock();
        table.streams.insert(stream.id, Arc::clone(&stream));
        table.accepted.insert((transport, remote), stream.id);
        stream
    }

    /// The stream a peer opened from exactly this address.
    pub(crate) fn accepted_from(
        &self,
        transport: TransportKind,
        remote: SocketAddr,
    ) -> Option<Arc<Stream>> {
        let table = self.lock();
        let id = table.accepted.get(&(transport, remote))?;
        table.streams.get(id).cloned()
    }

    /// The stream that requests to a hop take; a new one if the hop may be tried.
    pub(crate) fn choose(&self, hop: &Hop, now: Instant) -> Choice {
        let mut table = self.lock();
        let failed = match table.pool.get(hop) {
            Some(Slot::Live { stream, .. }) => return Choice::Existing(Arc::clone(stream)),
            Some(Slot::Resting { backoff, error }) if !backoff.is_over(now) => {
                return Choice::Resting(*error);
            }
            Some(Slot::Resting { backoff, .. }) => Some(*backoff),
            None => None,
        };
        if table.pool.len() >= self.most {
            table.pool.retain(|_, slot| match slot {
                Slot::Live { .. } => true,
                Slot::Resting { backoff, .. } => !backoff.is_over(now),
            });
        }
        if table.pool.len() >= self.most || table.streams.len() >= self.most {
            return Choice::Full;
        }
        let stream = self.fresh(hop);
        table.streams.insert(stream.id, Arc::clone(&stream));
        table.pool.insert(
            hop.clone(),
            Slot::Live {
                stream: Arc::clone(&stream),
                failed,
            },
        );
        Choice::Fresh(stream)
    }

    /// A stream that is to take an older one's place once it is up.
    pub(crate) fn enter_replacement(&self, hop: &Hop) -> Arc<Stream> {
        let stream = self.fresh(hop);
        self.lock().streams.insert(stream.id, Arc::clone(&stream));
        stream
    }

    fn fresh(&self, hop: &Hop) -> Arc<Stream> {
        let origin = Origin::Opened(hop.clone());
        Stream::new(
            self.mint(),
            hop.transport,
            hop.addr,
            origin,
            self.outbox_bytes,
        )
    }

    /// Gives a stream the hop's requests from now on. The one that had them retires. Past
    /// failures count until the hop has answered: a peer may accept and then refuse.
    pub(crate) fn take_over(&self, hop: &Hop, stream: &Arc<Stream>) {
        let mut table = self.lock();
        if let Some(Slot::Live { stream: older, .. }) = table.pool.get(hop) {
            if older.id == stream.id {
                return;
            }
            older.retire();
        }
        let slot = Slot::Live {
            stream: Arc::clone(stream),
            failed: None,
        };
        table.pool.insert(hop.clone(), slot);
    }

    /// The hop has answered: past failures do not count any more.
    pub(crate) fn prove(&self, hop: &Hop, id: FlowId) {
        if let Some(Slot::Live { stream, failed }) = self.lock().pool.get_mut(hop)
            && stream.id == id
        {
            *failed = None;
        }
    }

    /// A stream takes no new requests: the next request to its hop opens another.
    pub(crate) fn detach(&self, stream: &Stream) {
        self.lock().vacate(stream, None);
    }

    /// A stream is beyond hope before it has ended: its hop rests from now on.
    pub(crate) fn give_up(&self, stream: &Stream, failure: Failure) {
        self.lock().vacate(stream, Some(failure));
    }

    /// A stream has ended. After a failure the hop rests before the next try.
    pub(crate) fn leave(&self, stream: &Stream, failure: Option<Failure>) {
        let mut table = self.lock();
        table.streams.remove(&stream.id);
        table.vacate(stream, failure);
        let key = (stream.transport, stream.remote);
        if table.accepted.get(&key) == Some(&stream.id) {
            table.accepted.remove(&key);
        }
    }

    /// Forgets how hops failed: identities or peers have changed.
    pub(crate) fn forgive(&self) {
        self.lock()
            .pool
            .retain(|_, slot| matches!(slot, Slot::Live { .. }));
    }
}
