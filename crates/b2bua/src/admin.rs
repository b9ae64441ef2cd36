//! What an operator asks for, and sees.

use std::sync::Arc;
use std::time::Duration;

use ambient::{Now, WallTime};
use routing::{Decision, Facts, Question, Snapshot};
use sip_msg::wire::TrunkName;

use crate::b2bua::B2bua;
use crate::call::{End, Event};
use crate::checkpoint::Checkpoint;
use crate::key::CallKey;
use crate::metrics::Metrics;
use crate::profile::Profiles;
use crate::record::Number;

/// Lines of one list of what is registered here, or of banned sources.
const VIEWS_MAX: usize = 1000;

/// A request of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// End this call, with BYE or by refusing its INVITE. An unknown key is ignored.
    HangUp(CallKey),
    /// End every call.
    HangUpAll,
    /// Accept calls again after a drain.
    Resume,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No answer of the called party yet.
    Setup,
    /// Answered; the caller's ACK is awaited.
    Answered,
    /// Both dialogs are confirmed.
    Established,
    /// Hanging up.
    Ending,
}

/// One line of a list of calls.
#[derive(Clone, Debug)]
pub struct CallSummary {
    /// The call.
    pub key: CallKey,
    /// How far it has come.
    pub stage: Stage,
    /// When its INVITE arrived.
    pub started: WallTime,
    /// How long it has been answered.
    pub talking: Option<Duration>,
    /// Where it comes from.
    pub from: TrunkName,
    /// Where it goes to, or is being tried.
    pub to: Option<TrunkName>,
    /// The number called, as the caller wrote it.
    pub called: Number,
    /// The number calling, as the caller wrote it.
    pub calling: Option<Number>,
}

impl B2bua {
    pub(crate) fn reload(&mut self, profiles: Arc<Profiles>, snapshot: Arc<Snapshot>) {
        let core = &mut self.core;
        let limits = profiles
            .trunks
            .iter()
            .map(|(name, trunk)| (name, trunk.limits));
        core.gate.reload(profiles.limits, limits);
        core.monitor.reload(core.now, &profiles);
        for gone in core.profiles.trunks.keys() {
            if !profiles.trunks.contains_key(gone) {
                core.ua.set_credentials(gone, Vec::new());
            }
        }
        for trunk in profiles.trunks.values() {
            core.ua
                .set_credentials(&trunk.name, trunk.auth.credentials.clone());
        }
        core.registrations.reload(core.now, &profiles);
        core.registrar.reload(&profiles);
        core.doors.reload(&profiles);
        core.profiles = profiles;
        core.ledger.reload(snapshot.limits());
        core.snapshot = snapshot;
    }

    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::HangUp(key) => {
                if self.calls.contains_key(&key) {
                    self.tell(key, Event::HangUp(End::operator()));
                }
            }
            Command::HangUpAll => {
                let keys: Vec<CallKey> = self.calls.keys().copied().collect();
                for key in keys {
                    self.tell(key, Event::HangUp(End::operator()));
                }
            }
            Command::Resume => {
                self.core.draining = false;
                self.core.registrations.resume(self.core.now);
            }
        }
    }

    /// Every call, in the order of their names.
    pub fn calls(&self) -> impl Iterator<Item = CallSummary> + '_ {
        self.calls
            .values()
            .map(|call| call.summary(self.core.now.wall))
    }

    /// A call as it would be written down; `None` if it is not confirmed.
    #[must_use]
    pub fn checkpoint(&self, call: CallKey) -> Option<Checkpoint> {
        self.core.checkpoint(self.calls.get(&call)?)
    }

    /// Makes the next event of a call fail, to see that only this call ends.
    #[doc(hidden)]
    pub fn plant_fault(&mut self, call: CallKey) {
        self.fault_at = Some(call);
    }

    /// What routing says of a call that came now, every route with the reason why it does not
    /// match, and the facts it says so by. No call is placed, and nothing is counted.
    pub fn explain(&mut self, now: Now, draw: u64, question: &Question) -> (Decision, Facts) {
        self.core.now = now;
        self.core.explain(draw, question)
    }

    /// The routes in use.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.core.snapshot
    }

    /// How many calls there are.
    #[must_use]
    pub fn call_count(&self) -> usize {
        self.calls.len()
    }

    /// Counters and levels.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let core = &self.core;
        let now = core.now.moment;
        let mut stages = [0; 4];
        for call in self.calls.values() {
            let stage = match call.stage() {
                Stage::Setup => 0,
                Stage::Answered => 1,
                Stage::Established => 2,
                Stage::Ending => 3,
            };
            stages[stage] += 1;
        }
        Metrics {
            counts: core.metrics,
            stages,
            signalling: core.ua.counters(),
            load: core.ua.load(),
            ports: core.ports.usage(),
            interfaces: core.ports.interfaces(core.now.moment),
            gateway: core.gate.gateway_usage(),
            trunks: core
                .gate
                .trunk_usage()
                .map(|(name, use_)| (name.clone(), use_))
                .collect(),
            health: core.monitor.views(core.now.moment).collect(),
            caller_ids: core.clouds.in_use().collect(),
            draining: core.draining,
            registrations: core.registrations.views().collect(),
            bindings: core.registrar.views(now).take(VIEWS_MAX).collect(),
            displaced: core.registrar.displaced,
            auth: core.doors.counts,
            bans: core.bans.counts,
            banned: core.bans.views(now).take(VIEWS_MAX).collect(),
        }
    }
}
