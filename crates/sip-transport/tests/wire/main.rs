//! The transport over real sockets and real TLS, on loopback.
#![allow(
    clippy::unwrap_used,
    reason = "what surrounds the tests is test code as well"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else comes fails the test"
)]

mod authority;
mod dns;
mod flows;
mod load;
mod outages;
mod rig;
mod streams;
mod tls;
mod udp;
