//! The two bounded lanes from the transport to the core.
//!
//! The first holds what belongs to calls that exist: it is never shed, streams wait for it. The
//! second holds requests that would create something new; when it is full they are refused
//! without state, so that load beyond capacity costs the calls that are up nothing.
//!
//! Streams are read by tasks of the transport, which put messages into channels. Datagrams are
//! read where they are used, by the [`Receiver`], into queues of its own with the same bounds.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use sip_msg::dns::DnsAnswer;
use sip_msg::wire::{Arrival, FlowId, TransportReport, TrunkName};
use sip_msg::{Message, Method, Rejected, Request};
use tokio::sync::{mpsc, watch};

use crate::counters::{Counter, Tally};
use crate::datagrams::Datagrams;
use crate::shared::Shared;
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

/// The core's ends of the same.
#[derive(Debug)]
pub(crate) struct Ends {
    first: mpsc::Receiver<Incoming>,
    second: mpsc::Receiver<Incoming>,
    reports: mpsc::Receiver<TransportReport>,
}

/// The lane had no room; the message comes back.
#[derive(Debug)]
pub(crate) struct Full(pub(crate) Box<Parsed>);

impl Lanes {
    pub(crate) fn new(first: usize, second: usize) -> (Self, Ends) {
        let (first_in, first_out) = mpsc::channel(first.max(1));
        let (second_in, second_out) = mpsc::channel(second.max(1));
        let (reports_in, reports_out) = mpsc::channel(REPORTS);
        (
            Self {
                first: first_in,
                second: second_in,
                reports: reports_in,
            },
            Ends {
                first: first_out,
                second: second_out,
                reports: reports_out,
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

/// Messages taken from datagrams, by lane, each lane as long as the channels' at most.
#[derive(Debug)]
pub(crate) struct Held {
    first: VecDeque<Incoming>,
    second: VecDeque<Incoming>,
    most_first: usize,
    most_second: usize,
}

impl Held {
    fn new(first: usize, second: usize) -> Self {
        Self {
            first: VecDeque::new(),
            second: VecDeque::new(),
            most_first: first.max(1),
            most_second: second.max(1),
        }
    }

    /// Takes a message while its lane has room.
    pub(crate) fn take(
        &mut self,
        lane: Lane,
        arrival: Arrival,
        parsed: Parsed,
    ) -> Result<(), Full> {
        let (queue, most) = match lane {
            Lane::First => (&mut self.first, self.most_first),
            Lane::Second => (&mut self.second, self.most_second),
        };
        if queue.len() >= most {
            return Err(Full(Box::new(parsed)));
        }
        queue.push_back(Incoming::Message(arrival, parsed));
        Ok(())
    }
}

/// The core's end of the lanes. Dropping it stops the transport.
///
/// Datagrams are received by whoever calls [`Receiver::next`] or [`Receiver::gather`], on the
/// runtime in which it was waited first.
pub struct Receiver {
    ends: Ends,
    held: Held,
    datagrams: Datagrams,
    /// Whose turn it is in the second lane, that datagrams and streams both come to theirs.
    streams_turn: bool,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

impl Receiver {
    pub(crate) fn new(ends: Ends, shared: &Arc<Shared>) -> Self {
        let limits = &shared.limits;
        Self {
            ends,
            held: Held::new(limits.first_lane, limits.second_lane),
            datagrams: Datagrams::new(shared),
            streams_turn: false,
            stop: shared.stop.clone(),
            stopped: shared.stop.subscribe(),
        }
    }

    /// The next input, the first lane's before the second's. None once the transport is stopped
    /// and everything has been taken. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            if let Some(incoming) = self.try_next() {
                return Some(incoming);
            }
            if self.gather() > 0 {
                continue;
            }
            if !self.ready().await {
                return self.try_next();
            }
        }
    }

    /// Receives the datagrams that are there, within bounds, and sorts them into their lanes; how
    /// many there were. Never waits. Whoever is slow to take what is in the lanes should call this
    /// now and then: the kernel holds few datagrams, and drops without regard to calls.
    pub fn gather(&mut self) -> usize {
        self.datagrams.gather(&mut self.held)
    }

    /// The next input if one is in the lanes; datagrams are there once they are gathered.
    pub fn try_next(&mut self) -> Option<Incoming> {
        // One that `ready` took came before those that are still in their channel.
        if !matches!(self.held.first.front(), Some(Incoming::Report(_)))
            && let Ok(report) = self.ends.reports.try_recv()
        {
            return Some(Incoming::Report(report));
        }
        if let Some(incoming) = self.held.first.pop_front() {
            return Some(incoming);
        }
        if let Ok(incoming) = self.ends.first.try_recv() {
            return Some(incoming);
        }
        self.streams_turn = !self.streams_turn;
        if self.streams_turn {
            let streamed = self.ends.second.try_recv().ok();
            streamed.or_else(|| self.held.second.pop_front())
        } else {
            let held = self.held.second.pop_front();
            held.or_else(|| self.ends.second.try_recv().ok())
        }
    }

    /// Waits until there may be something to gather or to take; `false` once the transport is
    /// stopped. Cancelling loses nothing.
    pub async fn ready(&mut self) -> bool {
        if !self.held.first.is_empty() || !self.held.second.is_empty() {
            return true;
        }
        let Self {
            ends,
            held,
            datagrams,
            stopped,
            ..
        } = self;
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => false,
            () = poll_fn(|context| datagrams.poll_ready(context)) => true,
            // What is taken here is held for whoever asks next.
            Some(incoming) = ends.next() => {
                held.first.push_front(incoming);
                true
            }
        }
    }
}

impl Ends {
    async fn next(&mut self) -> Option<Incoming> {
        tokio::select! {
            biased;
            Some(report) = self.reports.recv() => Some(Incoming::Report(report)),
            Some(incoming) = self.first.recv() => Some(incoming),
            Some(incoming) = self.second.recv() => Some(incoming),
            else => None,
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("ends", &self.ends)
            .field("held", &self.held.first.len())
            .field("held_second", &self.held.second.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
