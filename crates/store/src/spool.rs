//! Where records wait that the database could not take in time: a file of JSON lines beside it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::call::Call;

/// The file, and the one that is being emptied into the database.
///
/// Both threads of the log append to it; one empties it.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    emptying: PathBuf,
    /// Lines that nobody can read, kept for whoever looks for what they were.
    unreadable: PathBuf,
    file: Mutex<Option<File>>,
}

/// What was read from the file that is being emptied.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) calls: Vec<Call>,
    /// Lines that were no call: of a process that ended in the middle of one.
    pub(crate) unreadable: u64,
}

impl Spool {
    pub(crate) fn beside(database: &Path) -> Self {
        let with = |end: &str| {
            let mut name: OsString = database.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        Self {
            path: with(".spool"),
            emptying: with(".spool-emptying"),
            unreadable: with(".spool-unreadable"),
            file: Mutex::new(None),
        }
    }

    /// Appends calls; they are in the operating system's hands when this returns.
    pub(crate) fn append(&self, calls: &[Call]) -> io::Result<()> {
        // What a process that was killed left may lack its end.
        let mut lines = vec![b'\n'];
        for call in calls {
            serde_json::to_writer(&mut lines, call)?;
            lines.push(b'\n');
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = match file.take() {
            Some(open) => open,
            None => appending(&self.path)?,
        };
        open.write_all(&lines)?;
        *file = Some(open);
        Ok(())
    }

    /// The calls that wait, oldest first; `None` when there are none. What is read stays until
    /// [`emptied`](Self::emptied).
    pub(crate) fn begin(&self) -> io::Result<Option<Lines>> {
        if !self.emptying.exists() {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.path.exists() {
                return Ok(None);
            }
            *file = None;
            fs::rename(&self.path, &self.emptying)?;
        }
        let reader = BufReader::new(File::open(&self.emptying)?);
        Ok(Some(Lines {
            reader,
            unreadable: self.unreadable.clone(),
        }))
    }

    /// Everything read is in the database.
    pub(crate) fn emptied(&self) -> io::Result<()> {
        fs::remove_file(&self.emptying)
    }
}

/// The lines of a spool that is being emptied.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: BufReader<File>,
    unreadable: PathBuf,
}

impl Lines {
    /// At most `most` calls; none at the end.
    pub(crate) fn next(&mut self, most: usize) -> io::Result<Chunk> {
        let mut chunk = Chunk::default();
        let mut line = Vec::new();
        while chunk.calls.len() < most {
            line.clear();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(call) => chunk.calls.push(call),
                Err(_) => {
                    appending(&self.unreadable)?.write_all(&line)?;
                    chunk.unreadable += 1;
                }
            }
        }
        Ok(chunk)
    }
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
