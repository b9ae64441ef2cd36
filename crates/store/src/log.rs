//! The writing half: two threads between a caller that must not wait and a disk that may be slow.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel,
};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};

use crate::call::Call;
use crate::schema::{self, StoreError};
use crate::spool::{Lines, Spool};

/// Batches between the threads; what does not fit goes to the spool.
const BATCHES: usize = 4;
/// How often it is looked whether the spool holds anything, where it held nothing.
const QUIET: Duration = Duration::from_millis(250);
/// How often it is looked whether anything is too old.
const FORGETTING: Duration = Duration::from_secs(1);
/// How long after neither database nor spool took a batch it is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// Calls deleted at once, so that writing does not wait long for it.
const DELETED_AT_ONCE: usize = 500;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Records that may wait in memory. One that finds no room is lost, and counted.
    pub waiting: usize,
    /// Most records in one transaction.
    pub batch: usize,
    /// How long records are kept; for ever when absent.
    pub keep: Option<Duration>,
}

impl Default for LogOptions {
    /// A minute's worth at 1,000 calls a second, 256 a transaction, for ever.
    fn default() -> Self {
        Self {
            waiting: 65_536,
            batch: 256,
            keep: None,
        }
    }
}

/// What became of the records since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Taken from the caller.
    pub accepted: u64,
    /// In the database or in the spool, where they outlive the process.
    pub acknowledged: u64,
    /// Of these, those that went through the spool.
    pub spooled: u64,
    /// Refused to the caller because too many were waiting.
    pub lost: u64,
    /// Lines of the spool that an earlier process left half written.
    pub unreadable: u64,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    lost: AtomicU64,
    spooled: AtomicU64,
    unreadable: AtomicU64,
    acknowledged: Mutex<u64>,
    changed: Condvar,
}

impl Counters {
    fn acknowledge(&self, count: usize) {
        let mut acknowledged = self
            .acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *acknowledged += count as u64;
        self.changed.notify_all();
    }
}

/// Writes records. Dropping it waits until all that were accepted are acknowledged.
#[derive(Debug)]
pub struct CallLog {
    queue: Option<SyncSender<Call>>,
    threads: Vec<JoinHandle<()>>,
    counters: Arc<Counters>,
}

impl CallLog {
    /// Opens the database, makes it where there is none, and takes over what an earlier process
    /// left in the spool.
    ///
    /// # Errors
    /// The file cannot be made, is no database, or is of a newer version; no thread can be had.
    pub fn open(path: &Path, options: LogOptions) -> Result<Self, StoreError> {
        let database = schema::open(path)?;
        let spool = Arc::new(Spool::beside(path));
        let counters = Arc::<Counters>::default();
        let (queue, waiting) = sync_channel(options.waiting.max(1));
        let (hand_over, batches) = sync_channel(BATCHES);
        let intake = Intake {
            waiting,
            batch: options.batch.max(1),
            hand_over,
            spool: Arc::clone(&spool),
            counters: Arc::clone(&counters),
        };
        let writer = Writer {
            database,
            batches,
            options,
            spool,
            lines: None,
            forgotten: Instant::now(),
            counters: Arc::clone(&counters),
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let threads = vec![
            thread("call-log").spawn(move || intake.run())?,
            thread("call-store").spawn(move || writer.run())?,
        ];
        Ok(Self {
            queue: Some(queue),
            threads,
            counters,
        })
    }

    /// Hands one record over; never waits. Whether it was accepted.
    pub fn write(&self, call: Call) -> bool {
        let Some(queue) = &self.queue else {
            return false;
        };
        match queue.try_send(call) {
            Ok(()) => {
                self.counters.accepted.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counters.lost.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Waits until every record accepted so far is acknowledged.
    pub fn flush(&self) {
        let target = self.counters.accepted.load(Ordering::Relaxed);
        let acknowledged = &self.counters.acknowledged;
        let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .counters
            .changed
            .wait_while(acknowledged, |acknowledged| {
                *acknowledged < target && !self.threads.iter().any(JoinHandle::is_finished)
            });
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// What became of the records since the start.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let acknowledged = &self.counters.acknowledged;
        Progress {
            accepted: count(&self.counters.accepted),
            acknowledged: *acknowledged.lock().unwrap_or_else(PoisonError::into_inner),
            spooled: count(&self.counters.spooled),
            lost: count(&self.counters.lost),
            unreadable: count(&self.counters.unreadable),
        }
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // One that panicked has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

/// The thread that empties the caller's queue: it waits for the disk only where neither the
/// database nor the spool can take more.
struct Intake {
    waiting: Receiver<Call>,
    batch: usize,
    hand_over: SyncSender<Vec<Call>>,
    spool: Arc<Spool>,
    counters: Arc<Counters>,
}

impl Intake {
    fn run(self) {
        while let Ok(first) = self.waiting.recv() {
            let more = self.waiting.try_iter().take(self.batch - 1);
            let batch: Vec<Call> = std::iter::once(first).chain(more).collect();
            let batch = match self.hand_over.try_send(batch) {
                Ok(()) => continue,
                Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => batch,
            };
            if spooled(&self.spool, &batch, &self.counters) {
                continue;
            }
            if self.hand_over.send(batch).is_err() {
                tracing::error!("the store's thread is gone");
                return;
            }
        }
    }
}

/// Puts a batch into the spool; whether that went well.
fn spooled(spool: &Spool, batch: &[Call], counters: &Counters) -> bool {
    if let Err(error) = spool.append(batch) {
        tracing::error!(%error, calls = batch.len(), "call records cannot be spooled");
        return false;
    }
    counters
        .spooled
        .fetch_add(batch.len() as u64, Ordering::Relaxed);
    counters.acknowledge(batch.len());
    true
}

/// The thread that owns the database.
struct Writer {
    database: Connection,
    batches: Receiver<Vec<Call>>,
    options: LogOptions,
    spool: Arc<Spool>,
    /// The spool that is being emptied, as far as it was read.
    lines: Option<Lines>,
    /// When it was last looked whether anything is too old.
    forgotten: Instant,
    counters: Arc<Counters>,
}

impl Writer {
    fn run(mut self) {
        let mut rest = Duration::ZERO;
        loop {
            match self.batches.recv_timeout(rest) {
                Ok(batch) => self.take(batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // After each batch too: calls that never pause must not keep the spool waiting.
            rest = self.tidy();
        }
        // What another process's lock keeps out now stays in the spool for the next start.
        loop {
            match self.empty_spool() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    return tracing::warn!(%error, "call records stay in the spool");
                }
            }
        }
    }

    /// Stores a batch, or spools it, or waits until one of the two can be done.
    fn take(&mut self, batch: Vec<Call>) {
        loop {
            match store(&mut self.database, &batch) {
                Ok(()) => return self.counters.acknowledge(batch.len()),
                Err(error) => {
                    tracing::warn!(%error, calls = batch.len(), "call records are spooled");
                }
            }
            if spooled(&self.spool, &batch, &self.counters) {
                return;
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// One step of what is to be done besides; how long the next may wait.
    fn tidy(&mut self) -> Duration {
        if let Some(keep) = self.options.keep
            && self.forgotten.elapsed() >= FORGETTING
        {
            self.forgotten = Instant::now();
            if let Err(error) = forget(&self.database, keep) {
                tracing::debug!(%error, "old call records are deleted later");
            }
        }
        match self.empty_spool() {
            Ok(true) => Duration::ZERO,
            Ok(false) => QUIET,
            Err(error) => {
                tracing::debug!(%error, "the spool is emptied later");
                QUIET
            }
        }
    }

    /// Brings a transaction's worth of the spool into the database; whether there is more. Calls
    /// that were brought already are recognised when their file is read again after an error.
    fn empty_spool(&mut self) -> Result<bool, StoreError> {
        let mut lines = match self.lines.take() {
            Some(lines) => lines,
            None => match self.spool.begin()? {
                Some(lines) => lines,
                None => return Ok(false),
            },
        };
        let chunk = lines.next(self.options.batch.max(1))?;
        self.counters
            .unreadable
            .fetch_add(chunk.unreadable, Ordering::Relaxed);
        if chunk.calls.is_empty() {
            self.spool.emptied()?;
        } else {
            store(&mut self.database, &chunk.calls)?;
            self.lines = Some(lines);
        }
        Ok(true)
    }
}

/// Stores calls in one transaction, but those that are stored already.
fn store(database: &mut Connection, calls: &[Call]) -> Result<(), StoreError> {
    let change = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for call in calls {
        insert(&change, call)?;
    }
    Ok(change.commit()?)
}

fn insert(change: &Connection, call: &Call) -> Result<(), StoreError> {
    let applications = call.participants.iter();
    let applications = applications.filter(|party| party.endpoint == crate::Endpoint::Server);
    let group = call.participants.len() > 2 || applications.count() > 0;
    let mut statement = change.prepare_cached(
        "INSERT INTO calls (call, started, answered, ended, from_trunk, to_trunk, called, calling,
             route, snapshot, status, cause, failure, ended_by, kind, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (call) DO NOTHING",
    )?;
    let inserted = statement.execute(params![
        call.call,
        call.started,
        call.answered,
        call.ended,
        call.from_trunk,
        call.to_trunk,
        call.called,
        call.calling,
        call.route,
        call.snapshot,
        call.status,
        call.cause,
        call.failure,
        call.ended_by,
        if group { "Group" } else { "P2P" },
        call.record,
    ])?;
    if inserted == 0 {
        return Ok(());
    }
    let id = change.last_insert_rowid();
    for (ordinal, party) in (0_i64..).zip(&call.participants) {
        let mut statement = change.prepare_cached(
            "INSERT INTO participants (call, ordinal, trunk, number, endpoint, direction, started,
                 ended, status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        statement.execute(params![
            id,
            ordinal,
            party.trunk,
            party.number,
            party.endpoint.as_str(),
            party.direction.as_str(),
            party.started,
            party.ended,
            party.status,
        ])?;
        for (stream_ordinal, stream) in (0_i64..).zip(&party.streams) {
            let mut statement = change.prepare_cached(
                "INSERT INTO streams (call, participant, ordinal, direction, codec, packets, lost,
                     jitter_us, round_trip_us, mos_centi)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            statement.execute(params![
                id,
                ordinal,
                stream_ordinal,
                stream.direction.as_str(),
                stream.codec,
                signed(stream.packets),
                stream.lost.map(signed),
                stream.jitter_us,
                stream.round_trip_us,
                stream.mos_centi,
            ])?;
        }
    }
    Ok(())
}

/// SQLite's integers are signed.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Deletes some of the calls that ended longer than `keep` ago.
fn forget(database: &Connection, keep: Duration) -> Result<(), StoreError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let oldest = i64::try_from(now.saturating_sub(keep).as_micros()).unwrap_or(i64::MAX);
    let mut statement = database.prepare_cached(
        "DELETE FROM calls WHERE id IN
             (SELECT id FROM calls WHERE ended < ?1 ORDER BY ended LIMIT ?2)",
    )?;
    statement.execute(params![oldest, DELETED_AT_ONCE as i64])?;
    Ok(())
}
