//! Call records to a file, one JSON object a line, on a thread of its own.
//!
//! The call path hands a line over and goes on. A disk that cannot keep up fills a bounded
//! queue; what does not fit is counted, and the count is a metric.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Lines that may wait for the disk; at 1,000 calls a second a minute's worth.
const WAITING: usize = 65_536;

/// Writes records; dropping it waits until what was accepted is on its way to the disk.
#[derive(Debug)]
pub struct RecordWriter {
    lines: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    lost: Arc<AtomicU64>,
}

impl RecordWriter {
    /// Appends to `path`.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or no thread can be had.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (lines, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let thread = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || write_all(file, &waiting, &counted))?;
        Ok(Self {
            lines: Some(lines),
            thread: Some(thread),
            lost,
        })
    }

    /// Hands one line over; never waits.
    pub fn write(&self, line: String) {
        let Some(lines) = &self.lines else { return };
        match lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Records that could not be written since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for RecordWriter {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

fn write_all(mut file: File, waiting: &Receiver<String>, lost: &AtomicU64) {
    let mut batch = String::new();
    while let Ok(first) = waiting.recv() {
        batch.clear();
        let mut lines = 0;
        for line in std::iter::once(first).chain(waiting.try_iter().take(999)) {
            batch.push_str(&line);
            batch.push('\n');
            lines += 1;
        }
        if let Err(error) = file.write_all(batch.as_bytes()) {
            lost.fetch_add(lines, Ordering::Relaxed);
            tracing::error!(%error, lines, "call records could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_line_is_in_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = RecordWriter::open(file.path()).unwrap();
        for number in 0..5000 {
            writer.write(format!("{{\"n\":{number}}}"));
        }
        assert_eq!(writer.lost(), 0);
        drop(writer);
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(text.lines().count(), 5000);
        assert_eq!(text.lines().last(), Some("{\"n\":4999}"));
    }
}
