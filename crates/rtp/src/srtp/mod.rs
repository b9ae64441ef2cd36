//! SRTP and SRTCP (RFC 3711, RFC 4568): AES in counter mode with HMAC-SHA1 under 128 bits and
//! (RFC 6188) 256, and AES-GCM (RFC 7714).
//!
//! One [`SrtpInbound`] and one [`SrtpOutbound`] hold the session keys of a direction and, for each
//! SSRC, a packet index and a replay list, which for SSRCs that have not been heard for long is cut
//! to its end. Both are made once and allocate nothing for an RTP packet. The session key of RTCP,
//! which comes once in seconds, is derived when a packet does.
//!
//! # The discipline of indexes
//!
//! In counter mode two packets under one (key, SSRC, index) give away the XOR of their contents
//! (RFC 3711 §9.1). So [`SrtpOutbound`] is told each index and keeps a list of those it used, like a
//! receiver's: an index that was used, or that is older than the list reaches, is refused and the
//! packet is not sent. A caller that forwards derives the index from the extended sequence number
//! of the packet it received plus an offset that is constant for as long as the source is. Then
//! reordered packets keep their own index, a repeated packet meets its own index in the list, and
//! after a restart with a state that is a little old, a packet that went out before and comes again
//! has the same index *and* the same contents, which gives nothing away. Whoever makes packets of
//! his own skips ahead after a restart.

mod cipher;
mod gcm;
mod inbound;
mod key;
mod outbound;
mod parts;
mod streams;
#[cfg(test)]
mod tests;
mod window;

use cipher::SessionKey;
pub use inbound::{SrtpInbound, Unprotected};
pub use key::{KeyLength, MasterKey, Suite};
pub use outbound::SrtpOutbound;
use streams::Streams;
pub use window::{ReplayWindow, WindowError};

use crate::RtpError;

/// The last packet index of RTP under one key (RFC 3711 §9.2).
const LAST_RTP_INDEX: u64 = (1 << 48) - 1;
/// The last packet index of RTCP under one key.
const LAST_RTCP_INDEX: u32 = (1 << 31) - 1;
/// The E flag of SRTCP: the packet is encrypted (§3.4).
const ENCRYPTED: u32 = 1 << 31;
/// Octets of the E flag and the SRTCP index.
const RTCP_INDEX_LEN: usize = 4;
/// Octets of an RTCP packet that stay in the clear (§3.4).
const RTCP_CLEAR: usize = 8;

/// Why a packet was not protected or unprotected. The packet and the context are as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// The tag is wrong: another key, another ROC, or forged.
    #[error("the authentication tag is wrong")]
    BadTag,
    /// The index given does not belong to the sequence number of the packet.
    #[error("the packet index does not end in the packet's sequence number")]
    IndexMismatch,
    /// The index was used to protect another packet.
    #[error("the packet index was used before")]
    IndexUsed,
    /// The key protected as many packets as it may: 2^48 of RTP, 2^31 of RTCP (§9.2).
    #[error("the key has protected as many packets as it may")]
    KeyExhausted,
    /// Not an RTP or RTCP packet, or too short for the tag.
    #[error("not a packet of this protocol")]
    Malformed,
    /// The buffer has no room for the tag.
    #[error("no room for the tag behind the packet")]
    NoRoom,
    /// The index was received before (§3.3.2).
    #[error("the packet was received before")]
    Replayed,
    /// The index is older than the replay list reaches.
    #[error("the packet is older than the replay list reaches")]
    TooOld,
    /// More SSRCs than are kept for one key.
    #[error("more SSRCs under one key than are kept")]
    TooManyStreams,
}

impl From<RtpError> for SrtpError {
    fn from(_: RtpError) -> Self {
        Self::Malformed
    }
}

/// A context as a plain value: what a checkpoint holds. Zeroizes its key; `Debug` does not show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpState {
    /// The master key with its suite.
    pub key: MasterKey,
    /// Octets of MKI before each inbound tag.
    pub mki_len: u8,
    /// The RTP streams, at most as many as a context keeps; more are ignored.
    pub rtp: Vec<StreamState>,
    /// The RTCP streams, likewise.
    pub rtcp: Vec<StreamState>,
}

/// One SSRC's packet indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The SSRC.
    pub ssrc: u32,
    /// The highest index: ROC above the low 16 bits for RTP; of 31 bits for RTCP.
    pub highest: u64,
    /// Bit n: the index `highest - n` was used.
    pub seen: u128,
}

/// The SSRC of an RTCP packet's sender, which stays in the clear.
fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    match packet.first_chunk::<RTCP_CLEAR>() {
        Some(&[first, 192..=223, _, _, a, b, c, d]) if first >> 6 == 2 => {
            Ok(u32::from_be_bytes([a, b, c, d]))
        }
        Some(_) | None => Err(SrtpError::Malformed),
    }
}
