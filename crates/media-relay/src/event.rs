//! What the media side tells the signalling side, rarely.

use std::net::SocketAddr;
use std::time::Duration;

use crate::stats::LegStats;
use crate::{Digit, LegId, PortPair, ShardId};

/// News from a shard.
///
/// Events hold no heap data but lists of ports, so that emitting one allocates nothing.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // a box would be an allocation in the shard loop
pub enum MediaEvent {
    /// The leg is closed; nothing more comes from it.
    Closed {
        /// The leg.
        leg: LegId,
        /// Its final counters.
        stats: LegStats,
    },
    /// A digit was let go; once for each.
    Dtmf {
        /// The leg that sent it.
        leg: LegId,
        /// The digit.
        digit: Digit,
        /// How long it was held, in milliseconds.
        duration_ms: u32,
        /// It was heard in the sound and taken out of it, so that the joined leg knows nothing of
        /// it yet; else it was an event of RFC 4733, carried over where the joined leg has those.
        in_band: bool,
    },
    /// A command or a packet met a fault that the leg or the command is to blame for.
    Failed {
        /// The leg.
        leg: LegId,
        /// What failed.
        error: MediaError,
    },
    /// The leg is no longer silent; once, where [`Listen::first_audio`](crate::Listen) asks for it.
    FirstAudio {
        /// The leg.
        leg: LegId,
    },
    /// The first packet that was accepted from the leg.
    FirstPacket {
        /// The leg.
        leg: LegId,
        /// Where it came from.
        source: SocketAddr,
    },
    /// The leg's streams as they stand: on request, and often enough that a restored leg finds the
    /// peer's ROC again.
    LegState {
        /// The leg.
        leg: LegId,
        /// What `RestoreLeg` wants.
        state: LegCheckpoint,
    },
    /// Pairs that are bound and free.
    PortsBound {
        /// The pairs.
        pairs: Vec<PortPair>,
    },
    /// Some or all pairs of a `BindPorts` could not be bound.
    PortsFailed {
        /// The shard that was asked.
        shard: ShardId,
        /// The interface that was named.
        interface: u16,
        /// How many pairs are missing.
        missing: u16,
    },
    /// Packets came again after `Silence`.
    Resumed {
        /// The leg.
        leg: LegId,
    },
    /// Nothing was heard from the leg for the time its parameters name.
    Silence {
        /// The leg.
        leg: LegId,
        /// For how long by now.
        duration: Duration,
    },
    /// The leg's counters, every few seconds; later ones replace earlier ones.
    Stats {
        /// The leg.
        leg: LegId,
        /// The counters since the leg was opened.
        stats: LegStats,
    },
}

/// Why a command or a leg failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// A digit was asked for on a leg that has neither events nor G.711, or too many digits wait.
    #[error("the leg takes no digit: neither events nor G.711, or too many wait")]
    DtmfUnsupported,
    /// An internal fault ended the leg; the other legs go on.
    #[error("internal fault in the media plane; the leg was ended")]
    Internal,
    /// The leg is open already.
    #[error("the leg is open already")]
    LegExists,
    /// No such leg.
    #[error("no such leg")]
    NoLeg,
    /// The pair of ports serves another leg.
    #[error("the pair of ports serves another leg")]
    PortsInUse,
    /// The pair of ports is not bound here.
    #[error("the pair of ports is not bound")]
    PortsUnknown,
    /// A key has protected as many packets as RFC 3711 §9.2 allows; the leg must be keyed anew.
    #[error("the key has protected as many packets as it may; new keys are needed")]
    KeyExhausted,
    /// The shard holds as many legs as it may.
    #[error("the shard holds as many legs as it may")]
    TooManyLegs,
    /// The peer used more SSRCs under one key than are kept; the leg must be keyed anew.
    #[error("more SSRCs under one key than are kept; new keys are needed")]
    TooManyStreams,
    /// A tone was asked for on a leg that negotiated no G.711.
    #[error("no codec for tones was negotiated on the leg")]
    ToneUnsupported,
}

/// Where the packet streams of a leg stand, without keys: enough to go on in another process.
///
/// A plain value. What it leaves out (addresses, keys, payload types) is in the leg's
/// [`LegParams`](crate::LegParams), which the signalling side holds anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegCheckpoint {
    /// The layout of this value.
    pub version: u8,
    /// Where packets to the leg go, if that is no longer the signalled address.
    pub destination: Option<SocketAddr>,
    /// The highest packet index sent to the leg (RFC 3711 §3.3.1), 48 bits.
    pub sent_index: Option<u64>,
    /// The RTP timestamp that went with it.
    pub sent_timestamp: u32,
    /// The SRTCP index the next RTCP packet to the leg may use, 31 bits.
    pub srtcp_index: u32,
    /// The stream to which the offsets below belong: SSRC of the joined leg's source.
    pub source_ssrc: Option<u32>,
    /// Added to the source's extended sequence number to give the index sent, modulo 2^64.
    pub sequence_offset: u64,
    /// Added to the source's timestamp, modulo 2^32.
    pub timestamp_offset: u32,
    /// The SSRC last heard from the leg.
    pub heard_ssrc: Option<u32>,
    /// Its highest extended sequence number (ROC above the low 16 bits).
    pub heard_index: u64,
    /// Highest SRTCP index heard.
    pub heard_srtcp_index: u32,
}

impl MediaError {
    /// Whether the leg is as well as before: what was asked for was not possible, and that is all.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::DtmfUnsupported | Self::ToneUnsupported)
    }
}

impl LegCheckpoint {
    /// The present layout.
    pub const VERSION: u8 = 1;
}
