//! The gateway under test: the core, its media shards, and the shell's part played by hand.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ambient::{KeyRng, Moment, Now, TokenRng};
use b2bua::cloud::CloudRequest;
use b2bua::profile::CoreConfig;
use b2bua::record::CallRecord;
use b2bua::trace::TraceEntry;
use b2bua::{B2bua, CallKey, Checkpoint, CheckpointUpdate, Input, Output};
use media_relay::{
    Arrival, Converter, LegId, MediaCommand, MediaEvent, PortPair, PortPairId, Relay, RelayConfig,
    ShardId, Verdict,
};
use routing::{DecisionRecord, Snapshot};
use sip_msg::dns::Query;
use sip_msg::wire::{FlowId, Transmit};

/// Octets of the longest packet, with what SRTP adds.
const PACKET: usize = 2_048;

/// A packet of media on its way to a party.
#[derive(Clone, Debug)]
pub(crate) struct MediaPacket {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) octets: Vec<u8>,
}

/// A media shard: its packets, and the speech that its other thread converts.
struct Shard {
    relay: Relay,
    converter: Converter,
}

/// The core with everything around it that has no clock of its own.
pub(crate) struct Gateway {
    core: B2bua,
    config: CoreConfig,
    snapshot: Arc<Snapshot>,
    shards: BTreeMap<ShardId, Shard>,
    shard_of: BTreeMap<LegId, ShardId>,
    bound: BTreeMap<PortPairId, PortPair>,
    at: BTreeMap<SocketAddr, (PortPairId, bool)>,
    next_port: u16,
    next_pair: u32,
    chance: TokenRng,
    wake: Option<Moment>,
    events: VecDeque<MediaEvent>,
    /// What the shell would send.
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) queries: VecDeque<Query>,
    /// Connections that the core wants left.
    pub(crate) left: Vec<FlowId>,
    pub(crate) packets: VecDeque<MediaPacket>,
    pub(crate) records: Vec<CallRecord>,
    pub(crate) trace: Vec<TraceEntry>,
    pub(crate) saved: BTreeMap<CallKey, Checkpoint>,
    /// How often a call was written down.
    pub(crate) saves: usize,
    /// What Azure was asked to do.
    pub(crate) clouds: Vec<CloudRequest>,
}

impl Gateway {
    pub(crate) fn new(
        now: Now,
        config: CoreConfig,
        snapshot: Arc<Snapshot>,
        mut chance: TokenRng,
    ) -> Self {
        let core = new_core(now, &config, &snapshot, &mut chance);
        let shards = new_shards(&config);
        let mut gateway = Self {
            core,
            config,
            snapshot,
            shards,
            shard_of: BTreeMap::new(),
            bound: BTreeMap::new(),
            at: BTreeMap::new(),
            next_port: 20_000,
            next_pair: 0,
            chance,
            wake: None,
            events: VecDeque::new(),
            transmits: VecDeque::new(),
            queries: VecDeque::new(),
            left: Vec::new(),
            packets: VecDeque::new(),
            records: Vec::new(),
            trace: Vec::new(),
            saved: BTreeMap::new(),
            saves: 0,
            clouds: Vec::new(),
        };
        gateway.drain(now);
        gateway
    }

    /// Hands one input to the core and drains all that follows from it.
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        self.core.handle_input(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Now) {
        loop {
            match self.core.poll_output() {
                Output::Transmit(transmit) => self.transmits.push_back(transmit),
                Output::Media(command) => self.command(now, command),
                Output::Record(record) => {
                    decided_alike(self.core.snapshot(), &record);
                    self.records.push(*record);
                }
                Output::Checkpoint(CheckpointUpdate::Save(checkpoint)) => {
                    self.saves += 1;
                    self.saved.insert(checkpoint.call, *checkpoint);
                }
                Output::Checkpoint(CheckpointUpdate::Remove(call)) => {
                    self.saved.remove(&call);
                }
                Output::Trace(entry) => self.trace.push(entry),
                Output::Leave(flow) => self.left.push(flow),
                Output::Cloud(request) => self.clouds.push(request),
                Output::Query(query) => self.queries.push_back(query),
                Output::Timeout(wake) => {
                    self.wake = wake;
                    self.collect(now);
                    let Some(event) = self.events.pop_front() else {
                        return;
                    };
                    self.core.handle_input(now, Input::Media(event));
                }
            }
        }
    }

    /// When it wants to be woken.
    pub(crate) fn next_wake(&self) -> Option<Moment> {
        let shards = self.shards.values();
        let wakes = shards.filter_map(|shard| shard.relay.poll_timeout());
        wakes.chain(self.wake).min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        for Shard { relay, .. } in self.shards.values_mut() {
            if relay.poll_timeout().is_some_and(|at| at <= now.moment) {
                relay.handle_timeout(now);
            }
        }
        if self.wake.is_some_and(|at| at <= now.moment) {
            self.core.handle_input(now, Input::Timeout);
        }
        self.drain(now);
    }

    /// A packet of media came.
    pub(crate) fn hear(&mut self, now: Now, from: SocketAddr, to: SocketAddr, octets: &[u8]) {
        let Some(&(ports, rtcp)) = self.at.get(&to) else {
            return;
        };
        let arrival = Arrival {
            ports,
            rtcp,
            source: from,
        };
        let mut buffer = [0; PACKET];
        let len = octets.len().min(PACKET - 128);
        buffer[..len].copy_from_slice(&octets[..len]);
        let holds = |shard: &&mut Shard| shard.relay.leg_at(ports).is_some();
        let Some(Shard { relay, converter }) = self.shards.values_mut().find(holds) else {
            return;
        };
        let mut verdict = relay.forward(now, &arrival, &mut buffer, len);
        if let Verdict::Convert(ticket) = verdict {
            converter.convert(&ticket, &mut buffer);
            verdict = relay.handle_converted(now, &ticket, &mut buffer);
        }
        if let Verdict::Send(transmit) = verdict {
            self.push_packet(
                transmit.ports,
                transmit.rtcp,
                transmit.to,
                &buffer[..transmit.len],
            );
        }
        self.drain(now);
    }

    fn push_packet(&mut self, ports: PortPairId, rtcp: bool, to: SocketAddr, octets: &[u8]) {
        let Some(pair) = self.bound.get(&ports) else {
            return;
        };
        let from = if rtcp { pair.rtcp() } else { pair.rtp() };
        self.packets.push_back(MediaPacket {
            from,
            to,
            octets: octets.to_vec(),
        });
    }

    /// Takes what the shards send and say of their own accord.
    fn collect(&mut self, now: Now) {
        let mut sent = Vec::new();
        let mut buffer = [0; PACKET];
        for Shard { relay, .. } in self.shards.values_mut() {
            while let Some(transmit) = relay.poll_transmit(now, &mut buffer) {
                sent.push((transmit, buffer[..transmit.len].to_vec()));
            }
            while let Some(event) = relay.poll_event() {
                self.events.push_back(event);
            }
        }
        for (transmit, octets) in sent {
            self.push_packet(transmit.ports, transmit.rtcp, transmit.to, &octets);
        }
    }

    fn command(&mut self, now: Now, command: MediaCommand) {
        match command {
            MediaCommand::BindPorts {
                shard,
                interface,
                count,
            } => {
                let pairs = (0..count)
                    .filter_map(|_| self.bind(shard, interface))
                    .collect();
                self.events.push_back(MediaEvent::PortsBound { pairs });
            }
            MediaCommand::ReleasePorts { pairs } => {
                for pair in pairs.iter().filter_map(|pair| self.bound.remove(pair)) {
                    self.at.remove(&pair.rtp());
                    self.at.remove(&pair.rtcp());
                }
            }
            MediaCommand::OpenLeg { leg, ports, .. }
            | MediaCommand::RestoreLeg { leg, ports, .. } => {
                self.adopt(ports);
                self.shard_of.insert(leg, ports.shard);
                self.relay(now, leg, command);
            }
            MediaCommand::Join { a, b } => {
                self.bring_together(a, b);
                self.relay(now, a, MediaCommand::Join { a, b });
            }
            MediaCommand::Checkpoint { leg }
            | MediaCommand::CloseLeg { leg }
            | MediaCommand::SendDtmf { leg, .. }
            | MediaCommand::Source { leg, .. }
            | MediaCommand::Split { leg }
            | MediaCommand::UpdateLeg { leg, .. } => self.relay(now, leg, command),
        }
    }

    fn relay(&mut self, now: Now, leg: LegId, command: MediaCommand) {
        let shard = self.shard_of.get(&leg).copied().unwrap_or_default();
        if let Some(shard) = self.shards.get_mut(&shard) {
            shard.relay.handle_command(now, command);
        }
    }

    /// Moves the leg `b` to the shard of `a`, as the media shell does before it joins them.
    fn bring_together(&mut self, a: LegId, b: LegId) {
        let (Some(&home), Some(&away)) = (self.shard_of.get(&a), self.shard_of.get(&b)) else {
            return;
        };
        if home == away {
            return;
        }
        let moving = self
            .shards
            .get_mut(&away)
            .and_then(|shard| shard.relay.export_leg(b));
        if let (Some(moving), Some(shard)) = (moving, self.shards.get_mut(&home)) {
            shard.relay.import_leg(moving);
            self.shard_of.insert(b, home);
        }
    }

    fn bind(&mut self, shard: ShardId, interface: u16) -> Option<PortPair> {
        let interface_address: IpAddr = self
            .config
            .media
            .interfaces
            .iter()
            .find(|known| known.id == interface)?
            .bind;
        let port = self.next_port;
        self.next_port = port.checked_add(2)?;
        self.next_pair += 1;
        let pair = PortPair {
            id: PortPairId(self.next_pair),
            shard,
            interface,
            address: interface_address,
            port,
        };
        self.adopt(pair);
        Some(pair)
    }

    fn adopt(&mut self, pair: PortPair) {
        self.bound.insert(pair.id, pair);
        self.at.insert(pair.rtp(), (pair.id, false));
        self.at.insert(pair.rtcp(), (pair.id, true));
    }

    /// Replaces the core and the shards by new ones that know nothing but what was written down.
    pub(crate) fn restart(&mut self, now: Now) {
        let unchanged = self.config.clone();
        self.restart_with(now, unchanged);
    }

    /// The same, with another configuration.
    pub(crate) fn restart_with(&mut self, now: Now, config: CoreConfig) {
        self.config = config;
        // What is stored stays stored until the core says otherwise.
        let checkpoints: Vec<Checkpoint> = self.saved.values().cloned().collect();
        self.core = new_core(now, &self.config, &self.snapshot, &mut self.chance);
        self.shards = new_shards(&self.config);
        self.shard_of.clear();
        self.events.clear();
        self.drain(now);
        for checkpoint in checkpoints {
            let written = serde_json::to_string(&checkpoint).expect("a checkpoint is written down");
            let read = serde_json::from_str(&written).expect("and read back");
            self.handle(now, Input::Restore(Box::new(read)));
        }
    }

    /// Hands an input to a call whose handler fails, as the shell does: catches the fault and lets
    /// the core end the call.
    pub(crate) fn fault(&mut self, now: Now, call: CallKey, input: Input) -> Option<CallKey> {
        self.core.plant_fault(call);
        let core = &mut self.core;
        let caught = catch_unwind(AssertUnwindSafe(|| core.handle_input(now, input)));
        let ended = caught.err().and_then(|_| self.core.end_call_on_fault(now));
        self.drain(now);
        ended
    }

    pub(crate) fn config(&self) -> &CoreConfig {
        &self.config
    }

    pub(crate) fn core(&self) -> &B2bua {
        &self.core
    }

    /// Legs that the shards carry now.
    pub(crate) fn legs(&self) -> usize {
        self.shards.values().map(|shard| shard.relay.len()).sum()
    }
}

fn new_core(
    now: Now,
    config: &CoreConfig,
    snapshot: &Arc<Snapshot>,
    chance: &mut TokenRng,
) -> B2bua {
    let mut entropy = [0; 32];
    for chunk in entropy.chunks_mut(8) {
        chunk.copy_from_slice(&chance.next_u64().to_le_bytes());
    }
    let keys = KeyRng::from_entropy(entropy);
    B2bua::new(
        config.clone(),
        Arc::clone(snapshot),
        chance.fork(),
        keys,
        now,
    )
}

fn new_shards(config: &CoreConfig) -> BTreeMap<ShardId, Shard> {
    let new_shard = || Shard {
        relay: Relay::new(RelayConfig::default()),
        converter: Converter::default(),
    };
    let shards = config.media.shards.iter();
    shards.map(|&shard| (shard, new_shard())).collect()
}

/// The call, an explanation of it and a replay of its record come to the same.
fn decided_alike(snapshot: &Snapshot, record: &CallRecord) {
    let (Some(question), Some(decision)) = (&record.question, &record.decision) else {
        return;
    };
    // Of a call that began before a reload the routes are gone.
    if record.snapshot != snapshot.hash() {
        return;
    }
    let facts = record.facts.to_facts();
    let again = DecisionRecord::from(&routing::decide(snapshot, &facts, question));
    assert_eq!(
        **decision, again,
        "a replay: {:?} {:?}",
        decision.steps, again.steps
    );
    let explained = DecisionRecord::from(&routing::explain(snapshot, &facts, question));
    let same = (&explained.attempts, &explained.reject, &explained.route);
    assert_eq!(
        (&decision.attempts, &decision.reject, &decision.route),
        same
    );
}
