//! Session descriptions (RFC 8866) for one audio stream, read and written with `sdp-types`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sdp_types::{Attribute, Bandwidth, Connection, Media, Origin, Session, Time};

use crate::srtp::{DECOY_SUITE, Key, SUITE};

/// `a=sendrecv` and its kin (RFC 3264 §5.1), from the writer's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [
        Self::SendRecv,
        Self::SendOnly,
        Self::RecvOnly,
        Self::Inactive,
    ];

    fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The answer to this direction when the answerer has nothing against it.
    pub(crate) fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::SendRecv | Self::Inactive => self,
        }
    }

    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub(crate) fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// One `a=crypto` line (RFC 4568 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CryptoLine {
    pub(crate) tag: u32,
    pub(crate) suite: String,
    pub(crate) key: Key,
    /// An MKI follows the key; this side then leaves the line alone.
    pub(crate) mki: bool,
}

/// One payload type of the audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) payload_type: u8,
    pub(crate) encoding: String,
    pub(crate) clock: u32,
}

/// What a peer's description says about its audio.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) rtp: SocketAddr,
    pub(crate) rtcp: SocketAddr,
    pub(crate) rtcp_mux: bool,
    pub(crate) profile: String,
    pub(crate) formats: Vec<Format>,
    pub(crate) duplicate_formats: bool,
    pub(crate) direction: Direction,
    pub(crate) crypto: Vec<CryptoLine>,
    pub(crate) version: u64,
}

impl Remote {
    /// Stands in where a description is yet to come.
    pub(crate) fn nowhere() -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            rtp: nowhere,
            rtcp: nowhere,
            rtcp_mux: false,
            profile: String::new(),
            formats: Vec::new(),
            duplicate_formats: false,
            direction: Direction::Inactive,
            crypto: Vec::new(),
            version: 0,
        }
    }

    /// RFC 2543's hold: the connection address 0.0.0.0.
    pub(crate) fn black_hole(&self) -> bool {
        self.rtp.ip().is_unspecified()
    }

    pub(crate) fn secure(&self) -> bool {
        self.profile.contains("SAVP")
    }

    /// The first crypto line of a suite spoken here, without MKI.
    pub(crate) fn usable_crypto(&self) -> Option<&CryptoLine> {
        self.crypto
            .iter()
            .find(|line| line.suite == SUITE && !line.mki)
    }

    pub(crate) fn telephone_event(&self) -> Option<u8> {
        self.formats
            .iter()
            .find(|format| format.encoding.eq_ignore_ascii_case("telephone-event"))
            .map(|format| format.payload_type)
    }

    /// The first format that is one of `codecs`.
    pub(crate) fn first_codec(&self, codecs: &[Codec]) -> Option<Codec> {
        self.formats.iter().find_map(|format| {
            codecs.iter().copied().find(|codec| {
                format.encoding.eq_ignore_ascii_case(codec.encoding()) && format.clock == 8000
            })
        })
    }
}

/// Why a description is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SdpError {
    #[error("not a session description of RFC 8866")]
    Grammar,
    #[error("no audio stream")]
    NoAudio,
    #[error("no connection address")]
    NoAddress,
}

/// The codecs whose packets can carry coded payloads unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 µ-law, payload type 0.
    #[default]
    Pcmu,
    /// G.711 A-law, payload type 8.
    Pcma,
    /// G.722, payload type 9: as many octets a packet as G.711, at a nominal clock of 8,000 Hz.
    G722,
}

impl Codec {
    /// The static payload type of RFC 3551.
    pub(crate) fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
        }
    }

    fn encoding(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encoding())
    }
}

/// Our own description, complete but for what the texture adds.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) session: u64,
    pub(crate) version: u64,
    pub(crate) rtp: SocketAddr,
    /// The address written into `c=`; differs from `rtp` for the 0.0.0.0 dialect of hold.
    pub(crate) connection: IpAddr,
    pub(crate) rtcp_mux: bool,
    pub(crate) codecs: Vec<Codec>,
    pub(crate) telephone_event: Option<u8>,
    pub(crate) direction: Direction,
    pub(crate) crypto: Option<(u32, Key)>,
    /// Write what Microsoft's media processors write besides.
    pub(crate) microsoft: Option<Embellishment>,
    /// Done to the text before it is sent.
    pub(crate) edit: SdpEdit,
}

type Edit = dyn Fn(&str) -> String + Send + Sync;

/// What is done to the text of every session description of a party before it is sent: lines
/// nobody asked for, a profile or key parameter out of the ordinary.
#[derive(Clone, Default)]
pub struct SdpEdit(Option<Arc<Edit>>);

impl SdpEdit {
    /// Sends what `edit` makes of a description.
    pub fn new(edit: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(edit)))
    }

    /// Adds these lines to the media description.
    pub fn adding(lines: &[&str]) -> Self {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        Self::new(move |text| format!("{text}{lines}"))
    }

    /// Replaces every `from` by `to`.
    pub fn replacing(from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        Self::new(move |text| text.replace(&from, &to))
    }

    fn apply(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.0 {
            Some(edit) => edit(&String::from_utf8_lossy(&bytes)).into_bytes(),
            None => bytes,
        }
    }
}

impl fmt::Debug for SdpEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "SdpEdit(on)"
        } else {
            "SdpEdit(off)"
        })
    }
}

/// What Microsoft's media processors write that is never used here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Embellishment {
    /// In an offer: the key of a line of another suite before the one that counts.
    decoy: Option<Key>,
    /// In an offer: codecs listed around those spoken here.
    formats: bool,
}

impl Embellishment {
    /// For an offer.
    pub(crate) fn offer() -> Self {
        Self {
            decoy: Some(Key::random()),
            formats: true,
        }
    }
}

/// Codecs a media processor offers before and after G.711: payload type and map.
const WIDEBAND: [(u8, &str); 3] = [(104, "SILK/16000"), (103, "SILK/8000"), (9, "G722/8000")];
const COMFORT: [(u8, &str); 1] = [(13, "CN/8000")];

impl Local {
    /// What remains of the embellishment in an answer.
    pub(crate) fn answering(&mut self) {
        if let Some(extra) = &mut self.microsoft {
            *extra = Embellishment::default();
        }
    }

    /// The description as it goes into a message body.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut media = Media {
            media: "audio".to_owned(),
            port: self.rtp.port(),
            num_ports: None,
            proto: if self.crypto.is_some() {
                "RTP/SAVP"
            } else {
                "RTP/AVP"
            }
            .to_owned(),
            fmt: self
                .maps()
                .iter()
                .map(|(number, _)| number.to_string())
                .collect::<Vec<_>>()
                .join(" "),
            media_title: None,
            connections: Vec::new(),
            bandwidths: Vec::new(),
            key: None,
            attributes: self.attributes(),
        };
        let connection = Connection::from_ip_addr(self.connection);
        let name = if self.microsoft.is_some() {
            "session"
        } else {
            "-"
        };
        let origin = Origin {
            username: Some("-".to_owned()),
            ..Origin::with_ip_addr(self.session, self.version, self.rtp.ip())
        };
        let mut session = Session::new(origin, name);
        if self.microsoft.is_some() {
            // Seen in the wild: the address at both levels, and a bandwidth of "CT".
            media.connections.push(connection.clone());
            let bandwidth = Bandwidth {
                bwtype: "CT".to_owned(),
                bandwidth: 10_000_000,
            };
            session.bandwidths.push(bandwidth);
        }
        session.connection = Some(connection);
        session.times.push(Time::new(0, 0));
        session.medias.push(media);
        let mut bytes = Vec::new();
        session
            .write(&mut bytes)
            .expect("a vector takes every byte");
        self.edit.apply(bytes)
    }

    /// Payload types in the order offered, with their maps.
    fn maps(&self) -> Vec<(u8, String)> {
        let around = self.microsoft.as_ref().is_some_and(|extra| extra.formats);
        let extra = |list: &'static [(u8, &'static str)]| {
            let list = if around { list.to_vec() } else { Vec::new() };
            list.into_iter()
                .map(|(number, map)| (number, map.to_owned()))
        };
        let codecs = self.codecs.iter();
        let codecs =
            codecs.map(|codec| (codec.payload_type(), format!("{}/8000", codec.encoding())));
        let event = self
            .telephone_event
            .map(|event| (event, "telephone-event/8000".to_owned()));
        let spoken = |number: u8| {
            self.codecs
                .iter()
                .any(|codec| codec.payload_type() == number)
        };
        extra(&WIDEBAND)
            .filter(|(number, _)| !spoken(*number))
            .chain(codecs)
            .chain(event)
            .chain(extra(&COMFORT))
            .collect()
    }

    fn attributes(&self) -> Vec<Attribute> {
        let mut list = Vec::new();
        if self.rtcp_mux {
            list.push(Attribute::with_value("rtcp", self.rtp.port()));
            list.push(Attribute::new("rtcp-mux"));
        } else {
            list.push(Attribute::with_value("rtcp", self.rtp.port() + 1));
        }
        if let Some(extra) = &self.microsoft {
            list.push(Attribute::with_value("label", "main-audio"));
            if let Some(decoy) = &extra.decoy {
                let line = format!("0 {DECOY_SUITE} inline:{}|2^31", decoy.to_base64());
                list.push(Attribute::with_value("crypto", line));
            }
        }
        if let Some((tag, key)) = &self.crypto {
            let line = format!("{tag} {SUITE} inline:{}|2^31", key.to_base64());
            list.push(Attribute::with_value("crypto", line));
        }
        for (number, map) in self.maps() {
            list.push(Attribute::with_value("rtpmap", format!("{number} {map}")));
        }
        if let Some(event) = self.telephone_event {
            list.push(Attribute::with_value("fmtp", format!("{event} 0-16")));
        }
        list.push(Attribute::with_value("ptime", 20));
        list.push(Attribute::new(self.direction.attribute()));
        list
    }
}

/// Reads a peer's description.
pub(crate) fn parse(body: &[u8]) -> Result<Remote, SdpError> {
    let session = Session::parse(body).map_err(|_| SdpError::Grammar)?;
    let audio = session
        .medias
        .iter()
        .find(|media| media.media == "audio" && media.port != 0)
        .ok_or(SdpError::NoAudio)?;
    let ip = audio
        .connections
        .first()
        .or(session.connection.as_ref())
        .and_then(|connection| connection.try_address().ok())
        .ok_or(SdpError::NoAddress)?
        .ip;
    let rtcp_mux = audio.has_attribute("rtcp-mux");
    let rtcp_port = match audio.get_first_attribute_value("rtcp") {
        Some(Some(value)) => value.split(' ').next().and_then(|port| port.parse().ok()),
        Some(None) | None => None,
    };
    let default_rtcp = if rtcp_mux {
        audio.port
    } else {
        audio.port.wrapping_add(1)
    };
    let direction = Direction::ALL
        .into_iter()
        .find(|direction| audio.has_attribute(direction.attribute()))
        .or_else(|| {
            Direction::ALL
                .into_iter()
                .find(|d| session.has_attribute(d.attribute()))
        })
        .unwrap_or(Direction::SendRecv);
    let types: Vec<u8> = audio
        .fmt
        .split(' ')
        .filter_map(|number| number.parse().ok())
        .collect();
    let duplicate_formats = (1..types.len()).any(|i| types[..i].contains(&types[i]));
    Ok(Remote {
        rtp: SocketAddr::new(ip, audio.port),
        rtcp: SocketAddr::new(ip, rtcp_port.unwrap_or(default_rtcp)),
        rtcp_mux,
        profile: audio.proto.clone(),
        formats: types
            .into_iter()
            .map(|number| format_of(audio, number))
            .collect(),
        duplicate_formats,
        direction,
        crypto: audio
            .attributes
            .iter()
            .filter(|attribute| attribute.attribute == "crypto")
            .filter_map(|attribute| crypto_line(attribute.value.as_deref()?))
            .collect(),
        version: session.origin.sess_version,
    })
}

fn format_of(audio: &Media, payload_type: u8) -> Format {
    let mapped = audio
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute == "rtpmap")
        .filter_map(|attribute| attribute.value.as_deref()?.split_once(' '))
        .find(|(number, _)| *number == payload_type.to_string())
        .map(|(_, map)| map.trim());
    let map = mapped.unwrap_or(match payload_type {
        0 => "PCMU/8000",
        8 => "PCMA/8000",
        9 => "G722/8000",
        13 => "CN/8000",
        18 => "G729/8000",
        _ => "unknown/0",
    });
    let mut parts = map.split('/');
    Format {
        payload_type,
        encoding: parts.next().unwrap_or_default().to_owned(),
        clock: parts
            .next()
            .and_then(|clock| clock.parse().ok())
            .unwrap_or_default(),
    }
}

fn crypto_line(value: &str) -> Option<CryptoLine> {
    let mut words = value.split_ascii_whitespace();
    let tag = words.next()?.parse().ok()?;
    let suite = words.next()?.to_owned();
    let mut parts = words.next()?.strip_prefix("inline:")?.split('|');
    let key = Key::from_base64(parts.next()?)?;
    let mki = parts.any(|part| part.contains(':'));
    Some(CryptoLine {
        tag,
        suite,
        key,
        mki,
    })
}
