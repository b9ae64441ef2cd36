//! Master keys and cryptographic suites (RFC 3711 §3.2.1, RFC 4568 §6.2).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The cryptographic suites of RFC 4568 §6.2 this gateway speaks.
///
/// Both encrypt with AES in counter mode under a 128-bit key and authenticate with HMAC-SHA1; they
/// differ in the length of the tag on RTP packets only. SRTCP always carries 80 bits (§6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_32`: 4-octet tag on RTP, 10 octets on RTCP.
    AesCm128HmacSha1_32,
    /// `AES_CM_128_HMAC_SHA1_80`: 10-octet tag on both.
    AesCm128HmacSha1_80,
}

impl Suite {
    /// Octets the tag adds to an RTP packet.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_32 => 4,
            Self::AesCm128HmacSha1_80 => 10,
        }
    }

    /// Octets the tag adds to an RTCP packet (RFC 4568 §6.2.2: 80 bits for either suite).
    pub const fn rtcp_tag_len(self) -> usize {
        10
    }
}

/// A master key of 128 bits and its master salt of 112 bits (RFC 3711 §3.2.1).
///
/// Zeroized when dropped, compared in constant time, and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    pub(super) key: [u8; 16],
    pub(super) salt: [u8; 14],
}

impl MasterKey {
    /// Octets of key and salt together, as `inline:` carries them (RFC 4568 §6.1).
    pub const LEN: usize = 30;

    /// The key and the salt that lie one after the other in `bytes`, as in `inline:`.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut master = Self {
            key: [0; 16],
            salt: [0; 14],
        };
        master.key.copy_from_slice(&bytes[..16]);
        master.salt.copy_from_slice(&bytes[16..]);
        master
    }

    /// Key and salt one after the other. The caller zeroizes what it gets.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&self.key);
        bytes[16..].copy_from_slice(&self.salt);
        bytes
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.key.ct_eq(&other.key) & self.salt.ct_eq(&other.salt))
    }
}

impl Eq for MasterKey {}
