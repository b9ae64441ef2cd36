//! Speech that is converted because two legs share no format.

use super::*;

fn policy(allow: &[&str]) -> Policy {
    let allow: Vec<_> = allow
        .iter()
        .filter_map(|name| CodecPattern::parse(name))
        .collect();
    Policy {
        prefer: allow.clone(),
        allow,
        ..Policy::default()
    }
}

fn formats(description: &SessionDescription) -> Vec<u8> {
    let audio = description.audio().unwrap();
    audio.formats.iter().map(|format| format.pt).collect()
}

#[test]
fn what_may_be_used_is_offered_and_nothing_else() {
    let spoken = sdp("m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n");
    let spoken = spoken.audio().unwrap();
    let offered = |policy: &Policy| {
        let offer = offer_for(spoken, &mut plain(), policy);
        offer.map(|(description, _)| formats(&description))
    };
    assert_eq!(
        offered(&policy(&["PCMA", "G722"]).converting()),
        Ok(vec![8, 101])
    );
    assert_eq!(offered(&policy(&["G722"]).converting()), Ok(vec![9, 101]));
    assert_eq!(
        offered(&policy(&["G722"])),
        Err(OfferError::NoFormatAllowed)
    );
    // G.729 is not converted, neither from nor to.
    assert_eq!(
        offered(&policy(&["G729"]).converting()),
        Err(OfferError::NoFormatAllowed)
    );
    let other = sdp("m=audio 4000 RTP/AVP 18\n");
    let refused = offer_for(
        other.audio().unwrap(),
        &mut plain(),
        &policy(&["G722"]).converting(),
    );
    assert!(matches!(refused, Err(OfferError::NoFormatAllowed)));
}

#[test]
fn what_stands_in_is_new_and_in_the_order_of_the_trunk() {
    let spoken = sdp("m=audio 4000 RTP/AVP 0 18\n");
    let spoken = &spoken.audio().unwrap().formats;
    let named = |policy: Policy| {
        let formats = policy.converting().converted(spoken);
        formats.map(|formats| formats.iter().map(|format| format.pt).collect::<Vec<_>>())
    };
    assert_eq!(named(Policy::default()), Some(vec![8, 9]));
    assert_eq!(named(policy(&["G722", "PCMU", "PCMA"])), Some(vec![9, 8]));
    assert_eq!(named(policy(&["PCMU"])), None);
    assert_eq!(Policy::default().converted(spoken), None);
}

#[test]
fn an_answer_takes_what_was_offered_and_says_what_is_converted() {
    let offer = sdp("m=audio 4000 RTP/AVP 0 97 96\na=rtpmap:97 G722/8000\n\
                     a=rtpmap:96 telephone-event/8000\n");
    let other = sdp("m=audio 5000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n");
    let other = other.audio().unwrap();
    let (description, caller) =
        answer_for(&offer, other, &mut plain(), &policy(&["G722"]).converting()).unwrap();
    assert_eq!(formats(&description), [97, 96]);
    let refused = answer_for(&offer, other, &mut plain(), &policy(&["G722"]));
    assert_eq!(refused.unwrap_err(), AnswerError::NoCommonFormat);

    let (offer, pending) = offer_for(other, &mut plain(), &Policy::default()).unwrap();
    let (answer, _) = answered(&offer, Direction::SendRecv);
    let callee = pending.answered(&answer).unwrap();
    let converted = |from: &Negotiated, to: &Negotiated| -> Vec<(u8, String)> {
        let formats = to_convert(from, to).into_iter();
        formats
            .map(|(pt, format)| (pt, format.encoding.to_string()))
            .collect()
    };
    assert_eq!(converted(&caller, &callee), [(97, "G722".to_owned())]);
    assert_eq!(converted(&callee, &caller), [(8, "PCMA".to_owned())]);
    // Events need no conversion; legs that share a voice format neither.
    assert_eq!(payload_type_map(&caller, &callee), [(96, 101)]);
    assert_eq!(converted(&caller, &caller), []);
}

#[test]
fn what_was_told_once_is_offered_again_with_every_key_of_it() {
    let keys = [Suite::AesCm128HmacSha1_80, Suite::AeadAes256Gcm];
    let mut fill = 0;
    let keys = keys.map(|suite| {
        fill += 1;
        MasterKey::draw(suite, |key| key.fill(fill))
    });
    let cryptos = LocalCrypto::numbered(keys);
    let at = "203.0.113.10:30000".parse().unwrap();
    let mut ours = LocalMedia::secure(at, 9, cryptos);
    let spoken = sdp("m=audio 4000 RTP/AVP 8\n");
    let (told, pending) =
        offer_for(spoken.audio().unwrap(), &mut ours, &Policy::default()).unwrap();
    let key = STRONG;
    let answer = |line: &str| sdp(&format!("m=audio 5000 RTP/SAVP 8\na=crypto:{line}\n"));
    let weak = answer(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}"));
    let agreed = pending.answered(&weak).unwrap();
    assert_eq!(agreed.outbound.as_ref().unwrap().tag, 1);
    // A refresh repeats both lines, so the peer may take up the other one now.
    let again = PendingOffer::again(&told, &agreed, &Policy::default()).unwrap();
    let strong = answer(&format!("2 AEAD_AES_256_GCM inline:{key}"));
    let outbound = again.answered(&strong).unwrap().outbound.unwrap();
    assert_eq!(
        (outbound.tag, outbound.key.suite()),
        (2, Suite::AeadAes256Gcm)
    );
    assert_eq!(outbound.key.as_bytes()[0], 2);
}

/// 44 octets.
const STRONG: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ=";
