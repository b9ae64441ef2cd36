//! RFC 4475 and RFC 5118, each message with the verdict written down beside it.

use std::collections::BTreeMap;
use std::fs;

use bytes::Bytes;
use sip_msg::{Framing, HeaderName, Host, Limits, Message, Method, Rejected, Scheme, parse};

/// What the parser does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Answer(u16),
    Drop,
}

/// Verdicts that are not the parser's to give, or where more than one is right.
const OF_OTHERS: &[(&str, Verdict, &str)] = &[
    (
        "escnull",
        Verdict::Accept,
        "whether there is a registrar is the application's to say",
    ),
    (
        "mpart01",
        Verdict::Accept,
        "the user agent knows which methods and bodies it takes",
    ),
    (
        "dblreq",
        Verdict::Accept,
        "octets behind Content-Length are dropped",
    ),
    (
        "clerr",
        Verdict::Answer(400),
        "a datagram's Content-Length is longer than its body",
    ),
    (
        "baddate",
        Verdict::Accept,
        "Date is read as absent; nothing of a call depends on it",
    ),
    (
        "badaspec",
        Verdict::Answer(400),
        "of two verdicts allowed the one that repairs nothing",
    ),
    (
        "baddn",
        Verdict::Answer(400),
        "of two verdicts allowed the one that repairs nothing",
    ),
    (
        "mismatch02",
        Verdict::Answer(400),
        "the mismatch is seen before the method is looked at",
    ),
    (
        "badbranch",
        Verdict::Accept,
        "transactions see no branch in the cookie alone",
    ),
    (
        "unkscm",
        Verdict::Accept,
        "416 is the user agent's; the URI is opaque to the parser",
    ),
    (
        "novelsc",
        Verdict::Accept,
        "416 is the user agent's; the URI is opaque to the parser",
    ),
    (
        "unksm2",
        Verdict::Accept,
        "an unknown scheme in To and From is legal to parse",
    ),
    (
        "bext01",
        Verdict::Accept,
        "420 is the user agent's, which knows its extensions",
    ),
    (
        "invut",
        Verdict::Accept,
        "415 is the user agent's, which knows the bodies it takes",
    ),
    (
        "regaut01",
        Verdict::Accept,
        "an unknown authorization scheme is legal to parse",
    ),
    (
        "bcast",
        Verdict::Accept,
        "a Via of another host is seen by the transaction layer",
    ),
    (
        "zeromf",
        Verdict::Accept,
        "483 is for who would forward the request",
    ),
    (
        "cparam01",
        Verdict::Accept,
        "whether there is a registrar is the application's to say",
    ),
    (
        "cparam02",
        Verdict::Accept,
        "whether there is a registrar is the application's to say",
    ),
    (
        "regescrt",
        Verdict::Accept,
        "whether there is a registrar is the application's to say",
    ),
    (
        "sdp01",
        Verdict::Accept,
        "406 is the user agent's, which knows what it can send",
    ),
    (
        "inv2543",
        Verdict::Accept,
        "RFC 2543 requests have no branch and are still answered",
    ),
];

fn read(folder: &str) -> Option<Vec<(String, Bytes, Verdict)>> {
    let folder = corpora::folder(folder)?;
    let verdicts = fs::read(folder.join("verdicts.json")).unwrap();
    let verdicts: serde_json::Value = serde_json::from_slice(&verdicts).unwrap();
    let cases = verdicts.as_array().unwrap().iter().map(|case| {
        let file = case["file"].as_str().unwrap();
        let name = file.trim_end_matches(".dat").to_owned();
        let message = fs::read(folder.join(file)).unwrap();
        let verdict = verdict(&name, case["expected"].as_str().unwrap());
        (name, Bytes::from(message), verdict)
    });
    Some(cases.collect())
}

fn verdict(name: &str, expected: &str) -> Verdict {
    if let Some((.., verdict, _)) = OF_OTHERS.iter().find(|(other, ..)| *other == name) {
        return *verdict;
    }
    if let Some(status) = expected.get(..3).and_then(|code| code.parse().ok()) {
        return Verdict::Answer(status);
    }
    match expected {
        "response dropped" => Verdict::Drop,
        _ if expected.contains("accept") || expected.starts_with("parses") => Verdict::Accept,
        _ => panic!("{name}: no rule for {expected:?}"),
    }
}

fn datagram(message: &Bytes) -> Result<Message, Box<Rejected>> {
    parse(message.clone(), &Limits::default(), Framing::Datagram)
}

fn of(result: &Result<Message, Box<Rejected>>) -> Verdict {
    match result {
        Ok(_) => Verdict::Accept,
        Err(rejected) if rejected.request.is_some() => Verdict::Answer(rejected.status.code()),
        Err(_) => Verdict::Drop,
    }
}

fn judge(folder: &str, count: usize) {
    let Some(cases) = read(folder) else { return };
    assert_eq!(cases.len(), count);
    let wrong: Vec<_> = cases
        .iter()
        .map(|(name, message, expected)| (name, datagram(message), expected))
        .filter(|(_, result, expected)| of(result) != **expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut counts = BTreeMap::<String, usize>::new();
    for (.., verdict) in &cases {
        *counts.entry(format!("{verdict:?}")).or_default() += 1;
    }
    for (verdict, count) in counts {
        corpora::tally(folder, &verdict, count);
    }
    let ours = OF_OTHERS
        .iter()
        .filter(|(name, ..)| cases.iter().any(|(case, ..)| case == name));
    corpora::tally(folder, "of these left to a higher layer", ours.count());
}

#[test]
fn rfc_4475_verdicts() {
    judge("rfc4475", 49);
}

#[test]
fn rfc_5118_verdicts() {
    judge("rfc5118", 12);
}

#[test]
fn what_is_accepted_survives_printing() {
    for folder in ["rfc4475", "rfc5118"] {
        for (name, message, _) in read(folder).unwrap_or_default() {
            let Ok(message) = datagram(&message) else {
                continue;
            };
            let printed = message.to_bytes();
            let again = datagram(&printed).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(again.to_bytes(), printed, "{name}");
            assert_eq!(again.body(), message.body(), "{name}");
        }
    }
}

fn accepted(name: &str) -> Option<Message> {
    let folder = corpora::folder(if name.contains('-') {
        "rfc5118"
    } else {
        "rfc4475"
    })?;
    let message = fs::read(folder.join(format!("{name}.dat"))).unwrap();
    Some(datagram(&message.into()).unwrap())
}

#[test]
fn a_short_tortuous_invite_is_read_right() {
    let Some(Message::Request(invite)) = accepted("wsinv") else {
        return;
    };
    let headers = &invite.headers;
    assert_eq!(
        invite.uri.as_str(),
        "sip:vivekg@chair-dnrc.example.com;unknownparam"
    );
    assert_eq!(headers.to_tag().as_deref(), Some("1918181833n"));
    assert_eq!(headers.from_tag().as_deref(), Some("98asjd8"));
    assert_eq!(
        headers.from().unwrap().display.as_deref(),
        Some("J Rosenberg \\\"")
    );
    assert_eq!(headers.max_forwards(), Ok(Some(68)));
    assert_eq!(headers.call_id(), Ok("wsinv.ndaksdj@192.0.2.1"));
    assert_eq!(headers.cseq().unwrap().to_string(), "9 INVITE");
    let vias = headers.vias().unwrap();
    assert_eq!(vias.len(), 3);
    assert_eq!(vias[0].branch(), Some("390skdjuw"));
    assert_eq!(vias[1].branch(), Some("z9hG4bK9ikj8"));
    assert_eq!(vias[2].branch(), Some("z9hG4bK30239"));
    let contact = &headers.contacts().unwrap()[0];
    assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.params.get("newparam"), Some(Some("newvalue")));
    assert_eq!(contact.params.value("q"), Some("0.33"));
    assert_eq!(
        headers.routes().unwrap()[0].uri.as_str(),
        "sip:services.example.com;lr;unknownwith=value;unknown-no-value"
    );
}

#[test]
fn escapes_are_no_delimiters() {
    let Some(Message::Request(semiuri)) = accepted("semiuri") else {
        return;
    };
    assert_eq!(semiuri.uri.user(), Some("user;par=u%40example.net"));
    assert_eq!(semiuri.uri.host_str(), "example.com");
    let Some(Message::Request(esc01)) = accepted("esc01") else {
        return;
    };
    assert_eq!(esc01.uri.user(), Some("sips%3Auser%40example.com"));
    assert_eq!(
        esc01.uri.decoded_user().as_deref(),
        Some("sips:user@example.com")
    );
    assert_eq!(esc01.uri.host_str(), "example.net");
    let Some(Message::Request(esc02)) = accepted("esc02") else {
        return;
    };
    assert_eq!(esc02.method, Method::Other("RE%47IST%45R".into()));
    let Some(Message::Request(escnull)) = accepted("escnull") else {
        return;
    };
    assert_eq!(
        escnull.headers.from().unwrap().uri.user(),
        Some("null-%00-null")
    );
}

#[test]
fn methods_headers_and_bodies_stay_what_they_are() {
    let Some(Message::Request(odd)) = accepted("intmeth") else {
        return;
    };
    assert_eq!(
        odd.method.as_str(),
        "!interesting-Method0123456789_*+`.%indeed'~"
    );
    assert!(
        odd.headers
            .to()
            .unwrap()
            .display
            .unwrap()
            .contains("NUL:\0 DEL:\x7F")
    );
    let Some(Message::Request(double)) = accepted("dblreq") else {
        return;
    };
    assert_eq!((&double.method, double.body.len()), (&Method::Register, 0));
    let Some(Message::Request(long)) = accepted("longreq") else {
        return;
    };
    assert_eq!(long.headers.vias().unwrap().len(), 34);
    let Some(Message::Request(unknown)) = accepted("unkscm") else {
        return;
    };
    assert_eq!(unknown.uri.scheme(), Scheme::Other);
    assert_eq!(unknown.uri.scheme_str(), "nobodyKnowsThisScheme");
    let Some(Message::Response(reason)) = accepted("unreason") else {
        return;
    };
    assert!(
        str::from_utf8(&reason.reason)
            .unwrap()
            .starts_with("= 2**3 * 5**2")
    );
    let Some(Message::Response(reason)) = accepted("noreason") else {
        return;
    };
    assert!(reason.reason.is_empty());
    let Some(Message::Request(date)) = accepted("baddate") else {
        return;
    };
    assert!(date.headers.contains(&HeaderName::Date) && date.headers.date().is_none());
}

#[test]
fn ipv6_references_are_addresses() {
    let host = |name: &str| {
        let Some(Message::Request(request)) = accepted(name) else {
            return None;
        };
        Some((
            request.uri.host().map(|host: Host<'_>| host.to_string()),
            request.uri.port(),
        ))
    };
    for (name, address, port) in [
        ("port-ambiguous", "[2001:db8::10:5070]", None),
        ("port-unambiguous", "[2001:db8::10]", Some(5070)),
    ] {
        let Some(found) = host(name) else { return };
        assert_eq!(found, (Some(address.to_owned()), port), "{name}");
    }
    for name in [
        "via-received-param-with-delim",
        "via-received-param-no-delim",
    ] {
        let Some(message) = accepted(name) else {
            return;
        };
        let via = message.headers().top_via().unwrap();
        assert_eq!(
            via.received(),
            Some("2001:db8::9:255".parse().unwrap()),
            "{name}"
        );
    }
}
