//! What this client sends, field by field, against what Microsoft's own clients were seen to send.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::call_automation::{
    self, AddParticipant, AnswerCall, CallContext, CreateCall, CustomContext, Identifier,
    PhoneNumber, RejectReason,
};
use crate::connection::AccessKey;
use crate::exchange::{Exchange, Repeatability, RequestId, Stamp};
use crate::phone_numbers::{self, AssignmentType, Capabilities, Capability, NumberType, Search};
use crate::sip_routing::{self, SipPatch, SipTrunk, SipTrunkRoute};

/// A request of a capture.
struct Captured {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Requests start with `>>>` and end where the capture's own remarks begin.
fn captured(text: &str) -> Vec<Captured> {
    let mut requests = Vec::new();
    for block in text
        .split("\n>>> ")
        .map(|block| block.trim_start_matches(">>> "))
    {
        let request = block.split("\n### ").next().unwrap_or(block);
        let Some((_, request)) = request.split_once('\n') else {
            continue;
        };
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let mut lines = head.lines();
        let line = lines.next().unwrap_or("").to_owned();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let body = body.strip_suffix('\n').unwrap_or(body);
        requests.push(Captured {
            line,
            headers,
            body: body.as_bytes().to_vec(),
        });
    }
    requests
}

fn both() -> Capabilities {
    Capabilities {
        calling: Capability::Both,
        sms: Capability::Both,
    }
}

fn trunk(port: u16) -> Option<SipTrunk> {
    Some(SipTrunk {
        sip_signaling_port: port,
    })
}

/// The requests this client makes for the same ends, of those that were captured.
fn ours() -> Vec<Exchange> {
    let patch = |trunks: &[(&str, Option<SipTrunk>)]| {
        let trunks = trunks
            .iter()
            .map(|(fqdn, trunk)| ((*fqdn).to_owned(), *trunk));
        sip_routing::patch(&SipPatch {
            trunks: trunks.collect(),
            routes: None,
        })
    };
    let routes = |routes: Vec<SipTrunkRoute>| {
        sip_routing::patch(&SipPatch {
            routes: Some(routes),
            ..SipPatch::default()
        })
    };
    let search = Search {
        phone_number_type: NumberType::TollFree,
        assignment_type: AssignmentType::Application,
        capabilities: both(),
        area_code: Some("833".to_owned()),
        quantity: 1,
    };
    let outbound = Capabilities {
        calling: Capability::Outbound,
        sms: Capability::None,
    };
    vec![
        sip_routing::read(),
        patch(&[("sbc2.example.test", trunk(5062))]),
        patch(&[
            ("sbc3.example.test", trunk(5063)),
            ("sbc1.example.test", None),
            ("sbc2.example.test", None),
        ]),
        routes(vec![SipTrunkRoute {
            name: "us".to_owned(),
            description: "d".to_owned(),
            number_pattern: r"^\+1[0-9]{10}$".to_owned(),
            trunks: vec!["sbc3.example.test".to_owned()],
        }]),
        routes(Vec::new()),
        patch(&[("sbc3.example.test", None)]),
        phone_numbers::search("US", &search),
        phone_numbers::purchase("aaaaaaaa-0000-4000-8000-000000000001", false),
        phone_numbers::update_capabilities("+12065550100", outbound),
        phone_numbers::release("+12065550102"),
        phone_numbers::get("+12065550100"),
        phone_numbers::list(0, 1),
        phone_numbers::search_result("4d125281-5228-489a-acba-f7fb8b13ef12"),
        phone_numbers::operation("search_e731c160-5188-4b13-98a8-7a22af419cfc"),
    ]
}

/// The same of calls.
fn ours_of_calls() -> Vec<Exchange> {
    const CALL: &str = "401f3500-2b20-4dd0-a6be-1234567890ab";
    const CALLBACK: &str = "https://app.example.test/api/calls/events";
    let they = Identifier::phone("+12065559876");
    let owned = || Some(PhoneNumber::new("+18005550101"));
    let context = |text: &str| CallContext::new(text);
    let headers = [
        (
            "User-To-User",
            "56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar",
        ),
        ("X-MS-Custom-Foo", "v"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let create = CreateCall {
        targets: vec![they.clone()],
        source_caller_id_number: owned(),
        source_display_name: Some("Contoso".to_owned()),
        operation_context: Some("ctx1".to_owned()),
        callback_uri: CALLBACK.to_owned(),
    };
    let answer = AnswerCall {
        incoming_call_context: context("eyJhbGciOiJub25lIn0.CTX"),
        callback_uri: CALLBACK.to_owned(),
        operation_context: Some("a1".to_owned()),
    };
    let add = AddParticipant {
        source_caller_id_number: owned(),
        invitation_timeout_in_seconds: Some(30),
        operation_context: Some("add1".to_owned()),
        operation_callback_uri: Some(CALLBACK.to_owned()),
        custom_calling_context: Some(CustomContext {
            sip_headers: headers.into(),
            ..CustomContext::default()
        }),
        ..AddParticipant::new(they.clone())
    };
    vec![
        call_automation::create(&create),
        call_automation::answer(&answer),
        call_automation::redirect(&context("CTX"), &they),
        call_automation::reject(&context("CTX"), RejectReason::Busy),
        call_automation::get(CALL),
        call_automation::participant(CALL, &they),
        call_automation::participants(CALL),
        call_automation::add_participant(CALL, &add),
        call_automation::cancel_add_participant(CALL, "inv-1", None),
        call_automation::remove_participant(CALL, &they, Some("r")),
        call_automation::hang_up(CALL),
        call_automation::terminate(CALL),
    ]
}

/// Of HTTP itself, or different in every request.
const NOT_COMPARED: [&str; 5] = [
    "host",
    "user-agent",
    "accept-encoding",
    "connection",
    "content-length",
];
/// What Microsoft's clients send for calls, and this one for numbers, too.
const OURS_ALONE: [&str; 2] = ["repeatability-request-id", "repeatability-first-sent"];

fn compare(ours: &Exchange, theirs: &Captured) {
    let line = &theirs.line;
    let date = &theirs.headers["x-ms-date"];
    let now = jiff::fmt::rfc2822::parse(date).expect("a date").timestamp();
    let stamp = Stamp {
        now,
        request: RequestId::from_random([1; 16]),
        repeatability: Repeatability {
            id: RequestId::from_random([2; 16]),
            first_sent: now,
        },
    };
    let key = AccessKey::parse("c2VjcmV0").expect("base64");
    let headers: BTreeMap<String, String> = ours
        .headers(&theirs.headers["host"], &key, &stamp)
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let names = |headers: &BTreeMap<String, String>| -> Vec<String> {
        let compared = headers.keys().filter(|name| {
            !NOT_COMPARED.contains(&name.as_str()) && !OURS_ALONE.contains(&name.as_str())
        });
        compared.cloned().collect()
    };
    assert_eq!(names(&headers), names(&theirs.headers), "{line}");
    for (name, value) in &theirs.headers {
        match name.as_str() {
            "repeatability-request-id" => assert_eq!(headers[name].len(), value.len(), "{line}"),
            // Python asks for anything where it polls; the answer is the same.
            "accept" => assert!(value == "*/*" || *value == headers["accept"], "{line}"),
            "authorization" => {
                let form = |value: &str| value.split("&Signature=").next().map(str::to_owned);
                assert_eq!(form(&headers[name]), form(value), "{line}");
            }
            "x-ms-client-request-id" => assert_eq!(headers[name].len(), value.len(), "{line}"),
            // The hash is of the body as written; the captured one shows that it is that hash.
            "x-ms-content-sha256" => {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &theirs.body);
                assert_eq!(STANDARD.encode(digest), *value, "{line}");
            }
            other if NOT_COMPARED.contains(&other) => {}
            other => assert_eq!(headers.get(other), Some(value), "{line}: {other}"),
        }
    }
    let read = |body: &[u8]| serde_json::from_slice::<Value>(body).ok();
    assert_eq!(read(&ours.body), read(&theirs.body), "{line}");
}

#[test]
fn requests_are_those_of_the_official_clients() {
    let Some(folder) = corpora::acceptance("sdk-captures") else {
        return;
    };
    let mut theirs = Vec::new();
    for file in [
        "10-python-phonenumbers-1.4.0.txt",
        "11-python-siprouting.txt",
        "12-python-callautomation-1.6.0.txt",
    ] {
        let text = fs::read_to_string(folder.join(file)).expect("the capture is text");
        theirs.extend(captured(&text));
    }
    let mut all = ours();
    all.extend(ours_of_calls());
    for exchange in &all {
        let line = format!("{} {} HTTP/1.1", exchange.method, exchange.target);
        let body: Option<Value> = serde_json::from_slice(&exchange.body).ok();
        let same = |captured: &&Captured| {
            captured.line == line && serde_json::from_slice(&captured.body).ok() == body
        };
        let twin = theirs.iter().find(same);
        let twin = twin.unwrap_or_else(|| panic!("no capture of {line} with {body:?}"));
        compare(exchange, twin);
    }
    corpora::tally("sdk-captures", "requests alike", all.len());
}
