mod convert;
mod networks;

use crate::*;

const KEY_A: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw";
const KEY_B: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk";

fn sdp(media: &str) -> SessionDescription {
    let text = format!("v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n{media}");
    SessionDescription::parse(text.as_bytes()).unwrap()
}

fn plain() -> LocalMedia {
    LocalMedia::plain("203.0.113.10:20000".parse().unwrap(), 7)
}

fn secure() -> LocalMedia {
    let key = |suite: Suite| MasterKey::draw(suite, |key| key.fill(7));
    LocalMedia::secure(
        "203.0.113.10:30000".parse().unwrap(),
        9,
        vec![LocalCrypto::new(key(Suite::AesCm128HmacSha1_80))],
    )
}

fn text(description: &SessionDescription) -> String {
    String::from_utf8(description.to_bytes()).unwrap()
}

/// An answer that takes up the first format of a plain offer.
fn answered(offer: &SessionDescription, direction: Direction) -> (SessionDescription, Negotiated) {
    let mut local = LocalMedia::plain("198.51.100.7:4000".parse().unwrap(), 3);
    let mut other = offer.audio().unwrap().clone();
    other.direction = direction;
    answer_for(offer, &other, &mut local, &Policy::default()).unwrap()
}

mod crypto {
    use super::*;

    fn offer(lines: &str) -> SessionDescription {
        sdp(&format!("m=audio 4000 RTP/SAVP 0\n{lines}"))
    }

    fn answer(lines: &str) -> Result<(SessionDescription, Negotiated), AnswerError> {
        let offer = offer(lines);
        let other = sdp("m=audio 5000 RTP/AVP 0\n");
        answer_for(
            &offer,
            other.audio().unwrap(),
            &mut secure(),
            &Policy::default(),
        )
    }

    #[test]
    fn the_80_bit_line_wins_and_its_tag_is_repeated() {
        let (description, negotiated) = answer(&format!(
            "a=crypto:0 AES_CM_128_HMAC_SHA1_32 inline:{KEY_A}|2^31\n\
             a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_B}|2^31\n"
        ))
        .unwrap();
        let text = text(&description);
        assert_eq!(text.matches("a=crypto").count(), 1);
        assert!(
            text.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"),
            "{text}"
        );
        let inbound = negotiated.inbound.unwrap();
        assert_eq!((inbound.tag, inbound.key.as_bytes()[0]), (1, b'A'));
        assert_eq!(negotiated.outbound.unwrap().tag, 1);
    }

    #[test]
    fn a_line_without_mki_is_preferred_and_one_with_it_is_understood() {
        let mki = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}|2^31|1:1\n");
        let bare = format!("a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:{KEY_B}|2^31\n");
        let (_, negotiated) = answer(&format!("{mki}{bare}")).unwrap();
        assert_eq!(negotiated.inbound.unwrap().tag, 3);
        let (_, negotiated) = answer(&mki).unwrap();
        assert_eq!(
            negotiated.inbound.unwrap().mki,
            Some(Mki {
                value: 1,
                length: 1
            })
        );
    }

    #[test]
    fn lines_that_would_change_the_packets_are_not_used() {
        for line in [
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A} UNENCRYPTED_SRTP"),
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A} KDR=1"),
            format!("a=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY_A}"),
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A};inline:{KEY_B}"),
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}|2^99"),
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA".to_owned(),
            "a=crypto:-1 AES_CM_128_HMAC_SHA1_80".to_owned(),
        ] {
            assert_eq!(
                answer(&format!("{line}\n")).unwrap_err(),
                AnswerError::NoCrypto,
                "{line}"
            );
        }
        let hint = format!("a=crypto:5 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A} WSH=64\n");
        assert!(answer(&hint).is_ok());
    }

    #[test]
    fn plain_and_secure_legs_refuse_each_other() {
        let other = sdp("m=audio 5000 RTP/AVP 0\n");
        let other = other.audio().unwrap();
        let policy = Policy::default();
        let refused = answer_for(
            &sdp("m=audio 4000 RTP/AVP 0\n"),
            other,
            &mut secure(),
            &policy,
        );
        assert_eq!(refused.unwrap_err(), AnswerError::NotSecure);
        let lines = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\n");
        let refused = answer_for(&offer(&lines), other, &mut plain(), &policy).unwrap_err();
        assert_eq!((refused, refused.status()), (AnswerError::Secure, 488));
    }

    #[test]
    fn an_answer_takes_up_our_line_or_fails() {
        let pending = || {
            let other = sdp("m=audio 5000 RTP/AVP 0\n");
            let audio = other.audio().unwrap();
            offer_for(audio, &mut secure(), &Policy::default()).unwrap()
        };
        let (description, first) = pending();
        assert_eq!(text(&description).matches("a=crypto").count(), 1);
        let line = |tag: u32, suite: &str, key: &str| {
            offer(&format!("a=crypto:{tag} {suite} inline:{key}|2^31\n"))
        };
        let suite = "AES_CM_128_HMAC_SHA1_80";
        let taken = first.answered(&line(1, suite, KEY_B)).unwrap();
        assert_eq!(taken.inbound.unwrap().key.as_bytes()[0], b'A');
        let failed = |answer| pending().1.answered(&answer).unwrap_err();
        assert_eq!(failed(line(2, suite, KEY_B)), AnswerError::CryptoMismatch);
        let short = "AES_CM_128_HMAC_SHA1_32";
        assert_eq!(failed(line(1, short, KEY_B)), AnswerError::CryptoMismatch);
        assert_eq!(failed(offer("")), AnswerError::NoCrypto);
        let ours = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
        assert_eq!(failed(line(1, suite, ours)), AnswerError::KeyReused);
    }

    #[test]
    fn keys_do_not_show() {
        let description = offer(&format!(
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}|2^31\n"
        ));
        let (_, pending) = offer_for(
            description.audio().unwrap(),
            &mut secure(),
            &Policy::default(),
        )
        .unwrap();
        let shown = format!("{description:?} {pending:?}");
        assert!(
            !shown.contains(&KEY_A[..8]) && !shown.contains("49, 50"),
            "{shown}"
        );
    }
}

mod hold {
    use super::*;

    fn towards(dialect: HoldDialect, media: &str) -> String {
        let other = sdp(media);
        let policy = Policy {
            hold: dialect,
            ..Policy::default()
        };
        text(
            &offer_for(other.audio().unwrap(), &mut plain(), &policy)
                .unwrap()
                .0,
        )
    }

    #[test]
    fn one_way_directions_become_inactive_where_nothing_else_is_understood() {
        for attribute in ["a=sendonly", "a=recvonly", "a=inactive", "c=IN IP4 0.0.0.0"] {
            let media = format!("m=audio 4000 RTP/AVP 0\n{attribute}\n");
            let written = towards(HoldDialect::InactiveOnly, &media);
            assert!(written.contains("a=inactive\r\n"), "{attribute}: {written}");
            assert!(
                written.contains("c=IN IP4 203.0.113.10\r\n"),
                "{attribute}: {written}"
            );
        }
        let media = "m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n";
        assert!(towards(HoldDialect::Standard, media).contains("a=sendonly\r\n"));
        let media = "m=audio 4000 RTP/AVP 0\n";
        assert!(towards(HoldDialect::InactiveOnly, media).contains("a=sendrecv\r\n"));
    }

    #[test]
    fn answers_stay_within_what_was_offered() {
        use Direction as D;
        let all = [D::SendRecv, D::SendOnly, D::RecvOnly, D::Inactive];
        for (offered, wanted) in all.iter().flat_map(|o| all.iter().map(move |w| (*o, *w))) {
            let offer = sdp(&format!("m=audio 4000 RTP/AVP 0\na={offered}\n"));
            let (answer, negotiated) = answered(&offer, wanted);
            let written = answer.audio().unwrap().direction;
            assert!(
                !written.sends() || offered.receives(),
                "{offered} {wanted} {written}"
            );
            assert!(
                !written.receives() || offered.sends(),
                "{offered} {wanted} {written}"
            );
            assert_eq!(negotiated.direction, written);
        }
    }
}

mod formats {
    use super::*;

    #[test]
    fn payload_types_differ_on_the_legs_and_are_mapped() {
        let offer_a = sdp("m=audio 4000 RTP/AVP 104 9 0 96\na=rtpmap:104 SILK/16000\n\
             a=fmtp:104 useinbandfec=1; usedtx=0\na=rtpmap:96 telephone-event/8000\n\
             a=fmtp:96 0-16\na=x-private:1\na=candidate:1 1 UDP 1 192.0.2.9 9 typ host\n");
        let mut local_b = plain();
        let policy = Policy::default();
        let (offer_b, pending) =
            offer_for(offer_a.audio().unwrap(), &mut local_b, &policy).unwrap();
        let written = text(&offer_b);
        assert!(
            written.contains("m=audio 20000 RTP/AVP 104 9 0 96\r\n"),
            "{written}"
        );
        assert!(
            written.contains("a=fmtp:104 useinbandfec=1; usedtx=0\r\n"),
            "{written}"
        );
        for foreign in ["x-private", "candidate", "192.0.2."] {
            assert!(!written.contains(foreign), "{written}");
        }
        let answer_b =
            sdp("m=audio 6000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n");
        let leg_b = pending.answered(&answer_b).unwrap();
        let (answer_a, leg_a) = answer_for(&offer_a, &leg_b.remote, &mut plain(), &policy).unwrap();
        let written = text(&answer_a);
        assert!(
            written.contains("m=audio 20000 RTP/AVP 0 96\r\n"),
            "{written}"
        );
        assert!(written.contains("a=fmtp:96 0-15\r\n"), "{written}");
        assert_eq!(payload_type_map(&leg_a, &leg_b), [(0, 0), (96, 101)]);
        assert_eq!(payload_type_map(&leg_b, &leg_a), [(0, 0), (96, 96)]);
        assert_eq!(leg_a.telephone_event().unwrap().their_pt, 96);
    }

    #[test]
    fn an_answer_without_rtpmap_means_the_offered_names() {
        let other = sdp("m=audio 4000 RTP/AVP 0 97\na=rtpmap:97 telephone-event/8000\n");
        let audio = other.audio().unwrap();
        let (_, pending) = offer_for(audio, &mut plain(), &Policy::default()).unwrap();
        let leg = pending
            .answered(&sdp("m=audio 6000 RTP/AVP 0 97\n"))
            .unwrap();
        assert_eq!(leg.telephone_event().unwrap().their_pt, 97);
    }

    #[test]
    fn policy_filters_and_orders() {
        let other = sdp(
            "m=audio 4000 RTP/AVP 0 8 9 18 13 101\na=fmtp:18 annexb=no\n\
                         a=rtpmap:101 telephone-event/8000\n",
        );
        let pattern = |text| CodecPattern::parse(text).unwrap();
        let policy = Policy {
            allow: vec![pattern("PCMA"), pattern("PCMU/8000"), pattern("G729")],
            deny: vec![pattern("CN")],
            prefer: vec![pattern("G729")],
            ..Policy::default()
        };
        let audio = other.audio().unwrap();
        let (offer, _) = offer_for(audio, &mut plain(), &policy).unwrap();
        let written = text(&offer);
        assert!(
            written.contains("m=audio 20000 RTP/AVP 18 0 8 101\r\n"),
            "{written}"
        );
        assert!(written.contains("a=fmtp:18 annexb=no\r\n"), "{written}");
        let none = Policy {
            allow: vec![pattern("opus")],
            ..Policy::default()
        };
        let error = offer_for(audio, &mut plain(), &none).unwrap_err();
        assert_eq!((error, error.status()), (OfferError::NoFormatAllowed, 488));
    }

    #[test]
    fn an_offer_from_codecs_uses_each_payload_type_once() {
        let mut codecs = Codec::defaults();
        codecs.push(Codec {
            encoding: "SILK".to_owned(),
            clock: 16000,
            ..codecs[4].clone()
        });
        let (offer, _) = offer_from_codecs(&codecs, &mut plain(), &Policy::default()).unwrap();
        let formats = &offer.audio().unwrap().formats;
        let mut types: Vec<_> = formats.iter().map(|format| format.pt).collect();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), codecs.len());
    }
}

mod layout {
    use super::*;

    #[test]
    fn other_media_are_refused_in_their_place() {
        let offer = sdp(
            "m=video 4002 RTP/AVP 31\nm=audio 0 RTP/AVP 0\nm=audio 4000 RTP/AVP 8\n\
             m=image 4004 udptl t38\n",
        );
        let mut local = plain();
        let other = sdp("m=audio 5000 RTP/AVP 8\n");
        let policy = Policy::default();
        let (answer, _) = answer_for(&offer, other.audio().unwrap(), &mut local, &policy).unwrap();
        let written = text(&answer);
        let lines: Vec<_> = written
            .lines()
            .filter(|line| line.starts_with("m="))
            .collect();
        let expected = [
            "m=video 0 RTP/AVP 31",
            "m=audio 0 RTP/AVP 0",
            "m=audio 20000 RTP/AVP 8",
            "m=image 0 udptl t38",
        ];
        assert_eq!(lines, expected);
        // Our own next offer keeps the places.
        let (offer, _) = offer_for(other.audio().unwrap(), &mut local, &policy).unwrap();
        assert_eq!(offer.media_count(), 4);
        assert_eq!(offer.audio().unwrap().index, 2);
    }

    #[test]
    fn the_version_grows_only_with_the_content() {
        let offer = sdp("m=audio 4000 RTP/AVP 0 8\n");
        let mut local = plain();
        let policy = Policy::default();
        let mut write = |direction| {
            let mut other = offer.audio().unwrap().clone();
            other.direction = direction;
            let (answer, _) = answer_for(&offer, &other, &mut local, &policy).unwrap();
            (answer.origin_version(), answer.to_bytes())
        };
        let first = write(Direction::SendRecv);
        assert_eq!(first, write(Direction::SendRecv));
        let held = write(Direction::Inactive);
        assert_eq!(held.0, first.0 + 1);
        assert_eq!(write(Direction::SendRecv).0, first.0 + 2);
    }

    #[test]
    fn rtcp_is_where_the_peer_says() {
        let audio = |media: &str| sdp(media).audio().unwrap().rtcp.to_string();
        assert_eq!(audio("m=audio 4000 RTP/AVP 0\n"), "192.0.2.1:4001");
        assert_eq!(
            audio("m=audio 4000 RTP/AVP 0\na=rtcp:4010\n"),
            "192.0.2.1:4010"
        );
        let other = "m=audio 4000 RTP/AVP 0\na=rtcp:53 IN IP6 2001:db8::1\n";
        assert_eq!(audio(other), "[2001:db8::1]:53");
        let offer = sdp("m=audio 4000 RTP/AVP 0\na=rtcp:4010\na=rtcp-mux\n");
        let other = offer.audio().unwrap();
        let mut local = LocalMedia {
            rtcp_mux: true,
            ..plain()
        };
        let (answer, leg) = answer_for(&offer, other, &mut local, &Policy::default()).unwrap();
        assert!(text(&answer).contains("a=rtcp-mux\r\n"));
        assert_eq!(leg.remote.rtcp, leg.remote.addr);
        let (answer, leg) = answer_for(&offer, other, &mut plain(), &Policy::default()).unwrap();
        assert!(!text(&answer).contains("rtcp-mux"));
        assert_eq!(leg.remote.rtcp.port(), 4010);
    }

    #[test]
    fn ipv6_is_written_as_ipv6() {
        let mut local = LocalMedia::plain("[2001:db8::10]:20000".parse().unwrap(), 7);
        let (offer, _) =
            offer_from_codecs(&Codec::defaults(), &mut local, &Policy::default()).unwrap();
        let written = text(&offer);
        assert!(
            written.contains("o=- 7 1 IN IP6 2001:db8::10\r\n"),
            "{written}"
        );
        assert!(written.contains("c=IN IP6 2001:db8::10\r\n"), "{written}");
    }

    #[test]
    fn an_answer_has_as_many_media_as_the_offer() {
        let other = sdp("m=audio 4000 RTP/AVP 0\n");
        let audio = other.audio().unwrap();
        let pending = || {
            offer_for(audio, &mut plain(), &Policy::default())
                .unwrap()
                .1
        };
        let two = sdp("m=audio 4000 RTP/AVP 0\nm=video 0 RTP/AVP 31\n");
        assert_eq!(
            pending().answered(&two).unwrap_err(),
            AnswerError::MediaCount
        );
        let refused = pending()
            .answered(&sdp("m=audio 0 RTP/AVP 0\n"))
            .unwrap_err();
        assert_eq!(refused, AnswerError::Answer(Unusable::PortZero));
        let before = pending().answered(&other).unwrap();
        assert_eq!(pending().over(before.clone()).rejected(), Some(before));
    }
}

mod tolerance {
    use super::*;

    fn parse(body: &[u8]) -> Result<SessionDescription, SdpError> {
        SessionDescription::parse(body)
    }

    #[test]
    fn what_real_peers_send_is_understood() {
        let body = b"v=0\r\no=Example Exchange 1 99999999999999999999999 IN IP4 192.0.2.1\r\n\
            c=IN IP4 192.0.2.1\nb=\nb=AS\r\n\r\nm=audio 4000 RTP/AVP 0 \na=label:caf\xe9\n";
        let description = parse(body).unwrap();
        assert_eq!(
            description.audio().unwrap().addr.to_string(),
            "192.0.2.1:4000"
        );
        assert!(parse(b"v=0\nm=audio 70000 RTP/AVP 0\n").is_err_and(|e| e.status() == 400));
        assert!(parse(b"").is_err());
    }

    #[test]
    fn bombs_are_refused() {
        let head = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n";
        let many = |line: &str, count| format!("{head}{}", line.repeat(count)).into_bytes();
        let media = many("m=audio 4000 RTP/AVP 0\n", 33);
        assert_eq!(parse(&media).unwrap_err(), SdpError::TooManyMedia);
        assert_eq!(
            parse(&many("a=x\n", 1025)).unwrap_err(),
            SdpError::TooManyLines
        );
        let long = parse(&many("a=xxxxxxxxxxxxxxxxxx\n", 100_000)).unwrap_err();
        assert_eq!((long, long.status()), (SdpError::TooLong, 413));
    }

    #[test]
    fn media_that_cannot_be_carried_has_a_reason() {
        let reason = |media: &str| sdp(media).usable_audio().unwrap_err();
        assert_eq!(reason(""), Unusable::NoAudio);
        assert_eq!(reason("m=video 4000 RTP/AVP 31\n"), Unusable::NoAudio);
        assert_eq!(reason("m=audio 0 RTP/AVP 0\n"), Unusable::PortZero);
        assert_eq!(
            reason("m=audio 4000 UDP/TLS/RTP/SAVP 0\n"),
            Unusable::Transport
        );
        let at = |address: &str| reason(&format!("m=audio 4 RTP/AVP 0\nc=IN IP4 {address}\n"));
        assert_eq!(at("224.2.1.1/127"), Unusable::Multicast);
        assert_eq!(at("255.255.255.255"), Unusable::Multicast);
        assert_eq!(at("host.example"), Unusable::Address);
        assert_eq!(
            reason("m=audio 4000 RTP/AVP abc -1 4294967296\n"),
            Unusable::NoFormat
        );
    }

    #[test]
    fn duplicate_formats_are_used_once() {
        let description = sdp("m=audio 4000 RTP/AVP 0 0 0 8 8 101 101\n\
            a=rtpmap:0 PCMU/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\n");
        let types: Vec<_> = description
            .audio()
            .unwrap()
            .formats
            .iter()
            .map(|format| format.pt)
            .collect();
        assert_eq!(types, [0, 8, 101]);
    }
}

mod events {
    use super::*;

    fn policy(events: Events) -> Policy {
        Policy {
            events,
            ..Policy::default()
        }
    }

    fn offered(events: Events, media: &str) -> String {
        let other = sdp(media);
        let other = other.audio().unwrap();
        let (offer, _) = offer_for(other, &mut plain(), &policy(events)).unwrap();
        text(&offer)
    }

    #[test]
    fn a_leg_has_them_by_itself_where_digits_are_converted() {
        let without = "m=audio 4000 RTP/AVP 0 8\n";
        let with = "m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\n";
        let written = offered(Events::Always, without);
        assert!(written.contains("RTP/AVP 0 8 101\r\n"), "{written}");
        assert!(written.contains("a=rtpmap:101 telephone-event/8000\r\n"));
        assert!(offered(Events::Always, with).contains("RTP/AVP 0 96\r\n"));
        assert!(offered(Events::Relayed, without).contains("RTP/AVP 0 8\r\n"));
        assert!(offered(Events::Relayed, with).contains("RTP/AVP 0 96\r\n"));
        let written = offered(Events::Never, with);
        assert!(!written.contains("telephone-event"), "{written}");
    }

    #[test]
    fn their_payload_type_is_free_and_their_clock_that_of_the_speech() {
        let media = "m=audio 4000 RTP/AVP 101 96\na=rtpmap:101 opus/48000/2\n\
                     a=rtpmap:96 SILK/16000\n";
        let written = offered(Events::Always, media);
        assert!(
            written.contains("a=rtpmap:97 telephone-event/48000\r\n"),
            "{written}"
        );
    }

    #[test]
    fn an_answer_names_them_if_they_were_offered() {
        let offer = sdp("m=audio 4000 RTP/AVP 8 97\na=rtpmap:97 telephone-event/8000\n");
        let plain_offer = sdp("m=audio 4000 RTP/AVP 8\n");
        let other = sdp("m=audio 4000 RTP/AVP 8\n");
        let other = other.audio().unwrap();
        let answered = |offer: &SessionDescription, events| {
            let answer = answer_for(offer, other, &mut plain(), &policy(events));
            let (answer, negotiated) = answer.unwrap();
            (
                text(&answer),
                negotiated.telephone_event().map(|e| e.our_pt),
            )
        };
        let (answer, events) = answered(&offer, Events::Always);
        assert!(answer.contains("RTP/AVP 8 97\r\n"), "{answer}");
        assert_eq!(events, Some(97));
        assert_eq!(answered(&plain_offer, Events::Always).1, None);
        assert_eq!(answered(&offer, Events::Relayed).1, None);
        assert_eq!(answered(&offer, Events::Never).1, None);
    }
}
