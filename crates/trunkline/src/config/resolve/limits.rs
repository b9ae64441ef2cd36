//! `[[limit]]` and `[[schedule]]` as routing takes them.

use e164::NumberType;
use routing::{Currency, LimitDoc, Money, Owner, ScheduleDoc};
use sip_msg::wire::TrunkName;
use toml::Spanned;

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw::{self, OneOrMany};

pub(super) fn texts(list: &OneOrMany) -> Vec<String> {
    list.0.iter().map(|text| text.get_ref().clone()).collect()
}

pub(super) fn trunks(list: &OneOrMany) -> Vec<TrunkName> {
    let names = list.0.iter().map(|text| text.get_ref().as_str());
    names.map(TrunkName::from).collect()
}

/// Types of numbers by their names.
pub(super) fn types(list: &OneOrMany, what: &str, findings: &mut Findings) -> Vec<NumberType> {
    let names = NumberType::ALL.map(NumberType::as_str);
    let known = list.0.iter();
    known
        .filter_map(|text| choice(Some(text), what, &names, findings))
        .filter_map(|name| NumberType::from_name(&name))
        .collect()
}

/// Owners of numbers by their names.
pub(super) fn owners(list: &OneOrMany, what: &str, findings: &mut Findings) -> Vec<Owner> {
    let names = Owner::ALL.map(Owner::as_str);
    let known = list.0.iter();
    known
        .filter_map(|text| choice(Some(text), what, &names, findings))
        .filter_map(|name| Owner::from_name(&name))
        .collect()
}

pub(super) fn schedule(raw: &raw::Schedule) -> ScheduleDoc {
    ScheduleDoc {
        name: raw.name.get_ref().clone(),
        zone: raw.zone.get_ref().clone(),
        days: texts(&raw.days),
        hours: texts(&raw.hours),
        dates: texts(&raw.dates),
    }
}

pub(super) fn limit(raw: &raw::Limit, findings: &mut Findings) -> LimitDoc {
    let name = raw.name.get_ref().clone();
    let number = |value: &Option<Spanned<u32>>| value.as_ref().map(|value| *value.get_ref());
    let spend = raw.spend_per_day.as_ref().and_then(|text| {
        let read = money(text.get_ref());
        if read.is_none() {
            let fault = format!("limit {name}: spend_per_day: money is written \"25.00 USD\"");
            findings.error(text.span(), fault);
        }
        read
    });
    let what = format!("limit {name}: deny_types");
    LimitDoc {
        routes: texts(&raw.route),
        from: trunks(&raw.from),
        to: trunks(&raw.to),
        customers: texts(&raw.customer),
        calls: number(&raw.calls),
        calls_per_second: number(&raw.calls_per_second),
        minutes_per_day: number(&raw.minutes_per_day),
        spend_per_day: spend,
        countries: texts(&raw.countries),
        deny_countries: texts(&raw.deny_countries),
        deny_types: types(&raw.deny_types, &what, findings),
        deny: texts(&raw.deny),
        name,
    }
}

fn money(text: &str) -> Option<Money> {
    let (amount, currency) = text.split_once(' ')?;
    Some(Money {
        micros: routing::micros(amount.trim())?,
        currency: Currency::parse(currency.trim())?,
    })
}
