//! One leg of a checkpoint.

use std::net::SocketAddr;
use std::time::Duration;

use e164::E164Number;
use media_relay::{LegCheckpoint, LegId, MediaCommand, PortPair, PortPairId, ShardId};
use sdp::{
    Direction, Layout, LocalCrypto, LocalMedia, LocalSide, MasterKey, Origin, Profile,
    RefusedMedia, Suite,
};
use serde::{Deserialize, Serialize};
use sip_msg::wire::TrunkName;
use sip_ua::{DialogCheckpoint, DialogKey};

use super::RestoreError;
use super::session::SessionValue;
use crate::call::{SessionTimer, Upkeep};
use crate::cloud::{Carried, CloudRequest};
use crate::core::Core;
use crate::key::{CallKey, Side};
use crate::leg::{Exchange, Flows, Leg, LegMedia};
use crate::limits::Share;
use crate::profile::HoldMusic;

/// A leg as a plain value.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LegValue {
    trunk: String,
    dialog: DialogCheckpoint,
    media: MediaValue,
    session: SessionValue,
    /// The session interval in seconds, and whether we refresh it.
    #[serde(default)]
    timer: Option<(u64, bool)>,
    /// The party takes UPDATE.
    #[serde(default)]
    updates: bool,
    /// Azure carries the leg on: the number it shows, and its name of the call.
    #[serde(default)]
    cloud: Option<(String, Option<String>)>,
}

/// What a leg owns of the media plane.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct MediaValue {
    leg: u64,
    pair: u32,
    shard: u8,
    interface: u16,
    rtp: SocketAddr,
    rtcp: SocketAddr,
    ssrc: u32,
    cname: String,
    local: LocalValue,
    state: StateValue,
}

/// Our side of the session descriptions.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LocalValue {
    addr: SocketAddr,
    rtcp_port: u16,
    rtcp_mux: bool,
    profile: String,
    crypto: Vec<(u32, String, Vec<u8>)>,
    session_id: u64,
    version: u64,
    content: Option<u64>,
    audio: usize,
    refused: Vec<(String, String, String)>,
}

/// Where the packet streams stood.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct StateValue {
    version: u8,
    destination: Option<SocketAddr>,
    sent_index: Option<u64>,
    sent_timestamp: u32,
    srtcp_index: u32,
    source_ssrc: Option<u32>,
    sequence_offset: u64,
    timestamp_offset: u32,
    heard_ssrc: Option<u32>,
    heard_index: u64,
    heard_srtcp_index: u32,
}

impl LegValue {
    /// `None` while the shard has not said where the leg's streams stand: without that a restored
    /// sender could use a packet index twice.
    pub(super) fn of(core: &Core, leg: &Leg) -> Option<Self> {
        let state = core.index.state_of(leg.media.id)?;
        Some(Self {
            trunk: leg.trunk.name.to_string(),
            dialog: core.ua.checkpoint_dialog(leg.dialog)?,
            media: MediaValue::of(&leg.media, state),
            session: SessionValue::of(&leg.session),
            timer: leg
                .upkeep
                .timer
                .map(|timer| (timer.interval.as_secs(), timer.ours)),
            updates: leg.upkeep.updates,
            cloud: core.clouds.get(leg.media.id).map(|carried| {
                let connection = carried.connection.as_deref();
                (carried.caller_id.to_wire(), connection.map(str::to_owned))
            }),
        })
    }

    /// The same, but that the party wants this.
    pub(super) fn intending(self, intends: Direction) -> Self {
        Self {
            session: self.session.intending(intends),
            ..self
        }
    }

    /// The leg's dialog alone.
    pub(super) fn take_up_dialog(&self, core: &mut Core) -> Option<DialogKey> {
        core.ua.restore_dialog(self.dialog.clone()).ok()
    }

    pub(super) fn restore(
        &self,
        core: &mut Core,
        call: CallKey,
        side: Side,
    ) -> Result<Leg, RestoreError> {
        let name = TrunkName::from(self.trunk.as_str());
        let trunk = core
            .profiles
            .trunk(&name)
            .cloned()
            .ok_or(RestoreError::Trunk)?;
        let local = self.media.local.restore().ok_or(RestoreError::Value)?;
        let session = self.session.restore(&local).ok_or(RestoreError::Value)?;
        let dialog = core.ua.restore_dialog(self.dialog.clone());
        let dialog = dialog.map_err(|_| RestoreError::Dialog)?;
        let Some(lease) = core.ports.adopt(self.media.pair()) else {
            core.ua.terminate(core.now, dialog);
            return Err(RestoreError::Ports);
        };
        let share = match side {
            Side::A => Share::Call,
            Side::B => Share::Leg,
        };
        let permit = core.gate.readmit(&name, share);
        let id = LegId(self.media.leg);
        core.own_dialog(dialog, call, side);
        if let Some(known) = core.ua.dialog(dialog) {
            let call_id = known.call_id.clone();
            core.index.own_call_id(&call_id, call);
        }
        core.index.own_leg(id, (call, side), lease, permit);
        self.carry_on_again(core, id);
        let (ssrc, cname) = (self.media.ssrc, self.media.cname.as_str().into());
        let media = LegMedia {
            id,
            pair: self.media.pair(),
            local,
            ssrc,
            cname,
        };
        let state = self.media.state.restore();
        core.note_leg_state(id, state);
        // What is restored of the remote end needs to know it; the relay is told the rest as soon as
        // both legs are there.
        let remotes = [&session.negotiated];
        let params = Box::new(media.answered(&trunk, &remotes, None, Flows::BOTH));
        let ports = media.pair;
        core.media(MediaCommand::RestoreLeg {
            leg: id,
            ports,
            params,
            state: Box::new(state),
        });
        let exchange = Exchange::Idle;
        let timer = self.timer.map(|(seconds, ours)| SessionTimer {
            interval: Duration::from_secs(seconds),
            ours,
        });
        Ok(Leg {
            side,
            trunk,
            dialog,
            media,
            session,
            exchange,
            recode: false,
            upkeep: Upkeep::restored(timer, self.updates),
            playing: HoldMusic::None,
            listening: false,
        })
    }
}

impl LegValue {
    /// Azure goes on with the leg, and is told when it is over.
    fn carry_on_again(&self, core: &mut Core, leg: LegId) {
        let Some((number, connection)) = &self.cloud else {
            return;
        };
        let Ok(caller_id) = E164Number::parse(number) else {
            return;
        };
        let connection: Option<Box<str>> = connection.as_deref().map(Box::from);
        let carried = Carried {
            caller_id,
            connection: connection.clone(),
        };
        core.clouds.begin(leg, carried);
        core.ask_azure(CloudRequest::Resume { leg, connection });
    }
}

impl MediaValue {
    fn of(media: &LegMedia, state: &LegCheckpoint) -> Self {
        let pair = media.pair;
        Self {
            leg: media.id.0,
            pair: pair.id.0,
            shard: pair.shard.0,
            interface: pair.interface,
            rtp: pair.rtp(),
            rtcp: pair.rtcp(),
            ssrc: media.ssrc,
            cname: media.cname.to_string(),
            local: LocalValue::of(&media.local),
            state: StateValue::of(state),
        }
    }

    fn pair(&self) -> PortPair {
        PortPair {
            id: PortPairId(self.pair),
            shard: ShardId(self.shard),
            interface: self.interface,
            address: self.rtp.ip(),
            port: self.rtp.port(),
        }
    }
}

impl LocalValue {
    pub(super) fn of(local: &LocalMedia) -> Self {
        let refused = local.layout.refused.iter();
        let cryptos = local.cryptos.iter().map(|crypto| {
            (
                crypto.tag,
                crypto.key.suite().as_str().to_owned(),
                crypto.key.as_bytes().to_vec(),
            )
        });
        Self {
            addr: local.addr,
            rtcp_port: local.rtcp_port,
            rtcp_mux: local.rtcp_mux,
            profile: local.profile.as_str().to_owned(),
            crypto: cryptos.collect(),
            session_id: local.origin.session_id,
            version: local.origin.version,
            content: local.origin.content,
            audio: local.layout.audio,
            refused: refused
                .map(|media| (media.media.clone(), media.proto.clone(), media.fmt.clone()))
                .collect(),
        }
    }

    pub(super) fn restore(&self) -> Option<LocalMedia> {
        let cryptos = self.crypto.iter().map(|(tag, suite, key)| {
            Some(LocalCrypto {
                tag: *tag,
                key: MasterKey::new(Suite::from_token(suite)?, key)?,
            })
        });
        let refused = self.refused.iter().cloned();
        let refused = refused.map(|(media, proto, fmt)| RefusedMedia { media, proto, fmt });
        Some(LocalMedia::from(LocalSide {
            addr: self.addr,
            rtcp_port: self.rtcp_port,
            rtcp_mux: self.rtcp_mux,
            cryptos: cryptos.collect::<Option<_>>()?,
            profile: Profile::from_proto(&self.profile)?,
            origin: Origin {
                version: self.version,
                content: self.content,
                ..Origin::new(self.session_id, self.addr.ip())
            },
            layout: Layout {
                audio: self.audio,
                refused: refused.collect(),
            },
        }))
    }
}

impl StateValue {
    fn of(state: &LegCheckpoint) -> Self {
        Self {
            version: state.version,
            destination: state.destination,
            sent_index: state.sent_index,
            sent_timestamp: state.sent_timestamp,
            srtcp_index: state.srtcp_index,
            source_ssrc: state.source_ssrc,
            sequence_offset: state.sequence_offset,
            timestamp_offset: state.timestamp_offset,
            heard_ssrc: state.heard_ssrc,
            heard_index: state.heard_index,
            heard_srtcp_index: state.heard_srtcp_index,
        }
    }

    fn restore(&self) -> LegCheckpoint {
        LegCheckpoint {
            version: self.version,
            destination: self.destination,
            sent_index: self.sent_index,
            sent_timestamp: self.sent_timestamp,
            srtcp_index: self.srtcp_index,
            source_ssrc: self.source_ssrc,
            sequence_offset: self.sequence_offset,
            timestamp_offset: self.timestamp_offset,
            heard_ssrc: self.heard_ssrc,
            heard_index: self.heard_index,
            heard_srtcp_index: self.heard_srtcp_index,
        }
    }
}
