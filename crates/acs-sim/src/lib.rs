//! The other side of a gateway, simulated: Microsoft's end of the SIP Interface, faithful and
//! unkind, and scripted telephone exchanges, with real sockets, real SRTP and audio whose every
//! packet can be accounted for.
//!
//! Deliberately independent of the product: transactions, dialogs, session descriptions and media
//! are this crate's own, so that one mistake is not made at both ends. Only the SIP grammar is
//! shared.
#![forbid(unsafe_code)]

pub mod acs;
mod agent;
mod call;
mod callee;
mod caller;
mod client;
mod connections;
mod dialog;
mod link;
mod live;
mod log;
mod manner;
mod media;
mod party;
mod payload;
mod random;
mod receiver;
mod refer;
pub mod rest;
mod rtcp;
mod script;
mod sdp;
mod sender;
mod server;
mod sound;
mod srtp;
mod stream;
mod tally;
mod tap;
mod tls;
mod wire;

pub use acs::{AcsConfig, AcsSim, Flavour, ProxyMode, Violation};
pub use call::{
    By, CallError, CallHandle, CallState, Ending, Exchanged, InDialogRequest, Notified, Parties,
    Phase, Progress, connected_within, exchange, exchange_digits,
};
pub use connections::Connection;
pub use log::Logged;
pub use media::{Faults, MediaConfig};
pub use party::{Party, PartyConfig, StartError};
pub use payload::StreamId;
pub use refer::{Leave, Transfer};
pub use script::{
    Answer, Behaviour, Behaviours, CallOptions, Endpoint, HoldDialect, Offer, Provisional,
    Rejection, Timers,
};
pub use sdp::{Codec, SdpEdit};
pub use sound::Sound;
pub use tally::{Audio, Heard, MediaCounts};
pub use tap::{Carrier, Chunk, Tap};
pub use tls::{Identity, TlsSettings, Versions};
pub use wire::{ConnectError, Transport};
