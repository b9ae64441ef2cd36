//! Making offers, and the offer in flight.

use std::sync::Arc;

use ipnet::IpNet;

use crate::answer::{Negotiated, name_formats, negotiate};
use crate::audio::{Audio, Format};
use crate::codec::{Codec, Policy, reaches};
use crate::crypto::{CryptoAttribute, LocalCrypto};
use crate::description::SessionDescription;
use crate::direction::Direction;
use crate::error::{AnswerError, OfferError, Unusable};
use crate::local::LocalMedia;
use crate::write::{Content, write};

/// Offers to this leg what the other leg said: its formats as `policy` orders them, its direction as
/// this leg's peer understands it, its packet time; our own address, origin and key. Where `policy`
/// allows no voice format of the other leg, those it converts to stand in for them.
///
/// `local.origin` is brought up to date. An offer names one crypto attribute for each of our
/// keys.
///
/// # Errors
/// [`OfferError`] when no voice format is left or the profile is secure and has no key.
pub fn offer_for(
    other: &Audio,
    local: &mut LocalMedia,
    policy: &Policy,
) -> Result<(SessionDescription, PendingOffer), OfferError> {
    if !other.has_voice() {
        return Err(OfferError::Unusable(Unusable::NoFormat));
    }
    let ptime = other.ptime.or(policy.ptime);
    let direction = policy.hold.express(other.direction);
    let mut formats = policy.ordered(&policy.with_events(&other.formats));
    if !formats.iter().any(Format::is_voice) {
        let beside = formats.into_iter();
        formats = policy.converted(&other.formats).unwrap_or_default();
        formats.extend(beside);
    }
    offer(
        formats,
        (direction, policy.hold.nulls(direction)),
        (ptime, other.maxptime),
        local,
        policy,
    )
}

/// Offers these codecs to this leg, in this order but for `policy`: what a party that asked for an
/// offer (an INVITE without a description) is given while no other leg has said anything.
///
/// # Errors
/// As [`offer_for`].
pub fn offer_from_codecs(
    codecs: &[Codec],
    local: &mut LocalMedia,
    policy: &Policy,
) -> Result<(SessionDescription, PendingOffer), OfferError> {
    let formats = policy.ordered(&policy.with_events(&Codec::assign(codecs)));
    let direction = (Direction::SendRecv, false);
    offer(formats, direction, (policy.ptime, None), local, policy)
}

fn offer(
    formats: Vec<Format>,
    (direction, null_address): (Direction, bool),
    (ptime, maxptime): (Option<u16>, Option<u16>),
    local: &mut LocalMedia,
    policy: &Policy,
) -> Result<(SessionDescription, PendingOffer), OfferError> {
    if !formats.iter().any(Format::is_voice) {
        return Err(OfferError::NoFormatAllowed);
    }
    let secure = local.profile.is_secure();
    let cryptos = if secure {
        local.cryptos.clone()
    } else {
        Vec::new()
    };
    if secure && cryptos.is_empty() {
        return Err(OfferError::NoKey);
    }
    let content = Content {
        profile: local.profile,
        formats: &formats,
        direction,
        null_address,
        ptime,
        maxptime,
        rtcp_mux: local.rtcp_mux,
        cryptos: &cryptos,
    };
    let description = write(local, &content);
    let pending = PendingOffer {
        local: local.clone(),
        formats,
        direction,
        cryptos,
        networks: Arc::clone(&policy.networks),
        previous: None,
    };
    Ok((description, pending))
}

/// An offer of ours that waits for its answer. Consumed by the answer or by its refusal, so that
/// one offer cannot be answered twice; dropping it rolls back.
#[derive(Debug)]
#[must_use = "an offer is answered or rejected"]
pub struct PendingOffer {
    local: LocalMedia,
    formats: Vec<Format>,
    direction: Direction,
    cryptos: Vec<LocalCrypto>,
    networks: Arc<[IpNet]>,
    previous: Option<Box<Negotiated>>,
}

impl PendingOffer {
    /// Remembers what holds until the answer, and stays when the offer is refused (RFC 3264 §8).
    pub fn over(self, previous: Negotiated) -> Self {
        Self {
            previous: Some(Box::new(previous)),
            ..self
        }
    }

    /// What we wrote last, whether as offer or as answer, as an offer once more: a session refresh
    /// sends the same octets (RFC 4028 §7.4). `agreed` is what holds. `None` if `told` is not a
    /// description of ours on this leg.
    #[must_use]
    pub fn again(told: &SessionDescription, agreed: &Negotiated, policy: &Policy) -> Option<Self> {
        let audio = told.audio_at(agreed.local.layout.audio)?;
        let own = |line: &CryptoAttribute| LocalCrypto {
            tag: line.tag,
            key: line.key.clone(),
        };
        Some(Self {
            local: agreed.local.clone(),
            formats: audio.formats.clone(),
            direction: audio.direction,
            cryptos: audio.cryptos.iter().map(own).collect(),
            networks: Arc::clone(&policy.networks),
            previous: Some(Box::new(agreed.clone())),
        })
    }

    /// The direction as offered.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Our side as offered.
    #[must_use]
    pub fn local(&self) -> &LocalMedia {
        &self.local
    }

    /// Takes an answer. Several answers of one forked INVITE each take their own copy of the offer:
    /// see [`PendingOffer::fork`].
    ///
    /// # Errors
    /// [`AnswerError`] when the answer refuses the audio or breaks RFC 3264 §6 or RFC 4568 §5.1.3
    /// in a way that cannot be tolerated.
    pub fn answered(self, answer: &SessionDescription) -> Result<Negotiated, AnswerError> {
        let index = self.local.layout.audio;
        if answer.media_count() != self.local.layout.refused.len() + 1 {
            return Err(AnswerError::MediaCount);
        }
        let Some(audio) = answer.audio_at(index) else {
            let reason = if answer.is_disabled(index) {
                Unusable::PortZero
            } else {
                answer.usable_audio().err().unwrap_or(Unusable::NoAudio)
            };
            return Err(AnswerError::Answer(reason));
        };
        reaches(&self.networks, audio).map_err(AnswerError::Answer)?;
        let secure = self.local.profile.is_secure();
        match (audio.profile.is_secure(), secure) {
            (false, true) => return Err(AnswerError::NotSecure),
            (true, false) => return Err(AnswerError::Secure),
            (true, true) | (false, false) => {}
        }
        let (inbound, outbound) = if secure {
            let (inbound, outbound) = matching_crypto(audio, &self.cryptos)?;
            (Some(inbound), Some(outbound))
        } else {
            (None, None)
        };
        let mut remote = audio.clone();
        name_formats(&mut remote, &self.formats);
        let pairs = remote.formats.iter().filter_map(|theirs| {
            let ours = self
                .formats
                .iter()
                .filter(|ours| ours.same_encoding(theirs));
            let best = ours.max_by_key(|ours| (ours.pt == theirs.pt, ours.fmtp == theirs.fmtp))?;
            Some((best.clone(), theirs.pt))
        });
        let pairs = pairs.collect();
        negotiate(remote, self.local, self.direction, pairs, inbound, outbound)
    }

    /// Another copy of the offer, for the next early dialog of a forked INVITE
    /// (RFC 3261 §13.2.2.4): each of them answers the same offer once.
    pub fn fork(&self) -> Self {
        Self {
            local: self.local.clone(),
            formats: self.formats.clone(),
            direction: self.direction,
            cryptos: self.cryptos.clone(),
            networks: Arc::clone(&self.networks),
            previous: self.previous.clone(),
        }
    }

    /// The offer was refused: what held before goes on, or nothing for a first offer.
    #[must_use]
    pub fn rejected(self) -> Option<Negotiated> {
        self.previous.map(|previous| *previous)
    }
}

/// The one line of the answer and which of ours it takes up.
fn matching_crypto(
    audio: &Audio,
    ours: &[LocalCrypto],
) -> Result<(CryptoAttribute, LocalCrypto), AnswerError> {
    if audio.cryptos.is_empty() {
        return Err(AnswerError::NoCrypto);
    }
    let matching = audio.cryptos.iter().find_map(|theirs| {
        let same =
            |ours: &&LocalCrypto| theirs.tag == ours.tag && theirs.key.suite() == ours.key.suite();
        Some((theirs.clone(), ours.iter().find(same)?.clone()))
    });
    matching.ok_or(AnswerError::CryptoMismatch)
}
