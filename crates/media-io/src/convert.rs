//! The thread that converts speech for a shard, so that the thread of its packets need not.
//!
//! A fixed number of packets may be on their way at a time, each in a buffer that was taken at the
//! start. Where none is left a packet is not carried, which is counted: calls that need no
//! conversion notice nothing of those that do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use media_relay::{Converter, ShardId, TAILROOM, Ticket};
use nix::sys::eventfd::EventFd;

use crate::path::MAX_DATAGRAM;
use crate::{StartError, wake};

/// Packets of one shard that may be on their way to be converted: a packet each of as many calls as
/// one thread can convert for.
pub(crate) const JOBS: usize = 256;

/// A packet to be converted.
pub(crate) struct Job {
    /// On the way there.
    asked: Option<Ticket>,
    /// On the way back; `None` where the conversion failed.
    converted: Option<Ticket>,
    pub(crate) buf: [u8; MAX_DATAGRAM + TAILROOM],
}

/// The shard's side of its converting thread.
pub(crate) struct Workshop {
    #[expect(
        clippy::vec_box,
        reason = "a job goes to the other thread and back without being copied"
    )]
    idle: Vec<Box<Job>>,
    to_worker: Option<SyncSender<Box<Job>>>,
    done: Receiver<Box<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Workshop {
    /// Starts the thread; `shard` is woken when packets come back.
    pub(crate) fn start(shard: ShardId, shard_wake: Arc<EventFd>) -> Result<Self, StartError> {
        let (to_worker, jobs) = sync_channel::<Box<Job>>(JOBS);
        let (back, done) = sync_channel(JOBS);
        let thread = std::thread::Builder::new()
            .name(format!("convert-{}", shard.0))
            .spawn(move || work(&jobs, &back, &shard_wake))?;
        let idle = || {
            Box::new(Job {
                asked: None,
                converted: None,
                buf: [0; MAX_DATAGRAM + TAILROOM],
            })
        };
        Ok(Self {
            idle: std::iter::repeat_with(idle).take(JOBS).collect(),
            to_worker: Some(to_worker),
            done,
            thread: Some(thread),
        })
    }

    /// Has a packet converted; `false` where too many wait already.
    pub(crate) fn give(&mut self, ticket: Ticket, packet: &[u8]) -> bool {
        let (Some(worker), Some(mut job)) = (&self.to_worker, self.idle.pop()) else {
            return false;
        };
        job.buf[..packet.len()].copy_from_slice(packet);
        job.asked = Some(ticket);
        job.converted = None;
        // The queue holds as many as there are buffers: it refuses only when the thread is gone.
        worker.try_send(job).is_ok()
    }

    /// The next packet that has come back, with its ticket. Give the buffer back with
    /// [`Workshop::reclaim`].
    pub(crate) fn take(&mut self) -> Option<(Ticket, Box<Job>)> {
        loop {
            let job = self.done.try_recv().ok()?;
            match job.converted {
                Some(ticket) => return Some((ticket, job)),
                None => self.reclaim(job),
            }
        }
    }

    /// Takes a buffer back.
    pub(crate) fn reclaim(&mut self, mut job: Box<Job>) {
        job.converted = None;
        self.idle.push(job);
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.to_worker = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a converting thread ended with a fault");
        }
    }
}

fn work(jobs: &Receiver<Box<Job>>, back: &SyncSender<Box<Job>>, shard: &EventFd) {
    let mut converter = Converter::default();
    while let Ok(mut job) = jobs.recv() {
        if let Some(ticket) = job.asked.take() {
            let converter = &mut converter;
            let buf = &mut job.buf;
            let convert = AssertUnwindSafe(|| converter.convert(&ticket, buf));
            match catch_unwind(convert) {
                Ok(()) => job.converted = Some(ticket),
                Err(_) => tracing::error!(leg = ?ticket.leg(), "speech could not be converted"),
            }
        }
        if back.send(job).is_err() {
            return;
        }
        wake(shard);
    }
}
