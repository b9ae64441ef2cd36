//! Which combinations cannot be.
//!
//! Two kinds of rules: what holds of any number, and what Microsoft offers ("direct offer"), which
//! holds of the numbers bought from it.

use e164::{E164Number, NumberPlan, NumberType, country_of_numbers};
use routing::Owner;
use thiserror::Error;

use super::entry::{Assignment, Capability, Entry};

/// A rule that an entry breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// Not a number.
    #[error("not a number: E.164 with `+` such as +14255550100, or a short code of 3 to 8 digits")]
    Number,
    /// A short code in E.164, or a number without `+` that is none.
    #[error("digits without `+` are a short code, and a short code has no `+`")]
    ShortCode,
    /// No country has that code.
    #[error("a country is two letters of ISO 3166, such as US")]
    Country,
    /// The number belongs to another country.
    #[error("the number's country code is another country's")]
    OtherCountry,
    /// The number is of a range for toll-free numbers and the type another, or the other way
    /// round.
    #[error("by its beginning the number is {0}")]
    OtherType(NumberType),
    /// Toll-free numbers of Microsoft's for persons.
    #[error("toll-free numbers from Microsoft serve applications only")]
    TollFreePerson,
    /// Short messages towards a toll-free number alone.
    #[error("toll-free numbers from Microsoft have SMS none, outbound or both")]
    TollFreeSms,
    /// Short messages of toll-free numbers elsewhere.
    #[error("toll-free numbers from Microsoft have SMS in the United States and Canada only")]
    TollFreeSmsCountry,
    /// Short messages of geographic numbers.
    #[error("geographic numbers from Microsoft have no SMS")]
    GeographicSms,
    /// A geographic number for nothing.
    #[error("geographic numbers from Microsoft are for calls: inbound, outbound or both")]
    GeographicCalling,
    /// Mobile numbers of Microsoft's for persons.
    #[error("mobile numbers from Microsoft serve applications only")]
    MobilePerson,
    /// Calls with a short code.
    #[error("short codes are for SMS; they have no calls")]
    ShortCodeCalling,
    /// A type Microsoft does not sell.
    #[error(
        "Microsoft offers geographic, toll-free and mobile numbers and short codes, no {0} ones"
    )]
    NotOffered(NumberType),
}

/// Shortest and longest short code, in digits.
const SHORT_CODE: std::ops::RangeInclusive<usize> = 3..=8;

/// Every rule an entry breaks.
#[must_use]
pub fn check(entry: &Entry) -> Vec<Broken> {
    let mut broken = Vec::new();
    let iso = entry.country.as_str();
    if country_of_numbers(iso) != Some(iso) {
        broken.push(Broken::Country);
    }
    if entry.number.starts_with('+') {
        match E164Number::parse(&entry.number) {
            Ok(number) => of_number(entry, number, &mut broken),
            Err(_) => broken.push(Broken::Number),
        }
    } else if !is_short_code(&entry.number) {
        broken.push(Broken::Number);
    } else if entry.kind != NumberType::ShortCode {
        broken.push(Broken::ShortCode);
    }
    if entry.owner == Owner::Microsoft {
        let what = Offer {
            kind: entry.kind,
            country: iso,
            assignment: entry.assignment,
            calling: entry.calling,
            sms: entry.sms,
        };
        broken.extend(offered(&what));
    }
    broken
}

/// Whether text is the digits of a short code.
#[must_use]
pub fn is_short_code(text: &str) -> bool {
    SHORT_CODE.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn of_number(entry: &Entry, number: E164Number, broken: &mut Vec<Broken>) {
    let class = number.class();
    let plan = NumberPlan::of_country(&entry.country).ok();
    let elsewhere = match plan.as_ref().and_then(NumberPlan::country) {
        Some(country) => country.code != number.country_code(),
        // Countries share numbers of North America, and the table of plans has not all of them.
        None => {
            number.country_code() != "1"
                && class.country.is_some_and(|known| known != entry.country)
        }
    };
    if elsewhere && !broken.contains(&Broken::Country) {
        broken.push(Broken::OtherCountry);
    }
    if entry.kind == NumberType::ShortCode {
        broken.push(Broken::ShortCode);
        return;
    }
    let paid_by_called = |kind| kind == NumberType::TollFree;
    if class.kind != NumberType::Unknown && paid_by_called(class.kind) != paid_by_called(entry.kind)
    {
        broken.push(Broken::OtherType(class.kind));
    }
}

/// A combination that Microsoft may or may not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// The type.
    pub kind: NumberType,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: &'a str,
    /// Whom it serves.
    pub assignment: Assignment,
    /// What it does for calls.
    pub calling: Capability,
    /// What it does for short messages.
    pub sms: Capability,
}

/// Every rule of Microsoft's direct offer that a combination breaks.
#[must_use]
pub fn offered(what: &Offer<'_>) -> Vec<Broken> {
    let mut broken = Vec::new();
    let person = what.assignment == Assignment::Person;
    let mut rule = |holds: bool, rule: Broken| {
        if !holds {
            broken.push(rule);
        }
    };
    match what.kind {
        NumberType::TollFree => {
            rule(!person, Broken::TollFreePerson);
            rule(what.sms != Capability::Inbound, Broken::TollFreeSms);
            let there = matches!(what.country, "US" | "CA");
            rule(
                there || what.sms == Capability::None,
                Broken::TollFreeSmsCountry,
            );
        }
        NumberType::Geographic => {
            rule(what.sms == Capability::None, Broken::GeographicSms);
            rule(what.calling != Capability::None, Broken::GeographicCalling);
        }
        NumberType::Mobile => rule(!person, Broken::MobilePerson),
        NumberType::ShortCode => rule(what.calling == Capability::None, Broken::ShortCodeCalling),
        NumberType::Premium
        | NumberType::SharedCost
        | NumberType::Voip
        | NumberType::Personal
        | NumberType::Pager
        | NumberType::Company
        | NumberType::Voicemail
        | NumberType::Emergency
        | NumberType::Unknown => rule(false, Broken::NotOffered(what.kind)),
    }
    broken
}
