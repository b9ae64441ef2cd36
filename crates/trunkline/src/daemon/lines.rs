//! Lines that gather in memory and are written by a thread: whoever says one waits for no disk and
//! no terminal, wakes the thread at most once in `GATHER`, and many cost one system call.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(50);

/// Lines on their way. Dropping it writes what is left.
#[derive(Debug)]
#[must_use = "lines that are not written yet are lost without it"]
pub struct Lines {
    door: Door,
    thread: Option<JoinHandle<()>>,
}

/// Where lines are put in.
#[derive(Clone, Debug)]
pub struct Door(Arc<Shared>);

/// Lines that are written at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// The lines, each with its end.
    pub text: Vec<u8>,
    /// How many there are.
    pub lines: u64,
    /// How many found no room since the last batch.
    pub lost: u64,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    room: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    /// The thread is asleep until it is told of something.
    idle: bool,
    closed: bool,
}

impl Lines {
    /// Starts the thread, which gives what has gathered to `write`. About `room` octets may wait.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(
        name: &str,
        room: usize,
        mut write: impl FnMut(&Batch) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            room,
        });
        let door = Door(Arc::clone(&shared));
        let work = move || {
            let mut batch = Batch::default();
            loop {
                let closed = shared.next(&mut batch);
                if batch.lines + batch.lost > 0 {
                    write(&batch);
                }
                if closed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = Some(thread.spawn(work)?);
        Ok(Self { door, thread })
    }

    /// Another way in.
    pub fn door(&self) -> Door {
        self.door.clone()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.door.0.lock().closed = true;
        self.door.0.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

impl Door {
    /// Puts a line in that `put` writes, its end included; whether there was room. Never waits for
    /// what is written.
    pub fn put(&self, put: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut waiting = self.0.lock();
        if waiting.closed || waiting.batch.text.len() >= self.0.room {
            waiting.batch.lost += 1;
            return false;
        }
        put(&mut waiting.batch.text);
        waiting.batch.lines += 1;
        if std::mem::take(&mut waiting.idle) {
            self.0.changed.notify_one();
        }
        true
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, lets some more gather, and takes them; whether these are the last.
    fn next(&self, batch: &mut Batch) -> bool {
        batch.text.clear();
        let mut waiting = self.lock();
        while waiting.batch.lines == 0 && !waiting.closed {
            waiting.idle = true;
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        waiting.idle = false;
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(waiting, GATHER, |waiting| !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.batch.text, &mut batch.text);
        batch.lines = std::mem::take(&mut waiting.batch.lines);
        batch.lost = std::mem::take(&mut waiting.batch.lost);
        waiting.closed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_slow_writer_costs_lines_and_nobody_waits() {
        let ((go, gate), (written, read)) = (channel::<()>(), channel());
        let lines = Lines::start("slow", 64 * 1024, move |batch| {
            // Held up until it is let.
            let _ = gate.recv();
            let _ = written.send((batch.text.len(), batch.lines, batch.lost));
        })
        .unwrap();
        let door = lines.door();
        // The thread may take some of these before it is held up; the room behind it fills.
        let put = (0..1000).filter(|_| door.put(|text| text.extend([b'x'; 1024])));
        let put = put.count() as u64;
        assert!((64..1000).contains(&put), "{put}");
        drop(go);
        drop(lines);
        assert!(!door.put(|text| text.push(b'x')), "it is closed");
        let all: Vec<(usize, u64, u64)> = read.try_iter().collect();
        assert_eq!(all.iter().map(|(_, lines, _)| lines).sum::<u64>(), put);
        assert_eq!(all.iter().map(|(_, _, lost)| lost).sum::<u64>(), 1000 - put);
        let octets: usize = all.iter().map(|(octets, ..)| octets).sum();
        assert_eq!(octets as u64, put * 1024);
    }
}
