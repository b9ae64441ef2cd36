//! The parser against messages and judges it was not written with: the torture messages of
//! RFC 4475 and RFC 5118, call flows, streams, attacks, and another library.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod attacks;
mod rsip_reads;
mod streams;
mod torture;
mod traffic;
