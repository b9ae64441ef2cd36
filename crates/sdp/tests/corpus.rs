//! Real and hostile descriptions: nothing panics, every answer is valid against its offer, and
//! what another product made of an offer means the same as what this crate makes of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;
use sdp::*;

fn local(secure: bool) -> LocalMedia {
    let addr = "203.0.113.10:20000".parse().unwrap();
    if !secure {
        return LocalMedia::plain(addr, 7);
    }
    let keys = Suite::ALL
        .iter()
        .map(|suite| MasterKey::draw(*suite, |key| key.fill(9)));
    LocalMedia::secure(addr, 7, LocalCrypto::numbered(keys))
}

/// Passes an offer to another leg that takes all of it, and answers it.
fn exchange(offer: &SessionDescription) -> Option<SessionDescription> {
    let audio = offer.audio()?;
    let policy = Policy::default();
    let (forwarded, _) = offer_for(audio, &mut local(false), &policy).ok()?;
    assert_eq!(
        SessionDescription::parse(&forwarded.to_bytes()).unwrap(),
        forwarded
    );
    let types: Vec<_> = forwarded
        .audio()
        .unwrap()
        .formats
        .iter()
        .map(|f| f.pt)
        .collect();
    assert_eq!(
        types.len(),
        types.iter().collect::<BTreeSet<_>>().len(),
        "payload type twice"
    );
    let secure = audio.profile.is_secure();
    let (answer, _) = answer_for(offer, audio, &mut local(secure), &policy).ok()?;
    check(offer, &answer);
    Some(answer)
}

/// RFC 3264 §6, RFC 4568 §5.1.2.
fn check(offer: &SessionDescription, answer: &SessionDescription) {
    let text = String::from_utf8(answer.to_bytes()).unwrap();
    let reread = SessionDescription::parse(text.as_bytes()).unwrap();
    assert_eq!(&reread, answer, "what is written is read back");
    assert_eq!(offer.media_count(), answer.media_count());
    let ours = answer.audio().unwrap();
    for index in (0..answer.media_count()).filter(|&index| index != ours.index) {
        assert!(answer.is_disabled(index));
    }
    let secure = ours.profile.is_secure();
    assert_eq!(
        text.matches("a=crypto:").count(),
        usize::from(secure),
        "{text}"
    );
    let body = String::from_utf8_lossy(&offer.to_bytes()).into_owned();
    let offered = body.split("m=").nth(ours.index + 1).unwrap();
    // As numbers: a peer may write payload type 3 as 03.
    let offered: BTreeSet<u8> = offered
        .lines()
        .next()
        .unwrap()
        .split(' ')
        .skip(3)
        .filter_map(|token| token.parse().ok())
        .collect();
    let mut seen = BTreeSet::new();
    for format in &ours.formats {
        assert!(offered.contains(&format.pt), "{format:?} was not offered");
        assert!(seen.insert(format.pt), "{format:?} twice");
    }
    let theirs = offer.audio().unwrap();
    if theirs.index == ours.index {
        assert!(!ours.direction.sends() || theirs.direction.receives());
        assert!(!ours.direction.receives() || theirs.direction.sends());
        if secure {
            let crypto = &ours.cryptos[0];
            let matching =
                |c: &&CryptoAttribute| c.tag == crypto.tag && c.key.suite() == crypto.key.suite();
            assert!(theirs.cryptos.iter().any(|c| matching(&c)));
        }
    }
}

#[test]
fn every_input_is_read_or_refused() {
    let Some(folder) = corpora::folder("sdp-interwork") else {
        return;
    };
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in fs::read_dir(folder.join("inputs")).unwrap() {
        let path = entry.unwrap().path();
        let offer = SessionDescription::parse(&fs::read(&path).unwrap());
        let offer = offer.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(
            SessionDescription::parse(&offer.to_bytes()).as_ref(),
            Ok(&offer)
        );
        let secure = offer.audio().is_some_and(|audio| audio.profile.is_secure());
        let verdict = match (
            exchange(&offer),
            answerable(&offer, secure, &Policy::default()),
        ) {
            (Some(_), Ok(())) => "answered".to_owned(),
            (None, Err(error)) => format!("refused: {error}"),
            // What is accepted before anybody is called is answered afterwards.
            (answer, error) => panic!("{}: {answer:?}, {error:?}", path.display()),
        };
        *verdicts.entry(verdict).or_default() += 1;
    }
    assert_eq!(verdicts.values().sum::<usize>(), 650);
    assert!(verdicts["answered"] > 600, "{verdicts:?}");
    for (verdict, count) in &verdicts {
        corpora::tally("sdp-interwork inputs", verdict, *count);
    }
}

#[test]
fn documented_and_observed_descriptions_are_answered() {
    let Some(folder) = corpora::folder("teams-direct-routing") else {
        return;
    };
    let head = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n";
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let body = text
            .find("v=0")
            .map_or(format!("{head}{text}"), |at| text[at..].to_owned());
        SessionDescription::parse(body.as_bytes()).unwrap()
    };
    let crypto = |offer: SessionDescription| {
        let answer = exchange(&offer).unwrap();
        answer.audio().unwrap().cryptos[0].tag
    };
    assert_eq!(crypto(read("D09-offer-from-teams-sdes.sdp")), 1);
    assert_eq!(crypto(read("D08-answer-to-sbc.sdp")), 3);
    assert_eq!(crypto(read("O08-sdp-from-teams-media-processor.sdp")), 1);
    assert_eq!(crypto(read("O16-answer-sdp-accepted-by-teams.sdp")), 1);
    assert_eq!(crypto(read("O06-invite-sbc-to-teams-after-refer.sip")), 1);
    let dtls = read("D07-offer-from-sbc-bypass.sdp");
    assert_eq!(dtls.usable_audio().unwrap_err(), Unusable::Transport);
    let line = fs::read_to_string(folder.join("D06-crypto-with-lifetime.txt")).unwrap();
    let parsed = CryptoAttribute::parse(line.trim().strip_prefix("a=crypto:").unwrap()).unwrap();
    assert_eq!(parsed.lifetime, Some(1 << 31));
}

#[test]
fn hostile_descriptions_are_refused_or_made_harmless() {
    let Some(folder) = corpora::folder("cve-stimuli") else {
        return;
    };
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let Some(at) = bytes.windows(3).position(|window| window == b"v=0") else {
            continue;
        };
        if !name.contains("sdp") {
            continue;
        }
        seen += 1;
        let parsed = SessionDescription::parse(&bytes[at..]);
        let refused = match &parsed {
            Ok(offer) => offer.usable_audio().is_err(),
            Err(error) => [400, 413, 488].contains(&error.status()),
        };
        let must = ["invalid", "m-lines", "multicast", "crypto-x2000"];
        assert_eq!(
            refused,
            must.iter().any(|word| name.contains(word)),
            "{name}"
        );
        if let Ok(offer) = parsed {
            exchange(&offer);
        }
    }
    assert!(seen > 0);
}

fn format() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        (0..20_u8).prop_map(|pt| (pt.to_string(), String::new())),
        (
            90..128_u8,
            prop::sample::select(vec![
                "SILK/16000",
                "telephone-event/8000",
                "opus/48000/2",
                "CN/16000"
            ])
        )
            .prop_map(|(pt, name)| (pt.to_string(), format!("a=rtpmap:{pt} {name}\n"))),
        "[a-z0-9]{1,4}".prop_map(|token| (token, String::new())),
    ]
}

fn media() -> impl Strategy<Value = String> {
    let proto = prop::sample::select(vec!["RTP/AVP", "RTP/SAVP", "RTP/AVPF", "UDP/TLS/RTP/SAVP"]);
    let kind = prop::sample::select(vec!["audio", "audio", "audio", "video", "image"]);
    let port = prop_oneof![Just(0_u16), 1..=u16::MAX];
    let direction = prop::sample::select(vec!["", "a=sendonly\n", "a=recvonly\n", "a=inactive\n"]);
    let crypto = prop::collection::vec(
        (
            0..4_u32,
            prop::sample::select(vec!["80", "32"]),
            any::<bool>(),
        ),
        0..4,
    );
    let formats = prop::collection::vec(format(), 1..8);
    (kind, port, proto, formats, direction, crypto, any::<bool>()).prop_map(
        |(kind, port, proto, formats, direction, crypto, mux)| {
            let types: Vec<_> = formats.iter().map(|(pt, _)| pt.as_str()).collect();
            let maps: String = formats.iter().map(|(_, map)| map.as_str()).collect();
            let key = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw";
            let crypto: String = crypto
                .iter()
                .map(|(tag, bits, mki)| {
                    let mki = if *mki { "|1:1" } else { "" };
                    format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_{bits} inline:{key}|2^31{mki}\n")
                })
                .collect();
            let mux = if mux { "a=rtcp-mux\n" } else { "" };
            format!(
                "m={kind} {port} {proto} {}\n{maps}{direction}{crypto}{mux}",
                types.join(" ")
            )
        },
    )
}

proptest! {
    #[test]
    fn answers_are_valid_against_their_offers(media in prop::collection::vec(media(), 1..4)) {
        let head = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n";
        let offer = SessionDescription::parse(format!("{head}{}", media.concat()).as_bytes());
        exchange(&offer.unwrap());
    }

    #[test]
    fn any_octets_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(description) = SessionDescription::parse(&body) {
            exchange(&description);
        }
    }

    #[test]
    fn lines_of_any_content_are_read_or_refused(
        lines in prop::collection::vec("[vosctmab]=[ -~]{0,40}", 0..20)
    ) {
        let body = format!("v=0\n{}", lines.join("\n"));
        if let Ok(description) = SessionDescription::parse(body.as_bytes()) {
            exchange(&description);
        }
    }
}
