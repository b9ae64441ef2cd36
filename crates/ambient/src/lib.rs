//! Time and randomness as plain values, handed in instead of taken.
//!
//! Nothing in this crate asks the operating system for anything. A shell reads the clocks once for
//! each input and passes a [`Now`]; it reads entropy once at start and makes a [`TokenRng`] and a
//! [`KeyRng`] of it. Everything else is a function of these values, so that a run can be repeated
//! from a seed and thirty-second timers are tested in microseconds.
//!
//! For the same reason nothing goes through a hash table in the order of its hashes: a [`Table`] has
//! none that could be seen, and [`Deadlines`] go by time.
#![forbid(unsafe_code)]

mod deadlines;
mod rng;
mod table;
mod time;
mod words;

pub use deadlines::Deadlines;
pub use rng::{KeyRng, TokenRng};
pub use table::{Minted, Secret, Table};
pub use time::{Moment, Now, WallTime};
pub use words::Words;
