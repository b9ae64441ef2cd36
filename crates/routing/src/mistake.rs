//! What can be wrong with a document, and where.

use thiserror::Error;

use crate::pattern::PatternError;
use crate::schedule::ScheduleError;

/// What a mistake of a document is in, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The document as a whole.
    Document,
    /// A trunk.
    Trunk(usize),
    /// A route.
    Route(usize),
    /// A list of numbers.
    List(usize),
    /// A schedule.
    Schedule(usize),
    /// A table of rates.
    Rates(usize),
    /// A limit.
    Limit(usize),
    /// The order of trunks for emergency calls.
    Emergency,
    /// How calls reach Azure Cloud Calling.
    Cloud,
}

/// What a document may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rule {
    /// Two trunks or two routes with one name, or none.
    #[error("names are not empty and given once")]
    Name,
    /// A list of numbers that is not in the document.
    #[error("no list of numbers has this name")]
    UnknownList,
    /// A schedule that is not in the document.
    #[error("no schedule has this name")]
    UnknownSchedule,
    /// A table of rates that is not in the document.
    #[error("no table of rates has this name")]
    UnknownRates,
    /// A route that is not in the document.
    #[error("no route has this name")]
    UnknownRoute,
    /// A customer whom no trunk belongs to.
    #[error("no trunk belongs to this customer")]
    UnknownCustomer,
    /// A schedule that cannot be read.
    #[error("{0}")]
    Schedule(#[from] ScheduleError),
    /// A country without numbers.
    #[error("not a country as in ISO 3166: US, GB, DE")]
    Country,
    /// A condition on a header field that cannot be.
    #[error("a header field is written `Name: value`, `*` and `?` in the value as wildcards")]
    Header,
    /// Weights that do not fit the targets.
    #[error("there is one weight for each target, and one of them is more than 0")]
    Weights,
    /// A choice by cost that has nothing to choose by.
    #[error("targets are chosen by cost, and no target has rates")]
    NoRates,
    /// Prices that cannot be compared.
    #[error("prices in different currencies cannot be compared")]
    Currency,
    /// A caller's number that is none.
    #[error("a caller's number is written +14255550100")]
    CallerId,
    /// A limit that limits nothing.
    #[error("a limit limits something")]
    NoLimit,
    /// A trunk that is not in the document.
    #[error("no trunk has this name")]
    UnknownTrunk,
    /// A route that leads nowhere.
    #[error("a route names targets or an announcement, or a status to refuse with, not both")]
    NoTarget,
    /// A trunk without peers as a target.
    #[error("the trunk has no peers to send a call to")]
    NoPeers,
    /// One trunk twice among the targets.
    #[error("a trunk is a target once")]
    TargetTwice,
    /// A status that is no refusal.
    #[error("a call is refused with 400 to 699")]
    Status,
    /// What no emergency number is.
    #[error("an emergency number is 2 to 6 digits")]
    EmergencyNumber,
    /// A host that no Request-URI can have.
    #[error("not a host name or address")]
    Host,
    /// A pattern that cannot be read.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// Microsoft as the carrier where it cannot be.
    #[error(
        "`cloud-calling` takes calls that are routed to it; none come from it, and none for help go there"
    )]
    CloudCalling,
    /// Azure shows callers numbers that it owns.
    #[error("`cloud-calling` needs a number that the resource owns")]
    NoCallerId,
    /// A list beyond its bound.
    #[error("too many")]
    TooMany,
}

/// One mistake of a document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place:?}: {field}[{item}]: {rule}")]
pub struct CompileError {
    /// Trunk or route.
    pub place: Place,
    /// Key of the document: `name`, `peers`, `from`, `called`, `calling`, `to`, `reject`.
    pub field: &'static str,
    /// Which item of a list, from 0.
    pub item: usize,
    /// What is wrong.
    pub rule: Rule,
}
