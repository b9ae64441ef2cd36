//! Digits: heard as events or in the sound, sent as either (RFC 4733, ITU-T Q.24).

mod hear;
mod send;

pub(crate) use hear::{Detector, Held};
pub(crate) use send::{Sender, Step};
