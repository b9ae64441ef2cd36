//! The demonstration: the gateway with everybody it talks to, on one machine.

pub mod authority;
pub mod capture;
