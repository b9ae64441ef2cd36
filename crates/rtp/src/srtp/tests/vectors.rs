//! Published vectors, and packets of another library.

use super::*;

#[test]
fn packets_of_the_vectors_are_exact() {
    let Some(folder) = corpora::folder("media-vectors") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("srtp-vectors.json")).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let bytes = |value: &serde_json::Value| hex(value.as_str().unwrap());
    let key: [u8; 30] = bytes(&vectors["keys"]["test_key"])[..30]
        .try_into()
        .unwrap();
    let key = MasterKey::aes_cm_128_80(&key);
    let mut seen = 0;
    for vector in vectors["packet_vectors"].as_array().unwrap() {
        let mki = match vector["libsrtp_test"].as_str().unwrap() {
            "srtp_validate" => 0,
            "srtp_validate_mki" => 4,
            _ => continue,
        };
        seen += 1;
        let arrays = &vector["arrays"];
        let plain = bytes(&arrays["srtp_plaintext_ref"]);
        let plain_rtcp = bytes(&arrays["rtcp_plaintext_ref"]);
        let protected = bytes(&arrays["srtp_ciphertext"]);
        let protected_rtcp = bytes(&arrays["srtcp_ciphertext"]);
        let mut inbound = SrtpInbound::new(&key, mki);
        assert_eq!(
            unprotect(&mut inbound, &protected).unwrap(),
            (plain.clone(), 0x1234)
        );
        assert_eq!(
            unprotect(&mut inbound, &protected_rtcp).unwrap(),
            (plain_rtcp.clone(), 1)
        );
        if mki == 0 {
            let mut outbound = SrtpOutbound::new(&key);
            outbound.skip_rtcp(1); // the vectors' sender leaves index 0 out
            assert_eq!(protect(&mut outbound, &plain, 0x1234).unwrap(), protected);
            assert_eq!(
                protect_control(&mut outbound, &plain_rtcp).unwrap(),
                protected_rtcp
            );
        }
    }
    corpora::tally(
        "media-vectors, libsrtp",
        "protected and unprotected to the octet",
        seen,
    );
    assert_eq!(seen, 2);
}

#[test]
fn another_library_reads_what_we_protect_across_wraps() {
    for (suite, profile) in SUITES {
        let mut out = SrtpOutbound::new(&key_of(suite, 1));
        let mut reader = theirs(&key_of(suite, 1), profile);
        for index in 65_000..65_000 + 70_000 {
            let packet = rtp(0xaabb_ccdd, index);
            let protected = protect(&mut out, &packet, index).unwrap();
            assert_eq!(
                reader.decrypt_rtp(&protected).unwrap()[..],
                packet[..],
                "{index}"
            );
        }
        for n in 0..100 {
            let packet = rtcp(7, n);
            let protected = protect_control(&mut out, &packet).unwrap();
            assert_eq!(
                reader.decrypt_rtcp(&protected).unwrap()[..],
                packet[..],
                "{n}"
            );
        }
    }
}

#[test]
fn we_read_what_another_library_protects_across_wraps() {
    for (suite, profile) in SUITES {
        let mut inbound = SrtpInbound::new(&key_of(suite, 2), 0);
        let mut writer = theirs(&key_of(suite, 2), profile);
        for index in 65_500..65_500 + 70_000 {
            let packet = rtp(5, index);
            let protected = writer.encrypt_rtp(&packet).unwrap();
            assert_eq!(
                unprotect(&mut inbound, &protected).unwrap(),
                (packet, index)
            );
        }
        for n in 0..100 {
            let packet = rtcp(7, n);
            let protected = writer.encrypt_rtcp(&packet).unwrap();
            assert_eq!(
                unprotect(&mut inbound, &protected).unwrap().0,
                packet,
                "{n}"
            );
        }
    }
}

/// The packets of libsrtp for the suites that RFC 6188 and RFC 7714 add.
#[test]
fn packets_of_the_longer_keys_and_of_gcm_are_exact() {
    let Some(folder) = corpora::folder("media-vectors") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("srtp-vectors.json")).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let bytes = |value: &serde_json::Value| hex(value.as_str().unwrap());
    let mut seen = 0;
    for vector in vectors["packet_vectors"].as_array().unwrap() {
        let (suite, name) = match vector["libsrtp_test"].as_str().unwrap() {
            "srtp_validate_gcm" => (Suite::AeadAes128Gcm, "test_key_gcm"),
            "srtp_validate_aes_256" => (Suite::AesCm256HmacSha1_80, "aes_256_test_key"),
            _ => continue,
        };
        seen += 1;
        let arrays = vector["arrays"].as_object().unwrap();
        let key = arrays.get(name).unwrap_or(&vectors["keys"][name]);
        let key = MasterKey::new(suite, &bytes(key)[..suite.master_len()]).unwrap();
        let array = |ends: &str| {
            let named = arrays.iter().find(|(name, _)| name.ends_with(ends));
            bytes(named.unwrap().1)
        };
        let plain = array("rtp_plaintext_ref");
        let protected = array("srtp_ciphertext");
        let mut inbound = SrtpInbound::new(&key, 0);
        assert_eq!(
            unprotect(&mut inbound, &protected).unwrap(),
            (plain.clone(), 0x1234)
        );
        let mut outbound = SrtpOutbound::new(&key);
        assert_eq!(protect(&mut outbound, &plain, 0x1234).unwrap(), protected);
        if suite == Suite::AeadAes128Gcm {
            let plain = array("rtcp_plaintext_ref");
            let protected = array("srtcp_ciphertext");
            outbound.skip_rtcp(1);
            assert_eq!(protect_control(&mut outbound, &plain).unwrap(), protected);
            assert_eq!(unprotect(&mut inbound, &protected).unwrap(), (plain, 1));
        }
    }
    corpora::tally(
        "media-vectors, libsrtp GCM and AES 256",
        "protected and unprotected to the octet",
        seen,
    );
    assert_eq!(seen, 2);
}
