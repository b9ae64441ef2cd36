//! The places of media, versions, addresses, and where RTCP is.

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
    let mut local = plain();
    local.rtcp_mux = true;
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
    let (offer, _) = offer_from_codecs(&Codec::defaults(), &mut local, &Policy::default()).unwrap();
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

/// What is offered onward is of the line that will be answered.
#[test]
fn a_leg_answers_the_line_of_its_kind() {
    let offer = sdp("m=audio 4000 RTP/SAVP 9\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5\n\
         m=audio 4002 RTP/AVP 8\n");
    let types = |secure| -> Vec<u8> {
        let audio = offer.audio_for(secure).unwrap();
        audio.formats.iter().map(|format| format.pt).collect()
    };
    assert_eq!((types(true), types(false)), (vec![9], vec![8]));
    let remote = offer.audio_for(false).unwrap();
    let (answer, _) = answer_for(&offer, remote, &mut plain(), &Policy::default()).unwrap();
    assert!(text(&answer).contains("m=audio 0 RTP/SAVP 9\r\n"));
    assert!(text(&answer).contains("m=audio 20000 RTP/AVP 8\r\n"));
}
