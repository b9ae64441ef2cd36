//! The user agent as a whole, on a virtual clock.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks at the events it is about"
)]

mod bench;
mod cancel;
mod dialogs;
mod digest;
mod failover;
mod forks;
mod ladders;
mod limits;
mod matching;
mod net;
mod oversize;
mod reinvites;
mod reliable;
mod seeds;
mod timers;
