//! Session keys: AES in counter mode with HMAC-SHA1 from midstates (RFC 3711 §4, RFC 6188), or
//! AES-GCM (RFC 7714); key derivation.

use aes::cipher::{BlockCipherEncrypt, KeyInit, consts::U16};
use aes::{Aes128Enc, Aes256Enc, Block};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::gcm::GcmKey;
use super::key::{MasterKey, Suite};
use super::parts::Parts;
use super::{ENCRYPTED, RTCP_CLEAR, RTCP_INDEX_LEN};
use crate::ExtendedSequence;

/// The labels of RFC 3711 §4.3.1 and §4.3.2, for RTP; RTCP's are three higher.
const LABEL_ENCRYPTION: u8 = 0;
const LABEL_AUTHENTICATION: u8 = 1;
const LABEL_SALT: u8 = 2;
const LABEL_RTCP: u8 = 3;

/// Blocks of keystream made at once: enough for 20 ms of G.711 in one go.
const BATCH: usize = 12;

/// Session keys of one direction and one of RTP or RTCP: 256 octets with the schedule of AES-128,
/// which are four lines of the processor's cache. What fewer speak stands elsewhere.
#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "the common one is kept where it is looked for"
)]
pub(super) enum SessionKey {
    Cm128(CounterKey<Aes128Enc>),
    Cm256(Box<CounterKey<Aes256Enc>>),
    Gcm(Box<GcmKey>),
}

const _: () = assert!(size_of::<SessionKey>() <= 256);

impl SessionKey {
    pub(super) fn rtp(master: &MasterKey) -> Self {
        Self::derive(master, 0)
    }

    pub(super) fn rtcp(master: &MasterKey) -> Self {
        Self::derive(master, LABEL_RTCP)
    }

    fn derive(master: &MasterKey, base: u8) -> Self {
        match master.suite() {
            Suite::AesCm128HmacSha1_32 | Suite::AesCm128HmacSha1_80 => {
                Self::Cm128(CounterKey::derive(master, base))
            }
            Suite::AesCm256HmacSha1_80 => Self::Cm256(Box::new(CounterKey::derive(master, base))),
            Suite::AeadAes128Gcm => Self::Gcm(Box::new(gcm::<Aes128Enc>(master, base))),
            Suite::AeadAes256Gcm => Self::Gcm(Box::new(gcm::<Aes256Enc>(master, base))),
        }
    }

    /// Encrypts the RTP packet in `buf[..len]` and puts its tag behind it (RFC 3711 §3.3); `buf`
    /// ends with the tag.
    pub(super) fn seal_rtp(
        &self,
        buf: &mut [u8],
        header: usize,
        len: usize,
        (ssrc, index): (u32, u64),
    ) {
        match self {
            Self::Cm128(key) => key.seal_rtp(buf, header, len, ssrc, index),
            Self::Cm256(key) => key.seal_rtp(buf, header, len, ssrc, index),
            Self::Gcm(key) => {
                let (packet, tag) = buf.split_at_mut(len);
                let (clear, text) = packet.split_at_mut(header);
                let nonce = key.rtp_nonce(ssrc, index);
                tag.copy_from_slice(&key.seal(nonce, &[clear], text));
            }
        }
    }

    /// Whether the packet's tag is right under `index`; then it is decrypted if `decrypt`, and
    /// else left as it was.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        parts: &Parts,
        (ssrc, index): (u32, u64),
        decrypt: bool,
    ) -> bool {
        match self {
            Self::Cm128(key) => key.open_rtp(packet, header, parts, (ssrc, index), decrypt),
            Self::Cm256(key) => key.open_rtp(packet, header, parts, (ssrc, index), decrypt),
            Self::Gcm(key) => {
                let (clear, rest) = packet.split_at_mut(header);
                let (text, rest) = rest.split_at_mut(parts.body - header);
                let tag = &rest[parts.tag_range_from(parts.body)];
                key.open(key.rtp_nonce(ssrc, index), &[clear], text, tag, decrypt)
            }
        }
    }

    /// Encrypts the RTCP packet in `buf[..len]` and puts index and tag behind it (§3.4, RFC 7714
    /// §9); `buf` ends with them.
    pub(super) fn seal_rtcp(&self, buf: &mut [u8], len: usize, ssrc: u32, index: u32) {
        let word = (index | ENCRYPTED).to_be_bytes();
        match self {
            Self::Cm128(key) => key.seal_rtcp(buf, len, ssrc, index, word),
            Self::Cm256(key) => key.seal_rtcp(buf, len, ssrc, index, word),
            Self::Gcm(key) => {
                let (packet, rest) = buf.split_at_mut(len);
                let (clear, text) = packet.split_at_mut(RTCP_CLEAR);
                let sealed = key.seal(key.rtcp_nonce(ssrc, index), &[clear, &word], text);
                let (tag, last) = rest.split_at_mut(sealed.len());
                tag.copy_from_slice(&sealed);
                last.copy_from_slice(&word);
            }
        }
    }

    /// Like [`SessionKey::open_rtp`]; `word` is the E flag with the SRTCP index.
    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        parts: &Parts,
        (ssrc, word): (u32, u32),
        decrypt: bool,
    ) -> bool {
        match self {
            Self::Cm128(key) => key.open_rtcp(packet, parts, (ssrc, word), decrypt),
            Self::Cm256(key) => key.open_rtcp(packet, parts, (ssrc, word), decrypt),
            Self::Gcm(key) => {
                // What is not encrypted is authenticated as associated data (RFC 7714 §9.3).
                let encrypted = word & ENCRYPTED != 0;
                let start = if encrypted { RTCP_CLEAR } else { parts.body };
                let (clear, rest) = packet.split_at_mut(start);
                let (text, rest) = rest.split_at_mut(parts.body - start);
                let tag = &rest[parts.tag_range_from(parts.body)];
                let nonce = key.rtcp_nonce(ssrc, word & !ENCRYPTED);
                let word = word.to_be_bytes();
                key.open(nonce, &[clear, &word], text, tag, decrypt)
            }
        }
    }
}

/// The keys of AES in counter mode with HMAC-SHA1.
///
/// The schedule of AES is kept. To make one for each packet, and to wipe it, takes longer than to
/// have one fetched ahead (`cargo bench --bench forward`).
#[derive(Clone)]
pub(super) struct CounterKey<C> {
    cipher: C,
    auth: HmacSha1,
    salt: [u8; 14],
}

impl<C: BlockCipherEncrypt<BlockSize = U16> + KeyInit> CounterKey<C> {
    fn derive(master: &MasterKey, base: u8) -> Self {
        let kdf = cipher::<C>(master.key());
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..master.key().len()];
        let mut auth = Zeroizing::new([0; 20]);
        let mut salt = [0; 14];
        derive(&kdf, &master.salt, base + LABEL_ENCRYPTION, key);
        derive(
            &kdf,
            &master.salt,
            base + LABEL_AUTHENTICATION,
            auth.as_mut(),
        );
        derive(&kdf, &master.salt, base + LABEL_SALT, &mut salt);
        Self {
            cipher: cipher(key),
            auth: HmacSha1::new(&auth),
            salt,
        }
    }

    fn seal_rtp(&self, buf: &mut [u8], header: usize, len: usize, ssrc: u32, index: u64) {
        self.apply(ssrc, index, &mut buf[header..len]);
        let roc = ExtendedSequence(index).roc().to_be_bytes();
        let (packet, out) = buf.split_at_mut(len);
        let tag = self.auth.mac(packet, &roc);
        out.copy_from_slice(&tag[..out.len()]);
    }

    fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        parts: &Parts,
        (ssrc, index): (u32, u64),
        decrypt: bool,
    ) -> bool {
        let roc = ExtendedSequence(index).roc().to_be_bytes();
        let right = self.verify(&packet[..parts.body], &roc, &packet[parts.tag()]);
        if right && decrypt {
            self.apply(ssrc, index, &mut packet[header..parts.body]);
        }
        right
    }

    fn seal_rtcp(&self, buf: &mut [u8], len: usize, ssrc: u32, index: u32, word: [u8; 4]) {
        self.apply(ssrc, index.into(), &mut buf[RTCP_CLEAR..len]);
        let signed = len + RTCP_INDEX_LEN;
        buf[len..signed].copy_from_slice(&word);
        let (packet, out) = buf.split_at_mut(signed);
        let tag = self.auth.mac(packet, &[]);
        out.copy_from_slice(&tag[..out.len()]);
    }

    fn open_rtcp(
        &self,
        packet: &mut [u8],
        parts: &Parts,
        (ssrc, word): (u32, u32),
        decrypt: bool,
    ) -> bool {
        let signed = &packet[..parts.body + RTCP_INDEX_LEN];
        let right = self.verify(signed, &[], &packet[parts.tag()]);
        if right && decrypt && word & ENCRYPTED != 0 {
            let index = u64::from(word & !ENCRYPTED);
            self.apply(ssrc, index, &mut packet[RTCP_CLEAR..parts.body]);
        }
        right
    }

    /// Encrypts or decrypts `data` (§4.1.1): the same operation in counter mode.
    fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        for (byte, x) in iv[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
            *byte ^= x;
        }
        for (byte, x) in iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
            *byte ^= x;
        }
        counter_mode(&self.cipher, iv, data);
    }

    /// Whether `tag` is the (cut) tag of `packet` followed by `suffix`; takes the same time for
    /// every wrong tag.
    fn verify(&self, packet: &[u8], suffix: &[u8], tag: &[u8]) -> bool {
        let right = self.auth.mac(packet, suffix);
        tag.len() <= right.len() && bool::from(right[..tag.len()].ct_eq(tag))
    }
}

impl<C> Drop for CounterKey<C> {
    fn drop(&mut self) {
        // A schedule zeroizes itself.
        self.salt.zeroize();
        self.auth.zeroize();
    }
}

/// The keys of AES-GCM: derived by the same function from a salt padded with two zeros (RFC 7714
/// §11).
fn gcm<C: BlockCipherEncrypt<BlockSize = U16> + KeyInit>(master: &MasterKey, base: u8) -> GcmKey {
    let kdf = cipher::<C>(master.key());
    let mut key = Zeroizing::new([0; 32]);
    let key = &mut key[..master.key().len()];
    let mut salt = [0; 12];
    derive(&kdf, &master.salt, base + LABEL_ENCRYPTION, key);
    derive(&kdf, &master.salt, base + LABEL_SALT, &mut salt);
    GcmKey::new(key, salt)
}

fn cipher<C: KeyInit>(key: &[u8]) -> C {
    C::new_from_slice(key).expect("the suite chose the cipher by the length of its key")
}

/// Derives `out.len()` octets under `label`, with an index of 0 and no derivation rate (§4.3.1).
fn derive<C: BlockCipherEncrypt<BlockSize = U16>>(
    kdf: &C,
    salt: &[u8; 14],
    label: u8,
    out: &mut [u8],
) {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    counter_mode(kdf, iv, out);
}

/// XORs the keystream of §4.1.1 into `data`; the last two octets of `iv` count blocks from there.
fn counter_mode<C: BlockCipherEncrypt<BlockSize = U16>>(cipher: &C, iv: [u8; 16], data: &mut [u8]) {
    let mut counter = u16::from_be_bytes([iv[14], iv[15]]);
    let mut blocks = [Block::default(); BATCH];
    for chunk in data.chunks_mut(16 * BATCH) {
        let blocks = &mut blocks[..chunk.len().div_ceil(16)];
        for block in blocks.iter_mut() {
            block.0 = iv;
            [block.0[14], block.0[15]] = counter.to_be_bytes();
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(blocks);
        let (whole, rest) = chunk.as_chunks_mut::<16>();
        let used = whole.len();
        for (part, block) in whole.iter_mut().zip(blocks.iter()) {
            *part = (u128::from_ne_bytes(*part) ^ u128::from_ne_bytes(block.0)).to_ne_bytes();
        }
        if let Some(block) = blocks.get(used) {
            for (byte, key) in rest.iter_mut().zip(block.iter()) {
                *byte ^= key;
            }
        }
    }
}

/// HMAC-SHA1 whose two key blocks were worked once (RFC 2104).
#[derive(Clone, Zeroize)]
struct HmacSha1 {
    inner: [u32; 5],
    outer: [u32; 5],
}

/// SHA-1's initial state (FIPS 180-4 §5.3.1).
const SHA1_START: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

impl HmacSha1 {
    fn new(key: &[u8; 20]) -> Self {
        let mut block = Zeroizing::new([0x36; 64]);
        let (mut inner, mut outer) = (SHA1_START, SHA1_START);
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        sha1::block_api::compress(&mut inner, &[*block]);
        for byte in block.iter_mut() {
            *byte ^= 0x36 ^ 0x5c;
        }
        sha1::block_api::compress(&mut outer, &[*block]);
        Self { inner, outer }
    }

    fn mac(&self, message: &[u8], suffix: &[u8]) -> [u8; 20] {
        let mut state = self.inner;
        let (blocks, rest) = message.as_chunks::<64>();
        sha1::block_api::compress(&mut state, blocks);

        // What is left, the suffix and the padding of FIPS 180-4 §5.1.1 fill one block or two.
        let mut tail = [[0; 64]; 2];
        let flat = tail.as_flattened_mut();
        let used = rest.len() + suffix.len();
        flat[..rest.len()].copy_from_slice(rest);
        flat[rest.len()..used].copy_from_slice(suffix);
        flat[used] = 0x80;
        let count = if used < 56 { 1 } else { 2 };
        let bits = 8 * (64 + message.len() + suffix.len()) as u64;
        flat[64 * count - 8..64 * count].copy_from_slice(&bits.to_be_bytes());
        sha1::block_api::compress(&mut state, &tail[..count]);

        let mut last = [0; 64];
        store(&state, &mut last);
        last[20] = 0x80;
        last[56..].copy_from_slice(&(8u64 * (64 + 20)).to_be_bytes());
        let mut state = self.outer;
        sha1::block_api::compress(&mut state, &[last]);
        let mut mac = [0; 20];
        store(&state, &mut mac);
        mac
    }
}

fn store(state: &[u32; 5], out: &mut [u8]) {
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
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

    #[test]
    fn hmac_of_rfc_2202() {
        let hmac = HmacSha1::new(&[0x0b; 20]);
        assert_eq!(
            hmac.mac(b"Hi ", b"There").to_vec(),
            hex("b617318655057264e28bc0b6fb378c8ef146be00")
        );
    }

    #[test]
    fn hmac_pads_messages_of_every_length_like_the_digest() {
        use sha1::Digest;
        let hmac = HmacSha1::new(&[7; 20]);
        let message = [0x5a; 200];
        for len in 0..message.len() {
            let (mut ipad, mut opad) = ([0x36u8; 64], [0x5cu8; 64]);
            for i in 0..20 {
                ipad[i] ^= 7;
                opad[i] ^= 7;
            }
            let inner = sha1::Sha1::new()
                .chain_update(ipad)
                .chain_update(&message[..len])
                .chain_update([1, 2, 3, 4]);
            let outer = sha1::Sha1::new()
                .chain_update(opad)
                .chain_update(inner.finalize());
            assert_eq!(
                hmac.mac(&message[..len], &[1, 2, 3, 4])[..],
                outer.finalize()[..]
            );
        }
    }

    #[test]
    fn keystream_of_rfc_3711_b2() {
        let key: [u8; 16] = hex("2b7e151628aed2a6abf7158809cf4f3c").try_into().unwrap();
        let cipher = Aes128Enc::new(&key.into());
        let iv = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000").try_into().unwrap();
        let mut stream = vec![0; 16 * 0xff02];
        counter_mode(&cipher, iv, &mut stream);
        for (block, text) in [
            (0, "e03ead0935c95e80e166b16dd92b4eb4"),
            (1, "d23513162b02d0f72a43a2fe4a5f97ab"),
            (2, "41e95b3bb0a2e8dd477901e4fca894c0"),
            (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
            (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
            (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
        ] {
            assert_eq!(stream[16 * block..][..16], hex(text), "block {block:#x}");
        }
    }

    #[test]
    fn key_derivation_of_rfc_6188_7_2() {
        let master = hex(
            "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b63b04803de51ee7c96423ab5b78d2",
        );
        let kdf = Aes256Enc::new_from_slice(&master[..32]).unwrap();
        let salt = master[32..].try_into().unwrap();
        for (label, text) in [
            (
                0,
                "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
            ),
            (2, "fa31791685ca444a9e07c6c64e93"),
            (1, "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"),
        ] {
            let right = hex(text);
            let mut out = vec![0; right.len()];
            derive(&kdf, &salt, label, &mut out);
            assert_eq!(out, right, "label {label}");
        }
    }

    #[test]
    fn key_derivation_of_rfc_3711_b3() {
        let key: [u8; 16] = hex("e1f97a0d3e018be0d64fa32c06de4139").try_into().unwrap();
        let salt = hex("0ec675ad498afeebb6960b3aabe6").try_into().unwrap();
        let kdf = Aes128Enc::new(&key.into());
        for (label, text) in [
            (0, "c61e7a93744f39ee10734afe3ff7a087"),
            (2, "30cbbc08863d8c85d49db34a9ae1"),
            (
                1,
                "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad1\
                 75578ef72270986371c10c9a369ac2f94a8c5fbcdddc256d6e919a48b610ef17c2041e474035766b68\
                 642c59bbfc2f34db60dbdfb2",
            ),
            (3, "4c1aa45a81f73d61c800bbb00fbb1eaa"),
            (4, "8d54534feb49ae8e7993a6bd0b844fc323a93dfd"),
            (5, "9581c7ad87b3e530bf3e4454a8b3"),
        ] {
            let right = hex(&text.replace(char::is_whitespace, ""));
            let mut out = vec![0; right.len()];
            derive(&kdf, &salt, label, &mut out);
            assert_eq!(out, right, "label {label}");
        }
    }
}
