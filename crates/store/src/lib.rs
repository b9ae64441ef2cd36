//! The embedded store: one SQLite file with a record of every call and the inventory of numbers.
//!
//! [`CallLog`] takes records and never makes its caller wait: a thread of its own puts them into
//! the database in batches, and what the database cannot take in time goes to a spool file beside
//! it and from there into the database later. A record is *acknowledged* when it is in either of
//! the two, where it outlives the process however that ends; [`CallLog::progress`] counts.
//!
//! [`Reader`] answers questions about what is stored, also while another process writes. The
//! views `ACSCallSummary` and `ACSCallDiagnostics` have the columns of Azure's log tables of these
//! names, so that queries written for those find the same facts here.
//!
//! [`inventory`] is beside them: whose which number is, and what it is for.
#![forbid(unsafe_code)]

mod call;
pub mod inventory;
mod log;
mod report;
mod schema;
mod spool;

#[cfg(test)]
mod tests;

pub use call::{Call, Direction, Endpoint, Participant, Stream};
pub use log::{CallLog, LogOptions, Progress};
pub use report::{Between, Counting, Day, Reader};
pub use schema::StoreError;
