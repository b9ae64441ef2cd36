use proptest::prelude::*;

use super::*;

const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn clean(text: &str) -> String {
    String::from_utf8(redact(Bytes::copy_from_slice(text.as_bytes())).to_vec()).unwrap()
}

fn entry(call: u64, text: &str) -> TraceEntry {
    TraceEntry {
        at: WallTime::from_unix_micros(0),
        call: Some(CallKey(call)),
        direction: Direction::In,
        trunk: None,
        transport: TransportKind::Udp,
        local: None,
        remote: "192.0.2.1:5060".parse().unwrap(),
        text: Bytes::copy_from_slice(text.as_bytes()),
        verdict: TraceVerdict::Accepted,
    }
}

#[test]
fn a_crypto_line_keeps_its_tag_and_suite_only() {
    let sdp = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31\r\na=ptime:20\r\n");
    let shown = clean(&sdp);
    assert_eq!(
        shown,
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 [redacted]\r\na=ptime:20\r\n"
    );
}

proptest! {
    /// Whatever is looked into closely and found to hold a secret, the quick look lets through.
    #[test]
    fn the_quick_look_misses_no_secret(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("k="), Just("K=x"), Just("a=crypto:1 A inline:k"), Just("a=key-mgmt:m k"),
                Just("Authorization"), Just("proxy-AUTHORIZATION : Digest response=\"x\""),
                Just("X-MS-Custom-Trunkline-Nonce:"), Just("inLINE%3Ak"), Just("inline:"),
                Just(" "), Just("\t"), Just("\x0c"), Just(":"), Just("\r\n"), Just("\n"),
                Just("\r"), Just("Via: SIP/2.0/UDP a"), Just("a=sendrecv"), Just("nline"),
            ],
            0..12,
        ),
    ) {
        let message = pieces.concat();
        let found = redact::secrets(message.as_bytes());
        prop_assert!(found.is_empty() || redact::may_hold_secrets(message.as_bytes()));
    }
}

#[test]
fn keys_in_odd_places_are_found() {
    for odd in [
        format!("A=CRYPTO:1 AES_CM_128_HMAC_SHA1_80 INLINE:{KEY}\n"),
        format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:1;inline:{KEY}|2:1\r\n"),
        format!("INVITE sip:a@b?body=a%3Dcrypto%3A1%20X%20inline%3A{KEY} SIP/2.0\r\n"),
        format!("k=base64:{KEY}\r\n"),
        format!("a=key-mgmt:mikey {KEY}\r\n"),
        format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline: {KEY}\r\n"),
        format!("inline:{KEY}"),
    ] {
        assert!(!clean(&odd).contains(KEY), "{odd}");
    }
}

#[test]
fn credentials_go_and_identities_stay() {
    let shown = clean(
        "REGISTER sip:example.com SIP/2.0\r\n\
         Authorization: Digest username=\"bob\", nonce=\"n\",\r\n \
         response = \"6629fae49393a05397450978507c4ef1\", opaque=\"o\"\r\n\
         proxy-authorization : Basic c2VjcmV0\r\n\
         P-Asserted-Identity: <sip:+14255550100@example.com>\r\n\r\n",
    );
    assert!(
        !shown.contains("6629fae4") && !shown.contains("c2VjcmV0"),
        "{shown}"
    );
    assert!(
        shown.contains("username=\"bob\"") && shown.contains("opaque=\"o\""),
        "{shown}"
    );
    assert!(shown.contains("+14255550100@example.com"), "{shown}");
}

#[test]
fn a_message_without_secrets_is_not_copied() {
    let message = Bytes::from_static(b"OPTIONS sip:example.com SIP/2.0\r\n\r\n");
    assert_eq!(redact(message.clone()).as_ptr(), message.as_ptr());
}

#[test]
fn the_ring_stays_within_its_bytes_and_forgets_the_oldest() {
    let mut ring = TraceRing::new(4 * (size_of::<TraceEntry>() + 10));
    for call in 0..10 {
        ring.push(entry(call, "0123456789"));
    }
    assert_eq!(ring.evicted(), 6);
    assert_eq!(
        ring.iter().map(|e| e.call.unwrap().0).collect::<Vec<_>>(),
        [6, 7, 8, 9]
    );
    ring.push(entry(11, &"x".repeat(10_000)));
    assert_eq!(
        (ring.iter().count(), ring.evicted()),
        (4, 7),
        "one giant evicts nobody"
    );
    assert_eq!(ring.call(CallKey(8)).count(), 1);
}

#[test]
fn a_first_line_cannot_break_a_log() {
    assert_eq!(
        entry(1, "BYE sip:a SIP/2.0\r\nVia: x").first_line(),
        "BYE sip:a SIP/2.0"
    );
    assert_eq!(entry(1, "\u{1b}[31mBYE").first_line(), "[31mBYE");
}

proptest! {
    #[test]
    fn no_key_survives(
        before in "[ -~\r\n\t]{0,60}",
        prefix in prop::sample::select(vec![
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80\tinline:",
            "a=crypto:7 X FEC_KEY=inline:",
            "k=clear:",
            "Authorization: Digest response=",
            "Authorization: Digest username=\"a\", response=\"",
            "Proxy-Authorization: Bearer ",
        ]),
        key in "[A-Za-z0-9+/]{40}",
        after in "[ -~\r\n\t]{0,60}",
    ) {
        let message = format!("{before}\r\n{prefix}{key}{after}");
        let shown = redact(Bytes::from(message.into_bytes()));
        let shown = String::from_utf8_lossy(&shown).into_owned();
        prop_assert!(!shown.contains(&key), "{shown}");
    }

    #[test]
    fn redaction_takes_any_bytes(message in prop::collection::vec(any::<u8>(), 0..300)) {
        let once = redact(Bytes::from(message));
        prop_assert!(once.len() < 4096);
    }

    #[test]
    fn the_ring_is_bounded(sizes in prop::collection::vec(0usize..3000, 0..80)) {
        let mut ring = TraceRing::new(10_000);
        for size in sizes {
            ring.push(entry(1, &"x".repeat(size)));
            prop_assert!(ring.bytes() <= 10_000);
            let counted: usize = ring.iter().map(TraceEntry::cost).sum();
            prop_assert_eq!(counted, ring.bytes());
        }
    }
}
