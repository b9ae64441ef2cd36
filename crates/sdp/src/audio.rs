//! The typed view of one audio media description.

use std::net::{IpAddr, SocketAddr};

use crate::crypto::CryptoAttribute;
use crate::direction::Direction;
use crate::error::Unusable;
use crate::grammar::{Lines, MediaView, Name};
use crate::word::Word;

/// `a=crypto` lines looked at in one media description; RFC 4568 peers send a handful.
const MAX_CRYPTOS: usize = 32;

/// The RTP profile of a media description (RFC 3551, RFC 3711, RFC 4585, RFC 5124).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Profile {
    /// `RTP/AVP`
    #[default]
    Avp,
    /// `RTP/SAVP`
    Savp,
    /// `RTP/AVPF`; carried as AVP, an answer repeats the offered name.
    Avpf,
    /// `RTP/SAVPF`; carried as SAVP, an answer repeats the offered name.
    Savpf,
}

impl Profile {
    /// The profile's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Avp => "RTP/AVP",
            Self::Savp => "RTP/SAVP",
            Self::Avpf => "RTP/AVPF",
            Self::Savpf => "RTP/SAVPF",
        }
    }

    /// Reads the proto field of an `m=` line; DTLS and everything not RTP over UDP is `None`.
    #[must_use]
    pub fn from_proto(proto: &str) -> Option<Self> {
        [Self::Avp, Self::Savp, Self::Avpf, Self::Savpf]
            .into_iter()
            .find(|profile| profile.as_str().eq_ignore_ascii_case(proto))
    }

    /// Whether packets are SRTP.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Savp | Self::Savpf)
    }
}

/// One format of an audio media description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// RTP payload type, 0 to 127.
    pub pt: u8,
    /// Encoding name as written, or as RFC 3551 §6 names the static payload type.
    pub encoding: Word,
    /// RTP clock rate in Hz.
    pub clock: u32,
    /// Channels, 1 when not written.
    pub channels: u8,
    /// The value of `a=fmtp` after the payload type.
    pub fmtp: Option<Word>,
}

impl Format {
    /// RFC 4733 events: carried beside speech, never instead of it.
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("telephone-event")
    }

    /// RFC 3389 comfort noise: carried beside speech, never instead of it.
    #[must_use]
    pub fn is_comfort_noise(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("CN")
    }

    /// A format that carries speech by itself.
    #[must_use]
    pub fn is_voice(&self) -> bool {
        !self.is_telephone_event() && !self.is_comfort_noise()
    }

    /// Whether both name the same encoding, so that packets of one can be sent as the other.
    /// Payload types may differ (RFC 3264 §5.1).
    #[must_use]
    pub fn same_encoding(&self, other: &Self) -> bool {
        self.registered().eq_ignore_ascii_case(other.registered())
            && self.clock == other.clock
            && self.channels == other.channels
            && self.octet_aligned() == other.octet_aligned()
    }

    /// The name that RFC 3551 §4.5.6 gives the encoding: some write the annex that they implement.
    fn registered(&self) -> &str {
        if self.encoding.eq_ignore_ascii_case("G729A") {
            "G729"
        } else {
            &self.encoding
        }
    }

    /// AMR packs differently with and without `octet-align=1` (RFC 4867 §8.1): two encodings.
    fn octet_aligned(&self) -> bool {
        let amr = self
            .encoding
            .get(..3)
            .is_some_and(|name| name.eq_ignore_ascii_case("AMR"));
        let parameters = self.fmtp.as_deref().unwrap_or_default();
        amr && parameters.split(';').any(|parameter| {
            let parameter = parameter.trim();
            parameter.eq_ignore_ascii_case("octet-align=1")
        })
    }

    /// Formats whose parameters name other payload types, which would be wrong once rewritten.
    fn is_wrapper(&self) -> bool {
        ["red", "rtx", "ulpfec", "parityfec"]
            .iter()
            .any(|name| self.encoding.eq_ignore_ascii_case(name))
    }
}

/// One audio media description that can be carried: unicast address, RTP, port not 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Which `m=` line it is, from 0.
    pub index: usize,
    /// Where RTP is wanted; the address is unspecified when `held` by a null address.
    pub addr: SocketAddr,
    /// Where RTCP is wanted: `a=rtcp` (RFC 3605) or the next port; in
    /// [`Negotiated`](crate::Negotiated) it is `addr` when multiplexing was agreed.
    pub rtcp: SocketAddr,
    /// Whether `a=rtcp-mux` (RFC 5761) is there.
    pub rtcp_mux: bool,
    /// The profile.
    pub profile: Profile,
    /// Formats in the writer's order of preference, each payload type once.
    pub formats: Vec<Format>,
    /// Payload types that are dynamic and have no `a=rtpmap`; in an answer the offer names them.
    pub unnamed: Vec<u8>,
    /// Milliseconds a packet, if written.
    pub ptime: Option<u16>,
    /// Most milliseconds a packet, if written.
    pub maxptime: Option<u16>,
    /// The direction written, at media or session level; a null address takes reception away.
    pub direction: Direction,
    /// Usable `a=crypto` lines, in order.
    pub cryptos: Vec<CryptoAttribute>,
    /// The writer will not receive media: `sendonly`, `inactive`, or a null address
    /// (RFC 2543's `c=0.0.0.0`).
    pub held: bool,
    /// First payload type of RFC 4733 events.
    pub telephone_event: Option<u8>,
    /// First payload type of comfort noise.
    pub cn: Option<u8>,
}

impl Audio {
    /// Reads a media description.
    pub(crate) fn read(lines: &Lines, media: MediaView<'_>) -> Result<Self, Unusable> {
        if !media.media().eq_ignore_ascii_case("audio") {
            return Err(Unusable::NoAudio);
        }
        if media.port() == 0 {
            return Err(Unusable::PortZero);
        }
        let profile = Profile::from_proto(media.proto()).ok_or(Unusable::Transport)?;
        let address = unicast(media.address().ok_or(Unusable::Address)?)?;
        let addr = SocketAddr::new(address, media.port());
        let rtcp_mux = media.has(Name::RtcpMux);
        let (formats, unnamed) = read_formats(media);
        if formats.is_empty() && unnamed.is_empty() {
            return Err(Unusable::NoFormat);
        }
        let written = direction(lines, media);
        let direction = if address.is_unspecified() {
            written.intersection(Direction::SendOnly)
        } else {
            written
        };
        let first = |wanted: fn(&Format) -> bool| {
            formats
                .iter()
                .find(|format| wanted(format))
                .map(|format| format.pt)
        };
        Ok(Self {
            index: media.index(),
            addr,
            rtcp: rtcp_address(media, addr),
            rtcp_mux,
            profile,
            telephone_event: first(Format::is_telephone_event),
            cn: first(Format::is_comfort_noise),
            formats,
            unnamed,
            ptime: milliseconds(media, Name::Ptime),
            maxptime: milliseconds(media, Name::Maxptime),
            direction,
            cryptos: media
                .values(Name::Crypto)
                .take(MAX_CRYPTOS)
                .filter_map(CryptoAttribute::parse)
                .collect(),
            held: !direction.receives(),
        })
    }

    /// Whether a format carries speech.
    #[must_use]
    pub fn has_voice(&self) -> bool {
        self.formats.iter().any(Format::is_voice)
    }
}

fn milliseconds(media: MediaView<'_>, name: Name) -> Option<u16> {
    let whole = |text: &str| text.trim().split('.').next()?.parse::<u16>().ok();
    media
        .values(name)
        .find_map(whole)
        .filter(|ms| (1..=1000).contains(ms))
}

fn direction(lines: &Lines, media: MediaView<'_>) -> Direction {
    let own = media.others().find_map(Direction::from_attribute);
    let of_session = || {
        let mut others = lines.others_of_session();
        others.find_map(Direction::from_attribute)
    };
    own.or_else(of_session).unwrap_or_default()
}

/// An address media can be sent to, or the null address of a hold.
fn unicast(text: &str) -> Result<IpAddr, Unusable> {
    let host = text.split_once('/').map_or(text, |(host, _)| host);
    let address: IpAddr = host.parse().map_err(|_| Unusable::Address)?;
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_multicast() || broadcast || host.len() != text.len() {
        return Err(Unusable::Multicast);
    }
    Ok(address)
}

/// RFC 3605: `a=rtcp:port [nettype addrtype address]`.
fn rtcp_address(media: MediaView<'_>, rtp: SocketAddr) -> SocketAddr {
    let default = SocketAddr::new(rtp.ip(), rtp.port().checked_add(1).unwrap_or(rtp.port()));
    let written = media.values(Name::Rtcp).next().and_then(|value| {
        let mut fields = value.split_ascii_whitespace();
        let port = fields.next()?.parse().ok().filter(|&port| port != 0)?;
        let address = match fields.nth(2) {
            Some(text) => text.parse().ok().filter(|ip: &IpAddr| !ip.is_multicast())?,
            None => rtp.ip(),
        };
        Some(SocketAddr::new(address, port))
    });
    written.unwrap_or(default)
}

/// Formats of the `m=` line that have a name, and those that have none.
fn read_formats(media: MediaView<'_>) -> (Vec<Format>, Vec<u8>) {
    let (mut formats, mut unnamed) = (Vec::<Format>::new(), Vec::new());
    let mut seen = [false; 128];
    for token in media.fmt().split_ascii_whitespace() {
        let Some(pt) = token.parse::<u8>().ok().filter(|&pt| pt < 128) else {
            continue;
        };
        if std::mem::replace(&mut seen[usize::from(pt)], true) {
            continue;
        }
        let named = media
            .values(Name::Rtpmap)
            .find_map(|value| read_rtpmap(value, pt));
        let Some((encoding, clock, channels)) = named.or_else(|| static_format(pt)) else {
            unnamed.push(pt);
            continue;
        };
        let fmtp = media
            .values(Name::Fmtp)
            .find_map(|value| parameters_of(value, pt));
        let format = Format {
            pt,
            encoding,
            clock,
            channels,
            fmtp: fmtp.map(Word::from),
        };
        let twin = |other: &Format| other.same_encoding(&format) && other.fmtp == format.fmtp;
        if !format.is_wrapper() && !formats.iter().any(twin) {
            formats.push(format);
        }
    }
    (formats, unnamed)
}

/// The rest of an attribute value that starts with this payload type.
fn parameters_of(value: &str, pt: u8) -> Option<&str> {
    let (number, rest) = value.trim_start().split_once([' ', '\t'])?;
    (number.parse() == Ok(pt))
        .then(|| rest.trim())
        .filter(|rest| !rest.is_empty())
}

/// RFC 8866 §9: a name that is none would be passed on to the other leg.
fn is_token(name: &str) -> bool {
    let other = |byte| b"!#$%&'*+-.^_`{|}~".contains(&byte);
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || other(byte))
}

fn read_rtpmap(value: &str, pt: u8) -> Option<(Word, u32, u8)> {
    let mut fields = parameters_of(value, pt)?.split('/');
    let encoding = fields.next().map(str::trim).filter(|name| is_token(name))?;
    let clock = fields
        .next()?
        .trim()
        .parse()
        .ok()
        .filter(|&clock| clock != 0)?;
    let channels = match fields.next() {
        Some(text) => text.trim().parse().ok().filter(|&channels| channels != 0)?,
        None => 1,
    };
    Some((encoding.into(), clock, channels))
}

/// Static audio payload types (RFC 3551 §6, table 4).
fn static_format(pt: u8) -> Option<(Word, u32, u8)> {
    let (encoding, clock, channels) = match pt {
        0 => ("PCMU", 8000, 1),
        3 => ("GSM", 8000, 1),
        4 => ("G723", 8000, 1),
        5 => ("DVI4", 8000, 1),
        6 => ("DVI4", 16000, 1),
        7 => ("LPC", 8000, 1),
        8 => ("PCMA", 8000, 1),
        9 => ("G722", 8000, 1),
        10 => ("L16", 44100, 2),
        11 => ("L16", 44100, 1),
        12 => ("QCELP", 8000, 1),
        13 => ("CN", 8000, 1),
        14 => ("MPA", 90000, 1),
        15 => ("G728", 8000, 1),
        16 => ("DVI4", 11025, 1),
        17 => ("DVI4", 22050, 1),
        18 => ("G729", 8000, 1),
        _ => return None,
    };
    Some((encoding.into(), clock, channels))
}
