//! AES-GCM for RTP and RTCP (RFC 7714).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Octets of the tag (RFC 7714 §13.1).
const TAG: usize = 16;
/// The most octets decrypted at once: more than a datagram of media has.
const LONGEST: usize = 2048;
/// Octets that suffice for the packets of nearly every call.
const USUAL: usize = 256;
/// The most associated data: an RTP header with 15 sources and an extension of some words, or an
/// RTCP packet that is not encrypted with its index.
const ASSOCIATED: usize = LONGEST + 4;

/// The session key and salt of one direction and one of RTP or RTCP.
pub(super) struct GcmKey {
    key: LessSafeKey,
    /// To make a copy of; the library's keys cannot be copied.
    bytes: Zeroizing<Vec<u8>>,
    salt: Zeroizing<[u8; 12]>,
}

impl GcmKey {
    /// `key` has 16 octets or 32.
    pub(super) fn new(key: &[u8], salt: [u8; 12]) -> Self {
        let algorithm = if key.len() == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        let unbound = UnboundKey::new(algorithm, key).expect("a key of 16 or 32 octets");
        Self {
            key: LessSafeKey::new(unbound),
            bytes: Zeroizing::new(key.to_vec()),
            salt: Zeroizing::new(salt),
        }
    }

    /// The nonce of an RTP packet (§8.1): SSRC, ROC and sequence number on the salt.
    pub(super) fn rtp_nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let mut iv = [0; 12];
        iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
        iv[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        self.salted(iv)
    }

    /// The nonce of an RTCP packet (§9.1): SSRC and index on the salt.
    pub(super) fn rtcp_nonce(&self, ssrc: u32, index: u32) -> [u8; 12] {
        let mut iv = [0; 12];
        iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
        iv[8..].copy_from_slice(&index.to_be_bytes());
        self.salted(iv)
    }

    fn salted(&self, mut iv: [u8; 12]) -> [u8; 12] {
        for (byte, salt) in iv.iter_mut().zip(self.salt.iter()) {
            *byte ^= salt;
        }
        iv
    }

    /// Encrypts `text` where it lies; returns its tag.
    pub(super) fn seal(&self, nonce: [u8; 12], associated: &[&[u8]], text: &mut [u8]) -> [u8; TAG] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let seal = |associated: &[u8]| {
            let sealed = self
                .key
                .seal_in_place_separate_tag(nonce, Aad::from(associated), text)
                .expect("a datagram is far shorter than the cipher takes");
            let mut tag = [0; TAG];
            tag.copy_from_slice(sealed.as_ref());
            tag
        };
        joined(associated, seal)
    }

    /// Whether the tag is right; then `text` is decrypted where it lies if `decrypt`. Otherwise it
    /// is as it was, so that another key may try.
    pub(super) fn open(
        &self,
        nonce: [u8; 12],
        associated: &[&[u8]],
        text: &mut [u8],
        tag: &[u8],
        decrypt: bool,
    ) -> bool {
        if text.len() <= USUAL {
            self.open_by(&mut [0; USUAL], nonce, associated, (text, tag), decrypt)
        } else if text.len() <= LONGEST {
            self.open_by(&mut [0; LONGEST], nonce, associated, (text, tag), decrypt)
        } else {
            false
        }
    }

    /// Decrypts into `scratch` first: what the library writes where the tag is wrong is undefined.
    fn open_by(
        &self,
        scratch: &mut [u8],
        nonce: [u8; 12],
        associated: &[&[u8]],
        (text, tag): (&mut [u8], &[u8]),
        decrypt: bool,
    ) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let clear = &mut scratch[..text.len()];
        let opened = joined(associated, |associated| {
            let associated = Aad::from(associated);
            self.key
                .open_separate_gather(nonce, associated, text, tag, clear)
                .is_ok()
        });
        if opened && decrypt {
            text.copy_from_slice(clear);
        }
        opened
    }
}

impl Clone for GcmKey {
    fn clone(&self) -> Self {
        Self::new(&self.bytes, *self.salt)
    }
}

/// Calls `act` with the parts one after the other: one part lies as it is, several are copied.
fn joined<T>(parts: &[&[u8]], act: impl FnOnce(&[u8]) -> T) -> T {
    if let [part] = parts {
        return act(part);
    }
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut small = [0; 16];
    let mut large;
    let room: &mut [u8] = if total <= small.len() {
        &mut small
    } else {
        large = [0; ASSOCIATED];
        &mut large
    };
    let mut end = 0;
    for part in parts {
        // Nothing is longer than a datagram; what were, would be authenticated cut and refused.
        let Some(place) = room.get_mut(end..end + part.len()) else {
            break;
        };
        place.copy_from_slice(part);
        end += part.len();
    }
    act(&room[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    /// The packets of RFC 7714 §16 and §17, whose keys are session keys.
    #[test]
    fn packets_of_rfc_7714_are_exact() {
        let Some(folder) = corpora::folder("media-vectors") else {
            return;
        };
        let text = std::fs::read_to_string(folder.join("srtp-rfc7714.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut seen = 0;
        for vector in file["vectors"].as_array().unwrap() {
            let bytes = |name: &str| hex(vector[name].as_str().unwrap());
            let salt = bytes("session_salt").try_into().unwrap();
            let key = GcmKey::new(&bytes("session_key"), salt);
            let kind = vector["kind"].as_str().unwrap();
            let (plain, sealed, nonce, associated, clear) = if kind == "srtp" {
                let plain = bytes("rtp");
                let nonce = key.rtp_nonce(0x5501_a0b2, 0xf17b);
                let associated = plain[..12].to_vec();
                (plain, bytes("srtp"), nonce, associated, 12)
            } else {
                let (plain, mut sealed) = (bytes("rtcp"), bytes("srtcp"));
                let word = sealed.split_off(sealed.len() - 4);
                let clear = if word[0] & 0x80 != 0 { 8 } else { plain.len() };
                let associated = [&plain[..clear], &word].concat();
                let nonce = key.rtcp_nonce(0x4d61_7273, 0x5d4);
                (plain, sealed, nonce, associated, clear)
            };
            assert_eq!(nonce.to_vec(), bytes("iv"), "{kind}");
            let mut text = plain[clear..].to_vec();
            let tag = key.seal(nonce, &[&associated], &mut text);
            assert_eq!([&plain[..clear], &text, &tag].concat(), sealed, "{kind}");
            let cipher_text = text.clone();
            assert!(!key.open(nonce, &[&associated[1..]], &mut text, &tag, true));
            assert_eq!(text, cipher_text, "a refused packet must stay as it was");
            assert!(key.open(nonce, &[&associated], &mut text, &tag, true));
            assert_eq!(text, plain[clear..]);
            seen += 1;
        }
        corpora::tally(
            "media-vectors, RFC 7714",
            "sealed and opened to the octet",
            seen,
        );
        assert_eq!(seen, 6);
    }
}
