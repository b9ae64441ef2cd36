//! The media of one leg: its ports, key and SSRC, which never change while the leg lives, and the
//! parameters that the relay is told.

use std::sync::Arc;

use media_relay::{
    Cadence, Conversion, Impairment, Law, LegId, LegParams, Listen, MasterKey, MediaCommand,
    PortPair, PtMap, RemoteCandidate, ShardId, Source, Speech, SrtpParams, Suite, TelephoneEvent,
    ToneCodec,
};
use sdp::{LocalCrypto, LocalMedia, Negotiated, NegotiatedFormat, payload_type_map, to_convert};

use crate::core::Core;
use crate::key::{CallKey, Side};
use crate::limits::Permit;
use crate::profile::{DtmfMode, HoldMusic, TrunkProfile};

/// What one leg owns of the media plane, and its place within the limits. The lease and the permit
/// are in the core's tables under the leg's name, so that a call that is lost to a fault loses no
/// port; [`LegMedia::close`] gives both back.
#[derive(Debug)]
#[must_use = "a leg that is not closed keeps its ports"]
pub(crate) struct LegMedia {
    pub(crate) id: LegId,
    pub(crate) pair: PortPair,
    /// Our side of the leg's session descriptions.
    pub(crate) local: LocalMedia,
    pub(crate) ssrc: u32,
    pub(crate) cname: Box<str>,
}

impl LegMedia {
    /// Leases ports, draws a key and opens the leg at its shard. `None` when no port is free; the
    /// permit is given back then.
    pub(crate) fn open(
        core: &mut Core,
        trunk: &TrunkProfile,
        (call, side): (CallKey, Side),
        prefer: Option<ShardId>,
        permit: Permit,
    ) -> Option<Self> {
        let Ok(lease) = core
            .ports
            .lease(core.now.moment, trunk.media_interface, prefer)
        else {
            core.gate.release(permit);
            return None;
        };
        let id = LegId(core.tokens.next_u64());
        // Readers keep the session id in a signed word.
        let session_id = core.tokens.next_u64() >> 1;
        let pair = lease.pair();
        let (rtp, rtcp) = core.advertised(&pair);
        let mut local = if trunk.srtp {
            let suites = trunk.media.suites.iter();
            let keys = suites.map(|suite| sdp::MasterKey::draw(*suite, |key| core.keys.fill(key)));
            LocalMedia::secure(rtp, session_id, LocalCrypto::numbered(keys))
        } else {
            LocalMedia::plain(rtp, session_id)
        };
        local.rtcp_mux = trunk.rtcp_mux;
        local.rtcp_port = rtcp.port();
        let ssrc = u32::try_from(core.tokens.below(u64::from(u32::MAX))).unwrap_or(1);
        let cname = core.tokens.tag().into();
        let media = Self {
            id,
            pair,
            local,
            ssrc,
            cname,
        };
        core.index.own_leg(id, (call, side), lease, permit);
        let params = Box::new(media.unanswered(trunk));
        core.media(MediaCommand::OpenLeg {
            leg: id,
            ports: pair,
            params,
        });
        Some(media)
    }

    /// Gives everything back. The ports rest until the shard has closed the leg.
    pub(crate) fn close(self, core: &mut Core) {
        core.close_media(self.id);
    }

    /// Lets the party hear something of ours, or the leg across again.
    pub(crate) fn play(&self, core: &mut Core, music: HoldMusic) {
        let source = match music {
            HoldMusic::None => Source::Off,
            HoldMusic::Silence => Source::Silence,
            HoldMusic::Tone => Source::Tone(Cadence::HELD),
        };
        core.media(MediaCommand::Source {
            leg: self.id,
            source,
        });
    }

    /// Tells the shard what was signalled for this leg.
    pub(crate) fn update(&self, core: &mut Core, params: LegParams) {
        core.media(MediaCommand::UpdateLeg {
            leg: self.id,
            params: Box::new(params),
        });
    }

    /// How the relay finds the first audio of a leg that agreed on this.
    pub(crate) fn listen(negotiated: &Negotiated) -> Listen {
        let ours = |encoding: &str| {
            let mut formats = negotiated.formats.iter();
            let named = formats.find(|f| f.format.encoding.eq_ignore_ascii_case(encoding));
            named.map(|format| format.our_pt)
        };
        Listen {
            ulaw: ours("PCMU"),
            alaw: ours("PCMA"),
            comfort_noise: ours("CN"),
            first_audio: true,
            ..Listen::default()
        }
    }

    /// Whether tones can be made towards a leg that agreed on this.
    pub(crate) fn can_ring(negotiated: &Negotiated) -> bool {
        tone(negotiated).is_some()
    }

    /// Parameters while nothing is known of the remote end.
    pub(crate) fn unanswered(&self, trunk: &TrunkProfile) -> LegParams {
        LegParams {
            outbound: self.local.cryptos.first().map(outbound).map(Box::new),
            rtcp_mux: self.local.rtcp_mux,
            latch: trunk.latch,
            networks: Arc::clone(&trunk.media.networks),
            pt_map: PtMap::empty(),
            cname: self.cname.clone(),
            ..LegParams::new(self.ssrc)
        }
    }

    /// Parameters of a leg whose remote ends answered as in `remotes`, of which the first is the
    /// one that is spoken to; `across` is what holds on the joined leg.
    pub(crate) fn answered(
        &self,
        trunk: &TrunkProfile,
        remotes: &[&Negotiated],
        across: Option<&Negotiated>,
        flows: Flows,
    ) -> LegParams {
        let base = self.unanswered(trunk);
        let Some(own) = remotes.first() else {
            return base;
        };
        let voice = own.voice();
        let pairs = across
            .map(|across| payload_type_map(across, own))
            .unwrap_or_default();
        let map = |map: PtMap, (from, to): (u8, u8)| map.with(from, to);
        LegParams {
            remotes: remotes.iter().map(|remote| candidate(remote)).collect(),
            outbound: own.outbound.as_deref().map(outbound).map(Box::new),
            rtcp_mux: own.rtcp_mux,
            send: flows.send,
            receive: flows.receive,
            pt_map: pairs.into_iter().fold(PtMap::empty(), map),
            conversion: across
                .and_then(|across| conversion(across, own))
                .map(Box::new),
            // A trunk that hears tones only is sent tones, whatever it negotiated.
            telephone_event: own
                .telephone_event()
                .filter(|_| trunk.dtmf.mode != DtmfMode::Inband)
                .map(event),
            tone: tone(own),
            ptime_ms: u8::try_from(own.ptime_ms()).unwrap_or(20),
            clock: voice.format.clock,
            listen: Listen {
                digits: trunk.dtmf.mode == DtmfMode::Inband,
                ..Self::listen(own)
            },
            impairment: impairment(&voice.format),
            silence_after: trunk.timers.media_inactivity,
            silence_on_hold: trunk.media.hold_inactivity,
            ..base
        }
    }
}

/// Which way packets pass on one leg, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flows {
    pub(crate) send: bool,
    pub(crate) receive: bool,
}

impl Flows {
    /// Early media: the caller only listens, but nothing is gained by refusing what it says.
    pub(crate) const BOTH: Self = Self {
        send: true,
        receive: true,
    };
}

fn candidate(negotiated: &Negotiated) -> RemoteCandidate {
    let inbound = negotiated.inbound.as_ref().map(|crypto| SrtpParams {
        key: master(&crypto.key),
        mki_len: crypto.mki.as_ref().map_or(0, |mki| mki.length),
    });
    RemoteCandidate {
        rtp: negotiated.remote.addr,
        rtcp: negotiated.remote.rtcp,
        inbound,
    }
}

fn outbound(crypto: &LocalCrypto) -> SrtpParams {
    SrtpParams {
        key: master(&crypto.key),
        mki_len: 0,
    }
}

fn master(key: &sdp::MasterKey) -> MasterKey {
    let suite = match key.suite() {
        sdp::Suite::AesCm128HmacSha1_80 => Suite::AesCm128HmacSha1_80,
        sdp::Suite::AesCm128HmacSha1_32 => Suite::AesCm128HmacSha1_32,
        sdp::Suite::AesCm256HmacSha1_80 => Suite::AesCm256HmacSha1_80,
        sdp::Suite::AeadAes128Gcm => Suite::AeadAes128Gcm,
        sdp::Suite::AeadAes256Gcm => Suite::AeadAes256Gcm,
    };
    MasterKey::new(suite, key.as_bytes()).expect("both sides know the lengths of a suite")
}

/// What G.113 says of the codec; nothing where it says nothing.
fn impairment(format: &sdp::Format) -> Option<Impairment> {
    let named = |names: &[&str]| {
        let mut names = names.iter();
        names.any(|name| format.encoding.eq_ignore_ascii_case(name))
    };
    match format {
        _ if named(&["PCMA", "PCMU", "G722"]) => Some(Impairment::G711),
        _ if named(&["G729"]) => Some(Impairment::G729),
        _ => None,
    }
}

fn event(format: &NegotiatedFormat) -> TelephoneEvent {
    TelephoneEvent {
        heard: format.our_pt,
        sent: format.their_pt,
        clock: format.format.clock,
    }
}

/// What of the speech that the leg across sends is converted for this one.
fn conversion(across: &Negotiated, own: &Negotiated) -> Option<Conversion> {
    let spoken = to_convert(across, own);
    let from = spoken
        .iter()
        .filter_map(|(pt, format)| Some((*pt, speech(format)?)));
    let from: Vec<_> = from.collect();
    if from.is_empty() {
        return None;
    }
    let voice = own.voice();
    Some(Conversion {
        from,
        to: speech(&voice.format)?,
        payload_type: voice.their_pt,
    })
}

/// The codec, if it is one that is made and heard here.
fn speech(format: &sdp::Format) -> Option<Speech> {
    let named = |name: &str| format.encoding.eq_ignore_ascii_case(name);
    match format {
        _ if named("PCMA") => Some(Speech::G711(Law::Alaw)),
        _ if named("PCMU") => Some(Speech::G711(Law::Ulaw)),
        _ if named("G722") => Some(Speech::G722),
        _ => None,
    }
}

fn tone(negotiated: &Negotiated) -> Option<ToneCodec> {
    negotiated.formats.iter().find_map(|format| {
        let Some(Speech::G711(law)) = speech(&format.format) else {
            return None;
        };
        Some(ToneCodec {
            law,
            payload_type: format.their_pt,
        })
    })
}
