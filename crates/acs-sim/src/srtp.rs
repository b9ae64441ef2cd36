//! SRTP with SDES keys (RFC 3711, RFC 4568) on `webrtc-srtp`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

/// The only crypto-suite Microsoft's media processors are documented to use.
pub(crate) const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";
/// Offered before it by some media processors, and never to be chosen.
pub(crate) const DECOY_SUITE: &str = "AES_CM_128_HMAC_SHA1_32";

const REPLAY_WINDOW: usize = 128;

/// Master key and salt of one direction.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key([u8; 30]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl Key {
    /// A fresh key from the operating system.
    pub(crate) fn random() -> Self {
        let mut key = [0; 30];
        crate::random::fill(&mut key);
        Self(key)
    }

    /// Reads the `inline:` parameter's first part: base64 of key and salt.
    pub(crate) fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub(crate) fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    fn context(&self, profile: ProtectionProfile) -> Context {
        Context::new(
            &self.0[..16],
            &self.0[16..],
            profile,
            Some(srtp_replay_protection(REPLAY_WINDOW)),
            Some(srtcp_replay_protection(REPLAY_WINDOW)),
        )
        .expect("key and salt have the profile's lengths")
    }
}

/// One direction's cryptographic context.
pub(crate) struct Crypto {
    key: Key,
    suite: String,
    context: Context,
}

impl Crypto {
    /// A context for `suite`, or none when the suite is not spoken here.
    pub(crate) fn new(suite: &str, key: Key) -> Option<Self> {
        let profile = match suite {
            "AES_CM_128_HMAC_SHA1_80" => ProtectionProfile::Aes128CmHmacSha1_80,
            "AES_CM_128_HMAC_SHA1_32" => ProtectionProfile::Aes128CmHmacSha1_32,
            _ => return None,
        };
        Some(Self {
            context: key.context(profile),
            suite: suite.to_owned(),
            key,
        })
    }

    /// Whether this context was made for that key; an unchanged key keeps its ROC and its replay
    /// list, a new one starts both afresh.
    pub(crate) fn is_for(&self, suite: &str, key: &Key) -> bool {
        self.suite == suite && self.key == *key
    }

    pub(crate) fn protect_rtp(&mut self, packet: &[u8]) -> Option<Bytes> {
        self.context.encrypt_rtp(packet).ok()
    }

    pub(crate) fn unprotect_rtp(&mut self, packet: &[u8]) -> Option<Bytes> {
        self.context.decrypt_rtp(packet).ok()
    }

    pub(crate) fn protect_rtcp(&mut self, packet: &[u8]) -> Option<Bytes> {
        self.context.encrypt_rtcp(packet).ok()
    }

    pub(crate) fn unprotect_rtcp(&mut self, packet: &[u8]) -> Option<Bytes> {
        self.context.decrypt_rtcp(packet).ok()
    }
}
