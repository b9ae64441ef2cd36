//! Master keys and cryptographic suites (RFC 3711 §3.2.1, RFC 4568 §6.2, RFC 6188, RFC 7714).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The cryptographic suites this gateway speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_32`: 4-octet tag on RTP, 10 octets on RTCP (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
    /// `AES_CM_128_HMAC_SHA1_80`: 10-octet tag on both (RFC 4568 §6.2.1).
    AesCm128HmacSha1_80,
    /// `AES_256_CM_HMAC_SHA1_80`: the same with a key of 256 bits (RFC 6188).
    AesCm256HmacSha1_80,
    /// `AEAD_AES_128_GCM`: 16-octet tag on both (RFC 7714).
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`: the same with a key of 256 bits (RFC 7714).
    AeadAes256Gcm,
}

impl Suite {
    /// Octets the tag adds to an RTP packet.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_32 => 4,
            Self::AesCm128HmacSha1_80 | Self::AesCm256HmacSha1_80 => 10,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Octets the tag adds to an RTCP packet; RFC 4568 §6.2.2 has 80 bits for `_32` as well.
    pub const fn rtcp_tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_32 | Self::AesCm128HmacSha1_80 | Self::AesCm256HmacSha1_80 => 10,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Octets of the master key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_32 | Self::AesCm128HmacSha1_80 | Self::AeadAes128Gcm => 16,
            Self::AesCm256HmacSha1_80 | Self::AeadAes256Gcm => 32,
        }
    }

    /// Octets of the master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_32 | Self::AesCm128HmacSha1_80 | Self::AesCm256HmacSha1_80 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// Octets of master key and salt together, as `inline:` carries them (RFC 4568 §6.1).
    pub const fn master_len(self) -> usize {
        self.key_len() + self.salt_len()
    }
}

/// A suite with a master key and salt of the lengths it wants: other lengths do not exist.
///
/// Zeroized when dropped, compared in constant time, and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    suite: Suite,
    /// Octets beyond the suite's length are 0.
    key: [u8; 32],
    /// The same; RFC 7714 §11 derives keys from its shorter salt padded so.
    pub(super) salt: [u8; 14],
}

/// Key and salt are not as long together as the suite wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given} octets of key and salt; the suite wants {wanted}")]
pub struct KeyLength {
    /// Octets given.
    pub given: usize,
    /// Octets wanted.
    pub wanted: usize,
}

impl MasterKey {
    /// The key and the salt that lie one after the other in `bytes`, as in `inline:`.
    ///
    /// # Errors
    /// [`KeyLength`] where `bytes` are not [`Suite::master_len`] octets.
    pub fn new(suite: Suite, bytes: &[u8]) -> Result<Self, KeyLength> {
        let wanted = suite.master_len();
        if bytes.len() != wanted {
            let given = bytes.len();
            return Err(KeyLength { given, wanted });
        }
        let mut master = Self {
            suite,
            key: [0; 32],
            salt: [0; 14],
        };
        let (key, salt) = bytes.split_at(suite.key_len());
        master.key[..key.len()].copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        Ok(master)
    }

    /// A key of `AES_CM_128_HMAC_SHA1_80`, which every peer speaks: 16 octets and 14 of salt.
    pub fn aes_cm_128_80(bytes: &[u8; 30]) -> Self {
        Self::new(Suite::AesCm128HmacSha1_80, bytes)
            .expect("thirty octets are what the suite wants")
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The key alone.
    pub fn key(&self) -> &[u8] {
        &self.key[..self.suite.key_len()]
    }

    /// The salt alone.
    pub fn salt(&self) -> &[u8] {
        &self.salt[..self.suite.salt_len()]
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        let same = self.key.ct_eq(&other.key) & self.salt.ct_eq(&other.salt);
        self.suite == other.suite && bool::from(same)
    }
}

impl Eq for MasterKey {}
