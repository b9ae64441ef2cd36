//! One shard: the only loop in which media packets meet sockets and a clock.

mod ahead;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TrySendError};
use std::time::Duration;

use media_relay::{
    Arrival, DropReason, LegId, LegParams, MediaCommand, MediaEvent, Moment, MovingLeg, Now,
    PortPairId, Relay, ShardId, TAILROOM, Ticket, Verdict,
};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;

use crate::convert::Workshop;
use crate::counters::{ShardCounters, count};
use crate::events::EventSender;
use crate::path::{BATCH, Datagram, MAX_DATAGRAM, Moderation, Path, SURVEY};
use crate::{MediaIoConfig, StartError, wake};

/// Steps taken before the packets' turn.
const STEPS: usize = 64;
/// Datagrams carried under one reading of the clock.
const PER_READING: usize = 16;
/// The longest wait, so that a full event queue is tried again.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// What a shard is told, in order.
#[derive(Debug)]
pub(crate) enum Step {
    /// Wait until this leg has come from another shard.
    Adopt(LegId),
    Command(MediaCommand),
    /// Give this leg with its ports to another shard.
    Export {
        leg: LegId,
        ports: PortPairId,
        to: ShardId,
    },
}

/// A leg on its way with its sockets. Where there was no such leg the sockets go alone, so that
/// they are where they are looked for.
pub(crate) struct Crossing<P: Path> {
    leg: LegId,
    moving: Option<MovingLeg>,
    pair: Option<P::Pair>,
}

/// The way into a shard for legs of others.
pub(crate) type Door<P> = (Sender<Crossing<P>>, Arc<EventFd>);

pub(crate) struct Parts<P: Path> {
    pub(crate) id: ShardId,
    pub(crate) config: MediaIoConfig,
    pub(crate) inbox: Receiver<Step>,
    pub(crate) arriving: Receiver<Crossing<P>>,
    pub(crate) doors: Vec<Door<P>>,
    pub(crate) wake: Arc<EventFd>,
    pub(crate) events: EventSender,
    pub(crate) counters: Arc<ShardCounters>,
    pub(crate) stop: Arc<AtomicBool>,
}

pub(crate) struct Shard<P: Path> {
    parts: Parts<P>,
    relay: Relay,
    path: P,
    moderation: Moderation,
    /// When the path is surveyed next.
    survey: Moment,
    /// Legs that came before their `Adopt`.
    arrived: Vec<Crossing<P>>,
    /// The `Adopt` that is being waited for; nothing is done before.
    awaited: Option<LegId>,
    /// Events of the shard itself, and one that found the queue full.
    news: VecDeque<MediaEvent>,
    workshop: Workshop,
    /// For packets of the relay's own making.
    own: Box<[u8; MAX_DATAGRAM + TAILROOM]>,
}

impl<P: Path> Shard<P> {
    pub(crate) fn new(parts: Parts<P>, path: P) -> Result<Self, StartError> {
        let workshop = Workshop::start(parts.id, Arc::clone(&parts.wake))?;
        let now = (parts.config.clock)().moment;
        Ok(Self {
            relay: Relay::new(parts.config.relay),
            parts,
            path,
            moderation: Moderation::new(P::TOGETHER),
            survey: now + SURVEY,
            arrived: Vec::new(),
            awaited: None,
            news: VecDeque::with_capacity(64),
            workshop,
            own: Box::new([0; MAX_DATAGRAM + TAILROOM]),
        })
    }

    /// Makes the path this thread's; then comes [`Shard::run`].
    pub(crate) fn begin(&mut self) -> Result<(), Errno> {
        self.path.begin()
    }

    /// The loop; ends when told to stop.
    pub(crate) fn run(mut self) {
        while !self.parts.stop.load(Ordering::Acquire) {
            let more = self.take_steps();
            self.take_converted();
            self.do_what_is_due();
            let _ = self.tell();
            self.path.flush();
            let limit = if more { Duration::ZERO } else { self.limit() };
            match self.path.wait(self.moderation.gather(), limit) {
                Ok(()) => {
                    // What signalling said before the peer could send is done before the peer is
                    // heard: the first packet after an answer finds its legs joined.
                    self.take_steps();
                    self.carry_all();
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    tracing::error!(%error, "a media shard cannot wait and ends");
                    break;
                }
            }
        }
        self.close_all();
        self.path.flush();
    }

    /// Carries what has come in.
    fn carry_all(&mut self) {
        let mut now = self.now();
        let began = now.moment;
        let mut carried = 0;
        self.look_ahead_from_start();
        loop {
            self.look_ahead();
            let Some(datagram) = self.path.next() else {
                break;
            };
            carried += 1;
            if carried % PER_READING == 0 {
                now = self.now();
            }
            self.carry(now, &datagram);
            // Commands and timers are not kept waiting by packets without end.
            if carried >= 4 * BATCH {
                break;
            }
        }
        self.moderation.note(began, now.moment, carried);
        if now.moment >= self.survey {
            self.survey = now.moment + SURVEY;
            let (path, relay) = (&mut self.path, &mut self.relay);
            path.survey(&mut |ports, datagrams| relay.note_turned_away(ports, datagrams));
        }
    }

    fn now(&self) -> Now {
        (self.parts.config.clock)()
    }

    /// How long to wait at most.
    fn limit(&self) -> Duration {
        let Some(next) = self.relay.poll_timeout() else {
            return LONGEST_WAIT;
        };
        next.saturating_since(self.now().moment).min(LONGEST_WAIT)
    }

    /// Takes steps that are waiting; whether there may be more.
    fn take_steps(&mut self) -> bool {
        if !self.tell() {
            return false;
        }
        while let Ok(crossing) = self.parts.arriving.try_recv() {
            self.arrived.push(crossing);
        }
        for _ in 0..STEPS {
            if let Some(leg) = self.awaited {
                let Some(at) = self.arrived.iter().position(|crossing| crossing.leg == leg) else {
                    return false;
                };
                let crossing = self.arrived.swap_remove(at);
                self.awaited = None;
                self.adopt(crossing);
            }
            match self.parts.inbox.try_recv() {
                Ok(Step::Adopt(leg)) => self.awaited = Some(leg),
                Ok(Step::Command(command)) => self.carry_out(command),
                Ok(Step::Export { leg, ports, to }) => self.export(leg, ports, to),
                Err(_) => return false,
            }
            // Whoever does not listen is not obeyed either: his commands wait until he does.
            if !self.tell() {
                return false;
            }
        }
        true
    }

    fn carry_out(&mut self, command: MediaCommand) {
        match command {
            MediaCommand::BindPorts {
                interface, count, ..
            } => self.bind(interface, count),
            MediaCommand::ReleasePorts { pairs } => {
                for pair in pairs {
                    if self.relay.leg_at(pair).is_none() {
                        self.path.forget(pair);
                    }
                }
            }
            MediaCommand::OpenLeg { leg, ports, .. }
            | MediaCommand::RestoreLeg { leg, ports, .. }
                if !self.path.has(ports.id) =>
            {
                let error = media_relay::MediaError::PortsUnknown;
                self.news.push_back(MediaEvent::Failed { leg, error });
            }
            MediaCommand::Checkpoint { .. }
            | MediaCommand::CloseLeg { .. }
            | MediaCommand::Join { .. }
            | MediaCommand::OpenLeg { .. }
            | MediaCommand::RestoreLeg { .. }
            | MediaCommand::SendDtmf { .. }
            | MediaCommand::Source { .. }
            | MediaCommand::Split { .. }
            | MediaCommand::UpdateLeg { .. } => {
                let now = self.now();
                let leg = leg_of(&command);
                let concerns = self.concerns_path(&command);
                if let Some((ports, None)) = concerns {
                    let datagrams = self.path.turned_away(ports);
                    self.relay.note_turned_away(ports, datagrams);
                }
                self.guarded(leg, |relay| relay.handle_command(now, command));
                if let Some((ports, ends)) = concerns {
                    self.tell_path(ports, ends);
                }
                self.count_legs();
                self.do_what_is_due();
            }
        }
    }

    /// The ports of a leg that a command opens, updates or closes, and whom it will hear.
    fn concerns_path(&self, command: &MediaCommand) -> Option<(PortPairId, Option<Ends>)> {
        match command {
            MediaCommand::OpenLeg { ports, params, .. }
            | MediaCommand::RestoreLeg { ports, params, .. } => {
                Some((ports.id, Some(Ends::of(params))))
            }
            MediaCommand::UpdateLeg { leg, params } => {
                Some((self.relay.ports_of(*leg)?, Some(Ends::of(params))))
            }
            MediaCommand::CloseLeg { leg } => Some((self.relay.ports_of(*leg)?, None)),
            MediaCommand::BindPorts { .. }
            | MediaCommand::Checkpoint { .. }
            | MediaCommand::Join { .. }
            | MediaCommand::ReleasePorts { .. }
            | MediaCommand::SendDtmf { .. }
            | MediaCommand::Source { .. }
            | MediaCommand::Split { .. } => None,
        }
    }

    fn tell_path(&mut self, ports: PortPairId, ends: Option<Ends>) {
        match ends {
            // A refused command changes nothing: the leg that is there says what holds.
            Some(ends) if self.relay.leg_at(ports).is_some() => {
                self.path.expect(ports, &ends.rtp, &ends.rtcp);
            }
            Some(_) => {}
            None if self.relay.leg_at(ports).is_none() => self.path.release(ports),
            None => {}
        }
    }

    fn bind(&mut self, interface: u16, count: u16) {
        let pairs = self.path.bind(interface, count);
        let missing = count - pairs.len() as u16;
        if !pairs.is_empty() {
            self.news.push_back(MediaEvent::PortsBound { pairs });
        }
        if missing > 0 {
            let shard = self.parts.id;
            self.news.push_back(MediaEvent::PortsFailed {
                shard,
                interface,
                missing,
            });
        }
    }

    fn export(&mut self, leg: LegId, ports: PortPairId, to: ShardId) {
        let now = self.now();
        while let Some(datagram) = self.path.next_of(ports) {
            self.carry(now, &datagram);
        }
        let moving = self.relay.export_leg(leg);
        let free = self.relay.leg_at(ports).is_none();
        let pair = if free { self.path.forget(ports) } else { None };
        self.count_legs();
        let Some((door, event)) = self.parts.doors.get(usize::from(to.0)) else {
            return;
        };
        if door.send(Crossing { leg, moving, pair }).is_ok() {
            wake(event);
        }
    }

    fn adopt(&mut self, crossing: Crossing<P>) {
        if let Some(pair) = crossing.pair {
            self.path.keep(pair);
        }
        if let Some(moving) = crossing.moving {
            self.relay.import_leg(moving);
        }
        self.count_legs();
    }

    fn count_legs(&self) {
        self.parts
            .counters
            .legs
            .store(self.relay.len() as u64, Ordering::Relaxed);
    }

    /// Carries a datagram and sends what becomes of it.
    fn carry(&mut self, now: Now, datagram: &Datagram) {
        let counters = &self.parts.counters;
        count(&counters.received);
        if datagram.cut {
            return count(&counters.dropped);
        }
        let arrival = &datagram.arrival;
        let (relay, buf) = (&mut self.relay, self.path.buffer());
        let work = AssertUnwindSafe(|| relay.forward(now, arrival, buf, datagram.len));
        match catch_unwind(work) {
            Ok(Verdict::Convert(ticket)) => self.convert(ticket),
            Ok(Verdict::Send(transmit)) => {
                self.path.note_carried(arrival);
                self.path.send_current(&transmit);
            }
            Ok(Verdict::Drop(reason)) => {
                count(&counters.dropped);
                if reason == DropReason::NoLeg {
                    count(&counters.no_leg);
                }
            }
            Err(_) => self.end_faulty_at(arrival),
        }
    }

    fn end_faulty_at(&mut self, arrival: &Arrival) {
        let leg = self.relay.leg_at(arrival.ports);
        self.end_faulty(leg);
    }

    /// Does what is due and sends what the relay makes itself.
    fn do_what_is_due(&mut self) {
        let now = self.now();
        if self
            .relay
            .poll_timeout()
            .is_some_and(|next| next <= now.moment)
        {
            self.guarded(None, |relay| relay.handle_timeout(now));
        }
        loop {
            let (relay, buf) = (&mut self.relay, &mut self.own[..]);
            match catch_unwind(AssertUnwindSafe(|| relay.poll_transmit(now, buf))) {
                Ok(Some(transmit)) => self.path.send(&transmit, &self.own[..transmit.len]),
                Ok(None) => return,
                Err(_) => {
                    let leg = self.relay.working_on();
                    return self.end_faulty(leg);
                }
            }
        }
    }

    /// Has the packet in the buffer converted.
    fn convert(&mut self, ticket: Ticket) {
        let packet = &self.path.buffer()[..ticket.packet_len()];
        if !self.workshop.give(ticket, packet) {
            let _ = self.relay.refuse_conversion(&ticket);
            count(&self.parts.counters.dropped);
            count(&self.parts.counters.unconverted);
        }
    }

    /// Sends on what has come back converted.
    fn take_converted(&mut self) {
        while let Some((ticket, mut job)) = self.workshop.take() {
            let now = self.now();
            let relay = &mut self.relay;
            let work = AssertUnwindSafe(|| relay.handle_converted(now, &ticket, &mut job.buf));
            match catch_unwind(work) {
                Ok(Verdict::Send(transmit)) => {
                    count(&self.parts.counters.converted);
                    self.path.send(&transmit, &job.buf[..transmit.len]);
                }
                Ok(Verdict::Drop(_) | Verdict::Convert(_)) => count(&self.parts.counters.dropped),
                Err(_) => self.end_faulty(Some(ticket.leg())),
            }
            self.workshop.reclaim(job);
        }
    }

    /// Hands over events as long as there is room; the rest stays with the legs, where newer ones
    /// take the place of older ones. Whether all were handed over.
    fn tell(&mut self) -> bool {
        loop {
            let event = match self.news.pop_front() {
                Some(event) => event,
                None => match self.relay.poll_event() {
                    Some(event) => event,
                    None => return true,
                },
            };
            match self.parts.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.news.push_front(event);
                    return false;
                }
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }

    /// Works on the relay; should that fail, `leg`, or the one being worked on, ends.
    fn guarded(&mut self, leg: Option<LegId>, work: impl FnOnce(&mut Relay)) {
        let relay = &mut self.relay;
        if catch_unwind(AssertUnwindSafe(|| work(relay))).is_err() {
            let leg = leg.or(self.relay.working_on());
            self.end_faulty(leg);
        }
    }

    /// What should not happen has happened: the leg it was met in ends, the others go on.
    fn end_faulty(&mut self, leg: Option<LegId>) {
        count(&self.parts.counters.faults);
        tracing::error!(?leg, "an internal fault in the media plane ended a leg");
        let Some(leg) = leg else { return };
        let ports = self.relay.ports_of(leg);
        let relay = &mut self.relay;
        if catch_unwind(AssertUnwindSafe(|| relay.fail_leg(leg))).is_err() {
            tracing::error!(?leg, "the leg could not be ended cleanly");
        }
        if let Some(ports) = ports {
            self.tell_path(ports, None);
        }
        self.count_legs();
    }

    fn close_all(&mut self) {
        let legs: Vec<_> = self.relay.leg_ids().collect();
        for leg in legs {
            self.carry_out(MediaCommand::CloseLeg { leg });
        }
        // Who does not listen at the end has stopped listening for good.
        let _ = self.tell();
    }
}

/// Whom a leg hears, by what was signalled.
struct Ends {
    rtp: Vec<std::net::SocketAddr>,
    rtcp: Vec<std::net::SocketAddr>,
}

impl Ends {
    fn of(params: &LegParams) -> Self {
        Self {
            rtp: params.remotes.iter().map(|end| end.rtp).collect(),
            rtcp: params.remotes.iter().map(|end| end.rtcp).collect(),
        }
    }
}

fn leg_of(command: &MediaCommand) -> Option<LegId> {
    match command {
        MediaCommand::Checkpoint { leg }
        | MediaCommand::CloseLeg { leg }
        | MediaCommand::OpenLeg { leg, .. }
        | MediaCommand::RestoreLeg { leg, .. }
        | MediaCommand::SendDtmf { leg, .. }
        | MediaCommand::Source { leg, .. }
        | MediaCommand::Split { leg }
        | MediaCommand::UpdateLeg { leg, .. } => Some(*leg),
        MediaCommand::Join { a, .. } => Some(*a),
        MediaCommand::BindPorts { .. } | MediaCommand::ReleasePorts { .. } => None,
    }
}
