//! The library `sdp-types` and this crate read the same.

use proptest::prelude::*;
use sdp_types::{ParserError, Session};

use super::*;

/// The field or rule that the library names.
fn rule(error: &ParserError) -> &'static str {
    use sdp_types::ParserError as E;
    #[allow(clippy::wildcard_enum_match_arm)]
    match *error {
        E::InvalidLineFormat(_, rule)
        | E::InvalidFieldEncoding(_, rule)
        | E::InvalidFieldFormat(_, rule)
        | E::MissingField(_, rule)
        | E::FieldTrailingData(_, rule) => rule,
        E::InvalidVersion(..) => "version is not 0",
        E::NoVersion => "no v= line",
        E::RepeatWithoutTime(_) => "r= without t=",
        _ => "line appears twice",
    }
}

type Attributes = Vec<(String, Option<String>)>;

/// Everything of a description that is ever asked for.
#[derive(Debug, PartialEq)]
struct Meaning {
    version: u64,
    attributes: Attributes,
    medias: Vec<(Vec<String>, u16, Attributes)>,
}

fn meaning_of_ours(lines: &Lines) -> Meaning {
    let owned = |line: &AttributeLine| {
        let value = line.value.map(|value| lines.part(value).to_owned());
        (lines.part(line.name).to_owned(), value)
    };
    let medias = lines.medias().map(|media| {
        let address = media.address().unwrap_or("none");
        let texts = [media.media(), media.proto(), media.fmt(), address];
        let attributes = media.attributes().iter().map(owned).collect();
        (texts.map(str::to_owned).to_vec(), media.port(), attributes)
    });
    Meaning {
        version: lines.version(),
        attributes: lines.own().iter().map(owned).collect(),
        medias: medias.collect(),
    }
}

fn meaning_of_theirs(session: &Session) -> Meaning {
    let owned = |attributes: &[sdp_types::Attribute]| {
        let attributes = attributes.iter();
        attributes
            .map(|line| (line.attribute.clone(), line.value.clone()))
            .collect()
    };
    let medias = session.medias.iter().map(|media| {
        let connection = media.connections.first().or(session.connection.as_ref());
        let address = connection.map_or("none", |connection| &connection.connection_address);
        let texts = [&media.media, &media.proto, &media.fmt, address];
        let texts = texts.map(str::to_owned).to_vec();
        (texts, media.port, owned(&media.attributes))
    });
    Meaning {
        version: session.origin.sess_version,
        attributes: owned(&session.attributes),
        medias: medias.collect(),
    }
}

fn line() -> impl Strategy<Value = String> {
    let usual = prop::sample::select(vec![
        "v=0",
        "o=- 7 8 IN IP4 192.0.2.1",
        "o=a b 7 8 IN IP6 ::1",
        "o=x",
        "s=-",
        "s=",
        "i=x",
        "u=x",
        "e=x",
        "p=x",
        "c=IN IP4 192.0.2.1",
        "c=IN  IP4 192.0.2.2",
        "c=IN IP4",
        "c=IN I(4 x",
        "c=a b c d",
        "c=",
        "b=AS:64",
        "b=AS",
        "b=:1",
        "t=0 0",
        "t=0",
        "t=1  2",
        "t=0 0 0",
        "t=-1 0",
        "r=7d 1h 0 25h",
        "r=7d",
        "r=x 1",
        "r=1 2 3x",
        "z=1 -1h 2 0",
        "z=1",
        "z=x 1",
        "z=",
        "z=1 -x",
        "k=clear:x",
        "k=prompt",
        "a=sendrecv",
        "a=rtpmap:0 PCMU/8000",
        "a=",
        "a=:",
        "a=x:y:z",
        "a=crypto:1 A inline:k",
        "m=audio 4000 RTP/AVP 0 8",
        "m=audio 4000 RTP/AVP 0",
        "m=video 0/2 RTP/AVP 31",
        "m=audio 70000 R 0",
        "m=audio  4000 R 0",
        "m=audio 4000 R",
        "m=audio 4000/x R 0",
        "m=",
        "m=a +5 p f",
        "x=unknown",
        "ab=c",
        "=x",
        "==",
        "nothing",
        "\u{e9}=1",
        "a=caf\u{e9}",
        "a=\r",
        "a=\0",
        "V=0",
        "v=1",
        "v=0 ",
        "\t",
        "",
    ]);
    prop_oneof![9 => usual.prop_map(str::to_owned), 1 => "[a-z]=[ -~]{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_library_reads_the_same(
        begins in prop::bool::weighted(0.9),
        lines in prop::collection::vec(line(), 0..9),
        end in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let head = begins.then(|| "v=0".to_owned());
        let lines: Vec<_> = head.into_iter().chain(lines).collect();
        let body = lines.join(end);
        let mut normal = String::new();
        for line in body.split('\n') {
            if put_line(&mut normal, line) == Kept::Line {
                normal.push_str("\r\n");
            }
        }
        match (Lines::read(body.as_bytes(), &Limits::default()), Session::parse(normal.as_bytes())) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(meaning_of_ours(&ours), meaning_of_theirs(&theirs));
                prop_assert_eq!(ours.text(), normal);
                prop_assert_eq!(ours.holds_keys(), body.contains("crypto") || body.contains("k="));
            }
            (Err(SdpError::Grammar { rule: ours, line }), Err(theirs)) => {
                prop_assert_eq!(ours, rule(&theirs), "line {}", line);
            }
            (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
        }
    }

    #[test]
    fn latin_1_is_read_line_by_line(octets in prop::collection::vec(any::<u8>(), 0..40)) {
        let body = [b"v=0\na=caf\xc3\xa9\na=", &octets[..]].concat();
        if let Ok(lines) = Lines::read(&body, &Limits::default()) {
            prop_assert_eq!(lines.others_of_session().next(), Some("caf\u{e9}"));
            let again = Lines::read(lines.text().as_bytes(), &Limits::default()).unwrap();
            prop_assert_eq!(again.text(), lines.text());
        }
    }
}

#[test]
fn an_error_names_the_line_of_the_body() {
    let read = |body: &str| Lines::read(body.as_bytes(), &Limits::default()).map(|_| ());
    let rule = "Media port";
    let refused = Err(SdpError::Grammar { line: 4, rule });
    assert_eq!(read("v=0\n\nb=\nm=audio x RTP/AVP 0\n"), refused);
}

#[test]
fn keys_do_not_show() {
    let body = b"v=0\nm=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET\n";
    let lines = Lines::read(body, &Limits::default()).unwrap();
    let media = lines.media(0);
    assert!(!format!("{lines:?}{media:?}").contains("SECRET"));
}
