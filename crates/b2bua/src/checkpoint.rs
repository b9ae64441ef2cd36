//! A confirmed call written down: plain values, apart from the run-time types, that another process
//! can continue with the same bytes.
//!
//! What is not here ends with the process: calls that are not answered yet, and transactions under
//! way. Deadlines are wall time. The value holds the call's SRTP keys: whoever stores it encrypts
//! it.

mod leg;
mod session;
mod transfer;

use std::fmt;
use std::sync::Arc;

use ambient::WallTime;
use media_relay::MediaCommand;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::call::{Call, End, Head, Phase, Talking, Timer};
use crate::core::{Core, Due};
use crate::failure::{Cause, FailureClass};
use crate::io::{CheckpointUpdate, Output};
use crate::key::{CallKey, Side};
use crate::leg::Leg;
use crate::record::{Begin, CallRecord};

pub(crate) use leg::LegValue;
use transfer::TransferValue;

/// The layout of [`Checkpoint`] that this code writes and reads.
pub const VERSION: u16 = 1;

/// One confirmed call.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The layout of this value.
    pub version: u16,
    /// The call.
    pub call: CallKey,
    record: Box<CallRecord>,
    deadlines: Vec<(Timer, u64)>,
    a: LegValue,
    b: LegValue,
    #[serde(default)]
    transfers: TransferValue,
}

impl fmt::Debug for Checkpoint {
    // Keys do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({} version {})", self.call, self.version)
    }
}

/// Why a call cannot be continued. Its record is handed out, and its checkpoint removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// Written by another version of this code.
    #[error("the checkpoint has the unknown version {0}")]
    Version(u16),
    /// A call of that name is running.
    #[error("the call is running already")]
    Running,
    /// One of its trunks is not configured any more.
    #[error("a trunk of the call is not configured any more")]
    Trunk,
    /// Its ports serve another leg.
    #[error("the ports of the call are in use")]
    Ports,
    /// A dialog of it cannot be taken up.
    #[error("a dialog of the call cannot be continued")]
    Dialog,
    /// A value in it is not what it must be.
    #[error("the checkpoint holds a value that cannot be read")]
    Value,
}

impl CallRecord {
    fn begun(&self) -> Begin {
        Begin {
            call: self.call,
            from_trunk: self.from_trunk.clone(),
            call_id: self.call_id.clone(),
            from_address: self.from_address,
            called: self.called.clone(),
            calling: self.calling.clone(),
            started: self.started,
        }
    }
}

impl Core {
    /// Writes a call down, if it has changed and nothing is under way that cannot be described.
    pub(crate) fn save(&mut self, head: &Head, talking: &mut Talking) {
        let stable = talking.a.is_stable() && talking.b.is_stable();
        if !stable || !talking.changed {
            return;
        }
        let Some(checkpoint) = self.describe(head, talking) else {
            return;
        };
        talking.changed = false;
        talking.saved = true;
        let update = CheckpointUpdate::Save(Box::new(checkpoint));
        self.outputs.push_back(Output::Checkpoint(update));
    }

    /// A confirmed call as a value.
    pub(crate) fn checkpoint(&self, call: &Call) -> Option<Checkpoint> {
        match &call.phase {
            Phase::Talking(talking) => self.describe(&call.head, talking),
            Phase::Setup(_) | Phase::Held(_) | Phase::Offered(_) | Phase::Ending(_) => None,
        }
    }

    fn describe(&self, head: &Head, talking: &Talking) -> Option<Checkpoint> {
        let deadlines = Timer::ALL.into_iter().filter_map(|timer| {
            let at = self.deadlines.deadline(&Due::Call(head.key, timer))?;
            Some((timer, self.now.wall_at(at).as_unix_micros()))
        });
        let transfer = talking.transfer.as_deref();
        let leg = |leg: &Leg| {
            let value = LegValue::of(self, leg)?;
            Some(
                match transfer.filter(|transfer| transfer.side() == leg.side) {
                    Some(transfer) => value.intending(transfer.intended()),
                    None => value,
                },
            )
        };
        Some(Checkpoint {
            version: VERSION,
            call: head.key,
            record: head.record.clone(),
            deadlines: deadlines.collect(),
            a: leg(&talking.a)?,
            b: leg(&talking.b)?,
            transfers: TransferValue::of(self, head.key, transfer),
        })
    }

    /// A call that could not be continued still has its record.
    pub(crate) fn not_restored(&mut self, checkpoint: Checkpoint) {
        let mut record = checkpoint.record;
        record.restored = true;
        record.ended = self.now.wall;
        record.failure = Some(FailureClass::Internal);
        record.cause = Cause::TEMPORARY_FAILURE.value();
        self.forget(checkpoint.call);
        self.ledger.settle(self.now, &record);
        self.metrics.ended(&record);
        self.outputs.push_back(Output::Record(record));
        self.forget_checkpoint(checkpoint.call);
    }

    pub(crate) fn forget_checkpoint(&mut self, call: CallKey) {
        let update = CheckpointUpdate::Remove(call);
        self.outputs.push_back(Output::Checkpoint(update));
    }

    /// Hangs up the party of a leg whose call cannot be continued, if its dialog can be.
    fn give_up(&mut self, leg: Result<Leg, RestoreError>, value: &LegValue) {
        let cause = Cause::TEMPORARY_FAILURE;
        match leg {
            Ok(leg) => leg.end(self, Some(&End::gateway(FailureClass::Internal, cause))),
            Err(_) => {
                if let Some(dialog) = value.take_up_dialog(self) {
                    self.bye(dialog, cause.into());
                }
            }
        }
    }

    /// Continues a call that was written down.
    ///
    /// # Errors
    /// Why it cannot be continued; its parties are hung up then, and nothing of it is kept.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<Call, RestoreError> {
        if checkpoint.version != VERSION {
            return Err(RestoreError::Version(checkpoint.version));
        }
        let key = checkpoint.call;
        self.ledger.retake(key, &checkpoint.record);
        let a = checkpoint.a.restore(self, key, Side::A);
        let b = checkpoint.b.restore(self, key, Side::B);
        let (a, b) = match (a, b) {
            (Ok(a), Ok(b)) => (a, b),
            (a, b) => {
                let error = a.as_ref().err().or(b.as_ref().err()).copied();
                self.give_up(a, &checkpoint.a);
                self.give_up(b, &checkpoint.b);
                return Err(error.unwrap_or(RestoreError::Value));
            }
        };
        self.media(MediaCommand::Join {
            a: a.media.id,
            b: b.media.id,
        });
        for &(timer, at) in &checkpoint.deadlines {
            let at = self.now.moment_at(WallTime::from_unix_micros(at));
            self.deadlines.set(Due::Call(key, timer), at);
        }
        let mut record = checkpoint.record.clone();
        record.restored = true;
        self.index.begin(key, record.begun());
        let mut talking = Talking {
            a,
            b,
            changed: true,
            saved: true,
            transfer: None,
        };
        talking.update_media(self);
        let mut head = Head {
            key,
            trunk: Arc::clone(&talking.a.trunk),
            record,
        };
        // What another process writes down replaces what this one was given.
        checkpoint.transfers.restore(self, &mut head, &talking);
        talking.settle(self, &head);
        Ok(Call {
            head,
            phase: Phase::Talking(Box::new(talking)),
        })
    }
}
