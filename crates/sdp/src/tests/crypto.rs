//! Keys in crypto lines (RFC 4568): which line is taken up, and which are refused.

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
