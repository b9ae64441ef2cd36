//! Calls as relations between legs: a back-to-back user agent (RFC 7092) without I/O.

mod key;

pub use key::{CallKey, Side};
