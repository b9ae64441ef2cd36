//! Steering and sending past the IP stack, in network namespaces of their own.
#![allow(clippy::unwrap_used)] // a test may, outside `#[test]` too

mod cable;
mod namespace;
mod receive;
mod rights;
mod transmit;
