//! The configuration file as it is written: one struct a table, every key with its default.
//!
//! Nothing here is checked against anything else; [`super::resolve()`] does that. Positions survive
//! as [`Spanned`](toml::Spanned) where a later check may have to point at a value.
//!
//! # Adding a feature of a trunk
//! A feature is a sub-table `[trunk.<feature>]` with a file of its own on each way:
//! `raw/<feature>.rs` holds the struct (a doc comment with the default on every key), a field of
//! [`Trunk`] takes it in, and `resolve/<feature>.rs` puts it over the preset's values in the
//! trunk's profile, called from `resolve/features.rs`.

mod acs;
mod announcement;
mod auth;
mod bans;
mod cloud;
mod connection;
mod context;
mod dtmf;
mod early;
mod emergency;
mod gateway;
mod headers;
mod hold;
mod identity;
mod limit;
mod media;
mod numbers;
mod operation;
mod reasons;
mod redirect;
mod register;
mod registrar;
mod route;
mod scalars;
mod schedule;
mod session;
mod sip;
mod tables;
mod transfer;
mod trunk;

pub use acs::Acs;
pub use announcement::Announcement;
pub use auth::Auth;
pub use bans::Bans;
pub use cloud::CloudCalling;
pub use connection::Connection;
pub use context::Context;
pub use dtmf::Dtmf;
pub use early::Early;
pub use emergency::Emergency;
pub use gateway::{Certificate, Dns, Gateway, Interface, Media, Tls};
pub use headers::{HeaderRule, Headers};
pub use hold::Hold;
pub use identity::Identity;
pub use limit::Limit;
pub use media::TrunkMedia;
pub use numbers::{NumberRule, Numbers};
pub use operation::{Admin, Log, Shadow, Store};
pub use reasons::Reasons;
pub use redirect::Redirect;
pub use register::Register;
pub use registrar::Registrar;
pub use route::Route;
pub use scalars::{OneOrMany, Span};
pub use schedule::Schedule;
pub use session::Session;
pub use sip::{Limits, Sip};
pub use tables::{Inventory, NumberList, Rates};
pub use transfer::Transfer;
pub use trunk::{Options, Trunk};
