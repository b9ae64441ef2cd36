use proptest::prelude::*;

use super::*;

fn uri(text: &str) -> Uri {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn parts_are_found_and_kept_as_written() {
    let uri = uri("SIP:al%69ce;x=1:pass%20word@Example.COM:5070;transport=TCP;lr?Subject=a%26b");
    assert_eq!((uri.scheme(), uri.scheme_str()), (Scheme::Sip, "SIP"));
    assert_eq!(uri.user(), Some("al%69ce;x=1"));
    assert_eq!(uri.password(), Some("pass%20word"));
    assert_eq!(uri.decoded_user().as_deref(), Some("alice;x=1"));
    assert_eq!((uri.host_str(), uri.port()), ("Example.COM", Some(5070)));
    assert_eq!(uri.param("LR"), Some(None));
    assert_eq!(uri.transport_param(), Some(TransportKind::Tcp));
    assert_eq!(uri.headers(), Some("Subject=a%26b"));
}

#[test]
fn microsofts_contact_is_kept_byte_for_byte() {
    let text = "sip:api-du-a-usea.pstnhub.microsoft.com:443;x-i=b712;x-c=a35e/s/1/4b30";
    let uri = uri(text);
    assert_eq!(uri.as_str(), text);
    assert_eq!(uri.param("x-c"), Some(Some("a35e/s/1/4b30")));
    assert_eq!((uri.user(), uri.port()), (None, Some(443)));
}

#[test]
fn number_signs_in_user_parts_are_taken() {
    let uri = uri("sip:*21#14255550100#@pbx.example.com");
    assert_eq!(uri.user(), Some("*21#14255550100#"));
}

#[test]
fn telephone_numbers_are_users() {
    let uri = uri("tel:+1-425-555-0100;ext=12;phone-context=example.com");
    assert_eq!(
        (uri.scheme(), uri.user()),
        (Scheme::Tel, Some("+1-425-555-0100"))
    );
    assert_eq!((uri.host(), uri.param("ext")), (None, Some(Some("12"))));
    assert!(Uri::tel("+14255550100").is_some());
    assert!(Uri::tel("+14255550100;ext=1").is_none());
    for text in ["tel:", "tel:+", "tel:+1425x", "tel:+1#", "tel:1;;ext=1"] {
        assert!(Uri::parse(text).is_err(), "{text}");
    }
}

#[test]
fn hosts_are_names_or_addresses() {
    assert_eq!(
        uri("sip:192.0.2.1").host().and_then(Host::ip),
        "192.0.2.1".parse().ok()
    );
    assert_eq!(uri("sip:[2001:db8::1]:5060").host_str(), "[2001:db8::1]");
    assert_eq!(
        uri("sip:[2001:db8::1]").host().and_then(Host::ip),
        "2001:db8::1".parse().ok()
    );
    assert_eq!(
        uri("sip:[2001:db8:::192.0.2.1]").as_str(),
        "sip:[2001:db8:::192.0.2.1]"
    );
}

#[test]
fn malformed_uris_are_refused() {
    for (text, error) in [
        ("", UriError::Scheme),
        ("sip", UriError::Scheme),
        ("1sip:x", UriError::Scheme),
        ("sip:", UriError::Host),
        ("sip:@example.com", UriError::User),
        ("sip:a b@example.com", UriError::User),
        ("sip:a@b@example.com", UriError::Host),
        ("sip:a%4@example.com", UriError::Escape),
        ("sip:a%zz@example.com", UriError::Escape),
        ("sip:example.com:", UriError::Port),
        ("sip:example.com:65536", UriError::Port),
        ("sip:2001:db8::10", UriError::Port),
        ("sip:[2001:db8::g]", UriError::Host),
        ("sip:[2001:db8::1", UriError::Host),
        ("sip:example.com;;lr", UriError::Parameter),
        ("sip:example.com;a=\"b\"", UriError::Parameter),
        ("sip:example.com?", UriError::Headers),
        ("sip:example.com;lr\r\nVia: x", UriError::Parameter),
        ("mailto:a b", UriError::Character),
    ] {
        assert_eq!(text.parse::<Uri>().unwrap_err(), error, "{text:?}");
    }
}

#[test]
fn equivalence_is_that_of_rfc_3261() {
    for (one, two) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;newparam=5",
        ),
        ("sip:a@x.example?b=1&c=2", "sip:a@x.example?c=2&b=1"),
        ("sip:[2001:db8::0:1]", "sip:[2001:DB8::1]"),
        ("tel:+1-425-555-0100", "TEL:+14255550100"),
    ] {
        assert!(uri(one).equivalent(&uri(two)), "{one} {two}");
        assert!(uri(two).equivalent(&uri(one)), "{two} {one}");
    }
    for (one, two) in [
        ("SIP:ALICE@atlanta.com", "sip:alice@atlanta.com"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:a%3Bb@x.example", "sip:a;b@x.example"),
        ("tel:+14255550100", "tel:+14255550100;ext=1"),
        ("tel:+14255550100", "tel:14255550100"),
    ] {
        assert!(!uri(one).equivalent(&uri(two)), "{one} {two}");
        assert!(!uri(two).equivalent(&uri(one)), "{two} {one}");
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read_the_same(
        user in prop::option::of("[a+0-9@:;#% é]{0,9}|%[0-9a-g]{2}[a-c]?"),
        host in prop_oneof![
            Just("h.example"), Just("192.0.2.1"), Just("2001:db8::1"), Just("[2001:db8::1]"),
            Just("a b"), Just(""), Just("h:1"), Just("[h]"),
        ],
        port: Option<u16>,
        params in prop::collection::vec(("[a-c;=%]{0,3}", "[a-c;=%é]{0,3}"), 0..3),
    ) {
        let params: Vec<_> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
        let plain = Uri::sip(user.as_deref(), host, port);
        for built in [plain, Uri::sip_with(user.as_deref(), host, port, &params)] {
            let read = uri(built.as_str());
            prop_assert_eq!(format!("{:?}", read.parts), format!("{:?}", built.parts));
        }
    }
}

#[test]
fn what_is_built_is_well_formed() {
    let uri = Uri::sip(Some("a b:\r\n%41"), "2001:db8::1", Some(5061));
    assert_eq!(uri.as_str(), "sip:a%20b%3A%0D%0A%41@[2001:db8::1]:5061");
    let uri = uri
        .with_param("transport", "tls")
        .with_param("x\n", "y;z")
        .with_param("lr", None);
    let uri = uri
        .with_user("bob")
        .with_host("h.example", None)
        .without_param("X%0A");
    assert_eq!(uri.as_str(), "sip:bob@h.example;transport=tls;lr");
    assert_eq!(
        uri.with_param("Transport", "tcp").as_str(),
        "sip:bob@h.example;lr;Transport=tcp"
    );
    assert_eq!(Uri::sip(None, "h\r\nx", None).as_str(), "sip:invalid");
    assert_eq!(
        Uri::sip(None, "h.example", None).bracketed(),
        "<sip:h.example>"
    );
}
