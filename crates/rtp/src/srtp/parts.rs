//! Where the parts of a protected packet lie.

use std::ops::Range;

use super::{RTCP_CLEAR, RTCP_INDEX_LEN, SrtpError, Suite};

/// Offsets within a protected packet.
///
/// With HMAC-SHA1 an RTP packet is body, MKI, tag, and an RTCP packet body, index, MKI, tag (RFC
/// 3711 §3.1, §3.4). With GCM the tag belongs to the cipher text and comes before index and MKI
/// (RFC 7714 §8.2, §9.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// Where the packet as it was before ends.
    pub(super) body: usize,
    tag: usize,
    tag_len: usize,
    /// Where the SRTCP index is.
    pub(super) word: usize,
}

impl Parts {
    pub(super) fn of_rtp(
        suite: Suite,
        len: usize,
        mki_len: u8,
        header: usize,
    ) -> Result<Self, SrtpError> {
        let parts = Self::split(suite, len, mki_len, suite.rtp_tag_len(), 0)?;
        if parts.body < header {
            return Err(SrtpError::Malformed);
        }
        Ok(parts)
    }

    pub(super) fn of_rtcp(suite: Suite, len: usize, mki_len: u8) -> Result<Self, SrtpError> {
        let parts = Self::split(suite, len, mki_len, suite.rtcp_tag_len(), RTCP_INDEX_LEN)?;
        if parts.body < RTCP_CLEAR {
            return Err(SrtpError::Malformed);
        }
        Ok(parts)
    }

    fn split(
        suite: Suite,
        len: usize,
        mki_len: u8,
        tag_len: usize,
        word_len: usize,
    ) -> Result<Self, SrtpError> {
        let added = tag_len + usize::from(mki_len) + word_len;
        let body = len.checked_sub(added).ok_or(SrtpError::Malformed)?;
        let (tag, word) = match suite {
            Suite::AesCm128HmacSha1_32
            | Suite::AesCm128HmacSha1_80
            | Suite::AesCm256HmacSha1_80 => (len - tag_len, body),
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => (body, body + tag_len),
        };
        Ok(Self {
            body,
            tag,
            tag_len,
            word,
        })
    }

    pub(super) fn tag(&self) -> Range<usize> {
        self.tag..self.tag + self.tag_len
    }

    /// The same, counted from `start`.
    pub(super) fn tag_range_from(&self, start: usize) -> Range<usize> {
        self.tag - start..self.tag - start + self.tag_len
    }
}
