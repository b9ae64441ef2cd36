//! Owns the sockets of the media ports and moves datagrams between them and `media-relay`.
//!
//! ```text
//! signalling thread ─ MediaIo::command ─┬→ shard 0: Path::next · Relay::forward · Path::send_current
//!                                       └→ shard 1: …
//!                   ←──── Events ────────┘
//! ```
//!
//! A shard is one thread with its own ports, its own way to them and its own [`media_relay::Relay`];
//! shards share nothing. Two legs can be joined only on one shard, so [`MediaIo`] moves one of them,
//! sockets and state, where they are not. A fault in a shard is caught, ends the leg it was met in,
//! and the shard goes on. Speech that two legs share no codec for is converted by a second thread
//! of each shard.
//!
//! Bounds: commands wait in a queue of [`COMMANDS`] for each shard and are refused beyond it; events
//! wait in one of [`EVENTS`], and beyond that each leg keeps one event of a kind, the newest; 256
//! packets of a shard may be on their way to be converted, and further ones are dropped.

mod bare;
pub mod capabilities;
mod convert;
mod counters;
mod events;
pub mod link;
mod path;
mod ports;
mod shard;
pub mod sys;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError};
use std::sync::mpsc::{channel, sync_channel};
use std::thread::JoinHandle;

use media_relay::{
    LegId, MediaCommand, MediaError, MediaEvent, Now, PortPairId, RelayConfig, ShardId,
};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

pub use bare::Bare;
pub use counters::{Counters, CountersHandle};
pub use events::Events;
use events::{EventSender, events};
use path::{Epolled, Path, Setup, Steered, Uring, choose};
pub use path::{PathChoice, PathKind, PathReport};
use shard::{Shard, Step};
pub use sys::prefetch::Prefetch;

/// Commands that may wait for one shard.
pub const COMMANDS: usize = 8192;
/// Events that may wait for [`Events`].
pub const EVENTS: usize = 4096;

/// The time as the shards read it. The same clock as the signalling side's.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// What the media plane is made of.
#[derive(Clone)]
pub struct MediaIoConfig {
    /// How many shards, 1..=64.
    pub shards: u8,
    /// The addresses that media ports are bound on.
    pub interfaces: Vec<MediaInterface>,
    /// Bounds and intervals of each shard.
    pub relay: RelayConfig,
    /// The code point of RTP and RTCP (RFC 2474), 0..=63; 46 is expedited forwarding (RFC 3246).
    pub dscp: u8,
    /// How datagrams travel between the kernel and the shards.
    pub path: PathChoice,
    /// The clock.
    pub clock: Clock,
}

/// An address with its range of media ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaInterface {
    /// The number by which `BindPorts` names it.
    pub id: u16,
    /// The address bound to, IPv4 or IPv6.
    pub bind: IpAddr,
    /// The range; pairs begin at even ports within it.
    pub ports: RangeInclusive<u16>,
}

/// Why the media plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The number of shards is not 1..=64.
    #[error("{0} shards: from 1 to 64 are possible")]
    Shards(u8),
    /// Two interfaces have one number.
    #[error("two media interfaces have the number {0}")]
    Interface(u16),
    /// The operating system refused an epoll instance or an event descriptor.
    #[error("the operating system refused a descriptor: {0}")]
    Descriptor(#[from] Errno),
    /// No path to the network is possible; why each is not.
    #[error("no way for media packets is possible here: {0}")]
    Path(String),
    /// The operating system refused a thread.
    #[error("the operating system refused a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A shard's queue is full, or the shard is gone. The command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media shard takes no more commands")]
pub struct Overloaded;

/// The media plane. Dropping it stops the shards.
pub struct MediaIo {
    shards: Vec<Handle>,
    path: PathReport,
    counters: CountersHandle,
    events: EventSender,
    stop: Arc<AtomicBool>,
    legs: BTreeMap<LegId, (u8, PortPairId)>,
    /// Where pairs of ports are that a leg took along.
    moved: BTreeMap<PortPairId, u8>,
}

struct Handle {
    steps: SyncSender<Step>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
    /// Something was queued since the shard was woken last.
    queued: AtomicBool,
}

impl MediaIo {
    /// Starts the shards; no port is bound yet.
    pub fn start(config: MediaIoConfig) -> Result<(Self, Events), StartError> {
        if !(1..=64).contains(&config.shards) {
            return Err(StartError::Shards(config.shards));
        }
        for (n, interface) in config.interfaces.iter().enumerate() {
            if config.interfaces[..n]
                .iter()
                .any(|other| other.id == interface.id)
            {
                return Err(StartError::Interface(interface.id));
            }
        }
        let mut refused = Vec::new();
        for mut report in choose(&config) {
            if !refused.is_empty() {
                report.reason = format!("{} ({})", report.reason, refused.join("; "));
            }
            let started = match report.kind {
                PathKind::Epoll => Self::start_on::<Epolled>(&config, &report),
                PathKind::Uring => Self::start_on::<Uring>(&config, &report),
                PathKind::Steered => Self::start_on::<Steered>(&config, &report),
            };
            match started {
                Ok(started) => return Ok(started),
                Err(StartError::Path(reason)) => {
                    tracing::warn!(path = %report.kind, %reason, "a media path is not possible");
                    refused.push(format!("{}: {reason}", report.kind));
                }
                Err(error) => return Err(error),
            }
        }
        Err(StartError::Path(refused.join("; ")))
    }

    /// Starts the shards on one path.
    fn start_on<P: Path + Send + 'static>(
        config: &MediaIoConfig,
        report: &PathReport,
    ) -> Result<(Self, Events), StartError> {
        let (events, receiver) = events(EVENTS);
        let counters = CountersHandle::new(config.shards);
        let mut media = Self {
            shards: Vec::new(),
            path: report.clone(),
            counters: counters.clone(),
            events: events.clone(),
            stop: Arc::new(AtomicBool::new(false)),
            legs: BTreeMap::new(),
            moved: BTreeMap::new(),
        };
        let shared = P::share(config).map_err(StartError::Path)?;
        let mut doors = Vec::new();
        let mut rooms = Vec::new();
        for id in 0..config.shards {
            let wake = Arc::new(EventFd::from_flags(
                EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
            )?);
            let (arrivals, arriving): (Sender<_>, Receiver<_>) = channel();
            doors.push((arrivals, Arc::clone(&wake)));
            let setup = Setup {
                shard: ShardId(id),
                config,
                wake: &wake,
                counters: &counters.shard(id),
            };
            let path = P::open(&setup, &shared).map_err(StartError::Path)?;
            rooms.push((id, path, arriving, wake));
        }
        let (began, begun) = channel();
        for (id, path, arriving, wake) in rooms {
            let (steps, inbox) = sync_channel(COMMANDS);
            let parts = shard::Parts {
                id: ShardId(id),
                config: config.clone(),
                inbox,
                arriving,
                doors: doors.clone(),
                wake: Arc::clone(&wake),
                events: events.clone(),
                counters: counters.shard(id),
                stop: Arc::clone(&media.stop),
            };
            let mut shard = Shard::new(parts, path)?;
            let name = format!("media-{id}");
            let began = began.clone();
            let thread = std::thread::Builder::new().name(name).spawn(move || {
                let begun = shard.begin();
                let works = begun.is_ok();
                // Nobody waits for it only where another shard could not begin.
                let _ = began.send(begun);
                if works {
                    shard.run();
                }
            })?;
            media.shards.push(Handle {
                steps,
                wake,
                thread: Some(thread),
                queued: AtomicBool::new(false),
            });
        }
        for _ in 0..config.shards {
            let begun = begun.recv().unwrap_or(Err(Errno::ECHILD));
            begun.map_err(|error| StartError::Path(error.to_string()))?;
        }
        Ok((media, receiver))
    }

    /// Hands a command to the shard that it concerns, without waiting. What comes of it is an event.
    pub fn command(&mut self, command: MediaCommand) -> Result<(), Overloaded> {
        let queued = self.queue(command);
        self.rouse();
        queued
    }

    /// Wakes each shard that commands were queued for.
    pub fn rouse(&mut self) {
        for handle in &self.shards {
            if handle.queued.swap(false, Ordering::Relaxed) {
                wake(&handle.wake);
            }
        }
    }

    /// The path that packets travel by, and why this one.
    pub fn path(&self) -> &PathReport {
        &self.path
    }

    /// As [`MediaIo::command`], but the shard need not notice before [`MediaIo::rouse`]: several
    /// commands then cost one wake-up.
    pub fn queue(&mut self, command: MediaCommand) -> Result<(), Overloaded> {
        match command {
            MediaCommand::BindPorts { shard, .. } => self.step(shard.0, Step::Command(command)),
            MediaCommand::ReleasePorts { pairs } => self.release(pairs),
            MediaCommand::OpenLeg { leg, ports, .. }
            | MediaCommand::RestoreLeg { leg, ports, .. } => {
                let shard = self.moved.get(&ports.id).copied().unwrap_or(ports.shard.0);
                // A leg that is open stays where it is; its shard will say so.
                let shard = self.legs.get(&leg).map_or(shard, |(open, _)| *open);
                self.step(shard, Step::Command(command))?;
                self.legs.entry(leg).or_insert((shard, ports.id));
                Ok(())
            }
            MediaCommand::Join { a, b } => self.join(a, b),
            MediaCommand::CloseLeg { leg } => {
                self.to_leg(leg, command)?;
                self.legs.remove(&leg);
                Ok(())
            }
            MediaCommand::Checkpoint { leg }
            | MediaCommand::SendDtmf { leg, .. }
            | MediaCommand::Source { leg, .. }
            | MediaCommand::Split { leg }
            | MediaCommand::UpdateLeg { leg, .. } => self.to_leg(leg, command),
        }
    }

    /// The counters of all shards, readable at any time from any thread.
    pub fn counters(&self) -> CountersHandle {
        self.counters.clone()
    }

    /// How many shards there are.
    pub fn shards(&self) -> u8 {
        self.shards.len() as u8
    }

    /// Closes all legs, each with its BYE, and waits for the shards to end. Their last events can
    /// still be received.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        for handle in &self.shards {
            wake(&handle.wake);
        }
        for handle in &mut self.shards {
            if let Some(thread) = handle.thread.take()
                && thread.join().is_err()
            {
                tracing::error!("a media shard ended with a fault");
            }
        }
    }

    fn release(&mut self, pairs: Vec<PortPairId>) -> Result<(), Overloaded> {
        let mut by_shard: BTreeMap<u8, Vec<PortPairId>> = BTreeMap::new();
        for pair in pairs {
            let home = self.moved.remove(&pair).unwrap_or(ports::home(pair).0);
            by_shard.entry(home).or_default().push(pair);
        }
        for (shard, pairs) in by_shard {
            self.step(shard, Step::Command(MediaCommand::ReleasePorts { pairs }))?;
        }
        Ok(())
    }

    /// Joins two legs, moving the second to the first one's shard if need be.
    fn join(&mut self, a: LegId, b: LegId) -> Result<(), Overloaded> {
        let here = self.legs.get(&a).map(|(shard, _)| *shard);
        if let (Some(here), Some((there, ports))) = (here, self.legs.get(&b).copied())
            && here != there
        {
            self.step(
                there,
                Step::Export {
                    leg: b,
                    ports,
                    to: ShardId(here),
                },
            )?;
            self.legs.insert(b, (here, ports));
            self.moved.insert(ports, here);
            self.step(here, Step::Adopt(b))?;
        }
        self.to_leg(a, MediaCommand::Join { a, b })
    }

    fn to_leg(&self, leg: LegId, command: MediaCommand) -> Result<(), Overloaded> {
        let Some((shard, _)) = self.legs.get(&leg) else {
            return self.tell(MediaEvent::Failed {
                leg,
                error: MediaError::NoLeg,
            });
        };
        self.step(*shard, Step::Command(command))
    }

    fn tell(&self, event: MediaEvent) -> Result<(), Overloaded> {
        self.events.try_send(event).map_err(|_| Overloaded)
    }

    fn step(&self, shard: u8, step: Step) -> Result<(), Overloaded> {
        let Some(handle) = self.shards.get(usize::from(shard)) else {
            if let Step::Command(MediaCommand::BindPorts {
                shard,
                interface,
                count,
            }) = step
            {
                return self.tell(MediaEvent::PortsFailed {
                    shard,
                    interface,
                    missing: count,
                });
            }
            return Err(Overloaded);
        };
        match handle.steps.try_send(step) {
            Ok(()) => {
                handle.queued.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Overloaded),
        }
    }
}

impl Drop for MediaIo {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes a shard look at its queues.
fn wake(event: &EventFd) {
    match event.write(1) {
        // EAGAIN: the counter is full, so the shard is awake.
        Ok(_) | Err(Errno::EAGAIN) => {}
        Err(error) => tracing::error!(%error, "a media shard cannot be woken"),
    }
}
