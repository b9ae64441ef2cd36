//! Which formats a leg may use, and in which order.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::audio::{Audio, Format};
use crate::crypto::Suite;
use crate::direction::HoldDialect;
use crate::error::Unusable;
use crate::word::Word;

/// Names formats: an encoding, at one clock rate or at any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CodecPattern {
    encoding: String,
    clock: Option<u32>,
}

impl CodecPattern {
    /// Reads `PCMU`, `SILK/16000`. `None` when the name is empty or the clock is not a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (encoding, clock) = match text.split_once('/') {
            Some((encoding, clock)) => (encoding, Some(clock.parse().ok()?)),
            None => (text, None),
        };
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte);
        let valid = !encoding.is_empty() && encoding.bytes().all(token);
        valid.then(|| Self {
            encoding: encoding.to_owned(),
            clock,
        })
    }

    /// Whether a format is meant.
    #[must_use]
    pub fn matches(&self, format: &Format) -> bool {
        self.encoding.eq_ignore_ascii_case(&format.encoding)
            && self.clock.is_none_or(|clock| clock == format.clock)
    }
}

/// Whether RFC 4733 events are negotiated on a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Events {
    /// As on the other leg.
    #[default]
    Relayed,
    /// Wherever the peer knows them, whatever the other leg has: digits are converted between them.
    Always,
    /// Never: the peer's digits travel in another way.
    Never,
}

/// What the operator decided about the descriptions of one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Voice formats that may be used; empty means any. Events and comfort noise need no mention.
    pub allow: Vec<CodecPattern>,
    /// Formats that are never used, events and comfort noise included.
    pub deny: Vec<CodecPattern>,
    /// Voice formats put first in an offer, in this order; the others keep theirs.
    pub prefer: Vec<CodecPattern>,
    /// Whether events are negotiated.
    pub events: Events,
    /// How this leg's peer understands hold.
    pub hold: HoldDialect,
    /// Crypto suites accepted, best first.
    pub suites: Vec<Suite>,
    /// Milliseconds a packet written in offers when the other leg names none.
    pub ptime: Option<u16>,
    /// Voice formats that stand in for those of the other leg where none of these may be used,
    /// best first: speech is then converted. Empty: it never is. See [`Policy::converting`].
    pub convert: Vec<Codec>,
    /// Networks that the peer's media may be in; empty means any.
    pub networks: Arc<[IpNet]>,
}

impl Default for Policy {
    /// Every format, RFC 3264 hold, the 80-bit suite before the 32-bit one and both before those
    /// that fewer peers know, 20 ms.
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            prefer: Vec::new(),
            events: Events::Relayed,
            hold: HoldDialect::Standard,
            suites: Suite::ALL.to_vec(),
            ptime: Some(20),
            convert: Vec::new(),
            networks: Arc::default(),
        }
    }
}

impl Format {
    /// G.711 or G.722, which can be converted into each other.
    #[must_use]
    pub fn is_convertible(&self) -> bool {
        let named = |(name, _): &(&str, u8)| self.encoding.eq_ignore_ascii_case(name);
        Codec::CONVERTIBLE.iter().any(named) && self.clock == 8000 && self.channels == 1
    }
}

impl Policy {
    /// Whether media described like this is where the peer's may be. The unspecified address of an
    /// old way to hold (RFC 2543 §B.5) is nowhere, which is no harm.
    pub(crate) fn reaches(&self, remote: &Audio) -> Result<(), Unusable> {
        reaches(&self.networks, remote)
    }

    /// This policy, which lets G.711 and G.722 stand in for each other: those that it allows, those
    /// it prefers first.
    #[must_use]
    pub fn converting(self) -> Self {
        let known = Codec::CONVERTIBLE.map(|(encoding, pt)| Codec::narrowband(encoding, pt, None));
        let formats = self.ordered(&Codec::assign(&known));
        let codecs = formats
            .into_iter()
            .map(|format| Codec::narrowband(&format.encoding, format.pt, None));
        Self {
            convert: codecs.collect(),
            ..self
        }
    }

    /// The voice formats that stand in for `spoken`, of which none is among them; `None` where
    /// nothing of it can be converted, or nothing new stands in.
    #[must_use]
    pub fn converted(&self, spoken: &[Format]) -> Option<Vec<Format>> {
        spoken.iter().find(|format| format.is_convertible())?;
        let mut formats = Codec::assign(&self.convert);
        formats.retain(|format| !spoken.iter().any(|other| other.same_encoding(format)));
        (!formats.is_empty()).then_some(formats)
    }

    /// This policy, further narrowed to what `other` allows: an offer towards one leg names only
    /// what the other leg may use as well.
    #[must_use]
    pub fn narrowed_to(&self, other: &Self) -> Self {
        let both = |pattern: &&CodecPattern| {
            other.allow.is_empty()
                || other.allow.iter().any(|theirs| {
                    theirs.encoding.eq_ignore_ascii_case(&pattern.encoding)
                        && (theirs.clock.is_none() || theirs.clock == pattern.clock)
                })
        };
        let allow = if self.allow.is_empty() {
            other.allow.clone()
        } else {
            let kept: Vec<_> = self.allow.iter().filter(both).cloned().collect();
            // An empty list would mean "any": nothing in common keeps ours and the answer decides.
            if kept.is_empty() {
                self.allow.clone()
            } else {
                kept
            }
        };
        let deny = self.deny.iter().chain(&other.deny).cloned().collect();
        Self {
            allow,
            deny,
            ..self.clone()
        }
    }

    /// Whether a format may be used.
    #[must_use]
    pub fn allows(&self, format: &Format) -> bool {
        let named = |list: &[CodecPattern]| list.iter().any(|pattern| pattern.matches(format));
        let events = self.events != Events::Never || !format.is_telephone_event();
        events
            && !named(&self.deny)
            && (self.allow.is_empty() || !format.is_voice() || named(&self.allow))
    }

    /// The formats of the other leg, with events as this one is to have them.
    pub(crate) fn with_events(&self, formats: &[Format]) -> Vec<Format> {
        let mut formats = formats.to_vec();
        match self.events {
            Events::Relayed => {}
            Events::Never => formats.retain(|format| !format.is_telephone_event()),
            Events::Always => {
                let known = formats.iter().any(Format::is_telephone_event);
                let events = events_beside(&formats).filter(|_| !known);
                formats.extend(events);
            }
        }
        formats
    }

    /// The allowed formats in the order of an offer: preferred voice, other voice, then events and
    /// comfort noise.
    pub(crate) fn ordered(&self, formats: &[Format]) -> Vec<Format> {
        let rank = |format: &Format| {
            if format.is_voice() {
                let preferred = self
                    .prefer
                    .iter()
                    .position(|pattern| pattern.matches(format));
                preferred.unwrap_or(self.prefer.len())
            } else {
                usize::MAX
            }
        };
        let mut kept: Vec<_> = formats.iter().filter(|f| self.allows(f)).cloned().collect();
        kept.sort_by_key(rank);
        kept
    }
}

/// Events at the clock of the speech, which is 8000 Hz if any is (RFC 4733 §2.1).
fn events_beside(formats: &[Format]) -> Option<Format> {
    let clocks = || formats.iter().filter(|f| f.is_voice()).map(|f| f.clock);
    let clock = clocks().find(|&clock| clock == 8000).or(clocks().next())?;
    let free = |pt: &u8| formats.iter().all(|format| format.pt != *pt);
    let pt = Some(101).filter(free).or_else(|| (96..=127).find(free))?;
    Some(Format {
        pt,
        encoding: "telephone-event".into(),
        clock,
        channels: 1,
        fmtp: Some("0-16".into()),
    })
}

/// A format to offer when no other leg has named any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// Encoding name of `a=rtpmap`.
    pub encoding: Word,
    /// RTP clock rate in Hz.
    pub clock: u32,
    /// Channels.
    pub channels: u8,
    /// Parameters of `a=fmtp`.
    pub fmtp: Option<Word>,
    /// The payload type usually given to it; another one is taken when it is in use.
    pub pt: u8,
}

impl Codec {
    /// What can be converted into each other, with the payload types RFC 3551 gives them.
    const CONVERTIBLE: [(&'static str, u8); 3] = [("PCMU", 0), ("PCMA", 8), ("G722", 9)];

    /// One channel at an RTP clock of 8000 Hz.
    fn narrowband(encoding: &str, pt: u8, fmtp: Option<&str>) -> Self {
        Self {
            encoding: encoding.into(),
            clock: 8000,
            channels: 1,
            fmtp: fmtp.map(Word::from),
            pt,
        }
    }

    /// The formats Microsoft's media processors and carriers have in common, with the payload types
    /// usually seen: G.722, PCMU, PCMA, G.729 and RFC 4733 events.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::narrowband("G722", 9, None),
            Self::narrowband("PCMU", 0, None),
            Self::narrowband("PCMA", 8, None),
            Self::narrowband("G729", 18, Some("annexb=no")),
            Self::narrowband("telephone-event", 101, Some("0-16")),
        ]
    }

    /// Formats for an offer, every payload type once; those that find none are left out.
    pub(crate) fn assign(codecs: &[Self]) -> Vec<Format> {
        let mut formats = Vec::<Format>::with_capacity(codecs.len());
        for codec in codecs {
            let free = |pt: &u8| formats.iter().all(|format| format.pt != *pt);
            let dynamic = || (96..=127_u8).find(free);
            let Some(pt) = Some(codec.pt)
                .filter(|pt| *pt < 128)
                .filter(free)
                .or_else(dynamic)
            else {
                continue;
            };
            let format = Format {
                pt,
                encoding: codec.encoding.clone(),
                clock: codec.clock,
                channels: codec.channels,
                fmtp: codec.fmtp.clone(),
            };
            if !formats.iter().any(|other| other.same_encoding(&format)) {
                formats.push(format);
            }
        }
        formats
    }
}

/// The same for networks alone.
pub(crate) fn reaches(networks: &[IpNet], remote: &Audio) -> Result<(), Unusable> {
    let within = |address: IpAddr| {
        let address = address.to_canonical();
        networks.is_empty()
            || address.is_unspecified()
            || networks.iter().any(|network| network.contains(&address))
    };
    match within(remote.addr.ip()) && within(remote.rtcp.ip()) {
        true => Ok(()),
        false => Err(Unusable::Network),
    }
}
