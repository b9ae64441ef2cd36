//! Counters of a leg.

use std::fmt;
use std::net::SocketAddr;
use std::ops::{Index, IndexMut};

use crate::quality::Bursts;

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet was not carried.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// All reasons, in the order of their counters.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant,)+];
            /// How many reasons there are.
            pub const COUNT: usize = [$($name,)+].len();

            /// The reason as a label of a metric, in snake case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

drop_reasons! {
    /// The tag is wrong under every key that could apply (RFC 3711 §3.3).
    BadTag = "bad_tag",
    /// SRTP before its key was signalled.
    BeforeKey = "before_key",
    /// Too many packets wait for their speech to be converted.
    ConverterBusy = "converter_busy",
    /// The direction that was signalled lets nothing pass.
    Direction = "direction",
    /// The packet was here already.
    Duplicate = "duplicate",
    /// The key has protected as many packets as it may.
    KeyExhausted = "key_exhausted",
    /// Not a well-formed RTP packet.
    Malformed = "malformed",
    /// Not a well-formed RTCP compound packet.
    MalformedRtcp = "malformed_rtcp",
    /// From none of the networks that media of the trunk comes from.
    Network = "network",
    /// The joined leg has no address to send to, or none that it may be sent to.
    NoDestination = "no_destination",
    /// No leg uses the port.
    NoLeg = "no_leg",
    /// Neither RTP nor RTCP: STUN, DTLS or noise.
    NotRtp = "not_rtp",
    /// The leg is joined to no other.
    NotJoined = "not_joined",
    /// The payload type was not negotiated on the other side.
    PayloadType = "payload_type",
    /// The joined leg hears a tone instead.
    Replaced = "replaced",
    /// The index was here already, or is older than the replay window (RFC 3711 §3.3.2).
    Replay = "replay",
    /// RTCP that was read and has nothing for the other leg.
    RtcpAbsorbed = "rtcp_absorbed",
    /// More RTCP than a leg may send.
    RtcpRate = "rtcp_rate",
    /// A late packet of a source that another one has taken over from.
    StaleSource = "stale_source",
    /// Not from the signalled source nor from one that may take its place.
    Stranger = "stranger",
    /// Too late: older than what is remembered of the stream.
    TooLate = "too_late",
    /// Longer than a packet may be.
    TooLong = "too_long",
    /// More SSRCs under one key than are kept.
    TooManyStreams = "too_many_streams",
    /// Turned away before it was looked at: not from whom the leg hears, and more of that than is
    /// let through.
    TurnedAway = "turned_away",
    /// RTCP on the RTP port without rtcp-mux, or RTP on the RTCP port.
    WrongPort = "wrong_port",
}

/// One counter for each [`DropReason`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dropped(pub [u64; DropReason::COUNT]);

impl Dropped {
    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each reason with its counter.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().zip(self.0.iter().copied())
    }
}

impl Default for Dropped {
    fn default() -> Self {
        Self([0; DropReason::COUNT])
    }
}

impl Index<DropReason> for Dropped {
    type Output = u64;

    fn index(&self, reason: DropReason) -> &u64 {
        &self.0[reason as usize]
    }
}

impl IndexMut<DropReason> for Dropped {
    fn index_mut(&mut self, reason: DropReason) -> &mut u64 {
        &mut self.0[reason as usize]
    }
}

impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.iter().filter(|(_, count)| *count > 0);
        f.debug_map()
            .entries(seen.map(|(reason, count)| (reason.name(), count)))
            .finish()
    }
}

/// The counters of a leg since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStats {
    /// RTP packets accepted from the leg.
    pub received: u64,
    /// Octets of RTP payload accepted from the leg.
    pub received_octets: u64,
    /// RTP packets sent to the leg.
    pub sent: u64,
    /// Octets of RTP payload sent to the leg.
    pub sent_octets: u64,
    /// RTCP packets accepted from the leg.
    pub received_rtcp: u64,
    /// RTCP packets sent to the leg.
    pub sent_rtcp: u64,
    /// RTP packets that never came, by sequence numbers (RFC 3550 A.3), over all streams.
    pub lost: u64,
    /// RTP packets that came twice.
    pub duplicates: u64,
    /// RTP packets that came after a later one.
    pub reordered: u64,
    /// Interarrival jitter of the present stream in microseconds (RFC 3550 A.8).
    pub jitter_us: u32,
    /// Streams (SSRCs) heard.
    pub streams: u32,
    /// The SSRC heard last.
    pub ssrc: Option<u32>,
    /// Where packets to the leg go now.
    pub destination: Option<SocketAddr>,
    /// How often the destination moved without being signalled.
    pub moves: u32,
    /// Telephone events heard.
    pub dtmf: u32,
    /// Fraction lost in the peer's last report about us, in 1/256 (RFC 3550 §6.4.1).
    pub remote_fraction_lost: u8,
    /// Cumulative loss in that report.
    pub remote_lost: u32,
    /// Jitter in that report, in units of the RTP clock.
    pub remote_jitter: u32,
    /// The last round trip to the peer by its reports (RFC 3550 §6.4.1), in microseconds.
    pub round_trip_us: Option<u32>,
    /// Bursts and gaps of loss in the present stream.
    pub bursts: Bursts,
    /// The mean opinion score of what was heard in the present stream, in hundredths; `None` before
    /// anything was, or where the codec's parameters are not known.
    pub mos_centi: Option<u16>,
    /// Packets from the leg that were not carried, by reason.
    pub dropped: Dropped,
}

/// What a leg itself counts of [`LegStats`]; the rest is found where it is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received: u64,
    pub(crate) received_octets: u64,
    pub(crate) received_rtcp: u32,
    pub(crate) sent_rtcp: u32,
    pub(crate) moves: u32,
    pub(crate) dtmf: u32,
    pub(crate) remote_fraction_lost: u8,
    pub(crate) remote_lost: u32,
    pub(crate) remote_jitter: u32,
    pub(crate) round_trip_us: Option<u32>,
    dropped: [u32; DropReason::COUNT],
}

impl Counters {
    /// Counts a packet that was not carried; how many there were for this reason.
    pub(crate) fn drop(&mut self, reason: DropReason) -> u32 {
        let count = &mut self.dropped[reason as usize];
        *count = count.saturating_add(1);
        *count
    }

    /// Counts several at once.
    pub(crate) fn drop_many(&mut self, reason: DropReason, packets: u64) {
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        let count = &mut self.dropped[reason as usize];
        *count = count.saturating_add(packets);
    }

    /// How many packets were not carried for this reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u32 {
        self.dropped[reason as usize]
    }

    pub(crate) fn write(&self, stats: &mut LegStats) {
        stats.received = self.received;
        stats.received_octets = self.received_octets;
        stats.received_rtcp = self.received_rtcp.into();
        stats.sent_rtcp = self.sent_rtcp.into();
        stats.moves = self.moves;
        stats.dtmf = self.dtmf;
        stats.remote_fraction_lost = self.remote_fraction_lost;
        stats.remote_lost = self.remote_lost;
        stats.remote_jitter = self.remote_jitter;
        stats.round_trip_us = self.round_trip_us;
        stats.dropped = Dropped(self.dropped.map(u64::from));
    }
}
