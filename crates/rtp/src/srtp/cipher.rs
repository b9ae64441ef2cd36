//! AES in counter mode, HMAC-SHA1 from midstates, key derivation (RFC 3711 §4).

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::key::MasterKey;

/// The labels of RFC 3711 §4.3.1 and §4.3.2, for RTP; RTCP's are three higher.
const LABEL_ENCRYPTION: u8 = 0;
const LABEL_AUTHENTICATION: u8 = 1;
const LABEL_SALT: u8 = 2;
const LABEL_RTCP: u8 = 3;

/// Blocks of keystream made at once: enough for 20 ms of G.711 in one go.
const BATCH: usize = 12;

/// Session keys of one direction and one of RTP or RTCP, scheduled once.
///
/// The AES type keeps room for the widest back end; with AES-NI the first 176 octets are touched,
/// so a packet works on less than 256 octets of keys and state.
#[derive(Clone)]
pub(super) struct SessionKey {
    cipher: Aes128Enc,
    salt: [u8; 14],
    auth: HmacSha1,
}

impl SessionKey {
    pub(super) fn rtp(master: &MasterKey) -> Self {
        Self::derive(master, 0)
    }

    pub(super) fn rtcp(master: &MasterKey) -> Self {
        Self::derive(master, LABEL_RTCP)
    }

    fn derive(master: &MasterKey, base: u8) -> Self {
        let kdf = Aes128Enc::new(&master.key.into());
        let mut key = Zeroizing::new([0; 16]);
        let mut auth = Zeroizing::new([0; 20]);
        let mut salt = [0; 14];
        derive(&kdf, &master.salt, base + LABEL_ENCRYPTION, key.as_mut());
        derive(
            &kdf,
            &master.salt,
            base + LABEL_AUTHENTICATION,
            auth.as_mut(),
        );
        derive(&kdf, &master.salt, base + LABEL_SALT, &mut salt);
        Self {
            cipher: Aes128Enc::new(&(*key).into()),
            salt,
            auth: HmacSha1::new(&auth),
        }
    }

    /// Encrypts or decrypts `data` (§4.1.1): the same operation in counter mode.
    pub(super) fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) {
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

    /// The authentication tag of `packet` followed by `suffix`, whole.
    pub(super) fn tag(&self, packet: &[u8], suffix: &[u8]) -> [u8; 20] {
        self.auth.mac(packet, suffix)
    }

    /// Whether `tag` is the (cut) tag of `packet` followed by `suffix`; takes the same time for
    /// every wrong tag.
    pub(super) fn verify(&self, packet: &[u8], suffix: &[u8], tag: &[u8]) -> bool {
        let right = self.tag(packet, suffix);
        tag.len() <= right.len() && bool::from(right[..tag.len()].ct_eq(tag))
    }
}

impl Drop for SessionKey {
    fn drop(&mut self) {
        self.salt.zeroize(); // the cipher zeroizes itself
        self.auth.zeroize();
    }
}

/// Derives `out.len()` octets under `label`, with an index of 0 and no derivation rate (§4.3.1).
fn derive(kdf: &Aes128Enc, salt: &[u8; 14], label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    counter_mode(kdf, iv, out);
}

/// XORs the keystream of §4.1.1 into `data`; the last two octets of `iv` count blocks from there.
fn counter_mode(cipher: &Aes128Enc, iv: [u8; 16], data: &mut [u8]) {
    let mut counter = u16::from_be_bytes([iv[14], iv[15]]);
    let mut blocks = [Block::default(); BATCH];
    for chunk in data.chunks_mut(16 * BATCH) {
        let blocks = &mut blocks[..chunk.len().div_ceil(16)];
        for block in blocks.iter_mut() {
            block.copy_from_slice(&iv);
            block[14..].copy_from_slice(&counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(blocks);
        for (part, block) in chunk.chunks_mut(16).zip(blocks.iter()) {
            for (byte, key) in part.iter_mut().zip(block.iter()) {
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
