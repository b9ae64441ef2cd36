//! The one loop in which the signalling core meets sockets and a clock.
//!
//! It runs on a thread of its own: handshakes and disks elsewhere delay no SIP timer.
//!
//! The loop goes by turns. A turn takes what is there (deadlines, media, messages, the operator's
//! requests), and only then sends what came of it, in as few system calls as possible. Between
//! turns the loop waits for the first thing to come, or rests a little: see [`super::pace`].

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ambient::Moment;
use b2bua::cloud::{CloudEvent, CloudRequest};
use b2bua::record::CallRecord;
use b2bua::trace::TraceRing;
use b2bua::{B2bua, Input, Output};
use media_io::{Events, MediaIo};
use media_relay::{LegId, MediaCommand};
use sip_transport::{Incoming, Receiver, Transport};
use store::CallLog;
use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::cloud::door::Counts;
use super::lateness::Lateness;
use super::names::Names;
use super::pace::Pace;
use super::pages::PageRequest;
use super::record_json;
use super::records::RecordWriter;
use super::stored;

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
/// Messages handled before the sockets are looked at again, what they led to is sent, and
/// deadlines are looked after.
const AT_ONCE: usize = 32;
/// Messages, and events of the media, that one turn takes.
const MOST: usize = 1024;

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
    /// How the loop keeps up.
    pub load: Load,
}

/// What the loop knows of its own work.
#[derive(Debug)]
pub struct Load {
    pub(super) pace: Pace,
    pub(super) lateness: Lateness,
    /// The core's next deadline.
    due: Moment,
    /// Shards were told something in this turn; something that cannot wait.
    told: bool,
    urgent: bool,
}

impl Load {
    /// Nothing was done yet.
    pub fn start() -> Self {
        Self {
            pace: Pace::new(Instant::now()),
            lateness: Lateness::default(),
            due: Moment::ZERO,
            told: false,
            urgent: false,
        }
    }
}

/// The way out, once it is wished for.
#[derive(Debug, Default)]
struct Leaving {
    /// When the wait for calls, or for their last messages, is over.
    at: Option<Instant>,
    /// Calls have been hung up, or there are none.
    farewell: bool,
    /// Nobody is left who could wish for anything.
    orphaned: bool,
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
    pub media: Events,
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
        let mut leaving = Leaving::default();
        let mut rest = None;
        loop {
            self.drain();
            self.send();
            self.tell_ready();
            match rest {
                Some(rest) => thread::sleep(rest),
                None => self.wait(&mut inboxes, &leaving).await,
            }
            self.load.pace.begin(Instant::now(), rest.is_some());
            self.wish(&mut inboxes, &mut leaving);
            if self.leave(&mut leaving) {
                return;
            }
            let inputs = self.turn(&mut inboxes);
            rest = self.load.pace.end(Instant::now(), inputs);
        }
    }

    /// Waits until something may be there to do, and takes nothing.
    async fn wait(&mut self, inboxes: &mut Inboxes, leaving: &Leaving) {
        let due = self.clock.instant(self.load.due);
        let wake = leaving.at.map_or(due, |leave| leave.min(due));
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(wake.into()) => {}
            true = inboxes.transport.ready() => {}
            event = poll_fn(|context| inboxes.media.poll_recv(context)) => {
                if let Some(event) = event {
                    self.input(Input::Media(event));
                }
            }
            changed = inboxes.wish.changed(), if !leaving.orphaned => {
                // Without anybody to wish, looking is enough to learn so.
                if changed.is_ok() {
                    inboxes.wish.mark_changed();
                }
            }
            Some((leg, event)) = happened(inboxes.cloud.as_mut()) => {
                self.input(Input::Cloud(leg, event));
            }
            Some(page) = inboxes.pages.recv() => self.answer(page),
        }
    }

    /// Takes what is there, in the order of what must not wait; how many inputs that were.
    fn turn(&mut self, inboxes: &mut Inboxes) -> usize {
        let mut inputs = 0;
        self.deadlines();
        while inputs < MOST
            && let Some(event) = inboxes.media.try_recv()
        {
            self.input(Input::Media(event));
            inputs += 1;
        }
        loop {
            inboxes.transport.gather();
            let before = inputs;
            while inputs - before < AT_ONCE
                && let Some(incoming) = inboxes.transport.try_next()
            {
                self.incoming(incoming);
                inputs += 1;
            }
            if inputs - before < AT_ONCE || inputs >= MOST {
                break;
            }
            self.send();
            self.deadlines();
        }
        if let Some(cloud) = &mut inboxes.cloud {
            while let Ok((leg, event)) = cloud.try_recv() {
                self.input(Input::Cloud(leg, event));
                inputs += 1;
            }
        }
        while let Ok(page) = inboxes.pages.try_recv() {
            self.answer(page);
        }
        inputs
    }

    /// Looks after the deadlines that are over, and notes how late that is.
    fn deadlines(&mut self) {
        let now = self.clock.now().moment;
        if self.load.due <= now {
            let late = now.saturating_since(self.load.due);
            self.load.lateness.note(late);
            self.input(Input::Timeout);
        }
    }

    /// Sends what the turn led to.
    fn send(&mut self) {
        self.transport.flush();
        let told = std::mem::take(&mut self.load.told);
        let urgent = std::mem::take(&mut self.load.urgent);
        if self.load.pace.rouses(Instant::now(), told, urgent) {
            self.media.rouse();
        }
    }

    fn wish(&mut self, inboxes: &mut Inboxes, leaving: &mut Leaving) {
        let wish = match inboxes.wish.has_changed() {
            Ok(false) => return,
            Ok(true) => *inboxes.wish.borrow_and_update(),
            Err(_) if leaving.orphaned => return,
            Err(_) => {
                leaving.orphaned = true;
                Wish::Stop
            }
        };
        leaving.at = self.grant(wish);
    }

    /// Does what leaving takes now; whether that was all.
    fn leave(&mut self, leaving: &mut Leaving) -> bool {
        let Some(at) = leaving.at else {
            return false;
        };
        let now = Instant::now();
        if at <= now {
            if leaving.farewell {
                return true;
            }
            leaving.farewell = true;
            leaving.at = Some(now + FAREWELL);
            tracing::warn!(calls = self.core.call_count(), "hanging up");
            self.input(Input::Admin(b2bua::admin::Command::HangUpAll));
        } else if self.core.call_count() == 0 && !leaving.farewell {
            // The last BYE's answer is still on its way.
            leaving.farewell = true;
            leaving.at = Some(now + FAREWELL.min(Duration::from_millis(500)));
        }
        false
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
    pub(super) fn input(&mut self, input: Input) {
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
        self.port_alarms();
    }

    fn port_alarms(&mut self) {
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

    /// Performs everything the core wants done, up to the next [`Signalling::send`], and notes its
    /// next deadline.
    fn drain(&mut self) {
        self.load.due = loop {
            match self.core.poll_output() {
                Output::Transmit(transmit) => self.transport.queue(transmit),
                Output::Media(command) => self.command(command),
                Output::Record(record) => self.record(record),
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
                Output::Timeout(Some(at)) => break at,
                Output::Timeout(None) => break self.clock.now().moment + IDLE,
            }
        };
    }

    fn command(&mut self, command: MediaCommand) {
        // What a leg's state is good for is a checkpoint, which nobody keeps yet.
        if matches!(command, MediaCommand::Checkpoint { .. }) {
            return;
        }
        self.load.told = true;
        // These make packets by themselves, or are what the next calls wait for; all else is looked
        // at when packets come.
        self.load.urgent |= matches!(
            command,
            MediaCommand::Source { .. }
                | MediaCommand::SendDtmf { .. }
                | MediaCommand::BindPorts { .. }
        );
        // The queue is sized for every leg there may be; what is refused would leave a leg
        // without media, which its inactivity limit then ends.
        if let Err(error) = self.media.queue(command) {
            tracing::error!(%error, "media");
        }
    }

    fn record(&self, record: Box<CallRecord>) {
        if let Some(records) = &self.records {
            records.write(|text| record_json::write(&record, text));
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
