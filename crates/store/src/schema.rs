//! The tables and views, and how an older file is brought up to them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Why the store cannot be used. Each names the culprit: the disk, the file, or another process.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused: a full or broken disk, a file that is no database, another writer.
    #[error("the store: {0}")]
    Database(#[from] rusqlite::Error),
    /// The spool beside it cannot be read or written.
    #[error("the spool of the store: {0}")]
    Spool(#[from] std::io::Error),
    /// The file was written by a newer version.
    #[error("the store is of version {found}; this program knows versions up to {known}")]
    Newer {
        /// Version of the file.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
}

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_millis(500);

/// What turns version *n* into *n + 1*.
const STEPS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];
/// The version that has the inventory.
pub(crate) const NUMBERS: i64 = 2;

/// Opens the file for writing, made or brought up to date.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // The journal outlives a process that is killed; a power cut may take the last transactions.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the file for reading.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    newer(version(&connection)?)?;
    Ok(connection)
}

pub(crate) fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn newer(found: i64) -> Result<(), StoreError> {
    let known = STEPS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // Immediate: of two processes that open a new file, the second finds it made.
    let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&change)?;
    newer(found)?;
    for (step, sql) in (0..).zip(STEPS) {
        if step >= found {
            change.execute_batch(sql)?;
            change.pragma_update(None, "user_version", step + 1)?;
        }
    }
    change.commit()?;
    Ok(())
}
