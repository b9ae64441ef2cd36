//! Carries packets between joined legs.
//!
//! A [`Relay`] is one shard of the media plane. It owns no socket and knows no clock: the shell
//! hands it datagrams and the time, and sends what it returns.
//!
//! ```text
//! MediaCommand → handle_command          poll_event    → MediaEvent
//! datagram     → forward  → Verdict      poll_transmit → tones, RTCP of our own
//!                └ Convert → handle_converted → Verdict
//! the time     → handle_timeout          poll_timeout  → when to call again
//! ```
//!
//! A packet's walk through [`Relay::forward`] is demux · unprotect · latch · rewrite · protect.
//! Each early exit is a [`DropReason`], counted on the leg the packet arrived at. The walk neither
//! allocates nor locks.
//!
//! Invariants:
//! - Only a signalled or an authenticated source is heard, and only such a source is sent to.
//! - Towards a leg the SSRC never changes and sequence numbers and timestamps go on without a gap,
//!   whoever is joined to it.
//! - A leg that signalled SRTP carries no plain packet in either direction.
//! - A (key, SSRC, index) is never used for two different packets.
#![forbid(unsafe_code)]

mod command;
mod convert;
mod dtmf;
mod event;
mod foresee;
mod forward;
mod leg;
mod listen;
mod outbound;
mod own;
mod pt_map;
mod quality;
mod relay;
mod remote;
mod report;
mod slots;
mod source;
mod stats;
mod streams;

#[cfg(test)]
mod tests;

pub use command::{
    LatchPolicy, LegParams, Listen, MediaCommand, RemoteCandidate, SrtpParams, TelephoneEvent,
};
pub use convert::{Conversion, Converter, Ticket};
pub use event::{LegCheckpoint, MediaError, MediaEvent};
pub use foresee::Fetch;
pub use pt_map::PtMap;
pub use quality::{Bursts, Impairment};
pub use relay::{Arrival, MovingLeg, Relay, RelayConfig, TAILROOM, Transmit, Verdict};
pub use slots::Slots;
pub use source::{Source, ToneCodec};
pub use stats::{DropReason, Dropped, LegStats};

use std::net::{IpAddr, SocketAddr};

pub use ambient::{Moment, Now, WallTime};
pub use rtp::{MasterKey, Suite};
pub use voice::{Cadence, Clip, Digit, Law, Speech};

/// A datagram that makes the relay panic, so that a test can see its leg, and nothing else, end.
#[cfg(feature = "planted-fault")]
pub const PLANTED_FAULT: &[u8] = b"\x80\x7fplanted fault";

/// One leg's media, named by the signalling side; never reused while the process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// One shard of the media plane: one thread with its own sockets and its own [`Relay`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u8);

/// One bound pair of ports; the same number for as long as the pair is bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortPairId(pub u32);

/// A pair of UDP ports that a shard has bound: an even one for RTP, the next for RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortPair {
    /// The name under which packets of this pair arrive and leave.
    pub id: PortPairId,
    /// The shard that bound it. A leg moved to another shard takes its pair along.
    pub shard: ShardId,
    /// The interface it was bound on, as [`MediaCommand::BindPorts`] named it.
    pub interface: u16,
    /// The bound address.
    pub address: IpAddr,
    /// The port of RTP (and of RTCP, where multiplexed); that of RTCP is the next.
    pub port: u16,
}

impl PortPair {
    /// Where RTP is bound (and RTCP, where multiplexed).
    #[must_use]
    pub fn rtp(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Where RTCP is bound.
    #[must_use]
    pub fn rtcp(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port.saturating_add(1))
    }
}
