//! Whole calls through the gateway on a virtual clock, one module for each topic.

mod bad_links;
mod basic;
mod failover;
mod health;
mod in_call;
mod ladders;
mod random;
mod restore;
mod session_timer;
mod sessions;

/// A number of the application behind Microsoft's side.
const APPLICATION: &str = "+14255550123";

/// A number on the telephone network.
const SUBSCRIBER: &str = "+12065550111";
