//! The daemon: transport, core and media wired together, run, drained.

pub mod clock;
pub mod logging;
pub mod pages;
pub mod records;
pub mod wiring;
