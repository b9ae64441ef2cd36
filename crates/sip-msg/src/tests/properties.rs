use proptest::prelude::*;

use super::{INVITE, datagram};
use crate::{
    HeaderName, Headers, Message, Method, NameAddr, Params, Request, StatusCode, Uri, Via,
};

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let value = prop::collection::vec(prop_oneof![Just(b' '), 0x21u8..0x7F, 0x80u8..=0xFF], 0..40);
    prop::collection::vec(("X-[A-Za-z]{1,12}", value), 0..12)
}

fn complete(fields: Vec<(String, Vec<u8>)>, method: &str) -> Headers {
    let mut headers = Headers::new();
    headers.push(HeaderName::Via, "SIP/2.0/TLS h.example;branch=z9hG4bK1");
    headers.push(HeaderName::From, "<sip:a@example.com>;tag=1");
    headers.push(HeaderName::To, "<sip:b@example.com>");
    headers.push(HeaderName::CallId, "c");
    headers.push(HeaderName::CSeq, format!("1 {method}"));
    for (name, value) in fields {
        headers.push_raw(name.as_bytes(), value);
    }
    headers
}

proptest! {
    #[test]
    fn a_printed_request_is_read_back(
        fields in headers(),
        user in "[ -~]{0,20}",
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let uri = Uri::sip(Some(&user), "h.example", None);
        let mut request = Request::new(Method::Info, uri);
        request.headers = complete(fields, "INFO");
        request.set_body("application/x", body);
        let message = Message::Request(request);
        prop_assert_eq!(datagram(message.to_bytes()).unwrap(), message);
    }

    #[test]
    fn a_printed_response_is_read_back(
        fields in headers(),
        code in 100u16..700,
        reason in "[ -~]{0,30}",
    ) {
        let status = StatusCode::new(code).unwrap();
        let mut response = crate::Response::new(status).with_reason(reason);
        response.headers = complete(fields, "INVITE");
        response.clear_body();
        let message = Message::Response(response);
        prop_assert_eq!(datagram(message.to_bytes()).unwrap(), message);
    }

    #[test]
    fn no_mutation_of_a_message_makes_it_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..8),
    ) {
        let mut text = INVITE.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.index(text.len());
            match kind {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                2 => drop(text.remove(at)),
                _ => text.insert(at, b"\r\n \";:<>,@%"[usize::from(byte) % 11]),
            }
        }
        let headers = match datagram(text) {
            Ok(message) => {
                let printed = message.to_bytes();
                prop_assert_eq!(datagram(printed.clone()).unwrap().to_bytes(), printed);
                message.headers().clone()
            }
            Err(rejected) => rejected.request.map(|request| request.headers).unwrap_or_default(),
        };
        read_everything(&headers);
    }

    #[test]
    fn printed_values_are_read_back(display in "\\PC{0,20}", value in "\\PC{0,20}") {
        let uri = Uri::sip(None, "h.example", None);
        let addr = NameAddr::new(uri).with_display(display).with_param("x", value.as_str());
        let again = NameAddr::parse(addr.to_string()).unwrap();
        prop_assert_eq!(&again.display, &addr.display);
        prop_assert_eq!(again.to_string(), addr.to_string());
    }

    /// A tag is looked for without reading all of the value; it is the same one.
    #[test]
    fn a_tag_found_at_a_glance_is_the_tag(
        address in prop::sample::select(vec![
            "<sip:a@b>", "\"x;tag=no\" <sip:a@b;tag=no>", "sip:a@b", "A <sip:[::1]:5060>", "<sip:a@b> ",
        ]),
        params in prop::collection::vec(prop::sample::select(vec![
            ";tag=a.b-c", ";TAG=d", ";tag", ";tag=", ";tag = e", "; tag=f", ";tag=\"g;h\"", ";tags=i", ";x",
            ";x=\">;tag=j\"", ";tag=[k]", ";x=y ", ";",
        ]), 0..4),
    ) {
        let text = format!("{address}{}", params.concat());
        if let (Ok(read), Some(found)) = (
            NameAddr::parse(text.clone()),
            NameAddr::tag_in(text.as_bytes()),
        ) {
            prop_assert_eq!(found, read.tag());
        }
    }

    #[test]
    fn no_text_makes_a_grammar_panic(text in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Uri::parse(text.clone());
        let _ = NameAddr::parse(text.clone());
        let _ = Via::parse(text.clone());
        let _ = Params::parse(text.clone().into());
        let mut headers = Headers::new();
        for field in super::request(INVITE).headers.iter() {
            headers.push(field.name(), &text);
        }
        read_everything(&headers);
    }
}

fn read_everything(headers: &Headers) {
    let _ = (
        headers.vias(),
        headers.from(),
        headers.to(),
        headers.contacts(),
        headers.routes(),
    );
    let _ = (
        headers.cseq(),
        headers.call_id(),
        headers.max_forwards(),
        headers.reason(),
    );
    let _ = (
        headers.replaces(),
        headers.session_expires(),
        headers.rack(),
        headers.warnings(),
    );
    let _ = (
        headers.retry_after(),
        headers.date(),
        headers.content_type(),
        headers.privacy(),
    );
    let _ = (
        headers.event(),
        headers.authentication(&HeaderName::CSeq),
        headers.allow(),
    );
}
