//! What every call shares: the user agent, the limits, the ports, the clock of this input, and the
//! index that finds the call an event belongs to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ambient::{Deadlines, KeyRng, Now, TokenRng};
use bytes::Bytes;
use media_relay::{LegId, MediaCommand};
use routing::Snapshot;
use sip_msg::{Method, Response, StatusCode};
use sip_ua::{ClientKey, DialogKey, ServerKey, UserAgent};

use crate::call::Timer;
use crate::health::TrunkMonitor;
use crate::io::Output;
use crate::key::{CallKey, Side};
use crate::limits::Gate;
use crate::metrics::Metrics;
use crate::ports::{PortLease, PortPool};
use crate::profile::{Profiles, TrunkProfile};

/// Longest wait for a shard to say that a leg is closed before its ports are used again.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// A time limit this layer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Call(CallKey, Timer),
    /// A shard did not confirm that it closed this leg.
    Lease(LegId),
}

/// Whose client transaction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The call waits for its outcome.
    Call(CallKey),
    /// Nobody waits any more: a 2xx is acknowledged, and hung up unless it is of this dialog.
    Nobody { keep: Option<DialogKey> },
}

/// Who owns what the layers below know by key only.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) servers: BTreeMap<ServerKey, CallKey>,
    pub(crate) clients: BTreeMap<ClientKey, Owner>,
    pub(crate) dialogs: BTreeMap<DialogKey, (CallKey, Side)>,
    pub(crate) media: BTreeMap<LegId, (CallKey, Side)>,
    /// Call-IDs of both sides, for traces.
    pub(crate) call_ids: BTreeMap<Arc<str>, CallKey>,
    /// Ports of legs that a shard is still closing.
    pub(crate) closing: BTreeMap<LegId, PortLease>,
}

/// Everything but the calls. A handler of a call gets the call by value and this by reference.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) now: Now,
    pub(crate) profiles: Arc<Profiles>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) software: Arc<str>,
    pub(crate) attempts_per_call: usize,
    pub(crate) forks_per_leg: usize,
    pub(crate) ua: UserAgent,
    pub(crate) monitor: TrunkMonitor,
    pub(crate) gate: Gate,
    pub(crate) ports: PortPool,
    pub(crate) tokens: TokenRng,
    pub(crate) keys: KeyRng,
    pub(crate) deadlines: Deadlines<Due>,
    pub(crate) index: Index,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) metrics: Metrics,
    pub(crate) draining: bool,
}

impl Core {
    /// Hands a command to the shards.
    pub(crate) fn media(&mut self, command: MediaCommand) {
        self.outputs.push_back(Output::Media(command));
    }

    pub(crate) fn arm(&mut self, call: CallKey, timer: Timer, after: Duration) {
        self.deadlines.set(Due::Call(call, timer), self.now.moment + after);
    }

    pub(crate) fn disarm(&mut self, call: CallKey, timer: Timer) {
        self.deadlines.cancel(&Due::Call(call, timer));
    }

    /// Closes a media leg; its ports go back to the pool when the shard has closed it.
    pub(crate) fn close_media(&mut self, leg: LegId, lease: PortLease) {
        self.media(MediaCommand::CloseLeg { leg });
        self.index.closing.insert(leg, lease);
        self.deadlines.set(Due::Lease(leg), self.now.moment + CLOSE_WAIT);
    }

    /// The shard has closed the leg, or never will.
    pub(crate) fn media_closed(&mut self, leg: LegId) {
        self.deadlines.cancel(&Due::Lease(leg));
        self.index.media.remove(&leg);
        if let Some(lease) = self.index.closing.remove(&leg) {
            self.ports.release(self.now.moment, lease);
        }
    }
}
