//! What is known about one peer.

use std::time::Duration;

use ambient::{Moment, Now, WallTime};
use sip_msg::{StatusCode, Uri};

use super::{PeerView, ProbeFailure};
use crate::profile::{OptionsPing, Preset};

/// Whether a peer takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Nothing was heard of it yet.
    Unknown,
    /// It gave a sign of life.
    Up {
        /// Since when.
        since: WallTime,
    },
    /// It is not there, or does not take calls.
    Down {
        /// Since when.
        since: WallTime,
    },
}

/// What came of one probe, or of a call that served as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// A probe got a final response.
    Answered {
        /// Its status.
        status: u16,
        /// How long it took.
        round_trip: Duration,
    },
    /// A call got a response.
    Call {
        /// Its status.
        status: u16,
    },
    /// There was no response.
    Failed(ProbeFailure),
}

/// What a result says about a peer. The table is in the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Alive,
    Lost,
    NotTaken,
    Overloaded { retry_after: Option<u32> },
}

impl Outcome {
    pub(super) fn of_failure(failure: ProbeFailure) -> Self {
        match failure {
            ProbeFailure::TimedOut => Self::Lost,
            ProbeFailure::Transport(_) | ProbeFailure::Unresolved => Self::NotTaken,
        }
    }
}

pub(super) fn judge(preset: Preset, status: StatusCode, retry_after: Option<u32>) -> Outcome {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => Outcome::Overloaded { retry_after },
        StatusCode::REQUEST_TIMEOUT => Outcome::Lost,
        StatusCode::FORBIDDEN if preset.is_microsoft() => Outcome::NotTaken,
        _ => Outcome::Alive,
    }
}

#[derive(Debug)]
pub(super) struct Peer {
    target: Uri,
    state: PeerState,
    losses: u8,
    aside_until: Option<Moment>,
    last: Option<(WallTime, ProbeResult)>,
    /// The last probe that was answered at all.
    answered: Option<(WallTime, ProbeResult)>,
}

impl Peer {
    pub(super) fn new(target: Uri) -> Self {
        Self {
            target,
            state: PeerState::Unknown,
            losses: 0,
            aside_until: None,
            last: None,
            answered: None,
        }
    }

    pub(super) fn uri(&self) -> &str {
        self.target.as_str()
    }

    pub(super) fn target(&self) -> &Uri {
        &self.target
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, PeerState::Down { .. })
    }

    /// Takes a result in; tells whether the peer is up now if that is a change.
    pub(super) fn settle(
        &mut self,
        now: Now,
        outcome: Outcome,
        result: ProbeResult,
        policy: &OptionsPing,
    ) -> Option<bool> {
        self.last = Some((now.wall, result));
        if matches!(result, ProbeResult::Answered { .. }) {
            self.answered = self.last;
        }
        let was_down = self.is_down();
        let was_unknown = self.state == PeerState::Unknown;
        let down = match outcome {
            Outcome::Alive => {
                // A sign of life is no sign of leisure: a rest that was asked for goes on (M-07).
                self.losses = 0;
                false
            }
            Outcome::Lost => {
                self.losses = self.losses.saturating_add(1);
                was_down || self.losses >= policy.losses.max(1)
            }
            Outcome::NotTaken => true,
            Outcome::Overloaded { retry_after } => {
                self.put_aside(now.moment, retry_after, policy);
                true
            }
        };
        if outcome == Outcome::Lost && !down {
            return None;
        }
        let since = now.wall;
        match (down, was_down) {
            (true, false) => self.state = PeerState::Down { since },
            (false, true) => self.state = PeerState::Up { since },
            (false, false) if was_unknown => self.state = PeerState::Up { since },
            (true, true) | (false, false) => return None,
        }
        Some(!down)
    }

    pub(super) fn put_aside(
        &mut self,
        now: Moment,
        retry_after: Option<u32>,
        policy: &OptionsPing,
    ) {
        let asked = retry_after.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let until = now + asked.map_or(policy.aside, |asked| asked.min(policy.aside_max));
        self.aside_until = self.aside_until.max(Some(until));
    }

    fn is_aside(&self, now: Moment) -> bool {
        self.aside_until.is_some_and(|until| now < until)
    }

    pub(super) fn fact(&self, now: Moment) -> Option<bool> {
        match self.state {
            _ if self.is_aside(now) => Some(false),
            PeerState::Unknown => None,
            PeerState::Up { .. } => Some(true),
            PeerState::Down { .. } => Some(false),
        }
    }

    pub(super) fn view(&self, now: Moment) -> PeerView {
        PeerView {
            target: self.target.clone(),
            state: self.state,
            aside: self
                .aside_until
                .filter(|_| self.is_aside(now))
                .map(|t| t.saturating_since(now)),
            losses: self.losses,
            last: self.last,
            answered: self.answered,
        }
    }
}
