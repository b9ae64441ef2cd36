//! Which trunks carry a call, in which order, with which numbers, and why.
//!
//! A [`Document`] (trunks and routes as an operator wrote them) is compiled into a [`Snapshot`];
//! [`decide`] answers one [`Question`] from the snapshot and the [`Facts`] of the moment. It is
//! pure: the same three values give the same [`Decision`], in the gateway, in `route explain` and in
//! a replay of yesterday's calls. Routes are tried in the order written; the first that matches wins.
#![forbid(unsafe_code)]

mod check;
mod cloud;
mod compile;
mod condition;
mod cover;
mod decide;
mod document;
mod facts;
mod hash;
mod index;
mod limits;
mod lines;
mod list;
mod mistake;
mod money;
mod numbers;
mod pattern;
mod plan;
mod rates;
mod record;
mod schedule;
mod step;
mod targets;

#[cfg(test)]
mod tests;

pub use cloud::{CLOUD_CALLING, CloudCall, CloudDoc, NotCarried};
pub use compile::{Snapshot, Warning, WarningKind};
pub use decide::{Concerned, Found, concerned, decide, explain, find};
pub use document::{
    Document, EmergencyDoc, NumberConditions, NumberOf, NumberRule, PeerDoc, Pick, Portability,
    RouteDoc, TrunkDoc, TrunkGroup, Way,
};
pub use facts::{FACTS_VERSION, Facts, Question, UnknownVersion};
pub use limits::{LimitDoc, LimitRule, Remaining};
pub use lines::{LineError, LineFault};
pub use list::{NumberList, NumberOwners, Owner};
pub use mistake::{CompileError, Place, Rule};
pub use money::{Currency, Money, Tariff, decimal, micros};
pub use pattern::{Pattern, PatternError};
pub use plan::{Attempt, Decision, Outcome, RejectReason, RoutePlan};
pub use rates::RateTable;
pub use record::{AttemptPlan, Cost, DecisionRecord, Difference, Rejection, Verdict};
pub use schedule::{ScheduleDoc, ScheduleError};
pub use step::{NumberFault, PassedOver, Step};
