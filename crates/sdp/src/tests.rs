//! Offers and answers between legs, as whole descriptions.

mod convert;
mod crypto;
mod events;
mod formats;
mod hold;
mod layout;
mod networks;
mod tolerance;

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

#[test]
fn what_was_written_is_what_it_is_kept_as() {
    for (mut local, version) in [(plain(), 1), (plain(), u64::MAX), (secure(), 1_234_567)] {
        local.origin.version = version;
        local.origin.session_id = version;
        let (offer, _) =
            offer_from_codecs(&Codec::defaults(), &mut local, &Policy::default()).unwrap();
        let told = text(&offer);
        let parsed = SessionDescription::parse(told.as_bytes()).unwrap();
        assert_eq!((&parsed, parsed.origin_version()), (&offer, version));
        assert_eq!(text(&parsed), told);
    }
}
