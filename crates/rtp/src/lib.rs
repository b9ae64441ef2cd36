//! RTP, RTCP and SRTP packets, edited in place.
//!
//! Everything here works on a byte buffer that the caller owns and on plain counters; nothing
//! allocates after a context was created, and nothing knows a clock or a socket.
//!
//! - [`demux`]: what a datagram on a media port is, by its first bytes (RFC 7983, RFC 5761).
//! - [`header`]: the RTP header read and rewritten where it lies (RFC 3550 §5.1).
//! - [`rtcp`]: compound packets checked, walked, edited and built (RFC 3550 §6).
//! - [`sequence`]: extended sequence numbers, loss (A.3) and jitter (A.8).
//! - [`srtp`]: AES in counter mode with HMAC-SHA1, and AES-GCM (RFC 3711, RFC 6188, RFC 7714).
#![forbid(unsafe_code)]

pub mod demux;
pub mod header;
pub mod rtcp;
pub mod sequence;
pub mod srtp;

pub use demux::PacketKind;
pub use header::{Header, HeaderEdit, RtpError};
pub use sequence::{ExtendedSequence, ReceptionStats};
pub use srtp::{KeyLength, MasterKey, SrtpError, SrtpInbound, SrtpOutbound, SrtpState, Suite};
