//! Microsoft as the carrier: the target `cloud-calling`.
//!
//! A call to it goes over a trunk of the SIP Interface to a marker number, and from there on Azure
//! dials the called number from a number that the resource owns.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use e164::E164Number;
use sip_msg::wire::TrunkName;

use crate::compile::Snapshot;
use crate::document::TrunkDoc;
use crate::facts::Facts;
use crate::numbers::{Numbers, Written};
use crate::targets::Targets;

/// The name of the target. No trunk has it.
pub const CLOUD_CALLING: &str = "cloud-calling";

/// Most numbers that calls may be shown to come from.
pub(crate) const MOST_CALLER_IDS: usize = 1_000;

/// How calls reach Azure Cloud Calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudDoc {
    /// The trunk over which they reach Azure. Its peers, its health and its room are the
    /// target's.
    pub trunk: TrunkName,
    /// The number that stands in the Request-URI of all of them. It is called by nobody else.
    pub marker: E164Number,
    /// Numbers that the resource owns, those that are used first before; 1 to 1000.
    pub caller_ids: Vec<E164Number>,
    /// Name of the table of what calls cost.
    pub rates: Option<String>,
}

impl CloudDoc {
    /// The target as limits, rates and customers see it: its trunk, under its own name.
    pub(crate) fn target(&self, trunk: &TrunkDoc) -> TrunkDoc {
        TrunkDoc {
            name: CLOUD_CALLING.into(),
            rates: self.rates.clone(),
            ..trunk.clone()
        }
    }

    /// The owned numbers that the call may be shown to come from, the best first: the caller's own
    /// if it is one, that of the route, then those with most room. Those without any are left out.
    pub(crate) fn choose(
        &self,
        facts: &Facts,
        own: Option<&E164Number>,
        of_route: Option<&E164Number>,
    ) -> Vec<E164Number> {
        let room = |number: &E164Number| facts.caller_ids.get(number).copied();
        let mut fit: Vec<E164Number> = self
            .caller_ids
            .iter()
            .filter(|number| room(number) != Some(0))
            .copied()
            .collect();
        // What is not mentioned is not in use at all.
        fit.sort_by_key(|number| {
            (
                Some(number) != own,
                Some(number) != of_route,
                Reverse(room(number).unwrap_or(u32::MAX)),
            )
        });
        fit
    }
}

/// What Azure is asked to do with a call that reached it over the attempt's trunk.
#[derive(Clone, PartialEq, Eq)]
pub struct CloudCall {
    /// The number that it dials.
    pub to: E164Number,
    /// The owned numbers that the call may come from, the best first; never none.
    pub caller_ids: Arc<[E164Number]>,
}

impl fmt::Debug for CloudCall {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloudCall({} caller ids)", self.caller_ids.len())
    }
}

/// Why Azure Cloud Calling cannot take a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCarried {
    /// The call is for help.
    Emergency,
    /// The called number is none in E.164.
    Number,
    /// All owned numbers have as many calls as they may.
    CallerIds,
}

impl fmt::Display for NotCarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Emergency => "carries no emergency calls",
            Self::Number => "dials numbers in E.164 only",
            Self::CallerIds => "every caller id has as many calls as it may",
        })
    }
}

impl Snapshot {
    /// How calls reach Azure Cloud Calling, where they do.
    #[must_use]
    pub fn cloud(&self) -> Option<&CloudDoc> {
        self.cloud.as_ref()
    }

    /// The trunk that carries calls to this target.
    pub(crate) fn carrier<'a>(&'a self, target: &'a TrunkName) -> &'a TrunkName {
        match &self.cloud {
            Some(cloud) if target.as_str() == CLOUD_CALLING => &cloud.trunk,
            Some(_) | None => target,
        }
    }
}

/// What Azure is asked, and the number that reaches it.
pub(crate) fn call(
    cloud: &CloudDoc,
    facts: &Facts,
    targets: &Targets<'_>,
    numbers: &Numbers<'_>,
) -> Result<(CloudCall, Written), NotCarried> {
    if numbers.emergency {
        return Err(NotCarried::Emergency);
    }
    let to = *numbers.called.e164().ok_or(NotCarried::Number)?;
    let own = numbers.calling.as_ref().and_then(|calling| calling.e164());
    let caller_ids = cloud.choose(facts, own, targets.caller_id());
    if caller_ids.is_empty() {
        return Err(NotCarried::CallerIds);
    }
    let call = CloudCall {
        to,
        caller_ids: caller_ids.into(),
    };
    let marker = Written {
        number: cloud.marker.to_wire(),
        rewritten: false,
    };
    Ok((call, marker))
}
