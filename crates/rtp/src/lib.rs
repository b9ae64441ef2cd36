//! RTP, RTCP and SRTP packets, edited in place.
//!
//! Everything here works on a byte buffer that the caller owns and on plain counters; nothing
//! allocates after a context was created, and nothing knows a clock or a socket.
//!
//! - [`demux`]: what a datagram on a media port is, by its first bytes (RFC 7983, RFC 5761).
//! - [`header`]: the RTP header read and rewritten where it lies (RFC 3550 §5.1).
//! - [`rtcp`]: compound packets checked, walked, edited and built (RFC 3550 §6).
//! - [`sequence`]: extended sequence numbers, loss (A.3) and jitter (A.8).
//! - [`srtp`]: `AES_CM_128_HMAC_SHA1_80` and `_32` (RFC 3711, keyed by RFC 4568).
#![forbid(unsafe_code)]

pub mod demux;
pub mod header;
pub mod rtcp;
pub mod sequence;
pub mod srtp;

pub use demux::PacketKind;
pub use header::{Header, HeaderEdit, RtpError};
pub use sequence::{ExtendedSequence, ReceptionStats};
pub use srtp::{MasterKey, SrtpError, SrtpInbound, SrtpOutbound, SrtpState, Suite};
