use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::calls::CallAutomation;
use super::service::{Done, Service};
use super::{Request, RestConfig};

const KEY: &[u8] = b"a key for tests";
const SIGNED: &str = "x-ms-date;host;x-ms-content-sha256";

fn now() -> Timestamp {
    "2026-11-21T07:41:17Z".parse().expect("a time")
}

fn service() -> Service {
    let mut config = RestConfig::new(KEY);
    config.aliases = vec!["resource.example".to_owned()];
    let calls = CallAutomation::new(config.calls.clone()).expect("a client");
    Service::new(&config, calls)
}

/// A request as a client signs it that has `target` and `host` in mind.
struct Ask<'a> {
    method: &'a str,
    target: &'a str,
    wire: &'a str,
    host: &'a str,
    body: &'a str,
    date: &'a str,
}

const READ: Ask<'_> = Ask {
    method: "GET",
    target: "/sip?api-version=2023-03-01",
    wire: "/sip?api-version=2023-03-01",
    host: "localhost:8943",
    body: "",
    date: "Sat, 21 Nov 2026 07:41:17 GMT",
};

impl Ask<'_> {
    fn request(&self) -> Request {
        let (method, date) = (self.method, self.date);
        let hash = STANDARD.encode(Sha256::digest(self.body.as_bytes()));
        let text = format!("{method}\n{}\n{date};{};{hash}", self.target, self.host);
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("any length");
        mac.update(text.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let authorization = format!("HMAC-SHA256 SignedHeaders={SIGNED}&Signature={signature}");
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Request {
            method: method.to_owned(),
            target: self.wire.to_owned(),
            headers: vec![
                field("host", "localhost:8943"),
                field("x-ms-date", date),
                field("x-ms-content-sha256", &hash),
                field("authorization", &authorization),
                field("content-type", "application/merge-patch+json"),
            ],
            body: self.body.as_bytes().to_vec(),
        }
    }
}

fn answer(service: &mut Service, request: &Request) -> Answer {
    match service.handle(now(), request) {
        Done::Answer(answer) => answer,
        other @ (Done::Late(..) | Done::Never) => panic!("{other:?}"),
    }
}

fn status(request: &Request) -> u16 {
    answer(&mut service(), request).status
}

#[test]
fn every_form_in_which_clients_sign_is_known() {
    assert_eq!(status(&READ.request()), 200);
    for host in ["localhost:8943/", "LOCALHOST:8943", "resource.example"] {
        assert_eq!(status(&Ask { host, ..READ }.request()), 200, "{host}");
    }
    // An explicit standard port, which HTTP leaves out of Host.
    let mut request = Ask {
        host: "localhost:443",
        ..READ
    }
    .request();
    request.headers[0].1 = "localhost".to_owned();
    assert_eq!(status(&request), 200);
    // JavaScript signs the query as a form.
    let form = Ask {
        target: "/phoneNumbers?name=New+York&api-version=2025-06-01",
        wire: "/phoneNumbers?name=New%20York&api-version=2025-06-01",
        ..READ
    };
    assert_eq!(status(&form.request()), 200);
    // Python's asynchronous client encodes colons when it signs.
    let colon = Ask {
        target: "/phoneNumbers/4%3A?api-version=2025-06-01",
        wire: "/phoneNumbers/4:?api-version=2025-06-01",
        ..READ
    };
    assert_eq!(status(&colon.request()), 404);
}

#[test]
fn what_is_not_signed_as_it_is_stays_outside() {
    let outside = |request: &Request, what: &str| {
        let answer = answer(&mut service(), request);
        assert_eq!(answer.status, 401, "{what}");
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(body["error"]["code"], "Denied", "{what}");
    };
    let host = "elsewhere.example";
    outside(&Ask { host, ..READ }.request(), "another host");
    let target = "/sip?api-version=2021-05-01";
    outside(&Ask { target, ..READ }.request(), "another target");
    let date = "Sat, 21 Nov 2026 07:35:17 GMT";
    outside(&Ask { date, ..READ }.request(), "an old date");
    let mut request = READ.request();
    request.body = b"{}".to_vec();
    outside(&request, "another body");
    for field in 1..4 {
        let mut request = READ.request();
        let (name, _) = request.headers.remove(field);
        outside(&request, &name);
    }
    let mut request = READ.request();
    request.headers[3].1 = request.headers[3].1.replace("host;", "");
    outside(&request, "the host not signed");
    request.headers[3].1 = "Bearer abc".to_owned();
    outside(&request, "another scheme");
}

#[test]
fn a_version_that_never_was_is_refused() {
    for (target, code) in [
        ("/sip", "MissingApiVersionParameter"),
        ("/sip?api-version=2030-01-01", "UnsupportedApiVersionValue"),
        (
            "/phoneNumbers?api-version=2023-03-01",
            "UnsupportedApiVersionValue",
        ),
    ] {
        let ask = Ask {
            target,
            wire: target,
            ..READ
        };
        let answer = answer(&mut service(), &ask.request());
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!((answer.status, &body["error"]["code"]), (400, &json!(code)));
    }
}

/// The rows are recorded answers of the service.
#[test]
fn each_rule_of_sip_routing_has_its_error() {
    let route = |name: &str, pattern: &str, trunks: &[&str]| json!({"name": name, "numberPattern": pattern, "trunks": trunks});
    let port = json!({"sipSignalingPort": 5061});
    let mut service = service();
    let mut patch = |body: &Value| {
        let body = body.to_string();
        let ask = Ask {
            method: "PATCH",
            body: &body,
            ..READ
        };
        let answer = answer(&mut service, &ask.request());
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        (answer.status, body)
    };
    let (status, _) = patch(&json!({"trunks": {"sbc1.contoso.example": port}}));
    assert_eq!(status, 200);
    let one = "sbc1.contoso.example";
    for (body, status, code) in [
        (json!({"trunks": {}}), 422, "EmptyPatch"),
        (json!({"trunks": {"-1": port}}), 422, "InvalidTrunkFqdn"),
        (json!({"trunks": {"_": port}}), 422, "InvalidTrunkFqdn"),
        (
            json!({"trunks": {one: {"sipSignalingPort": 0}}}),
            422,
            "InvalidTrunkSipSignalingPort",
        ),
        (
            json!({"routes": [route("", "a", &[])]}),
            422,
            "InvalidRouteName",
        ),
        (
            json!({"routes": [route("a", "", &[])]}),
            422,
            "InvalidRouteNumberPattern",
        ),
        (
            json!({"routes": [route("a", "b", &["sbc9.contoso.example"])]}),
            422,
            "MissingTrunk",
        ),
        (
            json!({"routes": [route("a", "b", &[]), route("a", "c", &[])]}),
            400,
            "DuplicatedRoute",
        ),
        (
            json!({"routes": [route("a", "b", &[one, one])]}),
            400,
            "RouteWithDuplicatedTrunk",
        ),
    ] {
        let (got, answer) = patch(&body);
        let error = &answer["error"];
        assert_eq!(error["code"], "UnprocessableConfiguration", "{body}");
        assert_eq!((got, &error["innererror"]["code"]), (status, &json!(code)));
    }
    let (_, kept) = patch(&json!({"routes": [route("us", "^\\+1", &[one])]}));
    assert_eq!(kept["routes"][0]["trunks"], json!([one]));
    // A trunk a route still names cannot go.
    let (status, _) = patch(&json!({"trunks": {one: null}}));
    assert_eq!(status, 422);
    let (_, gone) = patch(&json!({"trunks": {one: null}, "routes": []}));
    assert_eq!(gone, json!({"trunks": {}, "routes": []}));
}
