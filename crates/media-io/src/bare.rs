//! A forwarder that does nothing but forward, on the same paths as the media plane: the floor that
//! the cost of a relayed packet is compared with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use media_relay::{PortPair, PortPairId, ShardId, Transmit};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::counters::{CountersHandle, ShardCounters, count};
use crate::path::{Epolled, Moderation, Path, PathKind, PathReport, Setup, Steered, Uring, choose};
use crate::{MediaIoConfig, StartError, wake};

/// The longest wait, so that the end is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// The running forwarder; dropping it stops it.
pub struct Bare {
    /// For each call, its two pairs of ports: what comes to the first leaves through the second.
    calls: Vec<[PortPair; 2]>,
    path: PathReport,
    counters: CountersHandle,
    stop: Arc<AtomicBool>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Bare {
    /// Binds two pairs of ports for each of so many calls on the first interface, in one shard.
    /// What comes to a call's first pair is sent, unchanged, from its second to `to[1]`, and the
    /// other way round to `to[0]`.
    ///
    /// # Errors
    /// As [`MediaIo::start`](crate::MediaIo::start); too few ports are a [`StartError::Path`].
    pub fn start(
        config: MediaIoConfig,
        calls: u16,
        to: [SocketAddr; 2],
    ) -> Result<Self, StartError> {
        let config = MediaIoConfig {
            shards: 1,
            ..config
        };
        let mut refused = Vec::new();
        for report in choose(&config) {
            let started = match report.kind {
                PathKind::Epoll => Self::on::<Epolled>(&config, &report, calls, to),
                PathKind::Uring => Self::on::<Uring>(&config, &report, calls, to),
                PathKind::Steered => Self::on::<Steered>(&config, &report, calls, to),
            };
            match started {
                Ok(bare) => return Ok(bare),
                Err(StartError::Path(reason)) => refused.push(reason),
                Err(error) => return Err(error),
            }
        }
        Err(StartError::Path(refused.join("; ")))
    }

    fn on<P: Path + Send + 'static>(
        config: &MediaIoConfig,
        report: &PathReport,
        calls: u16,
        to: [SocketAddr; 2],
    ) -> Result<Self, StartError> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = Arc::new(EventFd::from_flags(flags)?);
        let counters = CountersHandle::new(1);
        let shared = P::share(config).map_err(StartError::Path)?;
        let setup = Setup {
            shard: ShardId(0),
            config,
            wake: &wake,
            counters: &counters.shard(0),
        };
        let path = P::open(&setup, &shared).map_err(StartError::Path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (bound, calls_bound) = channel();
        let forwarder = Forwarder {
            path,
            counters: counters.shard(0),
            clock: Arc::clone(&config.clock),
            stop: Arc::clone(&stop),
            ways: BTreeMap::new(),
        };
        let interface = config.interfaces.first().map_or(0, |first| first.id);
        let thread = std::thread::Builder::new()
            .name("bare".to_owned())
            .spawn(move || forwarder.run((interface, calls, to), &bound))?;
        let calls = calls_bound
            .recv()
            .map_err(|_| StartError::Path("the forwarder did not begin".to_owned()))?;
        Ok(Self {
            calls,
            path: report.clone(),
            counters,
            stop,
            wake,
            thread: Some(thread),
        })
    }

    /// For each call, its two pairs of ports.
    pub fn calls(&self) -> &[[PortPair; 2]] {
        &self.calls
    }

    /// The path that was taken, and why.
    pub fn path(&self) -> &PathReport {
        &self.path
    }

    /// What it counts.
    pub fn counters(&self) -> CountersHandle {
        self.counters.clone()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        wake(&self.wake);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the forwarder ended with a fault");
        }
    }
}

struct Forwarder<P> {
    path: P,
    counters: Arc<ShardCounters>,
    clock: crate::Clock,
    stop: Arc<AtomicBool>,
    /// Where what comes to a pair goes: through which pair, and to whom.
    ways: BTreeMap<PortPairId, (PortPairId, SocketAddr)>,
}

impl<P: Path> Forwarder<P> {
    fn run(
        mut self,
        (interface, calls, to): (u16, u16, [SocketAddr; 2]),
        bound: &Sender<Vec<[PortPair; 2]>>,
    ) {
        if let Err(error) = self.path.begin() {
            tracing::error!(%error, "the forwarder cannot begin");
            return;
        }
        let pairs = self.path.bind(interface, 2 * calls);
        let (calls, _) = pairs.as_chunks::<2>();
        for [a, b] in calls {
            self.path.expect(a.id, &to[..1], &[]);
            self.path.expect(b.id, &to[1..], &[]);
            self.ways.insert(a.id, (b.id, to[1]));
            self.ways.insert(b.id, (a.id, to[0]));
        }
        if bound.send(calls.to_vec()).is_err() {
            return;
        }
        let mut moderation = Moderation::new(P::TOGETHER);
        while !self.stop.load(Ordering::Acquire) {
            if let Err(error) = self.path.wait(moderation.gather(), LONGEST_WAIT) {
                tracing::error!(%error, "the forwarder cannot wait and ends");
                return;
            }
            let began = (self.clock)().moment;
            let carried = self.forward_all();
            self.path.flush();
            moderation.note(began, (self.clock)().moment, carried);
        }
    }

    fn forward_all(&mut self) -> usize {
        let mut carried = 0;
        while let Some(datagram) = self.path.next() {
            carried += 1;
            count(&self.counters.received);
            let Some((ports, to)) = self.ways.get(&datagram.arrival.ports).copied() else {
                continue;
            };
            self.path.note_carried(&datagram.arrival);
            self.path.send_current(&Transmit {
                ports,
                rtcp: datagram.arrival.rtcp,
                to,
                len: datagram.len,
            });
        }
        carried
    }
}
