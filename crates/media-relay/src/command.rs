//! What the signalling side tells the media side.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rtp::MasterKey;

use crate::convert::Conversion;
use crate::event::LegCheckpoint;
use crate::pt_map::PtMap;
use crate::quality::Impairment;
use crate::source::{Source, ToneCodec};
use crate::{Digit, LegId, PortPair, PortPairId, ShardId};

/// A command from the signalling side. Every outcome that matters comes back as a
/// [`MediaEvent`](crate::MediaEvent).
#[derive(Clone, Debug, PartialEq)]
pub enum MediaCommand {
    /// Bind `count` pairs of ports on `interface`; answered by `PortsBound` or `PortsFailed`.
    BindPorts {
        /// The shard that binds and serves them.
        shard: ShardId,
        /// The interface, as the configuration numbers them.
        interface: u16,
        /// How many pairs.
        count: u16,
    },
    /// Ask for the leg's [`LegCheckpoint`]; answered by `LegState`.
    Checkpoint {
        /// The leg.
        leg: LegId,
    },
    /// The leg is over: its state goes, its ports stay bound. Answered by `Closed`.
    CloseLeg {
        /// The leg.
        leg: LegId,
    },
    /// Carry packets between two legs; a leg joined elsewhere is split first.
    Join {
        /// One leg.
        a: LegId,
        /// The other leg.
        b: LegId,
    },
    /// A leg begins to use a pair of ports.
    OpenLeg {
        /// The leg, new.
        leg: LegId,
        /// A bound pair that no other leg uses.
        ports: PortPair,
        /// What was signalled so far.
        params: Box<LegParams>,
    },
    /// Close the sockets of pairs that no leg uses.
    ReleasePorts {
        /// The pairs.
        pairs: Vec<PortPairId>,
    },
    /// Like `OpenLeg`, continuing what a checkpoint describes. Keys come from `params`.
    RestoreLeg {
        /// The leg, new to this process.
        leg: LegId,
        /// A bound pair with the addresses the peer knows.
        ports: PortPair,
        /// What was signalled, as at the time of the checkpoint.
        params: Box<LegParams>,
        /// Where the packet streams stood.
        state: Box<LegCheckpoint>,
    },
    /// Let the leg hear a digit: as an event of RFC 4733 where the leg has them, else as its two
    /// tones in G.711. Digits wait for each other; meanwhile the leg hears nothing else.
    SendDtmf {
        /// The leg.
        leg: LegId,
        /// The digit.
        digit: Digit,
        /// How long it is held, 40 ms to 5 s; ITU-T Q.24 has receivers hear 40 ms.
        duration: Duration,
    },
    /// Send a source of our own to the leg instead of the joined leg's packets.
    Source {
        /// The leg that is to hear it.
        leg: LegId,
        /// What it is to hear.
        source: Source,
    },
    /// Carry nothing to or from the leg.
    Split {
        /// The leg.
        leg: LegId,
    },
    /// Something was signalled anew. Contexts whose key stays keep their ROC and replay list; a new
    /// key starts at ROC 0.
    UpdateLeg {
        /// The leg.
        leg: LegId,
        /// Everything that now holds, not only what changed.
        params: Box<LegParams>,
    },
}

/// What was signalled for a leg.
#[derive(Clone, Debug, PartialEq)]
pub struct LegParams {
    /// The remote ends, one for each early dialog of a fork, at most [`LegParams::MAX_REMOTES`];
    /// more are ignored. None while the answer is not known.
    pub remotes: Vec<RemoteCandidate>,
    /// Our key towards the leg. `Some` makes the leg an SRTP leg: nothing plain is sent or heard.
    pub outbound: Option<Box<SrtpParams>>,
    /// RTCP shares the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Packets may be sent to the leg (`sendrecv` or `sendonly` from our side). RTCP always is.
    pub send: bool,
    /// Packets from the leg are carried (`sendrecv` or `recvonly` from our side).
    pub receive: bool,
    /// Which sources other than the signalled one may win.
    pub latch: LatchPolicy,
    /// Networks that packets may come from and be sent to, keys and latching notwithstanding; empty
    /// means any.
    pub networks: Arc<[IpNet]>,
    /// The payload type sent to this leg for each payload type the joined leg sends.
    pub pt_map: PtMap,
    /// What of the joined leg's speech is converted for this leg, where they share no codec.
    pub conversion: Option<Box<Conversion>>,
    /// The leg's `telephone-event` (RFC 4733).
    pub telephone_event: Option<TelephoneEvent>,
    /// What tones are encoded with towards this leg; `None` where no G.711 was negotiated.
    pub tone: Option<ToneCodec>,
    /// What of the sound that the leg sends is looked into.
    pub listen: Listen,
    /// Milliseconds of sound in a packet, 10..=60; 0 means 20.
    pub ptime_ms: u8,
    /// RTP clock rate in Hz of the negotiated codec; 0 means 8000.
    pub clock: u32,
    /// Report [`MediaEvent::Silence`](crate::MediaEvent::Silence) when neither RTP nor RTCP was
    /// heard for so long although `receive` holds.
    pub silence_after: Option<Duration>,
    /// The same while `receive` does not hold: a held party still sends RTCP, but perhaps not often.
    pub silence_on_hold: Option<Duration>,
    /// What the negotiated codec costs in quality; `None` where nothing is known of it.
    pub impairment: Option<Impairment>,
    /// Our SSRC towards the leg, for all its life.
    pub ssrc: u32,
    /// Our canonical name towards the leg (RFC 3550 §6.5.1); cut at 63 octets.
    pub cname: Box<str>,
}

impl LegParams {
    /// The most remote candidates a leg holds.
    pub const MAX_REMOTES: usize = 8;

    /// Whether packets may come from there and be sent there. An IPv4 address written as IPv6
    /// (RFC 4291 §2.5.5.2) counts as the IPv4 address it is.
    pub(crate) fn reaches(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&address))
    }

    /// A plain leg with no remote yet: both directions, 20 ms at 8000 Hz, payload types unchanged.
    pub fn new(ssrc: u32) -> Self {
        Self {
            remotes: Vec::new(),
            outbound: None,
            rtcp_mux: false,
            send: true,
            receive: true,
            latch: LatchPolicy::Signalled,
            networks: Arc::default(),
            pt_map: PtMap::identity(),
            conversion: None,
            telephone_event: None,
            tone: None,
            listen: Listen::default(),
            ptime_ms: 20,
            clock: 8000,
            silence_after: None,
            silence_on_hold: None,
            impairment: None,
            ssrc,
            cname: "media".into(),
        }
    }
}

/// One remote end of a leg: the answer of one early dialog.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteCandidate {
    /// Where the remote end signalled it hears RTP.
    pub rtp: SocketAddr,
    /// Where it hears RTCP; the same as `rtp` when multiplexed.
    pub rtcp: SocketAddr,
    /// Its key; required on an SRTP leg, where a candidate without one is never heard.
    pub inbound: Option<SrtpParams>,
}

/// One format of events: the payload type of each direction and the clock rate of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// The payload type that the leg sends.
    pub heard: u8,
    /// The payload type that the leg is sent.
    pub sent: u8,
    /// Units of a duration in a second.
    pub clock: u32,
}

/// What of the sound that a leg sends is looked into, and how it is encoded. The default looks into
/// nothing, which is what costs a packet nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// The payload type of µ-law that the leg sends.
    pub ulaw: Option<u8>,
    /// The payload type of A-law that the leg sends.
    pub alaw: Option<u8>,
    /// The payload type of comfort noise (RFC 3389) that the leg sends.
    pub comfort_noise: Option<u8>,
    /// Tell once, as [`MediaEvent::FirstAudio`](crate::MediaEvent::FirstAudio), that the leg is no
    /// longer silent. What is no G.711 cannot be judged and counts as sound.
    pub first_audio: bool,
    /// Hear digits in the sound: take their tones out and tell them as
    /// [`MediaEvent::Dtmf`](crate::MediaEvent::Dtmf).
    pub digits: bool,
}

/// Master key and MKI of one direction (RFC 4568 §6.1).
#[derive(Clone, Debug, PartialEq)]
pub struct SrtpParams {
    /// The master key with its salt and suite.
    pub key: MasterKey,
    /// Octets of MKI before each tag, 0..=128; it is skipped inbound and never sent.
    pub mki_len: u8,
}

/// Which source other than the signalled one may become the source of a leg.
///
/// On an SRTP leg authentication decides and the policy is not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatchPolicy {
    /// Only authenticated sources move; a plain leg hears its signalled address alone.
    Authenticated,
    /// The signalled host from any port, and moves as under `Signalled`: for peers behind a NAT
    /// that signals the right address and maps the port.
    SameHost,
    /// The signalled address; later another port of the same host, if it carries on the same SSRC
    /// and sequence while the old source is silent.
    #[default]
    Signalled,
}
