//! The loop: each input runs through the user agent into the calls, until nothing is left to do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ambient::{Deadlines, KeyRng, Moment, Now, TokenRng};
use media_relay::{LegId, MediaEvent};
use routing::Snapshot;
use sip_msg::wire::Arrival;
use sip_msg::{Message, Response};
use sip_ua::{ClientFailure, ClientKey, DialogKey, Limits, UaConfig, UaEvent, UserAgent};

use crate::bans::Bans;
use crate::call::{Call, Event};
use crate::checkpoint::{Checkpoint, RestoreError};
use crate::cloud::{CloudEvent, Clouds};
use crate::core::{Core, Due};
use crate::doors::Doors;
use crate::health::TrunkMonitor;
use crate::index::{Index, Owner};
use crate::io::{Input, Output};
use crate::key::CallKey;
use crate::ledger::Ledger;
use crate::limits::Gate;
use crate::metrics::Counts;
use crate::ports::{InterfacePorts, PortPool};
use crate::profile::{CoreConfig, Profiles};
use crate::registrar::Registrar;
use crate::registration::Registrations;
use crate::trace::TraceVerdict;

/// The signalling core of the gateway. See the crate's documentation.
#[derive(Debug)]
pub struct B2bua {
    pub(crate) core: Core,
    pub(crate) calls: BTreeMap<CallKey, Call>,
    /// The call whose handler is at work.
    pub(crate) in_hand: Option<CallKey>,
    /// A call whose next event fails, for tests of fault isolation.
    pub(crate) fault_at: Option<CallKey>,
}

impl B2bua {
    /// A core with no calls. Drain it at once: it asks for media ports and probes its trunks.
    ///
    /// `tokens` may be replayed from a seed in tests; `keys` must come from the operating system.
    #[must_use]
    pub fn new(
        config: CoreConfig,
        snapshot: Arc<Snapshot>,
        mut tokens: TokenRng,
        keys: KeyRng,
        now: Now,
    ) -> Self {
        let CoreConfig {
            profiles,
            media,
            bounds,
            timers,
            software,
            bans,
            drain,
            ..
        } = config;
        let ua = UaConfig {
            timers,
            limits: Limits {
                transactions: bounds.transactions,
                remembered: bounds.remembered,
                dialogs: bounds.dialogs,
                forks: bounds.forks_per_leg,
                ..Limits::default()
            },
            software: Some(software.to_string()),
            ..UaConfig::default()
        };
        let mut gate = Gate::new(profiles.limits);
        gate.reload(
            profiles.limits,
            profiles.trunks.iter().map(|(name, t)| (name, t.limits)),
        );
        let mut ledger = Ledger::default();
        ledger.reload(snapshot.limits());
        let monitor = TrunkMonitor::new(now, &profiles, Arc::clone(&software), tokens.fork());
        let mut ua = UserAgent::new(ua, tokens.fork());
        for trunk in profiles.trunks.values() {
            ua.set_credentials(&trunk.name, trunk.auth.credentials.clone());
        }
        let registrations =
            Registrations::new(now, &profiles, Arc::clone(&software), tokens.fork());
        let secret = tokens.next_u64();
        let core = Core {
            now,
            ua,
            monitor,
            registrations,
            registrar: Registrar::default(),
            doors: Doors::default(),
            bans: Bans::new(bans),
            gate,
            ledger,
            clouds: Clouds::default(),
            ports: PortPool::new(now.moment, &media),
            interfaces: media.interfaces,
            profiles,
            snapshot,
            shadow: None,
            software,
            attempts_per_call: bounds.attempts_per_call,
            forks_per_leg: bounds.forks_per_leg,
            tokens,
            keys,
            deadlines: Deadlines::new(),
            index: Index::new(secret),
            subscriptions: BTreeMap::new(),
            departures: BTreeMap::new(),
            outputs: VecDeque::new(),
            leaving: None,
            metrics: Counts::default(),
            draining: false,
            drain,
        };
        let mut b2bua = Self {
            core,
            calls: BTreeMap::new(),
            in_hand: None,
            fault_at: None,
        };
        b2bua.settle();
        b2bua
    }

    /// The trunks as of the last reload.
    #[must_use]
    pub fn profiles(&self) -> &Profiles {
        &self.core.profiles
    }

    /// Lets something happen. Drain [`B2bua::poll_output`] before the next input.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        debug_assert!(
            self.core.outputs.is_empty(),
            "handled twice without a drain"
        );
        self.core.now = now;
        match input {
            Input::Message(arrival, message) => self.handle_message(arrival, message),
            Input::Rejected(arrival, _) if self.core.is_barred(&arrival, None) => {}
            Input::Rejected(arrival, rejected) => {
                self.core.trace_rejected(&arrival, &rejected);
                self.core.ua.handle_rejected(now, arrival, *rejected);
            }
            Input::Report(report) => self.core.ua.handle_report(now, report),
            Input::Dns(answer) => self.core.ua.handle_dns(now, answer),
            Input::Media(event) => self.handle_media(event),
            Input::Cloud(leg, event) => self.handle_cloud(leg, event),
            Input::Reload(profiles, snapshot) => self.reload(profiles, snapshot),
            Input::Shadow(snapshot) => self.core.shadow = snapshot,
            Input::Spent(spent) => self.core.ledger.refill(now, &spent),
            Input::Restore(checkpoint) => self.restore(*checkpoint),
            Input::Drain => {
                self.core.draining = true;
                self.core.registrations.withdraw(now);
            }
            Input::Admin(command) => self.command(command),
            Input::Timeout => {
                self.core.ua.handle_timeout(now);
                self.core.monitor.handle_timeout(now);
                self.core.registrations.handle_timeout(now);
            }
        }
        self.settle();
    }

    /// The next interface whose media ports are nearly used up, or no longer are: for the operator.
    pub fn poll_port_alarm(&mut self) -> Option<InterfacePorts> {
        self.core.ports.poll_alarm(self.core.now.moment)
    }

    /// What is to be done next. Ends with [`Output::Timeout`], and goes on ending with it.
    pub fn poll_output(&mut self) -> Output {
        match self.core.outputs.pop_front() {
            Some(output) => output,
            None => Output::Timeout(self.deadline()),
        }
    }

    fn deadline(&self) -> Option<Moment> {
        let core = &self.core;
        [
            core.ua.poll_timeout(),
            core.monitor.poll_timeout(),
            core.registrations.poll_timeout(),
            core.deadlines.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Runs until no layer has anything left to say.
    pub(crate) fn settle(&mut self) {
        loop {
            if let Some(event) = self.core.ua.poll_event() {
                self.handle_ua(event);
            } else if let Some(due) = self.core.deadlines.pop_due(self.core.now.moment) {
                match due {
                    Due::Call(key, timer) => self.tell(key, Event::Timer(timer)),
                    Due::Lease(leg) => self.core.media_closed(leg),
                    Due::Ladder(call) => self.core.index.forget_ladder(call),
                    Due::Departure(dialog) => {
                        let call = self.core.departure_due(dialog);
                        self.write_down_again(call);
                    }
                }
            } else if let Some(output) = self.core.monitor.poll_output() {
                self.core.probe(output);
            } else if let Some(register) = self.core.registrations.poll_output() {
                self.core.send_register(register);
            } else {
                break;
            }
        }
        self.core.flush();
    }

    fn handle_message(&mut self, arrival: Arrival, message: Message) {
        let core = &mut self.core;
        core.metrics.messages_in += 1;
        if core.is_barred(&arrival, Some(&message)) {
            return;
        }
        let (trunk, stranger) = match &message {
            Message::Request(request) => core.sender(&arrival, request),
            Message::Response(_) => (arrival.opened_for.clone(), None),
        };
        let verdict = stranger.map_or(TraceVerdict::Accepted, TraceVerdict::Unidentified);
        core.trace_in(&arrival, trunk, &message, verdict);
        if let Some(reason) = stranger {
            core.metrics.unidentified.add(reason);
            core.suspect(&arrival);
            // A source that may be forged gets no answer: it would only help a scan.
            if reason.answer(arrival.transport).is_none() {
                return;
            }
        }
        if let Message::Response(response) = &message {
            core.leave_if_busy(&arrival, response);
        }
        core.ua.handle_message(core.now, arrival, message);
    }

    fn handle_ua(&mut self, event: UaEvent) {
        match event {
            UaEvent::Request {
                server,
                dialog,
                request,
                arrival,
            } => {
                self.handle_request(server, dialog, request, arrival);
            }
            UaEvent::Cancelled { server, headers } => {
                if let Some(key) = self.core.index.servers.remove(&server) {
                    self.tell(key, Event::Cancelled { headers });
                }
            }
            UaEvent::Acked { dialog, ack } => {
                if let Some(&(key, side)) = self.core.index.dialogs.get(&dialog) {
                    self.tell(key, Event::Acked { side, ack });
                }
            }
            UaEvent::AckTimeout { dialog } => {
                if let Some(&(key, _)) = self.core.index.dialogs.get(&dialog) {
                    self.tell(key, Event::AckTimeout);
                }
            }
            UaEvent::PrackTimeout { server } => {
                if let Some(&key) = self.core.index.servers.get(&server) {
                    self.tell(key, Event::PrackTimeout);
                }
            }
            UaEvent::RetryInvite { dialog } => {
                if let Some(&(key, side)) = self.core.index.dialogs.get(&dialog) {
                    self.tell(key, Event::RetryInvite { side });
                }
            }
            UaEvent::Provisional {
                client,
                dialog,
                response,
            } => {
                if let Some(&Owner::Call(key)) = self.core.index.clients.get(&client) {
                    self.tell(
                        key,
                        Event::Provisional {
                            client,
                            dialog,
                            response,
                        },
                    );
                }
            }
            UaEvent::Final {
                client,
                dialog,
                response,
            } => self.handle_final(client, dialog, response),
            UaEvent::Failed { client, error } => self.handle_failed(client, error),
            UaEvent::ClientDone { client } => {
                self.core.index.client_done(client);
            }
        }
    }

    /// A request of ours has its final response.
    fn handle_final(&mut self, client: ClientKey, dialog: Option<DialogKey>, response: Response) {
        match self.core.index.clients.get(&client) {
            Some(&Owner::Call(key)) => {
                let event = Event::Final {
                    client,
                    dialog,
                    response,
                };
                self.tell(key, event);
            }
            Some(&Owner::Probe(probe)) => {
                let now = self.core.now;
                self.core.monitor.handle_answer(now, probe, &response);
            }
            Some(&Owner::Nobody { keep }) => self.core.unwanted_answer(dialog, keep, &response),
            Some(&Owner::Notice(dialog)) => self.core.notified(dialog, Some(response.status)),
            Some(&Owner::Registration(id)) => {
                let now = self.core.now;
                self.core.registrations.handle_answer(now, id, &response);
            }
            None => self.core.metrics.unexpected += 1,
        }
    }

    /// A request of ours has none, and will have none.
    fn handle_failed(&mut self, client: ClientKey, error: ClientFailure) {
        match self.core.index.clients.get(&client) {
            Some(&Owner::Call(key)) => self.tell(key, Event::Failed { client, error }),
            Some(&Owner::Probe(probe)) => self.core.probe_failed(probe, error),
            Some(&Owner::Notice(dialog)) => self.core.notified(dialog, None),
            Some(&Owner::Registration(id)) => {
                self.core.registrations.handle_failure(self.core.now, id);
            }
            Some(Owner::Nobody { .. }) | None => {}
        }
    }

    /// Lets a call handle an event. The call is out of the table meanwhile, so that a fault in its
    /// handler leaves no half-changed call behind.
    pub(crate) fn tell(&mut self, key: CallKey, event: Event) {
        let Some(call) = self.calls.remove(&key) else {
            self.core.metrics.unexpected += 1;
            return;
        };
        self.in_hand = Some(key);
        assert!(self.fault_at != Some(key), "a planted fault");
        if let Some(call) = call.on(&mut self.core, event) {
            self.calls.insert(key, call);
        }
        self.in_hand = None;
    }

    fn handle_media(&mut self, event: MediaEvent) {
        let core = &mut self.core;
        let leg = match &event {
            MediaEvent::PortsBound { pairs } => {
                core.ports.handle_bound(pairs);
                return;
            }
            MediaEvent::PortsFailed {
                shard,
                interface,
                missing,
            } => {
                core.ports
                    .handle_failed(core.now.moment, *shard, *interface, *missing);
                return;
            }
            MediaEvent::Closed { leg, .. }
            | MediaEvent::Dtmf { leg, .. }
            | MediaEvent::Failed { leg, .. }
            | MediaEvent::FirstAudio { leg }
            | MediaEvent::FirstPacket { leg, .. }
            | MediaEvent::LegState { leg, .. }
            | MediaEvent::Resumed { leg }
            | MediaEvent::Silence { leg, .. }
            | MediaEvent::Stats { leg, .. } => *leg,
        };
        let closed = matches!(event, MediaEvent::Closed { .. });
        if let Some((key, side)) = core.index.owner_of(leg)
            && self.calls.contains_key(&key)
        {
            self.tell(key, Event::Media { side, event });
        }
        if closed {
            self.core.media_closed(leg);
        }
    }

    /// What happened at Azure; what is about a leg that is over is nobody's.
    fn handle_cloud(&mut self, leg: LegId, event: CloudEvent) {
        let core = &mut self.core;
        let Some((key, side)) = core.index.owner_of(leg) else {
            return;
        };
        if core.clouds.get(leg).is_none() {
            return;
        }
        match &event {
            CloudEvent::Accepted { connection, .. } => core.clouds.name(leg, connection),
            CloudEvent::Failed { .. } => core.metrics.cloud_failed += 1,
            CloudEvent::Connected | CloudEvent::Gone { .. } => {}
        }
        self.tell(key, Event::Cloud { side, event });
    }

    fn restore(&mut self, checkpoint: Checkpoint) {
        let key = checkpoint.call;
        let restored = match self.calls.contains_key(&key) {
            true => Err(RestoreError::Running),
            false => self.core.restore(&checkpoint),
        };
        match restored {
            Ok(call) => {
                self.core.metrics.restored += 1;
                self.calls.insert(key, call);
            }
            Err(RestoreError::Running) => self.core.metrics.not_restored += 1,
            Err(_) => {
                self.core.metrics.not_restored += 1;
                self.core.not_restored(checkpoint);
            }
        }
    }
}
