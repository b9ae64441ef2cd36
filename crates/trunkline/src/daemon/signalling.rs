//! The one loop in which the signalling core meets sockets and a clock.
//!
//! It runs on a thread of its own: handshakes and disks elsewhere delay no SIP timer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ambient::Moment;
use b2bua::cloud::{CloudEvent, CloudRequest};
use b2bua::record::CallRecord;
use b2bua::trace::TraceRing;
use b2bua::{B2bua, Input, Output};
use media_io::MediaIo;
use media_relay::{LegId, MediaEvent};
use sip_transport::{Incoming, Receiver, Transport};
use store::CallLog;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::clock::Clock;
use super::cloud::door::Counts;
use super::metrics::{self, Reading};
use super::names::Names;
use super::pages::{Explained, Health, PageRequest, Status};
use super::record_json;
use super::records::RecordWriter;
use super::stored;
use crate::explain::Asked;

/// What is wanted of a running daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Take calls.
    Run,
    /// Take no new calls, end when the last one has ended or the grace period is over.
    Drain,
    /// Hang up and end.
    Stop,
}

/// How long calls that are hung up on the way out have for their last messages.
const FAREWELL: Duration = Duration::from_secs(2);
/// A core with nothing to wait for is looked at this often anyway.
const IDLE: Duration = Duration::from_secs(60);

/// Everything the loop owns.
pub struct Signalling {
    /// The core.
    pub core: B2bua,
    /// The clock.
    pub clock: Clock,
    /// SIP's sockets.
    pub transport: Transport,
    /// Media's sockets.
    pub media: MediaIo,
    /// Where records go, if anywhere.
    pub records: Option<RecordWriter>,
    /// The database of records, if there is one.
    pub call_log: Option<CallLog>,
    /// Where a copy of each record goes, if anywhere.
    pub record_copies: Option<mpsc::UnboundedSender<Box<CallRecord>>>,
    /// The last messages.
    pub ring: TraceRing,
    /// How long a drain waits.
    pub grace: Duration,
    /// Internal faults caught here.
    pub faults: u64,
    /// What the world is told about this gateway.
    pub names: Arc<Names>,
    /// Where calls that Microsoft is to carry are told of, if anywhere.
    pub cloud: Option<CloudLink>,
    /// Told once, when the first calls would find media ports.
    pub ready: Option<oneshot::Sender<()>>,
}

/// The way to Azure.
#[derive(Debug)]
pub struct CloudLink {
    /// What the core wants done there.
    pub requests: mpsc::UnboundedSender<CloudRequest>,
    /// What became of Azure's posts.
    pub counts: Arc<Counts>,
}

/// What the loop listens to.
#[derive(Debug)]
pub struct Inboxes {
    /// SIP.
    pub transport: Receiver,
    /// The shards.
    pub media: mpsc::Receiver<MediaEvent>,
    /// The operator's pages.
    pub pages: mpsc::Receiver<PageRequest>,
    /// What happened to calls that Microsoft carries, if it carries any.
    pub cloud: Option<mpsc::Receiver<(LegId, CloudEvent)>>,
    /// Run, drain or stop.
    pub wish: watch::Receiver<Wish>,
}

impl Signalling {
    /// Runs until a drain or stop is complete. What is told `first` the core knows before any call.
    pub async fn run(mut self, mut inboxes: Inboxes, first: Vec<Input>) {
        self.drain();
        first.into_iter().for_each(|told| self.input(told));
        let mut leave_at: Option<Instant> = None;
        let mut farewell = false;
        loop {
            let due = self.drain();
            self.tell_ready();
            let due = Instant::from_std(self.clock.instant(due));
            let wake = leave_at.map_or(due, |leave| leave.min(due));
            // In the order of what must not wait: the time, the media, calls, the rest.
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(wake) => {
                    if leave_at.is_some_and(|leave| leave <= Instant::now()) {
                        if farewell {
                            return;
                        }
                        farewell = true;
                        leave_at = Some(Instant::now() + FAREWELL);
                        tracing::warn!(calls = self.core.call_count(), "hanging up");
                        self.input(Input::Admin(b2bua::admin::Command::HangUpAll));
                    } else {
                        self.input(Input::Timeout);
                    }
                }
                changed = inboxes.wish.changed() => {
                    let wish = if changed.is_ok() { *inboxes.wish.borrow() } else { Wish::Stop };
                    leave_at = self.grant(wish);
                }
                Some(event) = inboxes.media.recv() => self.input(Input::Media(event)),
                Some(incoming) = inboxes.transport.next() => self.incoming(incoming),
                Some((leg, event)) = happened(inboxes.cloud.as_mut()) => {
                    self.input(Input::Cloud(leg, event));
                }
                Some(page) = inboxes.pages.recv() => self.answer(page),
            }
            if leave_at.is_some() && self.core.call_count() == 0 && !farewell {
                // The last BYE's answer is still on its way.
                farewell = true;
                leave_at = Some(Instant::now() + FAREWELL.min(Duration::from_millis(500)));
            }
        }
    }

    /// Ports are bound by the shards, after the loop has begun: a call that came before would be
    /// refused for want of them.
    fn tell_ready(&mut self) {
        if self.ready.is_none() {
            return;
        }
        let ports = self.core.metrics().ports;
        if ports.asked == 0
            && ports.free > 0
            && let Some(ready) = self.ready.take()
        {
            // Whoever started the daemon may have given it up.
            let _ = ready.send(());
        }
    }

    fn grant(&mut self, wish: Wish) -> Option<Instant> {
        match wish {
            Wish::Run => None,
            Wish::Drain => {
                tracing::info!(calls = self.core.call_count(), "draining");
                self.input(Input::Drain);
                Some(Instant::now() + self.grace)
            }
            Wish::Stop => {
                self.input(Input::Drain);
                Some(Instant::now())
            }
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message(arrival, Ok(message)) => self.input(Input::Message(arrival, message)),
            Incoming::Message(arrival, Err(rejected)) => {
                self.input(Input::Rejected(arrival, rejected));
            }
            Incoming::Report(report) => self.input(Input::Report(report)),
            Incoming::Dns(answer) => self.input(Input::Dns(answer)),
            // Connections come and go; dialogs outlive them.
            Incoming::FlowOpened(_) | Incoming::FlowClosed { .. } => {}
        }
    }

    /// One input. What should not happen is caught, ends the call it concerns, and is counted.
    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        let core = &mut self.core;
        if catch_unwind(AssertUnwindSafe(|| core.handle_input(now, input))).is_err() {
            self.faults += 1;
            let ended = self.core.end_call_on_fault(now);
            let audit = self.core.audit();
            tracing::error!(
                faults = self.faults,
                call = ended.map(|call| call.to_string()),
                tables = ?audit,
                "internal fault; the call named was ended"
            );
        }
        self.drain();
        while let Some(ports) = self.core.poll_port_alarm() {
            let (held, of) = (ports.leased + ports.resting, ports.pairs);
            let interface = ports.interface;
            if ports.alarm {
                tracing::warn!(interface, held, of, "the media ports are nearly used up");
            } else {
                tracing::info!(interface, held, of, "there are media ports enough again");
            }
        }
    }

    /// Performs everything the core wants done; gives the moment of its next deadline.
    fn drain(&mut self) -> Moment {
        loop {
            match self.core.poll_output() {
                Output::Transmit(transmit) => self.transport.transmit(transmit),
                Output::Media(command) => {
                    // The queue is sized for every leg there may be; what is refused would leave
                    // a leg without media, which its inactivity limit then ends.
                    if let Err(error) = self.media.command(command) {
                        tracing::error!(%error, "media");
                    }
                }
                Output::Record(record) => {
                    if let Some(records) = &self.records {
                        records.write(record_json::line(&record));
                    }
                    if let Some(log) = &self.call_log {
                        log.write(stored::call(&record, self.core.profiles()));
                    }
                    for note in &record.notes {
                        tracing::warn!(call = %record.call, "{note}");
                    }
                    tracing::info!(
                        call = %record.call,
                        from = record.from_trunk.as_str(),
                        to = record.to_trunk().map(|trunk| trunk.as_str()),
                        called = %record.called,
                        status = record.status,
                        cause = record.cause,
                        talk_ms = record.talk_time().as_millis() as u64,
                        "call ended"
                    );
                    if let Some(copies) = &self.record_copies {
                        // Whoever wanted copies may have gone away.
                        let _ = copies.send(record);
                    }
                }
                // No store keeps them yet; the core makes them whether or not anyone does.
                Output::Checkpoint(_) => {}
                // Without one, no route leads there.
                Output::Cloud(request) => {
                    if let Some(cloud) = &self.cloud {
                        let _ = cloud.requests.send(request);
                    }
                }
                Output::Trace(entry) => self.ring.push(entry),
                Output::Leave(flow) => self.transport.leave(flow),
                Output::Query(query) => self.transport.resolve(query),
                Output::Timeout(Some(at)) => return at,
                Output::Timeout(None) => return self.clock.now().moment + IDLE,
            }
        }
    }

    fn answer(&mut self, page: PageRequest) {
        // Whoever asked may have gone away; that is theirs to know.
        match page {
            PageRequest::Metrics(answer) => {
                let reading = Reading {
                    core: self.core.metrics(),
                    transport: self.transport.counters(),
                    media: self.media.counters().by_shard(),
                    media_path: self.media.path().kind,
                    records_lost: self.records.as_ref().map_or(0, RecordWriter::lost),
                    stored: self.call_log.as_ref().map(CallLog::progress),
                    faults: self.faults,
                    certificates: self.names.days_left(),
                    names: self.names.in_dns(),
                    posts: self.cloud.as_ref().map(|cloud| cloud.counts.all()),
                };
                let _ = answer.send(metrics::render(reading));
            }
            PageRequest::Status(answer) => {
                let _ = answer.send(Box::new(Status {
                    metrics: self.core.metrics(),
                    flows: self.transport.flows(),
                    faults: self.faults,
                    media_path: self.media.path().clone(),
                }));
            }
            PageRequest::Calls(most, answer) => {
                let _ = answer.send(self.core.calls().take(most).collect());
            }
            PageRequest::Ladder(call, answer) => {
                let _ = answer.send(self.ring.call(call).cloned().collect());
            }
            PageRequest::HangUp(call, answer) => {
                let known = self.core.calls().any(|summary| summary.key == call);
                if known {
                    self.input(Input::Admin(b2bua::admin::Command::HangUp(call)));
                }
                let _ = answer.send(known);
            }
            PageRequest::Reload(profiles, decisions, done) => {
                self.input(Input::Reload(profiles, decisions.routes));
                self.input(Input::Shadow(decisions.shadow));
                let _ = done.send(());
            }
            PageRequest::Explain(question, draw, answer) => {
                let now = self.clock.now();
                let asked = {
                    let core = &self.core;
                    Asked::screened(core.profiles(), core.snapshot(), *question)
                };
                let (decision, facts) = self.core.explain(now, draw, &asked.question);
                let core = &self.core;
                let decision = asked.told(core.profiles(), core.snapshot(), &decision);
                let _ = answer.send(Box::new(Explained {
                    asked,
                    decision,
                    facts,
                }));
            }
            PageRequest::Health(answer) => {
                let draining = self.core.metrics().draining;
                let _ = answer.send(if draining {
                    Health::Draining
                } else {
                    Health::Serving
                });
            }
        }
    }
}

/// The next news of Azure; never any where nothing leads there.
async fn happened(
    inbox: Option<&mut mpsc::Receiver<(LegId, CloudEvent)>>,
) -> Option<(LegId, CloudEvent)> {
    match inbox {
        Some(inbox) => inbox.recv().await,
        None => std::future::pending().await,
    }
}
