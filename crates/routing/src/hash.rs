//! The content hash of a document.

use sha2::{Digest as _, Sha256};

use crate::cloud::CloudDoc;
use crate::document::{
    Document, NumberConditions, Pick, Portability, RouteDoc, TrunkDoc, TrunkGroup,
};
use crate::limits::LimitDoc;
use crate::schedule::ScheduleDoc;

/// Every field with its length before it, so that no two documents feed the same octets.
struct Feed(Sha256);

impl Feed {
    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.number(usize::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn list<'a>(&mut self, items: impl ExactSizeIterator<Item = &'a str>) {
        self.number(items.len());
        items.for_each(|item| self.text(item));
    }

    fn trunk(&mut self, trunk: &TrunkDoc) {
        self.text(trunk.name.as_str());
        let plan = &trunk.numbers;
        self.optional(plan.country().map(|country| country.iso));
        self.optional(plan.area());
        self.list(plan.international_prefixes().into_iter());
        self.optional(plan.national_prefix());
        self.text(plan.form().as_str());
        self.number(trunk.rules.len());
        for rule in &trunk.rules {
            self.number(rule.way as usize);
            self.number(rule.of as usize);
            self.text(rule.rewrite.pattern());
            self.text(rule.rewrite.replacement());
        }
        self.number(usize::from(trunk.portability == Portability::Pass));
        self.number(usize::from(trunk.route_by_rn));
        match &trunk.trunk_group {
            TrunkGroup::Strip => self.number(0),
            TrunkGroup::Pass => self.number(1),
            TrunkGroup::Own { group, context } => {
                self.number(2);
                self.text(group);
                self.text(context);
            }
        }
        self.number(trunk.peers.len());
        for peer in &trunk.peers {
            self.text(&peer.host);
            self.number(peer.port.map_or(0, usize::from));
            self.text(peer.transport.uri_token());
        }
        self.optional(trunk.from_host.as_deref());
        self.number(usize::from(trunk.user_phone));
        self.number(usize::from(trunk.transport_param));
        self.optional(trunk.customer.as_deref());
        self.optional(trunk.rates.as_deref());
    }

    fn texts(&mut self, texts: &[String]) {
        self.list(texts.iter().map(String::as_str));
    }

    fn conditions(&mut self, is: &NumberConditions) {
        self.list(is.types.iter().map(|kind| kind.as_str()));
        self.texts(&is.countries);
        self.list(is.owners.iter().map(|owner| owner.as_str()));
    }

    fn bound(&mut self, bound: Option<u32>) {
        self.number(usize::from(bound.is_some()));
        self.number(bound.unwrap_or_default() as usize);
    }

    fn limit(&mut self, limit: &LimitDoc) {
        self.text(&limit.name);
        self.texts(&limit.routes);
        self.list(limit.from.iter().map(sip_msg::wire::TrunkName::as_str));
        self.list(limit.to.iter().map(sip_msg::wire::TrunkName::as_str));
        self.texts(&limit.customers);
        self.bound(limit.calls);
        self.bound(limit.calls_per_second);
        self.bound(limit.minutes_per_day);
        self.optional(
            limit
                .spend_per_day
                .map(|spend| spend.to_string())
                .as_deref(),
        );
        self.texts(&limit.countries);
        self.texts(&limit.deny_countries);
        self.list(limit.deny_types.iter().map(|kind| kind.as_str()));
        self.texts(&limit.deny);
    }

    fn cloud(&mut self, cloud: &CloudDoc) {
        self.text(cloud.trunk.as_str());
        self.text(cloud.marker.digits());
        self.list(cloud.caller_ids.iter().map(e164::E164Number::digits));
        self.optional(cloud.rates.as_deref());
    }

    fn schedule(&mut self, schedule: &ScheduleDoc) {
        self.text(&schedule.name);
        self.text(&schedule.zone);
        self.texts(&schedule.days);
        self.texts(&schedule.hours);
        self.texts(&schedule.dates);
    }

    fn route(&mut self, route: &RouteDoc) {
        self.text(&route.name);
        self.list(route.from.iter().map(sip_msg::wire::TrunkName::as_str));
        self.list(route.called.iter().map(String::as_str));
        self.list(route.calling.iter().map(String::as_str));
        self.list(route.trunk_groups.iter().map(String::as_str));
        self.list(route.to.iter().map(sip_msg::wire::TrunkName::as_str));
        self.number(route.reject.map_or(0, |status| usize::from(status.code())));
        self.number(usize::from(route.hairpin));
        self.optional(route.announcement.as_deref());
        self.texts(&route.customers);
        self.conditions(&route.called_is);
        self.conditions(&route.calling_is);
        self.texts(&route.during);
        self.texts(&route.outside);
        self.texts(&route.headers);
        self.optional(route.caller_id.as_deref());
        match &route.pick {
            Pick::InOrder => self.number(0),
            Pick::ByWeight(weights) => {
                self.number(1);
                self.number(weights.len());
                weights
                    .iter()
                    .for_each(|weight| self.number(*weight as usize));
            }
            Pick::LeastCost { seconds } => {
                self.number(2);
                self.number(*seconds as usize);
            }
        }
    }
}

pub(crate) fn of(document: &Document) -> [u8; 32] {
    let mut feed = Feed(Sha256::new());
    feed.number(document.trunks.len());
    document.trunks.iter().for_each(|trunk| feed.trunk(trunk));
    feed.number(document.routes.len());
    document.routes.iter().for_each(|route| feed.route(route));
    feed.list(document.emergency.numbers.iter().map(String::as_str));
    let targets = document.emergency.to.iter();
    feed.list(targets.map(sip_msg::wire::TrunkName::as_str));
    feed.number(document.lists.len());
    for (name, list) in &document.lists {
        feed.text(name);
        feed.0.update(list.hash);
    }
    feed.0.update(document.owners.hash);
    feed.number(document.rates.len());
    for (name, table) in &document.rates {
        feed.text(name);
        feed.0.update(table.hash());
    }
    feed.number(document.schedules.len());
    document
        .schedules
        .iter()
        .for_each(|schedule| feed.schedule(schedule));
    feed.number(document.limits.len());
    document.limits.iter().for_each(|limit| feed.limit(limit));
    // What is not there adds nothing: documents without it keep the hash they had.
    if let Some(cloud) = &document.cloud {
        feed.cloud(cloud);
    }
    feed.0.finalize().into()
}
