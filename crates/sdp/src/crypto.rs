//! SDP security descriptions (RFC 4568): the `a=crypto` lines of SRTP.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The crypto suites this gateway speaks (RFC 4568 §6.2, RFC 6188, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// 80-bit authentication tag; the suite Microsoft asks for.
    AesCm128HmacSha1_80,
    /// 32-bit authentication tag on RTP, 80-bit on RTCP.
    AesCm128HmacSha1_32,
    /// A key of 256 bits (RFC 6188).
    AesCm256HmacSha1_80,
    /// AES-GCM (RFC 7714).
    AeadAes128Gcm,
    /// AES-GCM with a key of 256 bits (RFC 7714).
    AeadAes256Gcm,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::AesCm256HmacSha1_80,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
    ];

    /// The suite's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Octets of key and salt together: 16 or 32 and 14 (RFC 4568 §6.2.1, RFC 6188 §4) or 12
    /// (RFC 7714 §15.1).
    #[must_use]
    pub fn master_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 30,
            Self::AesCm256HmacSha1_80 => 46,
            Self::AeadAes128Gcm => 28,
            Self::AeadAes256Gcm => 44,
        }
    }

    /// Reads a suite name (case-insensitive, RFC 4568 §9.2 strings are ABNF literals).
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.as_str().eq_ignore_ascii_case(token))
    }
}

/// A suite with its master key, followed by its master salt (RFC 4568 §6.1), of the lengths it
/// wants.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    suite: Suite,
    bytes: [u8; Self::MAX_LEN],
}

impl MasterKey {
    /// Octets of key and salt of the longest suite.
    pub const MAX_LEN: usize = 46;

    /// Takes key and salt, in this order; `None` unless they are as long as the suite wants.
    #[must_use]
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<Self> {
        let mut key = Self {
            suite,
            bytes: [0; Self::MAX_LEN],
        };
        let right = bytes.len() == suite.master_len();
        right.then(|| {
            key.bytes[..bytes.len()].copy_from_slice(bytes);
            key
        })
    }

    /// Draws a key: `fill` fills the octets it is given.
    #[must_use]
    pub fn draw(suite: Suite, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut key = Self {
            suite,
            bytes: [0; Self::MAX_LEN],
        };
        fill(&mut key.bytes[..suite.master_len()]);
        key
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt, in this order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.suite.master_len()]
    }

    fn from_base64(suite: Suite, text: &str) -> Option<Self> {
        /// Padding is written as RFC 4648 has it (RFC 4568 §6.1); peers that leave it out, or put
        /// some where none is wanted, are understood.
        const TOLERANT: GeneralPurpose = GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        // Four characters carry three octets; anything much longer is another suite's key.
        if text.len() > suite.master_len().div_ceil(3) * 4 + 4 {
            return None;
        }
        let decoded = Zeroizing::new(TOLERANT.decode(text).ok()?);
        Self::new(suite, &decoded)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// A master key identifier and its length on the wire (RFC 4568 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mki {
    /// The identifier's value.
    pub value: u64,
    /// Octets it takes in each packet, 1 to 8 here (the RFC allows 128; no peer uses them).
    pub length: u8,
}

/// One `a=crypto` line that can be used: one key, a known suite, no session parameter that would
/// change the packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptoAttribute {
    /// The tag an answer repeats (RFC 4568 §4.1); Microsoft counts from 0.
    pub tag: u32,
    /// The suite with the sender's master key and salt.
    pub key: MasterKey,
    /// Packets the key may protect, if the line says so.
    pub lifetime: Option<u64>,
    /// The identifier carried in each packet, if the line says so.
    pub mki: Option<Mki>,
}

impl CryptoAttribute {
    /// Reads the value of an `a=crypto` line. `None` when the line is malformed or unusable; RFC
    /// 4568 §5.1.2 then has us look at the next one.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut fields = value.split_ascii_whitespace();
        let tag = fields.next()?;
        if tag.len() > 9 || !tag.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let tag = tag.parse().ok()?;
        let suite = Suite::from_token(fields.next()?)?;
        let (key, lifetime, mki) = parse_key_params(suite, fields.next()?)?;
        fields.all(is_harmless_parameter).then_some(Self {
            tag,
            key,
            lifetime,
            mki,
        })
    }
}

/// Reads `inline:<key||salt>[|lifetime][|MKI:length]` (RFC 4568 §6.1). Several keys in one line need
/// an MKI to choose between them and are not used.
fn parse_key_params(suite: Suite, text: &str) -> Option<(MasterKey, Option<u64>, Option<Mki>)> {
    let (method, info) = text.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || info.contains(';') {
        return None;
    }
    let mut parts = info.split('|');
    let key = MasterKey::from_base64(suite, parts.next()?)?;
    let (mut lifetime, mut mki) = (None, None);
    for part in parts {
        match part.split_once(':') {
            Some((value, length)) if mki.is_none() => {
                let length: u8 = length
                    .parse()
                    .ok()
                    .filter(|length| (1..=8).contains(length))?;
                mki = Some(Mki {
                    value: value.parse().ok()?,
                    length,
                });
            }
            None if lifetime.is_none() && mki.is_none() => lifetime = Some(parse_lifetime(part)?),
            _ => return None,
        }
    }
    Some((key, lifetime, mki))
}

/// Reads a lifetime, decimal or as a power of two; an SRTP key protects at most 2^48 packets
/// (RFC 3711 §9.2).
fn parse_lifetime(text: &str) -> Option<u64> {
    let lifetime = match text.split_once('^') {
        Some(("2", exponent)) => 1_u64.checked_shl(exponent.parse().ok()?)?,
        Some(_) => return None,
        None => text.parse().ok()?,
    };
    (1..=1 << 48).contains(&lifetime).then_some(lifetime)
}

/// Session parameters that change nothing on the wire: the window size hint, and those marked
/// negligible with a leading dash (RFC 4568 §6.3.7). With any other the line cannot be used.
fn is_harmless_parameter(parameter: &str) -> bool {
    parameter.starts_with('-')
        || parameter
            .get(..4)
            .is_some_and(|name| name.eq_ignore_ascii_case("WSH="))
}

/// A key that we send with on one leg: one for each suite, for the life of the leg, so that no key
/// ever serves two suites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCrypto {
    /// The tag written in offers; an answer repeats the offered one.
    pub tag: u32,
    /// The suite with our master key and salt.
    pub key: MasterKey,
}

impl LocalCrypto {
    /// A key with the tag every peer understands, 1.
    #[must_use]
    pub fn new(key: MasterKey) -> Self {
        Self { tag: 1, key }
    }

    /// Keys with the tags 1, 2, … in this order of preference.
    #[must_use]
    pub fn numbered(keys: impl IntoIterator<Item = MasterKey>) -> Vec<Self> {
        (1..)
            .zip(keys)
            .map(|(tag, key)| Self { tag, key })
            .collect()
    }

    /// The value of the `a=crypto` line, with the lifetime Microsoft's own lines carry.
    pub(crate) fn to_attribute(&self) -> Zeroizing<String> {
        let inline = Zeroizing::new(STANDARD.encode(self.key.as_bytes()));
        Zeroizing::new(format!(
            "{} {} inline:{}|2^31",
            self.tag,
            self.key.suite().as_str(),
            *inline
        ))
    }
}
