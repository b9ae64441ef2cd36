//! Calls as relations between legs: a back-to-back user agent (RFC 7092) without I/O.
//!
//! [`B2bua`] is the core of the gateway. Its owner hands it what happened, with the time, and
//! drains what is to be done:
//!
//! ```text
//! handle_input(now, Input)  ─▶  identify · decide · admit · lease · rewrite  ─▶  poll_output() …
//! ```
//! Same configuration, seeds and inputs give the same outputs, byte for byte.
#![forbid(unsafe_code)]

pub mod admin;
mod audit;
mod b2bua;
pub mod bans;
mod call;
pub mod checkpoint;
pub mod cloud;
mod core;
mod departure;
mod doors;
mod entrance;
pub mod failure;
pub mod health;
pub mod identify;
mod index;
mod io;
mod key;
mod ledger;
mod leg;
pub mod limits;
pub mod metrics;
pub mod passlist;
pub mod ports;
pub mod profile;
pub mod record;
mod registrar;
pub mod registration;
mod requests;
mod subscription;
pub mod trace;
mod tracing;

pub use audit::Disagreement;
pub use b2bua::B2bua;
pub use call::preview;
pub use checkpoint::{Checkpoint, RestoreError};
pub use io::{CheckpointUpdate, Input, Output};
pub use key::{CallKey, Side};
pub use ledger::Spent;
pub use registrar::BindingView;
