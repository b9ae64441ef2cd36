//! A decision as it is told: by `route explain`, in a call record, and to whoever asks the gateway.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::money::{Tariff, decimal};
use crate::plan::{Attempt, Decision, Outcome};

/// A [`Decision`] in words and plain values; the same object wherever one is shown, and equal for
/// equal facts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Whether the call is routed or refused.
    pub decision: Verdict,
    /// The route that matched; none of a call that no route takes, or that is refused.
    pub route: Option<String>,
    /// What is tried, in order.
    pub attempts: Vec<AttemptPlan>,
    /// What the caller hears when no attempt comes to anything.
    pub announcement: Option<String>,
    /// How it is refused.
    pub reject: Option<Rejection>,
    /// Why, in the order it was found.
    pub steps: Vec<String>,
}

/// What a decision comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// There are targets, or an announcement.
    Route,
    /// The call is refused.
    Reject,
}

/// One attempt of a plan.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptPlan {
    /// The target as routes name it: the trunk, or `cloud-calling`.
    pub target: String,
    /// The trunk that the INVITE goes to.
    pub trunk: String,
    /// Which of its peers, from 0.
    pub peer: usize,
    /// The number that Microsoft is to dial, where it is the carrier.
    pub dials: Option<String>,
    /// The number that Microsoft shows then.
    pub caller_id: Option<String>,
    /// Request-URI of the INVITE.
    pub request_uri: String,
    /// User of the From URI; `None` for a withheld number.
    pub from: Option<String>,
    /// What a minute costs there, where that is known.
    pub cost_per_minute: Option<Box<Cost>>,
    /// The header fields of the INVITE that say who calls whom, where whoever tells it has made
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// The price of a call by its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Of a minute, in decimal.
    pub amount: String,
    /// Three letters of ISO 4217.
    pub currency: String,
    /// The least that is charged, in seconds.
    pub initial: u16,
    /// The step in which more is charged, in seconds.
    pub subsequent: u16,
}

/// How a call is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Status of the response.
    pub status: u16,
    /// The rule that refuses it.
    pub reason: String,
}

/// How one decision differs from another about the same call, by what is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The same trunk first, the same announcement, or refused alike.
    Same,
    /// Another trunk first, or another announcement.
    Elsewhere,
    /// Refused, and not by the first.
    Refused,
    /// Refused by the first alone.
    Accepted,
}

impl Difference {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Same, Self::Elsewhere, Self::Refused, Self::Accepted];

    /// One word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Elsewhere => "elsewhere",
            Self::Refused => "refused",
            Self::Accepted => "accepted",
        }
    }
}

impl DecisionRecord {
    /// How `other` differs from this.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Difference {
        let first = |record: &Self| {
            let first = record.attempts.first();
            let target = first.map(|attempt| attempt.target.clone());
            // Heard only where nothing else is tried first.
            let announcement = record.announcement.clone().filter(|_| target.is_none());
            (target, announcement)
        };
        match (self.decision, other.decision) {
            (Verdict::Route, Verdict::Reject) => Difference::Refused,
            (Verdict::Reject, Verdict::Route) => Difference::Accepted,
            (Verdict::Reject, Verdict::Reject) => Difference::Same,
            (Verdict::Route, Verdict::Route) if first(self) == first(other) => Difference::Same,
            (Verdict::Route, Verdict::Route) => Difference::Elsewhere,
        }
    }
}

impl fmt::Debug for DecisionRecord {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecisionRecord({:?} {:?})", self.decision, self.route)
    }
}

impl fmt::Debug for AttemptPlan {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptPlan({} peer {})", self.trunk, self.peer)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            amount,
            currency,
            initial,
            subsequent,
        } = self;
        write!(f, "{amount} {currency} a minute, {initial}/{subsequent}")
    }
}

impl From<&Tariff> for Cost {
    fn from(tariff: &Tariff) -> Self {
        Self {
            amount: decimal(tariff.per_minute.micros),
            currency: tariff.per_minute.currency.as_str().to_owned(),
            initial: tariff.initial,
            subsequent: tariff.subsequent,
        }
    }
}

impl From<&Attempt> for AttemptPlan {
    fn from(attempt: &Attempt) -> Self {
        Self {
            target: attempt.target().to_owned(),
            trunk: attempt.trunk.to_string(),
            dials: attempt.cloud.as_ref().map(|cloud| cloud.to.to_wire()),
            caller_id: attempt.cloud.as_ref().and_then(|cloud| {
                let first = cloud.caller_ids.first()?;
                Some(first.to_wire())
            }),
            peer: attempt.peer,
            request_uri: attempt.request_uri.as_str().to_owned(),
            from: attempt.from_user.clone(),
            cost_per_minute: attempt.tariff.as_ref().map(Cost::from).map(Box::new),
            headers: Vec::new(),
        }
    }
}

impl From<&Decision> for DecisionRecord {
    fn from(decision: &Decision) -> Self {
        let steps = decision.steps.iter().map(ToString::to_string).collect();
        match &decision.outcome {
            Outcome::Route(plan) => Self {
                decision: Verdict::Route,
                route: Some(plan.route.to_string()),
                attempts: plan.attempts.iter().map(AttemptPlan::from).collect(),
                announcement: plan.announcement.as_deref().map(str::to_owned),
                reject: None,
                steps,
            },
            Outcome::Reject { status, reason } => Self {
                decision: Verdict::Reject,
                route: None,
                attempts: Vec::new(),
                announcement: None,
                reject: Some(Rejection {
                    status: status.code(),
                    reason: reason.to_string(),
                }),
                steps,
            },
        }
    }
}
