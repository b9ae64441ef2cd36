//! Header fields: changing them, and reading them as what they mean.

use std::time::Duration;

use super::{INVITE, request};
use crate::{HeaderName, Headers, Method, Refresher, Response, StatusCode};

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.push_raw(name.as_bytes(), value);
    }
    headers
}

fn lines(headers: &Headers) -> Vec<String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    headers
        .iter()
        .map(|field| format!("{}: {}", text(field.raw_name()), text(field.value())))
        .collect()
}

#[test]
fn fields_are_added_changed_and_removed_in_place() {
    let mut headers = headers(&[("A", "1"), ("via", "x"), ("B", "2"), ("V", "y")]);
    headers.push_front(HeaderName::Via, "w");
    headers.push(HeaderName::Other("a".into()), "3");
    assert_eq!(headers.get_all(&HeaderName::Via).count(), 3);
    assert!(
        headers.replace_nth(&HeaderName::Via, 1, "z")
            && !headers.replace_nth(&HeaderName::Via, 3, "z")
    );
    headers.set(HeaderName::Other("A".into()), "4");
    assert!(headers.remove_first(&HeaderName::Via));
    assert_eq!(lines(&headers), ["A: 4", "via: z", "B: 2", "V: y"]);
    assert_eq!(headers.remove(&HeaderName::Other("VIA".into())), 2);
    headers.retain(|field| field.raw_name() != b"B");
    assert_eq!(
        (lines(&headers), headers.len()),
        (vec!["A: 4".to_owned()], 1)
    );
}

#[test]
fn nothing_added_breaks_out_of_its_field() {
    let mut headers = headers(&[("Evil\r\nVia", "x"), ("", "x"), ("Na me", "x")]);
    assert!(headers.is_empty());
    headers.push(HeaderName::Subject, "a\r\nVia: evil\0\n");
    headers.push(HeaderName::Other("X\n".into()), "x");
    assert_eq!(lines(&headers), ["Subject: a  Via: evil"]);
}

#[test]
fn a_message_changed_again_and_again_does_not_grow() {
    let mut headers = headers(&[("Keep", "kept")]);
    for round in 0..10_000 {
        headers.set(HeaderName::Subject, format!("{round:0100}"));
        headers.push_front(HeaderName::Via, "SIP/2.0/UDP h.example");
        headers.remove(&HeaderName::Via);
    }
    assert!(
        headers.added_capacity() < 32 << 10,
        "{}",
        headers.added_capacity()
    );
    assert_eq!(lines(&headers)[0], "Keep: kept");
    assert!(lines(&headers)[1].ends_with("09999"));
}

#[test]
fn lists_are_split_outside_quotes_and_brackets() {
    let headers = headers(&[
        (
            "Contact",
            "\"a,\\\"b\" <sip:x,y@example.com>,, <sip:z@example.com>",
        ),
        ("m", "sip:w@example.com"),
    ]);
    let contacts = headers.contacts().unwrap();
    assert_eq!(contacts.len(), 3);
    assert_eq!(contacts[0].uri.user(), Some("x,y"));
    assert_eq!(contacts[2].uri.as_str(), "sip:w@example.com");
}

#[test]
fn values_are_read_as_what_they_mean() {
    let headers = headers(&[
        (
            "Reason",
            "Q.850;cause=16;text=\"a \\\"b\\\", c\", SIP ;cause=200",
        ),
        ("x", "1800 ;refresher=UAS"),
        ("Min-SE", "90"),
        ("Replaces", "c1@h;to-tag=t;from-tag=f;early-only"),
        ("RAck", "3 7 INVITE"),
        ("Retry-After", "18000 (in (a) meeting);duration=3600"),
        ("Privacy", "ID;critical"),
        ("Allow", "INVITE, ACK,@, FOO"),
        ("Warning", "399 gw.example \"no \\\"media\\\"\""),
        (
            "Authorization",
            "Digest username=\"a,b\", realm=\"r\\\"s\", NC=1",
        ),
        ("Subscription-State", "active;expires=60"),
        ("Accept", "application/*, text/plain;q=0.3"),
    ]);
    let reasons = headers.reason();
    assert_eq!(
        (reasons[0].cause, reasons[0].text.as_deref()),
        (Some(16), Some("a \"b\", c"))
    );
    assert_eq!(
        (reasons[1].protocol.as_str(), reasons[1].cause),
        ("SIP", Some(200))
    );
    assert_eq!(
        reasons[0].to_string(),
        "Q.850;cause=16;text=\"a \\\"b\\\", c\""
    );
    let session = headers.session_expires().unwrap().unwrap();
    assert_eq!(
        (session.interval.as_secs(), session.refresher),
        (1800, Some(Refresher::Uas))
    );
    assert_eq!(headers.min_se(), Ok(Some(Duration::from_secs(90))));
    let replaces = headers.replaces().unwrap().unwrap();
    assert!(replaces.early_only);
    assert_eq!(replaces.to_string(), "c1@h;to-tag=t;from-tag=f;early-only");
    assert_eq!(headers.rack().unwrap().unwrap().to_string(), "3 7 INVITE");
    assert_eq!(headers.retry_after(), Some(18000));
    assert_eq!(headers.privacy(), ["id", "critical"]);
    assert_eq!(
        headers.allow(),
        [Method::Invite, Method::Ack, Method::Other("FOO".into())]
    );
    assert_eq!(headers.warnings()[0].text, "no \"media\"");
    let credentials = &headers.authentication(&HeaderName::Authorization).unwrap()[0];
    assert_eq!(
        (credentials.param("username"), credentials.param("nc")),
        (Some("a,b"), Some("1"))
    );
    assert_eq!(credentials.param("realm"), Some("r\"s"));
    assert_eq!(
        headers
            .subscription_state()
            .unwrap()
            .unwrap()
            .params
            .value("expires"),
        Some("60")
    );
    assert!(headers.accepts("application/sdp") && !headers.accepts("text/html"));
}

#[test]
fn a_response_copies_what_it_must() {
    let mut request = request(INVITE);
    request
        .headers
        .push(HeaderName::RecordRoute, "<sip:p.example;lr>");
    request.headers.push(HeaderName::Timestamp, "54");
    let names = |response: &Response| -> Vec<String> {
        response
            .headers
            .iter()
            .map(|field| field.name().to_string())
            .collect()
    };
    let trying = Response::to_request(&request, StatusCode::TRYING, None);
    assert_eq!(
        names(&trying),
        ["Via", "From", "To", "Call-ID", "CSeq", "Timestamp"]
    );
    let mut ok = Response::to_request(&request, StatusCode::OK, Some("t2"));
    assert_eq!(
        names(&ok),
        ["Via", "From", "To", "Call-ID", "CSeq", "Record-Route"]
    );
    assert_eq!(
        ok.headers.get_str(&HeaderName::To),
        Some("<sip:a@example.com>;tag=t2")
    );
    ok.set_body("application/sdp", "v=0\r\n");
    assert!(
        ok.to_bytes()
            .ends_with(b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n")
    );
    ok.clear_body();
    let busy = Response::to_request(&request, StatusCode::BUSY_HERE, Some("x;y\r\n"));
    assert_eq!(busy.headers.to_tag(), None);
    let busy = busy.with_reason("Busy\r\nVia: evil");
    assert!(
        busy.to_bytes()
            .starts_with(b"SIP/2.0 486 Busy  Via: evil\r\n")
    );
    assert!(ok.to_bytes().ends_with(b"Content-Length: 0\r\n\r\n"));
}
