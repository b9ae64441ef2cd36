//! A call: a relation between two legs, in one of five phases.
//!
//! ```text
//!  INVITE ─▶ Setup ──2xx of B──▶ Talking ──BYE, limit, fault──▶ Ending ─▶ record, gone
//!              │ ├─2xx, no offer─▶ Offered ─ACK─▶ Talking          ▲
//!              │ └─2xx of Azure──▶ Held ──answered──▶ as a 2xx of B    │
//!              └── CANCEL, final failure, limit ───────────────────┘
//! ```
//! Each phase is a type and a transition consumes it: what only exists while a caller waits (its
//! server transaction, the plan, the attempt under way) is a field of [`Setup`] and of nothing else.

mod again;
mod announce;
mod answer;
mod attempt;
mod begin;
mod concede;
mod early;
mod ending;
mod event;
mod held;
mod info;
mod invite;
mod offered;
pub mod preview;
mod redirect;
mod refresh;
mod reinvite;
mod reliable;
mod ringback;
mod screen;
mod setup;
mod talking;
mod transfer;
mod upkeep;

pub(crate) use begin::{Arrived, begin, beyond};
pub(crate) use ending::{End, Ending};
pub(crate) use event::{Event, Timer};
pub(crate) use held::Held;
pub(crate) use offered::Offered;
pub(crate) use refresh::SessionTimer;
pub(crate) use setup::Setup;
pub(crate) use talking::Talking;
pub(crate) use transfer::{Consultation, Replacement, Transfer};
pub(crate) use upkeep::Upkeep;

use std::sync::Arc;

use ambient::WallTime;

use crate::admin::{CallSummary, Stage};
use crate::core::Core;
use crate::key::CallKey;
use crate::profile::TrunkProfile;
use crate::record::CallRecord;

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) head: Head,
    pub(crate) phase: Phase,
}

/// What a call has in every phase.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) key: CallKey,
    /// The trunk the call came from, as it was configured then.
    pub(crate) trunk: Arc<TrunkProfile>,
    pub(crate) record: Box<CallRecord>,
}

/// Where a call stands.
#[derive(Debug)]
pub(crate) enum Phase {
    Setup(Box<Setup>),
    Held(Box<Held>),
    Offered(Box<Offered>),
    Talking(Box<Talking>),
    Ending(Ending),
}

impl Call {
    /// Lets the event happen. `None` when the call is over and everything it held is given back.
    pub(crate) fn on(self, core: &mut Core, event: Event) -> Option<Self> {
        let Self { mut head, phase } = self;
        let phase = match phase {
            Phase::Setup(setup) => setup.on(core, &mut head, event),
            Phase::Held(held) => held.on(core, &mut head, event),
            Phase::Offered(offered) => offered.on(core, &mut head, event),
            Phase::Talking(talking) => talking.on(core, &mut head, event),
            Phase::Ending(ending) => ending.on(core, &mut head, event),
        };
        if let Phase::Ending(ending) = &phase
            && ending.is_over()
        {
            Ending::finish(core, head);
            return None;
        }
        Some(Self { head, phase })
    }
}

impl Call {
    /// How far the call has come.
    pub(crate) fn stage(&self) -> Stage {
        match &self.phase {
            Phase::Setup(_) | Phase::Held(_) => Stage::Setup,
            Phase::Offered(_) => Stage::Answered,
            Phase::Talking(talking) if talking.is_acknowledged() => Stage::Established,
            Phase::Talking(_) => Stage::Answered,
            Phase::Ending(_) => Stage::Ending,
        }
    }

    /// One line of a list of calls.
    pub(crate) fn summary(&self, now: WallTime) -> CallSummary {
        let record = &self.head.record;
        CallSummary {
            key: self.head.key,
            stage: self.stage(),
            started: record.started,
            talking: record
                .answered
                .map(|answered| now.saturating_since(answered)),
            from: record.from_trunk.clone(),
            to: record.to_trunk().cloned(),
            called: record.called.clone(),
            calling: record.calling.clone(),
        }
    }
}
