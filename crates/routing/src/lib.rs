//! Which trunks carry a call, in which order, with which numbers, and why.
//!
//! A [`Document`] (trunks and routes as an operator wrote them) is compiled into a [`Snapshot`];
//! [`decide`] answers one [`Question`] from the snapshot and the [`Facts`] of the moment. It is
//! pure: the same three values give the same [`Decision`], in the gateway, in `route explain` and in
//! a replay of yesterday's calls. Routes are tried in the order written; the first that matches wins.
#![forbid(unsafe_code)]

mod compile;
mod cover;
mod decide;
mod document;
mod hash;
mod index;
mod numbers;
mod pattern;
mod plan;
mod step;

#[cfg(test)]
mod tests;

pub use compile::{CompileError, Place, Rule, Snapshot, Warning, WarningKind};
pub use decide::{Facts, Question, concerned, decide, explain};
pub use document::{
    Document, EmergencyDoc, NumberOf, NumberRule, PeerDoc, Portability, RouteDoc, TrunkDoc,
    TrunkGroup, Way,
};
pub use pattern::{Pattern, PatternError};
pub use plan::{Attempt, Decision, Outcome, RejectReason, RoutePlan};
pub use step::{PassedOver, Step};
