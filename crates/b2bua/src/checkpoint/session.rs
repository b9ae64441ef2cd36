//! The offer/answer session of a leg, as part of a checkpoint.

use std::net::SocketAddr;

use sdp::{
    Audio, CryptoAttribute, Direction, Format, LocalCrypto, LocalMedia, MasterKey, Mki, Negotiated,
    NegotiatedFormat, Profile, Suite,
};
use serde::{Deserialize, Serialize};

use crate::leg::{Heard, Session};

/// What was agreed on.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SessionValue {
    told: Vec<u8>,
    heard: Vec<u8>,
    intends: String,
    conveyed: String,
    direction: String,
    rtcp_mux: bool,
    formats: Vec<(FormatValue, u8, u8)>,
    inbound: Option<InboundValue>,
    outbound: Option<(u32, String)>,
    remote: RemoteValue,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct FormatValue {
    pt: u8,
    encoding: String,
    clock: u32,
    channels: u8,
    fmtp: Option<String>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct InboundValue {
    tag: u32,
    suite: String,
    key: Vec<u8>,
    lifetime: Option<u64>,
    mki: Option<(u64, u8)>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct RemoteValue {
    index: usize,
    addr: SocketAddr,
    rtcp: SocketAddr,
    rtcp_mux: bool,
    profile: String,
    formats: Vec<FormatValue>,
    ptime: Option<u16>,
    maxptime: Option<u16>,
    direction: String,
    held: bool,
}

impl SessionValue {
    pub(super) fn of(session: &Session) -> Self {
        let negotiated = &session.negotiated;
        let remote = &negotiated.remote;
        let formats = negotiated.formats.iter();
        Self {
            told: session.told.to_vec(),
            heard: session.heard.to_vec(),
            intends: session.intends.to_string(),
            conveyed: session.conveyed.to_string(),
            direction: negotiated.direction.to_string(),
            rtcp_mux: negotiated.rtcp_mux,
            formats: formats
                .map(|common| {
                    (
                        FormatValue::of(&common.format),
                        common.our_pt,
                        common.their_pt,
                    )
                })
                .collect(),
            inbound: negotiated.inbound.as_deref().map(InboundValue::of),
            outbound: negotiated
                .outbound
                .as_ref()
                .map(|crypto| (crypto.tag, crypto.key.suite().as_str().to_owned())),
            remote: RemoteValue {
                index: remote.index,
                addr: remote.addr,
                rtcp: remote.rtcp,
                rtcp_mux: remote.rtcp_mux,
                profile: remote.profile.as_str().to_owned(),
                formats: remote.formats.iter().map(FormatValue::of).collect(),
                ptime: remote.ptime,
                maxptime: remote.maxptime,
                direction: remote.direction.to_string(),
                held: remote.held,
            },
        }
    }

    /// The same, but that the party wants this.
    pub(super) fn intending(self, intends: Direction) -> Self {
        Self {
            intends: intends.to_string(),
            ..self
        }
    }

    /// `None` if a value is not what it must be.
    pub(super) fn restore(&self, local: &LocalMedia) -> Option<Session> {
        let formats: Vec<NegotiatedFormat> = self
            .formats
            .iter()
            .map(|(format, our_pt, their_pt)| NegotiatedFormat {
                format: format.restore(),
                our_pt: *our_pt,
                their_pt: *their_pt,
            })
            .collect();
        // What reads the session relies on a voice format.
        formats.iter().find(|format| format.format.is_voice())?;
        let inbound = match &self.inbound {
            Some(inbound) => Some(inbound.restore()?),
            None => None,
        };
        let outbound = match &self.outbound {
            Some((tag, suite)) => {
                let suite = Suite::from_token(suite)?;
                let mut keys = local.cryptos.iter().map(|crypto| &crypto.key);
                let key = keys.find(|key| key.suite() == suite)?.clone();
                Some(LocalCrypto { tag: *tag, key })
            }
            None => None,
        };
        Some(Session {
            told: self.told.clone().into(),
            heard: Heard::restore(&self.heard),
            intends: Direction::from_attribute(&self.intends)?,
            conveyed: Direction::from_attribute(&self.conveyed)?,
            negotiated: Negotiated {
                remote: self.remote.restore()?,
                local: local.clone(),
                formats,
                rtcp_mux: self.rtcp_mux,
                inbound: inbound.map(Box::new),
                outbound: outbound.map(Box::new),
                direction: Direction::from_attribute(&self.direction)?,
            },
        })
    }
}

impl FormatValue {
    fn of(format: &Format) -> Self {
        Self {
            pt: format.pt,
            encoding: format.encoding.to_string(),
            clock: format.clock,
            channels: format.channels,
            fmtp: format.fmtp.as_deref().map(str::to_owned),
        }
    }

    fn restore(&self) -> Format {
        Format {
            pt: self.pt,
            encoding: self.encoding.as_str().into(),
            clock: self.clock,
            channels: self.channels,
            fmtp: self.fmtp.as_deref().map(Into::into),
        }
    }
}

impl InboundValue {
    fn of(crypto: &CryptoAttribute) -> Self {
        Self {
            tag: crypto.tag,
            suite: crypto.key.suite().as_str().to_owned(),
            key: crypto.key.as_bytes().to_vec(),
            lifetime: crypto.lifetime,
            mki: crypto.mki.as_ref().map(|mki| (mki.value, mki.length)),
        }
    }

    fn restore(&self) -> Option<CryptoAttribute> {
        Some(CryptoAttribute {
            tag: self.tag,
            key: MasterKey::new(Suite::from_token(&self.suite)?, &self.key)?,
            lifetime: self.lifetime,
            mki: self.mki.map(|(value, length)| Mki { value, length }),
        })
    }
}

impl RemoteValue {
    fn restore(&self) -> Option<Audio> {
        let formats: Vec<Format> = self.formats.iter().map(FormatValue::restore).collect();
        let first = |wanted: fn(&Format) -> bool| {
            formats
                .iter()
                .find(|format| wanted(format))
                .map(|format| format.pt)
        };
        Some(Audio {
            index: self.index,
            addr: self.addr,
            rtcp: self.rtcp,
            rtcp_mux: self.rtcp_mux,
            profile: Profile::from_proto(&self.profile)?,
            telephone_event: first(Format::is_telephone_event),
            cn: first(Format::is_comfort_noise),
            unnamed: Vec::new(),
            ptime: self.ptime,
            maxptime: self.maxptime,
            direction: Direction::from_attribute(&self.direction)?,
            cryptos: Vec::new(),
            held: self.held,
            formats,
        })
    }
}
