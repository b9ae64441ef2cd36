//! Azure Communication Services' REST interface, typed: SIP routing, Phone Numbers and
//! Call Automation.
//!
//! Read top down: [`ConnectionString`] says whom to speak to and with which key; an
//! [`Exchange`] is one request as a value, built by [`sip_routing`], [`phone_numbers`]
//! and [`call_automation`] and signed by [`Exchange::headers`] from a time and an id that are
//! handed in; [`Client`] is the shell around it that takes the time, moves the bytes, waits and
//! tries again. Every fault is an [`Error`] that names who is at fault.
//!
//! Nothing is bought twice and nobody called twice: whatever creates something carries
//! `Repeatability-Request-ID` and `Repeatability-First-Sent`, the same ones however often it is
//! sent. A purchase takes them from its caller, who can keep them for a later process.
#![forbid(unsafe_code)]

pub mod call_automation;
mod client;
mod connection;
mod error;
mod exchange;
mod json;
mod operation;
pub mod phone_numbers;
pub mod sip_routing;

#[cfg(test)]
mod captures;

pub use client::{Client, Settings, SettingsError};
pub use connection::{AccessKey, ConnectionError, ConnectionString};
pub use error::{Answer, Error, Fault};
pub use exchange::{Exchange, Method, Repeatability, RequestId, Stamp};
pub use operation::{Operation, OperationState};
