//! One SIP user agent: transactions, dialogs and the location of servers.
//!
//! ```text
//!   handle_message, handle_rejected, handle_report, handle_dns, handle_timeout     in
//!        │
//!   transactions (client/, server/)  ←  dialogs (dialog/)  ←  server location (resolve/)
//!        │
//!   poll_transmit, poll_event, poll_query, poll_timeout                            out
//! ```
//!
//! The crate is a pure core: inputs carry the time, outputs are values, and the same seed and
//! inputs give the same bytes. Its one transaction user (TU) drains all outputs after each input
//! or command. Every message a peer may repeat is absorbed here and every message that must be
//! repeated is repeated here; the TU sees each request and each response once.
//!
//! Implemented: RFC 3261 §8, §9, §12–§15, §17 and §22 with RFC 6026, RFC 3263, RFC 3581, RFC 7616
//! and RFC 8760.

#![forbid(unsafe_code)]

pub mod auth;
mod client;
mod config;
mod counters;
mod dialog;
mod event;
mod keys;
pub mod resolve;
mod server;
#[cfg(test)]
mod tests;
mod timers;
mod ua;

pub use config::{Limits, UaConfig};
pub use counters::{Counters, Load};
pub use dialog::{
    CheckpointError, Dialog, DialogCheckpoint, DialogSettings, DialogState, Role, SentBy,
};
pub use event::{
    ClientFailure, DatagramPolicy, DialogError, HopPolicy, Outgoing, RespondError, UaEvent,
};
pub use keys::{ClientKey, DialogKey, ServerKey};
pub use timers::TimerConfig;
pub use ua::UserAgent;
