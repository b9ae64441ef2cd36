//! Trunks and routes as an operator wrote them.

use e164::{NumberPlan, NumberType, Rewrite};
use sip_msg::wire::TrunkName;
use sip_msg::{StatusCode, TransportKind};

use crate::cloud::CloudDoc;
use crate::limits::LimitDoc;
use crate::list::{NumberList, NumberOwners, Owner};
use crate::rates::RateTable;
use crate::schedule::ScheduleDoc;

/// Everything a routing decision rests on but the facts of the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Every trunk a call can come from or go to.
    pub trunks: Vec<TrunkDoc>,
    /// Routes, first match wins.
    pub routes: Vec<RouteDoc>,
    /// Calls for help.
    pub emergency: EmergencyDoc,
    /// Lists of numbers by name, which routes speak of as `list:NAME`; at most 1000.
    pub lists: Vec<(String, NumberList)>,
    /// Who owns which number.
    pub owners: NumberOwners,
    /// Times that routes speak of; at most 1000.
    pub schedules: Vec<ScheduleDoc>,
    /// Tables of rates by name, which trunks speak of; at most 1000.
    pub rates: Vec<(String, RateTable)>,
    /// Limits beside those of each trunk; at most 10,000.
    pub limits: Vec<LimitDoc>,
    /// Microsoft as the carrier: what the target [`CLOUD_CALLING`](crate::CLOUD_CALLING) means.
    pub cloud: Option<CloudDoc>,
}

/// Where calls for help go. They are recognised by the dial plan of the trunk they come from, and
/// by 112 and 911 everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EmergencyDoc {
    /// Further numbers, digits only; at most 100.
    pub numbers: Vec<String>,
    /// Trunks to try, in order, at most 16, whatever the routes say and however full they are.
    /// Where there are none, routes decide.
    pub to: Vec<TrunkName>,
}

/// Which way a number goes, as its trunk's side of the gateway sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the trunk.
    In,
    /// To the trunk.
    Out,
}

/// Which number of a call a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberOf {
    /// The called one.
    Called,
    /// The calling one.
    Calling,
    /// Both.
    Both,
}

/// One rule about how a trunk writes numbers, beside its plan. On the way in the number is
/// compared as the trunk wrote it and read by the plan afterwards; on the way out as the plan
/// wrote it. The first rule that matches is done. Emergency numbers match none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberRule {
    /// Which way the number goes.
    pub way: Way,
    /// Which number it is.
    pub of: NumberOf,
    /// What becomes of it.
    pub rewrite: Rewrite,
}

/// Whether a trunk is told of number portability and carriers: `npdi`, `rn`, `cic` (RFC 4694).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Portability {
    /// It is not.
    #[default]
    Strip,
    /// It is.
    Pass,
}

/// The trunk group in Request-URIs towards a trunk: `tgrp`, `trunk-context` (RFC 4904).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TrunkGroup {
    /// None.
    #[default]
    Strip,
    /// As the call came.
    Pass,
    /// This one.
    Own {
        /// Its label.
        group: String,
        /// The domain or global number it belongs to.
        context: String,
    },
}

/// One trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkDoc {
    /// Its name, unique.
    pub name: TrunkName,
    /// How it writes numbers.
    pub numbers: NumberPlan,
    /// What its plan does not say; at most 64.
    pub rules: Vec<NumberRule>,
    /// Whether it is told of number portability.
    pub portability: Portability,
    /// Whether calls that come from it are routed by the routing number of a ported number
    /// (`npdi` and `rn`) instead of the called one.
    pub route_by_rn: bool,
    /// The trunk group it is told.
    pub trunk_group: TrunkGroup,
    /// Its hosts in order of preference; at most 16.
    pub peers: Vec<PeerDoc>,
    /// Host of the From URI of calls towards it, where it is not the gateway's own.
    pub from_host: Option<String>,
    /// Whether Request-URIs carry `;user=phone` (RFC 3261 §19.1.1).
    pub user_phone: bool,
    /// Whether Request-URIs carry `;transport=`.
    pub transport_param: bool,
    /// The customer it belongs to; `None` for the operator's own.
    pub customer: Option<String>,
    /// Name of the table of what calls towards it cost.
    pub rates: Option<String>,
}

impl TrunkDoc {
    /// A trunk that writes E.164, with plain Request-URIs.
    #[must_use]
    pub fn new(name: impl Into<TrunkName>, peers: Vec<PeerDoc>) -> Self {
        Self {
            name: name.into(),
            numbers: NumberPlan::e164(),
            rules: Vec::new(),
            portability: Portability::default(),
            route_by_rn: false,
            trunk_group: TrunkGroup::default(),
            peers,
            from_host: None,
            user_phone: false,
            transport_param: false,
            customer: None,
            rates: None,
        }
    }
}

/// One host of a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerDoc {
    /// Host name or address; IPv6 in brackets.
    pub host: String,
    /// Port, when it is not left to RFC 3263.
    pub port: Option<u16>,
    /// Transport.
    pub transport: TransportKind,
}

/// One route. Empty lists of conditions match everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteDoc {
    /// Its name, unique.
    pub name: String,
    /// Trunks of origin.
    pub from: Vec<TrunkName>,
    /// Customers of origin: those that the trunk a call comes from belongs to.
    pub customers: Vec<String>,
    /// Called numbers: patterns (see [`Pattern`](crate::Pattern)) and lists, as `list:NAME`.
    pub called: Vec<String>,
    /// What called numbers are beside.
    pub called_is: NumberConditions,
    /// Calling numbers, written alike. A call without a calling number matches only an empty
    /// list.
    pub calling: Vec<String>,
    /// What calling numbers are beside; a call without one matches no condition.
    pub calling_is: NumberConditions,
    /// Schedules of which one holds.
    pub during: Vec<String>,
    /// Schedules of which none holds.
    pub outside: Vec<String>,
    /// Header fields of the call, all of them: `Name: value`, with `*` and `?` as wildcards in
    /// the value; at most 16.
    pub headers: Vec<String>,
    /// Trunk groups the called number names (RFC 4904): `tgrp`, or `tgrp@trunk-context`.
    pub trunk_groups: Vec<String>,
    /// Trunks to try; at most 16. None only where there is an announcement.
    pub to: Vec<TrunkName>,
    /// In which order they are tried.
    pub pick: Pick,
    /// The caller that targets are told, in E.164 with `+`, whoever calls; emergency calls keep
    /// theirs.
    pub caller_id: Option<String>,
    /// Name of the announcement that a caller hears when no target takes its call.
    pub announcement: Option<String>,
    /// A final status of 400 to 699 that refuses the call instead; then `to` is empty and nothing
    /// is announced.
    pub reject: Option<StatusCode>,
    /// Whether a call may be sent back to the trunk it came from.
    pub hairpin: bool,
}

/// What a number is, by its beginning and by who owns it. Empty conditions hold for every number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NumberConditions {
    /// Types of which it has one.
    pub types: Vec<NumberType>,
    /// Countries of which it is in one (ISO 3166-1 alpha-2). Short codes are in the country of
    /// the trunk they come from.
    pub countries: Vec<String>,
    /// Owners of whom it has one.
    pub owners: Vec<Owner>,
}

impl NumberConditions {
    /// Whether every number fulfils them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.is_empty() && self.countries.is_empty() && self.owners.is_empty()
    }
}

/// The order in which the targets of a route are tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pick {
    /// As written.
    #[default]
    InOrder,
    /// Drawn by weight, one for each target; those of weight 0 last.
    ByWeight(Vec<u32>),
    /// The cheapest first, by the price of a call of that many seconds; targets without a rate
    /// for the number last.
    LeastCost {
        /// Length of the call that prices are compared by.
        seconds: u32,
    },
}
