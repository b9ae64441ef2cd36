//! Making answers, and what an exchange comes to.

use crate::audio::{Audio, Format};
use crate::codec::{Codec, Policy};
use crate::crypto::{CryptoAttribute, LocalCrypto};
use crate::description::SessionDescription;
use crate::direction::Direction;
use crate::error::AnswerError;
use crate::local::LocalMedia;
use crate::write::{Content, write};

/// One format both sides of a leg use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedFormat {
    /// Encoding, clock and the parameters we wrote; `format.pt` is `our_pt`.
    pub format: Format,
    /// Payload type of packets that come to us (the one in our description).
    pub our_pt: u8,
    /// Payload type of packets that we send (the one in the peer's description).
    pub their_pt: u8,
}

/// What one offer/answer exchange comes to: all that carrying the media of the leg needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// What the peer wrote. `remote.addr` is where RTP goes, `remote.rtcp` where RTCP goes.
    pub remote: Audio,
    /// Our side, with origin and layout as last written: the start of the next exchange.
    pub local: LocalMedia,
    /// Formats in the order of the answer; at least one carries voice.
    pub formats: Vec<NegotiatedFormat>,
    /// Whether RTCP shares the port of RTP (RFC 5761).
    pub rtcp_mux: bool,
    /// The key the peer sends with; `None` on a plain leg.
    pub inbound: Option<Box<CryptoAttribute>>,
    /// The key, suite and tag we send with; `None` on a plain leg.
    pub outbound: Option<Box<LocalCrypto>>,
    /// Which way media flows, seen from us.
    pub direction: Direction,
}

impl Negotiated {
    /// The format speech is sent in.
    ///
    /// # Panics
    /// Never: an exchange without a voice format is an error.
    #[must_use]
    pub fn voice(&self) -> &NegotiatedFormat {
        let voice = self.formats.iter().find(|format| format.format.is_voice());
        voice.expect("an exchange without a voice format is an error")
    }

    /// RFC 4733 events, preferably at the clock rate of the voice format.
    #[must_use]
    pub fn telephone_event(&self) -> Option<&NegotiatedFormat> {
        let clock = self.voice().format.clock;
        let events = self
            .formats
            .iter()
            .filter(|format| format.format.is_telephone_event());
        events.min_by_key(|format| format.format.clock != clock)
    }

    /// Milliseconds a packet the peer asks for; 20 when it names none (RFC 3551 §4.2).
    #[must_use]
    pub fn ptime_ms(&self) -> u16 {
        self.remote.ptime.unwrap_or(20)
    }
}

/// How packets of one leg are numbered on the other: pairs of (payload type as it arrives on
/// `from`, payload type as it leaves on `to`), for every encoding both legs speak.
#[must_use]
pub fn payload_type_map(from: &Negotiated, to: &Negotiated) -> Vec<(u8, u8)> {
    let leaving = |arriving: &NegotiatedFormat| {
        let same = |format: &&NegotiatedFormat| format.format.same_encoding(&arriving.format);
        Some((arriving.our_pt, to.formats.iter().find(same)?.their_pt))
    };
    from.formats.iter().filter_map(leaving).collect()
}

/// The speech of `from` that must be converted for `to`, because they have no voice format in
/// common: payload types as they arrive on `from`, with their formats. Empty where they have one.
#[must_use]
pub fn to_convert<'a>(from: &'a Negotiated, to: &Negotiated) -> Vec<(u8, &'a Format)> {
    let spoken = |negotiated: &'a Negotiated| negotiated.formats.iter();
    let shared = spoken(from)
        .filter(|common| common.format.is_voice())
        .any(|ours| {
            let mut theirs = to.formats.iter();
            theirs.any(|theirs| theirs.format.same_encoding(&ours.format))
        });
    if shared || !to.voice().format.is_convertible() {
        return Vec::new();
    }
    let convertible = spoken(from).filter(|common| common.format.is_convertible());
    convertible
        .map(|common| (common.our_pt, &common.format))
        .collect()
}

/// Answers an offer received on this leg with what the other leg answered to ours: the offered
/// payload types of the formats it took, its direction within what RFC 3264 §6.1 allows, one crypto
/// attribute with the offered tag. Every media description but the audio that is carried is refused
/// with port 0, in its place.
///
/// Where it took none of the offered voice formats that `policy` allows, the offered ones that
/// `policy` converts to are taken.
///
/// The same offer and the same answer of the other leg give the same bytes: a session refresh needs
/// no memory. `local.origin` and `local.layout` are brought up to date.
///
/// # Errors
/// [`AnswerError`] when nothing usable is offered, the profile is not this leg's, no crypto attribute
/// can be used or no format is in common.
pub fn answer_for(
    offer: &SessionDescription,
    other: &Audio,
    local: &mut LocalMedia,
    policy: &Policy,
) -> Result<(SessionDescription, Negotiated), AnswerError> {
    answer(
        offer,
        &other.formats,
        other.direction,
        (other.ptime, other.maxptime),
        local,
        policy,
    )
}

/// Answers an offer by ourselves, with these codecs in this order of preference: for media that
/// starts or ends here.
///
/// # Errors
/// As [`answer_for`].
pub fn answer_from_codecs(
    offer: &SessionDescription,
    codecs: &[Codec],
    local: &mut LocalMedia,
    policy: &Policy,
) -> Result<(SessionDescription, Negotiated), AnswerError> {
    let formats = Codec::assign(codecs);
    answer(
        offer,
        &formats,
        Direction::SendRecv,
        (policy.ptime, None),
        local,
        policy,
    )
}

fn answer(
    offer: &SessionDescription,
    accepted: &[Format],
    wanted: Direction,
    (ptime, maxptime): (Option<u16>, Option<u16>),
    local: &mut LocalMedia,
    policy: &Policy,
) -> Result<(SessionDescription, Negotiated), AnswerError> {
    let secure = local.profile.is_secure();
    let offered = carried(offer, secure)?;
    policy.reaches(offered).map_err(AnswerError::Offer)?;
    let mut formats = common_formats(offered, &policy.with_events(accepted), policy);
    if !formats.iter().any(Format::is_voice) {
        let beside = formats.into_iter();
        formats = policy.converted(accepted).unwrap_or_default();
        formats.retain_mut(|format| {
            let same = |theirs: &&Format| theirs.same_encoding(format);
            let theirs = offered.formats.iter().find(same);
            theirs.is_some_and(|theirs| {
                format.clone_from(theirs);
                true
            })
        });
        formats.extend(beside);
    }
    if !formats.iter().any(Format::is_voice) {
        return Err(AnswerError::NoCommonFormat);
    }
    let (inbound, outbound) = if secure {
        let (inbound, outbound) = choose_crypto(offered, local, policy)?;
        (Some(inbound), Some(outbound))
    } else {
        (None, None)
    };
    let answered = offered.direction.answered(wanted);
    let direction = policy.hold.express_within(answered, offered.direction);
    let content = Content {
        null_address: policy.hold.nulls(direction),
        profile: offered.profile,
        formats: &formats,
        direction,
        ptime,
        maxptime,
        rtcp_mux: local.rtcp_mux && offered.rtcp_mux,
        cryptos: outbound.as_slice(),
    };
    local.layout = offer.layout(offered.index);
    let description = write(local, &content);
    let pairs = formats.into_iter().map(|format| (format.pt, format));
    let pairs = pairs.map(|(pt, format)| (format, pt)).collect();
    let negotiated = negotiate(
        offered.clone(),
        local.clone(),
        direction,
        pairs,
        inbound,
        outbound,
    )?;
    Ok((description, negotiated))
}

/// Whether an offer could be answered on a leg that is `secure` or is not, whatever it is answered
/// with: to be asked before anybody is called on its behalf.
///
/// # Errors
/// As [`answer_for`].
pub fn answerable(
    offer: &SessionDescription,
    secure: bool,
    policy: &Policy,
) -> Result<(), AnswerError> {
    let offered = carried(offer, secure)?;
    policy.reaches(offered).map_err(AnswerError::Offer)?;
    let speaks = |format: &Format| format.is_voice() && policy.allows(format);
    let opens = |line: &CryptoAttribute| policy.suites.contains(&line.key.suite());
    if !offered.formats.iter().any(speaks) {
        Err(AnswerError::NoCommonFormat)
    } else if secure && !offered.cryptos.iter().any(opens) {
        Err(AnswerError::NoCrypto)
    } else {
        Ok(())
    }
}

/// The media description that a leg carries which is `secure` or is not.
fn carried(offer: &SessionDescription, secure: bool) -> Result<&Audio, AnswerError> {
    if let Some(offered) = offer.audio_for(secure) {
        return Ok(offered);
    }
    offer.usable_audio().map_err(AnswerError::Offer)?;
    Err(if secure {
        AnswerError::NotSecure
    } else {
        AnswerError::Secure
    })
}

/// Accepted formats that were offered, under their offered payload types.
fn common_formats(offered: &Audio, accepted: &[Format], policy: &Policy) -> Vec<Format> {
    let mut formats = Vec::<Format>::new();
    for format in accepted {
        let same = offered
            .formats
            .iter()
            .filter(|theirs| theirs.same_encoding(format));
        let unused = same.filter(|theirs| formats.iter().all(|taken| taken.pt != theirs.pt));
        let Some(theirs) = unused.max_by_key(|theirs| theirs.fmtp == format.fmtp) else {
            continue;
        };
        if policy.allows(theirs) {
            formats.push(Format {
                fmtp: format.fmtp.clone(),
                encoding: theirs.encoding.clone(),
                ..*theirs
            });
        }
    }
    formats
}

/// The first offered line of the best suite, those without MKI first, and our key under its tag
/// (RFC 4568 §5.1.2).
fn choose_crypto(
    offered: &Audio,
    local: &LocalMedia,
    policy: &Policy,
) -> Result<(CryptoAttribute, LocalCrypto), AnswerError> {
    if local.cryptos.is_empty() {
        return Err(AnswerError::NoKey);
    }
    let key = |line: &CryptoAttribute| {
        let mut keys = local.cryptos.iter().map(|ours| &ours.key);
        keys.find(|key| key.suite() == line.key.suite())
    };
    let rank = |line: &&CryptoAttribute| {
        let suite = line.key.suite();
        let suite = policy.suites.iter().position(|known| *known == suite);
        (suite.unwrap_or(usize::MAX), line.mki.is_some())
    };
    let accepted = offered
        .cryptos
        .iter()
        .filter(|line| policy.suites.contains(&line.key.suite()) && key(line).is_some());
    let line = accepted
        .min_by_key(rank)
        .ok_or(AnswerError::NoCrypto)?
        .clone();
    let key = key(&line).ok_or(AnswerError::NoCrypto)?.clone();
    let outbound = LocalCrypto { tag: line.tag, key };
    Ok((line, outbound))
}

/// Gives the payload types of an answer that carry no `a=rtpmap` the names the offer gave them.
pub(crate) fn name_formats(answer: &mut Audio, offered: &[Format]) {
    for pt in std::mem::take(&mut answer.unnamed) {
        match offered.iter().find(|format| format.pt == pt) {
            Some(format) => answer.formats.push(Format {
                fmtp: None,
                ..format.clone()
            }),
            None => answer.unnamed.push(pt),
        }
    }
}

/// Puts both sides together: (our format, the peer's payload type) for each common format.
pub(crate) fn negotiate(
    mut remote: Audio,
    local: LocalMedia,
    direction: Direction,
    pairs: Vec<(Format, u8)>,
    inbound: Option<CryptoAttribute>,
    outbound: Option<LocalCrypto>,
) -> Result<Negotiated, AnswerError> {
    if !pairs.iter().any(|(format, _)| format.is_voice()) {
        return Err(AnswerError::NoCommonFormat);
    }
    if let (Some(inbound), Some(outbound)) = (&inbound, &outbound)
        && inbound.key == outbound.key
    {
        return Err(AnswerError::KeyReused);
    }
    let rtcp_mux = local.rtcp_mux && remote.rtcp_mux;
    if rtcp_mux {
        remote.rtcp = remote.addr;
    }
    let formats = pairs
        .into_iter()
        .map(|(format, their_pt)| NegotiatedFormat {
            our_pt: format.pt,
            their_pt,
            format,
        });
    Ok(Negotiated {
        direction: remote.direction.answered(direction),
        formats: formats.collect(),
        remote,
        local,
        rtcp_mux,
        inbound: inbound.map(Box::new),
        outbound: outbound.map(Box::new),
    })
}
