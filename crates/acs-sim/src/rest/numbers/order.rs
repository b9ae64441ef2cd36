//! Searches, and orders of what they found.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::operations::Outcome;
use super::{CAPABILITIES, Numbers, Owned, stock};
use crate::rest::answer::Answer;
use crate::rest::request::Request;

/// How long what was found is kept.
const KEPT: SignedDuration = SignedDuration::from_mins(15);
const MOST_AT_ONCE: u64 = 100;
/// The most searches that are kept.
const MOST: usize = 10_000;

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Search {
    found: Vec<Owned>,
    expires: Timestamp,
    bought: bool,
}

impl Search {
    pub(super) fn json(&self, id: &str) -> Value {
        let first = self.found.first();
        let text = |pick: fn(&Owned) -> &str| first.map_or("", pick).to_owned();
        let kind = text(|number| &number.phone_number_type);
        let numbers: Vec<&str> = self
            .found
            .iter()
            .map(|number| number.phone_number.as_str())
            .collect();
        json!({
            "searchId": id,
            "phoneNumbers": numbers,
            "phoneNumberType": kind,
            "assignmentType": text(|number| &number.assignment_type),
            "capabilities": {
                "calling": text(|number| &number.calling), "sms": text(|number| &number.sms),
            },
            "cost": stock::cost(&kind),
            "searchExpiresBy": self.expires.to_string(),
            "isAgreementToNotResellRequired": false,
            "errorCode": 0,
            "error": "NoError",
        })
    }
}

impl Numbers {
    pub(super) fn search(&mut self, country: &str, request: &Request, now: Timestamp) -> Answer {
        let Some(body) = request.json() else {
            return Answer::bad_request("The body is not JSON.");
        };
        let wanted = match wanted(country, &body) {
            Ok(wanted) => wanted,
            Err(why) => return Answer::bad_request(why),
        };
        let quantity = body.get("quantity").map_or(Some(1), Value::as_u64);
        let Some(quantity) = quantity.filter(|count| (1..=MOST_AT_ONCE).contains(count)) else {
            return Answer::bad_request("The quantity is 1 to 100.");
        };
        let area = body.get("areaCode").and_then(Value::as_str);
        let id = self.operations.guid();
        let location = format!("/availablePhoneNumbers/searchResults/{id}");
        let found = self.find(&wanted, area, quantity);
        let outcome = self.operations.outcome(|| match &found {
            Ok(_) => Outcome::Done(Some(location.clone())),
            Err((code, why)) => Outcome::Failed((*code).to_owned(), (*why).to_owned()),
        });
        if let (Ok(found), false) = (found, outcome.is_failure()) {
            if self.searches.len() >= MOST {
                self.searches.pop_first();
            }
            let expires = now.checked_add(KEPT).unwrap_or(Timestamp::MAX);
            let search = Search {
                found,
                expires,
                bought: false,
            };
            self.searches.insert(id.clone(), search);
        }
        let version = self.version.clone();
        let begun = self.operations.start("search", "search", outcome, now);
        let answer = begun.at(location).answer("search-id", &version);
        // The header names the search, not the operation.
        let mut answer = Answer {
            body: json!({ "searchId": id }).to_string().into_bytes(),
            ..answer
        };
        for (name, value) in &mut answer.headers {
            if *name == "search-id" {
                value.clone_from(&id);
            }
        }
        answer.with("content-type", "application/json; charset=utf-8")
    }

    /// Numbers nobody has, or the error a search that finds none ends with.
    fn find(
        &self,
        wanted: &Owned,
        area: Option<&str>,
        quantity: u64,
    ) -> Result<Vec<Owned>, (&'static str, &'static str)> {
        stock::offer(
            &wanted.phone_number_type,
            &wanted.assignment_type,
            &wanted.sms,
        )
        .map_err(|why| ("InvalidOfferModel", why))?;
        let taken = |number: &str| {
            let mut kept = self.searches.values().flat_map(|search| &search.found);
            self.owned.contains_key(number) || kept.any(|known| known.phone_number == number)
        };
        let quantity = usize::try_from(quantity).unwrap_or(usize::MAX);
        let free = stock::numbers(&wanted.phone_number_type, area).filter(|number| !taken(number));
        let found: Vec<Owned> = free
            .take(quantity)
            .map(|number| Owned {
                phone_number: number,
                ..wanted.clone()
            })
            .collect();
        if found.len() < quantity {
            return Err((
                "OutOfStock",
                "There are not that many numbers of this kind.",
            ));
        }
        Ok(found)
    }

    pub(super) fn purchase(&mut self, request: &Request, now: Timestamp) -> Answer {
        let body = request.json().unwrap_or_default();
        let Some(id) = body.get("searchId").and_then(Value::as_str) else {
            return Answer::bad_request("There is no searchId.");
        };
        let Some(search) = self.searches.get_mut(id) else {
            return Answer::not_found("such search");
        };
        if search.bought {
            return Answer::error(409, "Conflict", "What this search found was bought.");
        }
        let expired = search.expires < now;
        let outcome = self.operations.outcome(|| {
            if expired {
                let why = "What the search found is not kept any longer.".to_owned();
                Outcome::Failed("ReservationExpired".to_owned(), why)
            } else {
                Outcome::Done(None)
            }
        });
        if !outcome.is_failure() {
            search.bought = true;
            for number in &search.found {
                let key = number.phone_number.clone();
                self.owned.insert(key, (number.clone(), now));
            }
        }
        self.operations
            .start("purchase", "purchase", outcome, now)
            .answer("purchase-id", &self.version)
    }
}

fn wanted(country: &str, body: &Value) -> Result<Owned, &'static str> {
    let text = |value: Option<&Value>, known: &[&str]| {
        let text = value.and_then(Value::as_str)?;
        known.contains(&text).then(|| text.to_owned())
    };
    let capabilities = body.get("capabilities");
    let capability = |name| text(capabilities.and_then(|all| all.get(name)), &CAPABILITIES);
    let kinds = ["geographic", "tollFree", "mobile"];
    if country.len() != 2 || !country.bytes().all(|octet| octet.is_ascii_alphabetic()) {
        return Err("A country is two letters.");
    }
    Ok(Owned {
        phone_number: String::new(),
        country_code: country.to_ascii_uppercase(),
        phone_number_type: text(body.get("phoneNumberType"), &kinds)
            .ok_or("There is no such phoneNumberType.")?,
        assignment_type: text(body.get("assignmentType"), &["person", "application"])
            .ok_or("There is no such assignmentType.")?,
        calling: capability("calling").ok_or("There is no such calling capability.")?,
        sms: capability("sms").ok_or("There is no such sms capability.")?,
    })
}
