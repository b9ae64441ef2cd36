//! SDP security descriptions (RFC 4568): the `a=crypto` lines of SRTP.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The crypto suites this gateway speaks (RFC 4568 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// 80-bit authentication tag; the suite Microsoft asks for.
    AesCm128HmacSha1_80,
    /// 32-bit authentication tag on RTP, 80-bit on RTCP.
    AesCm128HmacSha1_32,
}

impl Suite {
    /// The suite's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Reads a suite name (case-insensitive, RFC 4568 §9.2 strings are ABNF literals).
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        [Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32]
            .into_iter()
            .find(|suite| suite.as_str().eq_ignore_ascii_case(token))
    }
}

/// An SRTP master key of 16 octets followed by its master salt of 14 (RFC 4568 §6.1).
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 30]);

impl MasterKey {
    /// Octets of key and salt together.
    pub const LEN: usize = 30;

    /// Takes key and salt, in this order.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 30]) -> Self {
        Self(bytes)
    }

    /// Key and salt, in this order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 30] {
        &self.0
    }

    fn from_base64(text: &str) -> Option<Self> {
        /// 30 octets need no padding, and peers that add some are understood.
        const TOLERANT: GeneralPurpose = GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        // 40 characters carry 30 octets; anything longer is another suite's key.
        if text.len() > 44 {
            return None;
        }
        let decoded = Zeroizing::new(TOLERANT.decode(text).ok()?);
        Some(Self(decoded.as_slice().try_into().ok()?))
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
    /// The suite.
    pub suite: Suite,
    /// The sender's master key and salt.
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
        let (key, lifetime, mki) = parse_key_params(fields.next()?)?;
        fields.all(is_harmless_parameter).then_some(Self {
            tag,
            suite,
            key,
            lifetime,
            mki,
        })
    }
}

/// Reads `inline:<key||salt>[|lifetime][|MKI:length]` (RFC 4568 §6.1). Several keys in one line need
/// an MKI to choose between them and are not used.
fn parse_key_params(text: &str) -> Option<(MasterKey, Option<u64>, Option<Mki>)> {
    let (method, info) = text.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || info.contains(';') {
        return None;
    }
    let mut parts = info.split('|');
    let key = MasterKey::from_base64(parts.next()?)?;
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

/// The key we send with on one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCrypto {
    /// The tag written in offers; an answer repeats the offered one.
    pub tag: u32,
    /// The suite written in offers; an answer takes the chosen one.
    pub suite: Suite,
    /// Our master key and salt: one for the life of the leg.
    pub key: MasterKey,
}

impl LocalCrypto {
    /// The key with the suite and tag every peer understands: AES_CM_128_HMAC_SHA1_80, tag 1.
    #[must_use]
    pub fn new(key: MasterKey) -> Self {
        Self {
            tag: 1,
            suite: Suite::AesCm128HmacSha1_80,
            key,
        }
    }

    /// The value of the `a=crypto` line, with the lifetime Microsoft's own lines carry.
    pub(crate) fn to_attribute(&self) -> Zeroizing<String> {
        let inline = Zeroizing::new(STANDARD.encode(self.key.as_bytes()));
        Zeroizing::new(format!(
            "{} {} inline:{}|2^31",
            self.tag,
            self.suite.as_str(),
            *inline
        ))
    }
}
