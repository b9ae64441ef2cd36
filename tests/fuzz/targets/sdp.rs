//! Any body: parsed or refused; what is parsed prints to what reads back, and can be offered on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sdp::{LocalMedia, Policy, SessionDescription, answer_from_codecs, offer_for};

fuzz_target!(|data: &[u8]| {
    let Ok(description) = SessionDescription::parse(data) else {
        return;
    };
    let printed = description.to_bytes();
    let again = SessionDescription::parse(&printed).expect("what is printed is read");
    assert_eq!(again.to_bytes(), printed);
    let Some(audio) = description.audio() else {
        return;
    };
    let addr = "192.0.2.1:40000".parse().expect("an address");
    let policy = Policy::default();
    let mut local = LocalMedia::plain(addr, 1);
    if let Ok((offer, pending)) = offer_for(audio, &mut local, &policy) {
        assert!(SessionDescription::parse(&offer.to_bytes()).is_ok());
        let _ = pending.answered(&description);
    }
    let mut local = LocalMedia::plain(addr, 1);
    let _ = answer_from_codecs(&description, &sdp::Codec::defaults(), &mut local, &policy);
});
