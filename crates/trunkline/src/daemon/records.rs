//! Call records to a file, one JSON object a line, on a thread of its own.
//!
//! The call path hands a line over and goes on. A disk that cannot keep up fills a bounded
//! buffer; what does not fit is counted, and the count is a metric.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lines::{Batch, Door, Lines};

/// Octets that may wait for the disk; at 1,000 calls a second more than half a minute's worth.
const ROOM: usize = 64 << 20;

/// Writes records; dropping it waits until what was accepted is on its way to the disk.
#[derive(Debug)]
pub struct RecordWriter {
    door: Door,
    lost: Arc<AtomicU64>,
    /// Held to be dropped.
    _lines: Lines,
}

impl RecordWriter {
    /// Appends to `path`.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or no thread can be had.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let write = move |batch: &Batch| write(&mut file, batch, &counted);
        let lines = Lines::start("records", ROOM, write)?;
        let door = lines.door();
        Ok(Self {
            door,
            lost,
            _lines: lines,
        })
    }

    /// Hands one line over, which `line` writes without its end; never waits.
    pub fn write(&self, line: impl FnOnce(&mut Vec<u8>)) {
        let put = self.door.put(|text| {
            line(text);
            text.push(b'\n');
        });
        if !put {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that could not be written since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn write(file: &mut File, batch: &Batch, lost: &AtomicU64) {
    if let Err(error) = file.write_all(&batch.text) {
        let lines = batch.lines;
        lost.fetch_add(lines, Ordering::Relaxed);
        tracing::error!(%error, lines, "call records could not be written");
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
            writer.write(|text| text.extend(format!("{{\"n\":{number}}}").as_bytes()));
        }
        assert_eq!(writer.lost(), 0);
        drop(writer);
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(text.lines().count(), 5000);
        assert_eq!(text.lines().last(), Some("{\"n\":4999}"));
    }

    #[test]
    fn what_the_disk_refuses_is_counted() {
        let full = Path::new("/dev/full");
        let writer = RecordWriter::open(full).unwrap();
        let lost = Arc::clone(&writer.lost);
        for _ in 0..7 {
            writer.write(|text| text.extend(b"{}"));
        }
        drop(writer);
        assert_eq!(lost.load(Ordering::Relaxed), 7);
    }
}
