//! Small cases of whole messages, and properties of all of them.

use bytes::Bytes;

use crate::{Framing, HeaderName, Limits, Message, ParseError, Rejected, Request, Rule, parse};

mod fields;
mod properties;

const INVITE: &str = "INVITE sip:+14255550100@gw.example.com;user=phone SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport,SIP/2.0/TCP 192.0.2.2\r\n\
    f: Bob <sip:b@example.com>;tag=1\r\n\
    TO:<sip:a@example.com>\r\n\
    i :abc@192.0.2.1\r\n\
    CSeq: 7 \r\n INVITE\r\n\
    Max-Forwards: 70\r\n\
    Contact: \"B, <b>\" <sip:b@192.0.2.1>\r\n\
    X-Custom: \u{e9} kept as it is ,,\r\n\
    Content-Type: application/SDP;charset=x\r\n\
    Content-Length: 4\r\n\r\nv=0\n";

fn datagram(text: impl Into<Vec<u8>>) -> Result<Message, Box<Rejected>> {
    parse(
        Bytes::from(text.into()),
        &Limits::default(),
        Framing::Datagram,
    )
}

fn request(text: impl Into<Vec<u8>>) -> Request {
    match datagram(text) {
        Ok(Message::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

#[test]
fn a_request_is_read_and_printed_with_what_is_not_understood() {
    let invite = request(INVITE);
    let headers = &invite.headers;
    assert_eq!(headers.vias().unwrap().len(), 2);
    assert_eq!(headers.call_id(), Ok("abc@192.0.2.1"));
    assert_eq!(headers.cseq().unwrap().to_string(), "7 INVITE");
    assert_eq!(
        headers.contacts().unwrap()[0].display.as_deref(),
        Some("B, <b>")
    );
    assert_eq!(headers.content_type().unwrap(), "application/sdp");
    assert_eq!(invite.body, Bytes::from_static(b"v=0\n"));
    let printed = INVITE
        .replace("TO:<", "TO: <")
        .replace("i :", "i: ")
        .replace(" \r\n INV", " INV");
    assert_eq!(invite.to_bytes(), printed.as_bytes());
}

#[test]
fn latin_1_is_kept_and_printed() {
    let mut text = INVITE.replace('\u{e9}', "@@").into_bytes();
    let at = text.windows(2).position(|pair| pair == b"@@").unwrap();
    text.splice(at..at + 2, [0xE9]);
    let invite = request(text);
    let name = HeaderName::Other("x-custom".into());
    assert_eq!(
        invite.headers.get(&name),
        Some(&b"\xE9 kept as it is ,,"[..])
    );
    assert_eq!(invite.headers.get_str(&name), None);
    assert!(invite.to_bytes().windows(2).any(|pair| pair == b"\xE9 "));
}

#[test]
fn broken_requests_are_rejected_with_what_answers_them() {
    for (from, to, error) in [
        ("SIP/2.0\r\nVia", "SIP/2.1\r\nVia", "version not supported"),
        (
            "INVITE sip:",
            "INVITE  sip:",
            "malformed Request-URI: no scheme",
        ),
        (
            "phone SIP",
            "phone?a=b SIP",
            "malformed Request-URI: malformed headers part",
        ),
        ("CSeq: 7", "CSeq: 2147483648", "CSeq: not a number in range"),
        (
            "INVITE\r\nMax",
            "BYE\r\nMax",
            "CSeq: method differs from the request line",
        ),
        (
            "Max-Forwards: 70",
            "Max-Forwards: 300",
            "Max-Forwards: not a number in range",
        ),
        ("Max-Forwards: 70", "Call-ID: second", "Call-ID: repeated"),
        ("i :abc", "j :abc", "Call-ID: missing"),
        ("X-Custom: ", "X Custom: ", "malformed header field"),
        ("X-Custom: ", "no colon", "malformed header field"),
        (
            "Max-Forwards: 70\r\n",
            "Max-Forwards: 70\n",
            "line does not end with CRLF",
        ),
        (
            "Max-Forwards: 70\r\n",
            "Max-Forwards: 70\rx: y\r\n",
            "line does not end with CRLF",
        ),
        ("kept", "\0", "NUL in the head"),
        ("Length: 4", "Length: 5", "body shorter than Content-Length"),
        (
            "Length: 4",
            "Length: -4",
            "Content-Length: not a number in range",
        ),
        ("\r\n\r\nv=0\n", "\r\n", "head does not end"),
        (
            "<sip:b@192.0.2.1>",
            "<sip:b@192.0.2.1",
            "Contact: unbalanced angle brackets",
        ),
        ("Bob <", "\"Bob <", "From: unterminated quoted string"),
    ] {
        assert!(INVITE.contains(from), "{from}");
        let rejected = datagram(INVITE.replace(from, to)).unwrap_err();
        assert_eq!(rejected.error.to_string(), error, "{to:?}");
        assert_eq!(rejected.status, rejected.error.status());
        let request = rejected
            .request
            .unwrap_or_else(|| panic!("{to:?} cannot be answered"));
        assert!(request.headers.top_via().is_ok());
    }
}

#[test]
fn limits_are_kept() {
    let limits = Limits {
        message_bytes: 2000,
        headers: 20,
        header_bytes: 300,
        vias: 3,
        uri_bytes: 100,
    };
    let status = |text: String| {
        let rejected = parse(text.into(), &limits, Framing::Datagram).unwrap_err();
        (rejected.error.clone(), rejected.status.code())
    };
    let add = |line: &str, count| INVITE.replace("Max", &format!("{}Max", line.repeat(count)));
    assert_eq!(
        status(add("X: y\r\n", 20)),
        (ParseError::TooManyHeaders, 513)
    );
    assert_eq!(
        status(add("X: yyyyyy\r\n", 200)),
        (ParseError::MessageTooLarge, 513)
    );
    let long = format!("X: {}\r\n", "y".repeat(301));
    assert_eq!(status(add(&long, 1)), (ParseError::HeaderTooLarge, 513));
    assert_eq!(
        status(add("v: SIP/2.0/UDP a\r\n", 2)),
        (ParseError::TooManyVias, 483)
    );
    let uri = format!("INVITE sip:{}", "a".repeat(100));
    assert_eq!(
        status(INVITE.replace("INVITE sip:", &uri)),
        (ParseError::UriTooLong, 414)
    );
    assert_eq!(
        status(INVITE.replace("h: 4", "h: 9999")),
        (ParseError::BodyTooLarge, 413)
    );
}

#[test]
fn what_must_not_be_answered_is_not() {
    let ack = INVITE
        .replace("INVITE", "ACK")
        .replace("Max-Forwards: 70", "Max-Forwards: x");
    assert_eq!(datagram(ack).unwrap_err().request, None);
    let response = INVITE.replace(
        "INVITE sip:+14255550100@gw.example.com;user=phone SIP/2.0",
        "SIP/2.0 2000 OK",
    );
    assert_eq!(datagram(response).unwrap_err().request, None);
    assert_eq!(
        datagram(INVITE.replace("Via:", "Vib:"))
            .unwrap_err()
            .request,
        None
    );
    assert_eq!(datagram("").unwrap_err().error, ParseError::Truncated);
}

#[test]
fn a_malformed_via_is_repaired_for_the_answer() {
    let rejected = datagram(INVITE.replace("branch=z9hG4bKa;", "branch=;;")).unwrap_err();
    assert!(matches!(&rejected.error, ParseError::Header(error) if error.rule == Rule::Parameter));
    let via = rejected.request.unwrap().headers.top_via().unwrap();
    assert_eq!(via.to_string(), "SIP/2.0/UDP 192.0.2.1:5060");
}

#[test]
fn octets_behind_the_body_of_a_datagram_are_dropped() {
    let mut text = INVITE.as_bytes().to_vec();
    text.extend_from_slice(b"BYE sip:x SIP/2.0\r\n\r\n");
    assert_eq!(request(text.clone()).body.len(), 4);
    let stream = parse(text.into(), &Limits::default(), Framing::Stream);
    assert!(stream.is_err());
}
