//! Two descriptions, as the offers and answers of both legs of a call: what is answered keeps the
//! rules of RFC 3264, whatever was offered.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use sdp::{
    LocalCrypto, LocalMedia, MasterKey, Policy, SessionDescription, Suite, answer_for, offer_for,
    payload_type_map,
};

fn local(secure: bool) -> LocalMedia {
    let addr = "192.0.2.1:40000".parse().expect("an address");
    if secure {
        let suites = [Suite::AesCm128HmacSha1_80, Suite::AeadAes256Gcm];
        let key = |suite: Suite| MasterKey::new(suite, &vec![7; suite.master_len()]);
        let keys = suites.into_iter().filter_map(key);
        LocalMedia::secure(addr, 1, LocalCrypto::numbered(keys))
    } else {
        LocalMedia::plain(addr, 1)
    }
}

/// Every payload type stands once, and the body reads back as it was written.
fn check(description: &SessionDescription) {
    let printed = description.to_bytes();
    let again = SessionDescription::parse(&printed).expect("what is printed is read");
    assert_eq!(again.to_bytes(), printed);
    if let Some(audio) = description.audio() {
        let types: BTreeSet<u8> = audio.formats.iter().map(|format| format.pt).collect();
        assert_eq!(
            types.len(),
            audio.formats.len(),
            "a payload type stands twice"
        );
        assert!(audio.cryptos.len() <= 1 || !description.is_disabled(0));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((flags, rest)) = data.split_first() else {
        return;
    };
    // A line that no description has parts the two.
    let parted = rest.windows(3).position(|window| window == b"\n\0\n");
    let (first, second) = match parted {
        Some(at) => (&rest[..=at], &rest[at + 3..]),
        None => (rest, rest),
    };
    let (Ok(offer), Ok(answer)) = (
        SessionDescription::parse(first),
        SessionDescription::parse(second),
    ) else {
        return;
    };
    let policy = Policy::default();
    let (mut a, mut b) = (local(flags & 1 != 0), local(flags & 2 != 0));
    let Some(offered) = offer.audio_for(flags & 1 != 0) else {
        return;
    };
    let Ok((onward, pending)) = offer_for(offered, &mut b, &policy) else {
        return;
    };
    check(&onward);
    let Ok(with_b) = pending.answered(&answer) else {
        return;
    };
    let Ok((back, with_a)) = answer_for(&offer, &with_b.remote, &mut a, &policy) else {
        return;
    };
    check(&back);
    assert_eq!(
        back.media_count(),
        offer.media_count(),
        "media lines are answered one for one"
    );
    let offered_types: BTreeSet<u8> = offered.formats.iter().map(|format| format.pt).collect();
    let answered = back.audio().expect("a usable offer was answered");
    if flags & 1 != 0 {
        assert_eq!(answered.cryptos.len(), 1, "one key is answered");
    }
    let known = answered
        .formats
        .iter()
        .filter(|format| offered_types.contains(&format.pt));
    assert!(known.count() > 0, "nothing of the offer is in the answer");
    let _ = payload_type_map(&with_b, &with_a);
});
