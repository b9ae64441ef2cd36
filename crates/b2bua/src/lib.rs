//! Calls as relations between legs: a back-to-back user agent (RFC 7092) without I/O.
#![forbid(unsafe_code)]

pub mod failure;
pub mod health;
pub mod identify;
mod key;
pub mod limits;
pub mod passlist;
pub mod ports;
pub mod profile;
pub mod record;
pub mod trace;

pub use key::{CallKey, Side};
