//! Whole calls on a virtual clock: the gateway between scripted parties, over links that lose.
#![forbid(unsafe_code)]

mod description;
mod link;
mod media;
mod party;

pub use description::{Description, Direction};
pub use link::{Lane, Link, Toward};
pub use media::{Heard, MediaEnd};
pub use party::{Call, Dial, Party, Pong, Reach, Role, Script, State, Style};
