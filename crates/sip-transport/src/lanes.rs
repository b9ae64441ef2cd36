//! The two bounded lanes from the transport to the core.
//!
//! The first holds what belongs to calls that exist: it is never shed, streams wait for it. The
//! second holds requests that would create something new; when it is full they are refused
//! without state, so that load beyond capacity costs the calls that are up nothing.

use sip_msg::dns::DnsAnswer;
use sip_msg::wire::{Arrival, FlowId, TransportReport, TrunkName};
use sip_msg::{Message, Method, Rejected, Request};
use tokio::sync::{mpsc, watch};

use crate::counters::{Counter, Tally};
use crate::stream::CloseReason;

/// What comes up from the transport.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all of what comes is messages"
)]
#[derive(Debug)]
pub enum Incoming {
    /// A message, or what the parser made of one that is none.
    Message(Arrival, Result<Message, Box<Rejected>>),
    /// A transmit that failed.
    Report(TransportReport),
    /// The answer to a query.
    Dns(DnsAnswer),
    /// A stream is up: the arrival says which and with whom.
    FlowOpened(Arrival),
    /// A stream has ended. Dialogs are not concerned: they outlive their connections.
    FlowClosed {
        /// Which stream.
        flow: FlowId,
        /// The trunk it was opened for, if we opened it.
        opened_for: Option<TrunkName>,
        /// Why it ended.
        reason: CloseReason,
    },
}

/// Room for reports: they are made where nobody can wait. A report that finds no room is counted
/// and dropped; its transaction times out instead.
const REPORTS: usize = 65_536;

/// A message between the parser and its lane.
pub(crate) type Parsed = Result<Message, Box<Rejected>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    First,
    Second,
}

/// Which lane a message takes. OPTIONS goes first: it is answered at once without state, and a
/// peer that misses the answer takes the whole trunk for dead.
pub(crate) fn lane_of(message: &Parsed) -> Lane {
    match message {
        Ok(Message::Response(_)) => Lane::First,
        Ok(Message::Request(request)) if belongs_to_existing(request) => Lane::First,
        Ok(Message::Request(_)) | Err(_) => Lane::Second,
    }
}

fn belongs_to_existing(request: &Request) -> bool {
    matches!(
        request.method,
        Method::Ack | Method::Cancel | Method::Options
    ) || request.headers.to_tag().is_some()
}

/// The transport's ends of the lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    first: mpsc::Sender<Incoming>,
    second: mpsc::Sender<Incoming>,
    reports: mpsc::Sender<TransportReport>,
}

/// The lane had no room; the message comes back.
#[derive(Debug)]
pub(crate) struct Full(pub(crate) Box<Parsed>);

impl Lanes {
    pub(crate) fn new(first: usize, second: usize, stop: watch::Sender<bool>) -> (Self, Receiver) {
        let (first_in, first_out) = mpsc::channel(first.max(1));
        let (second_in, second_out) = mpsc::channel(second.max(1));
        let (reports_in, reports_out) = mpsc::channel(REPORTS);
        let stopped = stop.subscribe();
        (
            Self {
                first: first_in,
                second: second_in,
                reports: reports_in,
            },
            Receiver {
                first: first_out,
                second: second_out,
                reports: reports_out,
                stop,
                stopped,
            },
        )
    }

    /// Waits for room in the first lane.
    pub(crate) async fn send_first(&self, incoming: Incoming) {
        // The receiver is gone only when the transport is stopping anyway.
        let _ = self.first.send(incoming).await;
    }

    /// Takes the room there is.
    pub(crate) fn try_send(
        &self,
        lane: Lane,
        arrival: Arrival,
        parsed: Parsed,
    ) -> Result<(), Full> {
        let sender = match lane {
            Lane::First => &self.first,
            Lane::Second => &self.second,
        };
        sender
            .try_send(Incoming::Message(arrival, parsed))
            .map_err(|error| match error.into_inner() {
                Incoming::Message(_, parsed) => Full(Box::new(parsed)),
                Incoming::Report(_)
                | Incoming::Dns(_)
                | Incoming::FlowOpened(_)
                | Incoming::FlowClosed { .. } => unreachable!("a message was sent"),
            })
    }

    pub(crate) fn report(&self, report: TransportReport, tally: &Tally) {
        if self.reports.try_send(report).is_err() {
            tally.add(Counter::ReportsLost);
        }
    }
}

/// The core's end of the lanes. Dropping it stops the transport.
#[derive(Debug)]
pub struct Receiver {
    first: mpsc::Receiver<Incoming>,
    second: mpsc::Receiver<Incoming>,
    reports: mpsc::Receiver<TransportReport>,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

impl Receiver {
    /// The next input, the first lane's before the second's. None once the transport is stopped
    /// and everything has been taken. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Incoming> {
        let Self {
            first,
            second,
            reports,
            stopped,
            stop: _,
        } = self;
        tokio::select! {
            biased;
            Some(report) = reports.recv() => Some(Incoming::Report(report)),
            Some(incoming) = first.recv() => Some(incoming),
            Some(incoming) = second.recv() => Some(incoming),
            _ = stopped.wait_for(|stopped| *stopped) => None,
            else => None,
        }
    }

    /// The next input if one is there.
    pub fn try_next(&mut self) -> Option<Incoming> {
        if let Ok(report) = self.reports.try_recv() {
            return Some(Incoming::Report(report));
        }
        self.first
            .try_recv()
            .or_else(|_| self.second.try_recv())
            .ok()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
