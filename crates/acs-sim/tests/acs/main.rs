//! Microsoft's side against a gateway played by a party: one that behaves, and ones that do not.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../authority/mod.rs"]
mod authority;
mod calls;
mod forks;
mod media;
mod mistakes;
mod stage;
mod transfers;
