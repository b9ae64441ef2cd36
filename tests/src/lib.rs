//! What the wire tests share: the daemon as a process, other people's programs as processes, and
//! loopback addresses nobody else uses.
//!
//! Every test takes a [`lab::Lab`]: a folder of its own and a /24 of loopback of its own, so that
//! well-known ports never collide. Processes are ended by their own handle when it is dropped.

pub mod audio;
pub mod capture;
pub mod certificates;
pub mod conformance;
pub mod daemon;
pub mod gateway;
pub mod lab;
pub mod lossy;
pub mod microsoft;
pub mod process;
pub mod sip;
pub mod sipp;
pub mod telephone;
pub mod two_trunks;
