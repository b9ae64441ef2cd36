//! Payload types, codecs and the policy that filters and orders them.

use super::*;

#[test]
fn payload_types_differ_on_the_legs_and_are_mapped() {
    let offer_a = sdp("m=audio 4000 RTP/AVP 104 9 0 96\na=rtpmap:104 SILK/16000\n\
         a=fmtp:104 useinbandfec=1; usedtx=0\na=rtpmap:96 telephone-event/8000\n\
         a=fmtp:96 0-16\na=x-private:1\na=candidate:1 1 UDP 1 192.0.2.9 9 typ host\n");
    let mut local_b = plain();
    let policy = Policy::default();
    let (offer_b, pending) = offer_for(offer_a.audio().unwrap(), &mut local_b, &policy).unwrap();
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
        encoding: "SILK".into(),
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
