//! Phone Numbers: what the resource owns, searches, orders, long-running operations.

mod operations;
mod order;
mod stock;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Answer;
use super::request::Request;
use operations::{Operations, Outcome};
use order::Search;

/// A number the resource owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned {
    /// In E.164 with `+`.
    pub phone_number: String,
    /// ISO 3166, two letters.
    pub country_code: String,
    /// `geographic`, `tollFree` or `mobile`.
    pub phone_number_type: String,
    /// `person` or `application`.
    pub assignment_type: String,
    /// `none`, `inbound`, `outbound` or `inbound+outbound`.
    pub calling: String,
    /// The same of short messages.
    pub sms: String,
}

impl Owned {
    /// A toll-free number of an application, for everything.
    #[must_use]
    pub fn toll_free(number: &str) -> Self {
        Self {
            phone_number: number.to_owned(),
            country_code: "US".to_owned(),
            phone_number_type: "tollFree".to_owned(),
            assignment_type: "application".to_owned(),
            calling: BOTH.to_owned(),
            sms: BOTH.to_owned(),
        }
    }

    fn id(&self) -> &str {
        self.phone_number.trim_start_matches('+')
    }

    fn json(&self, bought: Timestamp) -> Value {
        json!({
            "id": self.id(),
            "phoneNumber": self.phone_number,
            "countryCode": self.country_code,
            "phoneNumberType": self.phone_number_type,
            "capabilities": {"calling": self.calling, "sms": self.sms},
            "assignmentType": self.assignment_type,
            "purchaseDate": bought.to_string(),
            "cost": stock::cost(&self.phone_number_type),
        })
    }
}

const BOTH: &str = "inbound+outbound";
const CAPABILITIES: [&str; 4] = ["none", "inbound", "outbound", BOTH];
const MOST_A_PAGE: usize = 100;

/// The area's state.
#[derive(Debug)]
pub(super) struct Numbers {
    owned: BTreeMap<String, (Owned, Timestamp)>,
    searches: BTreeMap<String, Search>,
    operations: Operations,
    version: String,
}

impl Numbers {
    pub(super) fn new(running: u32) -> Self {
        Self {
            owned: BTreeMap::new(),
            searches: BTreeMap::new(),
            operations: Operations::new(running),
            version: String::new(),
        }
    }

    pub(super) fn owned(&self) -> Vec<Owned> {
        self.owned
            .values()
            .map(|(number, _)| number.clone())
            .collect()
    }

    pub(super) fn own(&mut self, number: Owned) {
        let bought = Timestamp::UNIX_EPOCH;
        self.owned
            .insert(number.phone_number.clone(), (number, bought));
    }

    /// Whether calls may be made with a number.
    pub(super) fn may_call(&self, number: &str) -> bool {
        let outbound =
            |(owned, _): &(Owned, Timestamp)| matches!(owned.calling.as_str(), "outbound" | BOTH);
        self.owned.get(number).is_some_and(outbound)
    }

    pub(super) fn fail_next(&mut self, code: &str, message: &str) {
        self.operations.fail_next(code, message);
    }

    pub(super) fn answer(
        &mut self,
        now: Timestamp,
        request: &Request,
        segments: &[&str],
    ) -> Answer {
        if let Some(version) = request.query("api-version") {
            self.version = version;
        }
        match (request.method.as_str(), segments) {
            ("GET", ["phoneNumbers"]) => self.list(request),
            ("GET", ["phoneNumbers", "operations", id]) => self.operations.show(id, now),
            ("DELETE", ["phoneNumbers", "operations", id]) => self.operations.cancel(id),
            ("GET", ["phoneNumbers", number]) => match self.owned.get(*number) {
                Some((number, bought)) => Answer::json(200, &number.json(*bought)),
                None => unknown(number),
            },
            ("DELETE", ["phoneNumbers", number]) => self.release(number, now),
            ("PATCH", ["phoneNumbers", number, "capabilities"]) => {
                self.update(number, request, now)
            }
            ("POST", ["availablePhoneNumbers", "countries", country, ":search"]) => {
                self.search(country, request, now)
            }
            ("GET", ["availablePhoneNumbers", "searchResults", id]) => {
                match self.searches.get(*id) {
                    Some(search) => Answer::json(200, &search.json(id)),
                    None => Answer::not_found("such search"),
                }
            }
            ("POST", ["availablePhoneNumbers", ":purchase"]) => self.purchase(request, now),
            ("GET", ["availablePhoneNumbers", "countries"]) => stock::countries(),
            ("GET", ["availablePhoneNumbers", "countries", _, "areaCodes"]) => {
                stock::area_codes(request)
            }
            ("GET", ["availablePhoneNumbers", "countries", _, "offerings"]) => {
                stock::offerings(request)
            }
            _ => Answer::error(501, "NotImplemented", "This operation is not simulated."),
        }
    }

    /// A page; the link to the next one is relative, which is what every client can follow.
    fn list(&self, request: &Request) -> Answer {
        let figure = |name: &str, default: usize| match request.query(name) {
            None => Some(default),
            Some(text) => text.parse::<usize>().ok(),
        };
        let (Some(skip), Some(top)) = (figure("skip", 0), figure("top", MOST_A_PAGE)) else {
            return Answer::bad_request("skip and top are numbers.");
        };
        let top = top.clamp(1, MOST_A_PAGE);
        let all = self.owned.values();
        let page: Vec<Value> = all
            .skip(skip)
            .take(top)
            .map(|(number, bought)| number.json(*bought))
            .collect();
        let next = skip.saturating_add(page.len());
        let mut body = json!({ "phoneNumbers": page });
        if next < self.owned.len() && !page.is_empty() {
            let version = &self.version;
            let link = format!("/phoneNumbers?skip={next}&top={top}&api-version={version}");
            body["nextLink"] = Value::String(link);
        }
        Answer::json(200, &body)
    }

    fn release(&mut self, number: &str, now: Timestamp) -> Answer {
        if !self.owned.contains_key(number) {
            return unknown(number);
        }
        let outcome = self.operations.outcome(|| Outcome::Done(None));
        if !outcome.is_failure() {
            self.owned.remove(number);
        }
        self.operations
            .start("release", "releasePhoneNumber", outcome, now)
            .answer("release-id", &self.version)
    }

    fn update(&mut self, number: &str, request: &Request, now: Timestamp) -> Answer {
        let Some((owned, _)) = self.owned.get_mut(number) else {
            return unknown(number);
        };
        let Some(wanted) = request.json() else {
            return Answer::bad_request("The body is not JSON.");
        };
        let value = |name: &str, old: &str| match wanted.get(name) {
            None => Some(old.to_owned()),
            Some(new) => new
                .as_str()
                .filter(|new| CAPABILITIES.contains(new))
                .map(str::to_owned),
        };
        let (Some(calling), Some(sms)) =
            (value("calling", &owned.calling), value("sms", &owned.sms))
        else {
            return Answer::bad_request("A capability is none, inbound, outbound or both.");
        };
        if let Err(why) = stock::offer(&owned.phone_number_type, &owned.assignment_type, &sms) {
            return Answer::error(400, "InvalidOfferModel", why);
        }
        let location = format!("/phoneNumbers/%2B{}", owned.id());
        let outcome = self
            .operations
            .outcome(|| Outcome::Done(Some(location.clone())));
        if !outcome.is_failure() {
            owned.calling = calling;
            owned.sms = sms;
        }
        self.operations
            .start(
                "capabilities",
                "updatePhoneNumberCapabilities",
                outcome,
                now,
            )
            .at(location)
            .answer("capabilities-id", &self.version)
    }
}

fn unknown(number: &str) -> Answer {
    let error = json!({
        "code": "PhoneNumberNotFound",
        "message": format!("The resource does not own {number}."),
        "target": "phonenumber",
    });
    Answer::error_with(404, "PhoneNumberNotFound", error)
}
