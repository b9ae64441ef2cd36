//! What goes into the core and what comes out.

use std::sync::Arc;

use ambient::Moment;
use media_relay::{LegId, MediaCommand, MediaEvent};
use routing::Snapshot;
use sip_msg::dns::{DnsAnswer, Query};
use sip_msg::wire::{Arrival, FlowId, Transmit, TransportReport};
use sip_msg::{Message, Rejected};

use crate::admin;
use crate::checkpoint::Checkpoint;
use crate::cloud::{CloudEvent, CloudRequest};
use crate::key::CallKey;
use crate::ledger::Spent;
use crate::profile::Profiles;
use crate::record::CallRecord;
use crate::trace::TraceEntry;

/// Something that happened outside, for [`B2bua::handle_input`](crate::B2bua::handle_input).
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one at a time exists, on the stack of the loop
pub enum Input {
    /// A well-formed message arrived.
    Message(Arrival, Message),
    /// Bytes arrived that are no acceptable message; they may still be answered.
    Rejected(Arrival, Box<Rejected>),
    /// A transmission failed.
    Report(TransportReport),
    /// An answer to an [`Output::Query`].
    Dns(DnsAnswer),
    /// A media shard has something to say.
    Media(MediaEvent),
    /// Something happened at Azure that concerns this leg.
    Cloud(LegId, CloudEvent),
    /// A new configuration. Running calls keep the profiles they began with.
    Reload(Arc<Profiles>, Arc<Snapshot>),
    /// Other routes, which are asked about every call and not followed; `None` asks no more.
    Shadow(Option<Arc<Snapshot>>),
    /// What named limits were charged today by earlier processes.
    Spent(Vec<Spent>),
    /// Refuse new calls from now on; running calls end on their own.
    Drain,
    /// Continue a call written down by an earlier process.
    Restore(Box<Checkpoint>),
    /// Something an operator asked for.
    Admin(admin::Command),
    /// The moment of the last [`Output::Timeout`] has come.
    Timeout,
}

/// Something to be done outside, from [`B2bua::poll_output`](crate::B2bua::poll_output).
#[must_use = "drain until Output::Timeout before the next handle_input"]
#[derive(Debug)]
pub enum Output {
    /// Send this message.
    Transmit(Transmit),
    /// Tell the media shards.
    Media(MediaCommand),
    /// Send nothing new on this connection, which the transport opened, and close it once it is
    /// quiet: its peer has too much to do (M-07).
    Leave(FlowId),
    /// A call or an attempt to call ended; each is said once.
    Record(Box<CallRecord>),
    /// Keep or forget a call that can be continued by another process.
    Checkpoint(CheckpointUpdate),
    /// Azure is to carry a call, or to let go of one.
    Cloud(CloudRequest),
    /// A message in or out, for the ladder.
    Trace(TraceEntry),
    /// Look this up and answer with [`Input::Dns`].
    Query(Query),
    /// Nothing more to do until this moment, or until something happens if `None`.
    Timeout(Option<Moment>),
}

/// A change to what is written down about confirmed calls.
#[derive(Debug)]
pub enum CheckpointUpdate {
    /// Replaces any earlier checkpoint of the same call.
    Save(Box<Checkpoint>),
    /// The call is over.
    Remove(CallKey),
}
