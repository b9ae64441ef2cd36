//! The life of one connected stream: bytes in, bytes out, and the clocks that end it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_msg::wire::{Arrival, TransmitId, TransportError, TransportReport};
use sip_msg::{Frame, FrameError, Framing, StreamFramer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::admission::Place;
use crate::counters::Counter;
use crate::flow::{Origin, Stream, Wish};
use crate::lanes::{Incoming, Lane, lane_of};
use crate::outage::Cause;
use crate::outbox::Ending;
use crate::shared::Shared;
use crate::shed;

mod writer;

use writer::write;

/// Keep-alive of RFC 5626 §4.4.1, and its answer.
pub(super) const PING: Bytes = Bytes::from_static(b"\r\n\r\n");
const PONG: Bytes = Bytes::from_static(b"\r\n");

/// How much is read at once.
const READ_BYTES: usize = 4096;

/// How long the core may take to answer what ends a stream.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// A stream that is to go is left alone for so long after its last message.
const LULL: Duration = Duration::from_secs(1);

/// How long a closing stream may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// It never came up.
    NotConnected(TransportError),
    /// The peer closed it.
    Peer,
    /// The connection broke.
    Broken,
    /// The peer's TLS ended with an alert, such as one for our certificate.
    TlsAlert,
    /// The bytes could not be framed as SIP messages.
    Framing,
    /// A message did not complete in time.
    SlowMessage,
    /// No message ever came.
    Silent,
    /// It had to give way to others that had not proved anything yet either.
    Evicted,
    /// Nothing passed for its idle time.
    Idle,
    /// The peer does not read.
    Stalled,
    /// It was replaced, and all had become quiet.
    Retired,
    /// The transport is stopping.
    Stopped,
}

impl CloseReason {
    /// What a message that was not written is told.
    pub(crate) fn as_error(self) -> TransportError {
        match self {
            Self::NotConnected(error) => error,
            Self::Stalled => TransportError::Stalled,
            Self::TlsAlert => TransportError::Tls,
            Self::Peer
            | Self::Broken
            | Self::Framing
            | Self::SlowMessage
            | Self::Silent
            | Self::Evicted
            | Self::Idle
            | Self::Retired
            | Self::Stopped => TransportError::Closed,
        }
    }

    fn counter(self) -> Option<Counter> {
        match self {
            Self::Peer | Self::Broken => Some(Counter::PeerClosed),
            Self::TlsAlert => Some(Counter::TlsRefusedByPeer),
            Self::Framing => Some(Counter::FramingErrors),
            Self::SlowMessage => Some(Counter::SlowMessages),
            Self::Silent => Some(Counter::SilentConnections),
            Self::Idle => Some(Counter::IdleClosed),
            Self::Stalled => Some(Counter::Stalled),
            Self::NotConnected(_) | Self::Evicted | Self::Retired | Self::Stopped => None,
        }
    }
}

/// The clocks of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// Ping after having sent nothing for so long.
    pub(crate) keep_alive: Option<Duration>,
    /// End after so long without a message, and on accepted streams without a ping.
    pub(crate) idle: Option<Duration>,
    /// For the first message.
    pub(crate) first_message: Option<Duration>,
}

/// A stream that is up.
pub(crate) struct Connected<S> {
    pub(crate) flow: Arc<Stream>,
    pub(crate) arrival: Arrival,
    pub(crate) io: S,
    pub(crate) clocks: Clocks,
    /// Held by accepted streams.
    pub(crate) place: Option<Place>,
}

/// Serves a stream until its end and tells the core of its beginning and end.
pub(crate) async fn serve<S>(shared: &Arc<Shared>, connected: Connected<S>) -> CloseReason
where
    S: AsyncRead + AsyncWrite,
{
    let Connected {
        flow,
        arrival,
        io,
        clocks,
        place,
    } = connected;
    let _ = flow.arrival.set(arrival.clone());
    flow.touch();
    shared
        .lanes
        .send_first(Incoming::FlowOpened(arrival.clone()))
        .await;
    let (mut reading, mut writing) = tokio::io::split(Box::pin(io));
    let reader = Reader {
        shared,
        flow: &flow,
        arrival: &arrival,
        place: place.as_ref(),
        message_time: shared.limits.message_time,
        heard: false,
    };
    let reason = tokio::select! {
        reason = reader.run(&mut reading, clocks) => reason,
        reason = write(shared, &flow, &mut writing, clocks.keep_alive) => reason,
        reason = supervise(shared, &flow, clocks.idle) => reason,
        reason = evicted(place.as_ref()) => reason,
        () = flow.outbox.overflowed() => CloseReason::Stalled,
    };
    finish(shared, &flow, reason);
    // Frees the place before the farewell: the peer may take its time over it.
    drop(place);
    if reason != CloseReason::Stalled {
        let _ = timeout(FAREWELL, writing.shutdown()).await;
    }
    reason
}

/// Takes a stream off the table and reports what it never wrote, or wrote and had no answer to.
pub(crate) fn finish(shared: &Shared, flow: &Stream, reason: CloseReason) {
    if let Some(counter) = reason.counter() {
        shared.tally.add(counter);
    }
    let Ending {
        error,
        proven,
        unsent,
        written,
    } = flow.outbox.close(reason.as_error());
    let failed = reason == CloseReason::Stalled || (!proven && reason.is_failure());
    let failure = match &flow.origin {
        Origin::Opened(hop) if failed => {
            // Why one never came up is known better where it was tried.
            if !matches!(reason, CloseReason::NotConnected(_)) {
                shared.outages.begin(hop, &Cause::Ended(reason));
            }
            Some(shared.failure(hop, error))
        }
        Origin::Opened(_) | Origin::Accepted(_) => None,
    };
    shared.flows.leave(flow, failure);
    // In the order in which they were sent.
    for id in written {
        match failed && !proven {
            true => fail(shared, id, error),
            false => disconnect(shared, id, true),
        }
    }
    for id in unsent {
        match failed {
            true => fail(shared, id, error),
            false => disconnect(shared, id, false),
        }
    }
    tracing::debug!(flow = flow.id.0, remote = %flow.remote, ?reason, "stream closed");
}

/// Tells the core that a stream has ended.
pub(crate) async fn announce_end(shared: &Shared, flow: &Stream, reason: CloseReason) {
    let opened_for = match &flow.origin {
        Origin::Opened(hop) => Some(hop.trunk.clone()),
        Origin::Accepted(_) => None,
    };
    shared
        .lanes
        .send_first(Incoming::FlowClosed {
            flow: flow.id,
            opened_for,
            reason,
        })
        .await;
}

pub(crate) fn fail(shared: &Shared, id: TransmitId, error: TransportError) {
    shared
        .lanes
        .report(TransportReport::Failed { id, error }, &shared.tally);
}

fn disconnect(shared: &Shared, id: TransmitId, written: bool) {
    shared
        .lanes
        .report(TransportReport::Disconnected { id, written }, &shared.tally);
}

impl CloseReason {
    /// Whether a connection that ended so, before its peer ever said anything, counts as a
    /// failure to reach the peer.
    fn is_failure(self) -> bool {
        match self {
            Self::NotConnected(_)
            | Self::Peer
            | Self::Broken
            | Self::TlsAlert
            | Self::Framing
            | Self::SlowMessage
            | Self::Stalled => true,
            Self::Silent | Self::Evicted | Self::Idle | Self::Retired | Self::Stopped => false,
        }
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    flow: &'a Stream,
    arrival: &'a Arrival,
    place: Option<&'a Place>,
    message_time: Duration,
    /// Whether a message has come.
    heard: bool,
}

impl Reader<'_> {
    async fn run<R: AsyncRead + Unpin>(mut self, io: &mut R, clocks: Clocks) -> CloseReason {
        let mut framer = StreamFramer::new(self.shared.limits.message);
        let mut buffer = vec![0; READ_BYTES];
        let opened = Instant::now();
        let mut alive = opened;
        let mut partial: Option<Instant> = None;
        loop {
            let clock = self.clock(clocks, opened, alive, partial);
            let read = tokio::select! {
                biased;
                read = io.read(&mut buffer) => read,
                reason = expiry(clock) => return reason,
            };
            match read {
                Ok(0) => return CloseReason::Peer,
                Ok(length) => framer.push(&buffer[..length]),
                Err(error) if error.get_ref().is_some_and(|e| e.is::<rustls::Error>()) => {
                    return CloseReason::TlsAlert;
                }
                // rustls reports an end without close_notify so; on TCP it is a FIN all the same.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return CloseReason::Peer;
                }
                Err(_) => return CloseReason::Broken,
            }
            let mut framed = false;
            loop {
                match framer.next() {
                    Ok(Some(Frame::Message(bytes))) => self.message(bytes).await,
                    Ok(Some(Frame::Ping)) => self.ping(),
                    Ok(None) => break,
                    Err(error) => return self.unframed(error).await,
                }
                framed = true;
            }
            if framed {
                alive = Instant::now();
                partial = None;
            }
            if framer.pending() == 0 {
                partial = None;
            } else {
                partial.get_or_insert_with(Instant::now);
            }
        }
    }

    /// The nearest clock and what its end means.
    fn clock(
        &self,
        clocks: Clocks,
        opened: Instant,
        alive: Instant,
        partial: Option<Instant>,
    ) -> Option<(Instant, CloseReason)> {
        let slow = partial.map(|since| (since + self.message_time, CloseReason::SlowMessage));
        let silent = (!self.heard)
            .then(|| {
                clocks
                    .first_message
                    .map(|time| (opened + time, CloseReason::Silent))
            })
            .flatten();
        let idle = match self.flow.origin {
            Origin::Accepted(_) => clocks.idle.map(|time| (alive + time, CloseReason::Idle)),
            // What a connection of ours is for is known to the supervisor.
            Origin::Opened(_) => None,
        };
        [slow, silent, idle].into_iter().flatten().min()
    }

    fn ping(&self) {
        self.shared.tally.add(Counter::PingsIn);
        self.flow.outbox.prove();
        // A full outbox ends the stream by itself.
        let _ = self.flow.outbox.push(None, PONG);
    }

    /// The stream cannot be read any further. Where the broken message is a request that can be
    /// answered, the core gets the chance to.
    async fn unframed(&self, error: FrameError) -> CloseReason {
        let rejected = error.into_rejected(&self.shared.limits.message);
        if rejected.request.is_some() {
            let lanes = &self.shared.lanes;
            if lanes
                .try_send(Lane::Second, self.arrival.clone(), Err(rejected))
                .is_ok()
            {
                sleep(LAST_ANSWER).await;
            }
        }
        CloseReason::Framing
    }

    async fn message(&mut self, bytes: Bytes) {
        self.flow.passed(&bytes);
        let parsed = sip_msg::parse(bytes, &self.shared.limits.message, Framing::Stream);
        self.prove(parsed.is_ok());
        let lane = lane_of(&parsed);
        match lane {
            // The stream waits: it is this peer's own calls that its bytes belong to.
            Lane::First => {
                let incoming = Incoming::Message(self.arrival.clone(), parsed);
                self.shared.lanes.send_first(incoming).await;
            }
            Lane::Second => {
                if let Err(full) = self
                    .shared
                    .lanes
                    .try_send(lane, self.arrival.clone(), parsed)
                    && let Some(refusal) = shed::refusal(self.shared, &full.0)
                {
                    let _ = self.flow.outbox.push(None, refusal);
                }
            }
        }
    }

    /// Somebody who speaks SIP is there.
    fn prove(&mut self, well_formed: bool) {
        let counter = if well_formed {
            Counter::MessagesIn
        } else {
            Counter::MessagesRejected
        };
        self.shared.tally.add(counter);
        self.flow.outbox.prove();
        if well_formed && !self.heard {
            self.heard = true;
            if let Some(place) = self.place {
                place.establish();
            }
            if let Origin::Opened(hop) = &self.flow.origin {
                self.shared.flows.prove(hop, self.flow.id);
                self.shared.outages.end(hop);
            }
        }
    }
}

pub(super) async fn expiry(clock: Option<(Instant, CloseReason)>) -> CloseReason {
    match clock {
        Some((at, reason)) => {
            sleep_until(at).await;
            reason
        }
        None => std::future::pending().await,
    }
}

async fn evicted(place: Option<&Place>) -> CloseReason {
    match place {
        Some(place) => {
            place.evicted().await;
            CloseReason::Evicted
        }
        None => std::future::pending().await,
    }
}

/// Ends a stream that is idle, that has been replaced and is quiet, or that is to stop.
async fn supervise(shared: &Shared, flow: &Stream, idle: Option<Duration>) -> CloseReason {
    let idle = match flow.origin {
        Origin::Opened(_) => idle,
        Origin::Accepted(_) => None,
    };
    tokio::select! {
        () = unused(flow, idle) => CloseReason::Idle,
        () = retiring(flow) => {
            tokio::select! {
                () = settled(flow, shared.limits.retired_quiet) => CloseReason::Retired,
                () = shared.stopped() => stopped(flow).await,
            }
        }
        () = shared.stopped() => stopped(flow).await,
    }
}

/// Returns once the stream is to go.
async fn retiring(flow: &Stream) {
    let mut wish = flow.wish.subscribe();
    // The sender lives in the flow itself, so the wait cannot fail while we run.
    let _ = wish.wait_for(|wish| *wish == Wish::Retire).await;
}

async fn stopped(flow: &Stream) -> CloseReason {
    let _ = timeout(FAREWELL, flow.outbox.drained()).await;
    CloseReason::Stopped
}

/// Returns once no message has passed for so long.
async fn unused(flow: &Stream, idle: Option<Duration>) {
    let Some(idle) = idle else {
        return std::future::pending().await;
    };
    loop {
        let end = flow.last_message() + idle;
        if end > Instant::now() {
            sleep_until(end).await;
        } else if flow.outbox.is_empty() {
            return;
        } else {
            flow.touch();
        }
    }
}

/// Returns once every request on a stream that was replaced has its answer and a moment more has
/// passed for what belongs to it, such as an ACK; or after `longest`.
async fn settled(flow: &Stream, longest: Duration) {
    let begun = Instant::now();
    loop {
        let quiet = Instant::now().saturating_duration_since(flow.last_message());
        let over = quiet >= LULL && flow.is_settled();
        // What a peer goes on sending does not keep a connection that is to go.
        let late = begun.elapsed() >= longest;
        if (over || late) && flow.outbox.is_empty() {
            return;
        }
        sleep(LULL / 4).await;
    }
}

/// Whether a message is a request, from its first bytes.
pub(crate) fn is_request(message: &[u8]) -> bool {
    !message.starts_with(b"SIP/2.0 ")
}
