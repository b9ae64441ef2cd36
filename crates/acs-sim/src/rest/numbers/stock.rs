//! What can be had: fictitious numbers of the United States, with the rules of their kinds.

use serde_json::{Value, json};

use crate::rest::answer::Answer;
use crate::rest::request::Request;

const TOLL_FREE: [&str; 3] = ["800", "833", "888"];
const GEOGRAPHIC: [&str; 3] = ["206", "425", "509"];

/// What a number of a kind costs a month, by the list of 2022.
pub(super) fn cost(kind: &str) -> Value {
    let amount = if kind == "tollFree" { 2.0 } else { 1.0 };
    json!({"amount": amount, "currencyCode": "USD", "billingFrequency": "monthly"})
}

/// Whether Azure offers such a combination.
pub(super) fn offer(kind: &str, assignment: &str, sms: &str) -> Result<(), &'static str> {
    match (kind, assignment) {
        ("tollFree", "person") => Err("Toll-free numbers serve applications only."),
        ("geographic", _) if sms != "none" => Err("Geographic numbers have no SMS."),
        ("tollFree" | "geographic", _) => Ok(()),
        _ => Err("There are no numbers of this kind here."),
    }
}

/// All of a kind, in order: the hundred that are nobody's in each area.
pub(super) fn numbers<'a>(
    kind: &str,
    area: Option<&'a str>,
) -> impl Iterator<Item = String> + use<'a> {
    let areas = if kind == "tollFree" {
        TOLL_FREE
    } else {
        GEOGRAPHIC
    };
    let chosen = areas
        .into_iter()
        .filter(move |known| area.is_none_or(|area| area == *known));
    chosen.flat_map(|area| (100..200).map(move |line| format!("+1{area}5550{line}")))
}

pub(super) fn countries() -> Answer {
    let us = json!({"localizedName": "United States", "countryCode": "US"});
    Answer::json(200, &json!({ "countries": [us] }))
}

pub(super) fn area_codes(request: &Request) -> Answer {
    let areas = match request.query("phoneNumberType").as_deref() {
        Some("tollFree") => TOLL_FREE,
        Some("geographic") => GEOGRAPHIC,
        Some(_) | None => return Answer::bad_request("There is no such phoneNumberType."),
    };
    let codes = areas.map(|area| json!({ "areaCode": area }));
    Answer::json(200, &json!({ "areaCodes": codes }))
}

pub(super) fn offerings(request: &Request) -> Answer {
    let wanted = |name: &str, value: &str| {
        let asked = request.query(name);
        asked.is_none_or(|asked| asked == value)
    };
    let all = [
        ("tollFree", "application", "inbound+outbound"),
        ("geographic", "application", "none"),
        ("geographic", "person", "none"),
    ];
    let offered: Vec<Value> = all
        .into_iter()
        .filter(|(kind, assignment, _)| {
            wanted("phoneNumberType", kind) && wanted("assignmentType", assignment)
        })
        .map(|(kind, assignment, sms)| {
            json!({
                "phoneNumberType": kind, "assignmentType": assignment,
                "availableCapabilities": {"calling": "inbound+outbound", "sms": sms},
                "cost": cost(kind),
            })
        })
        .collect();
    Answer::json(200, &json!({ "phoneNumberOfferings": offered }))
}
