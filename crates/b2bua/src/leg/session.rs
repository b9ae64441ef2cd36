//! The offer/answer session of one leg (RFC 3264).

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use sdp::{
    AnswerError, Audio, Codec, CodecPattern, Direction, Events, LocalMedia, Negotiated, OfferError,
    PendingOffer, Policy, SessionDescription, answer_for, offer_for,
};
use sip_ua::ClientKey;

use crate::profile::{DtmfMode, TrunkProfile};

/// What was agreed with the party of one leg, and what both want.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The description we sent last; a refresh gets the same bytes again (G-01).
    pub(crate) told: Bytes,
    /// The description the party sent last.
    pub(crate) heard: Heard,
    /// What it comes to.
    pub(crate) negotiated: Negotiated,
    /// What the party itself wants to send and receive, seen from it, apart from any hold of ours.
    pub(crate) intends: Direction,
    /// What the party was last told of the other leg's intention, before its dialect of hold.
    pub(crate) conveyed: Direction,
}

/// What is remembered of a description that a party sent: enough to know it again (G-01). One that
/// is taken for another, by a chance of one in 2^64, is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard(u64);

impl Heard {
    pub(crate) fn of(description: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(description);
        Self(hasher.finish())
    }

    /// As a checkpoint keeps it.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    /// From a checkpoint; those of earlier versions keep the description itself.
    pub(crate) fn restore(kept: &[u8]) -> Self {
        let digest = kept.try_into().map(u64::from_be_bytes);
        digest.map_or_else(|_| Self::of(kept), Self)
    }
}

/// What is under way in the leg's dialog.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// Nothing: a re-INVITE of ours may be sent.
    Idle,
    /// A 2xx of ours waits for its ACK, which must bring an answer if the 2xx was an offer.
    AwaitAck {
        offer: Option<Box<(Bytes, PendingOffer)>>,
    },
    /// A re-INVITE of ours waits for its final response.
    Offering {
        client: ClientKey,
        offer: Box<(Bytes, PendingOffer)>,
        conveying: Direction,
    },
    /// The re-INVITE met one of the party's (491); the user agent says when to try again.
    Retrying,
    /// The party refused what we asked for; it is not asked again until something changes.
    Refused { conveying: Direction },
}

/// The SDP policy towards a trunk.
pub(crate) fn policy(trunk: &TrunkProfile) -> Policy {
    let named = |names: &[Arc<str>]| -> Vec<CodecPattern> {
        let names = names.iter();
        names.filter_map(|name| CodecPattern::parse(name)).collect()
    };
    let patterns = named(&trunk.codecs);
    let policy = Policy {
        allow: patterns.clone(),
        deny: named(&trunk.media.deny),
        prefer: patterns,
        events: match trunk.dtmf.mode {
            DtmfMode::Rfc4733 => Events::Always,
            DtmfMode::Info | DtmfMode::Inband => Events::Never,
        },
        hold: trunk.hold.dialect,
        suites: trunk.media.suites.clone(),
        networks: Arc::clone(&trunk.media.networks),
        ..Policy::default()
    };
    match trunk.media.transcode {
        true => policy.converting(),
        false => policy,
    }
}

/// What the party of a leg said, in terms of the formats both agreed on.
pub(crate) fn agreed(negotiated: &Negotiated, intends: Direction) -> Audio {
    let formats = negotiated.formats.iter();
    let formats = formats.map(|common| sdp::Format {
        pt: common.their_pt,
        ..common.format.clone()
    });
    Audio {
        formats: formats.collect(),
        direction: intends,
        ..negotiated.remote.clone()
    }
}

impl Session {
    /// Lets go of room that it does not need.
    pub(crate) fn keep_little(&mut self) {
        self.negotiated.formats.shrink_to_fit();
        self.negotiated.remote.formats.shrink_to_fit();
    }

    /// What the party said, as the other leg's is to hear it: the basis of what that one is offered
    /// or answered. `wants` is what it is told that this party wants to send and receive.
    pub(crate) fn said(&self, wants: Direction) -> Audio {
        agreed(&self.negotiated, wants)
    }

    /// Answers an offer of the party; `across` is what the other leg's party said.
    pub(crate) fn answer(
        &mut self,
        offer: &SessionDescription,
        heard: Heard,
        local: &mut LocalMedia,
        across: &Audio,
        policy: &Policy,
    ) -> Result<(), AnswerError> {
        let (answer, negotiated) = answer_for(offer, across, local, policy)?;
        self.intends = negotiated.remote.direction;
        self.conveyed = across.direction;
        self.told = answer.to_bytes().into();
        self.heard = heard;
        self.negotiated = negotiated;
        Ok(())
    }

    /// Writes an offer to the party of what `audio`, the other leg's party, said, with the payload
    /// types this leg already uses (RFC 3264 §8.3.2).
    pub(crate) fn offer(
        &self,
        local: &mut LocalMedia,
        mut audio: Audio,
        policy: &Policy,
    ) -> Result<(Bytes, PendingOffer), OfferError> {
        self.keep_converted(&mut audio, policy);
        let mut formats: Vec<sdp::Format> = Vec::with_capacity(audio.formats.len());
        for format in &audio.formats {
            let ours = self.negotiated.formats.iter();
            let mut same = ours.filter(|common| common.format.same_encoding(format));
            let known = same.next().map(|common| sdp::Format {
                pt: common.our_pt,
                ..common.format.clone()
            });
            let format = known.unwrap_or_else(|| format.clone());
            if formats.iter().all(|taken| taken.pt != format.pt) {
                formats.push(format);
            }
        }
        audio.formats = formats;
        self.keep_events(&mut audio.formats);
        let (offer, pending) = offer_for(&audio, local, policy)?;
        Ok((
            offer.to_bytes().into(),
            pending.over(self.negotiated.clone()),
        ))
    }

    /// Events of this leg alone keep their payload type too.
    fn keep_events(&self, formats: &mut Vec<sdp::Format>) {
        let Some(events) = self.negotiated.telephone_event() else {
            return;
        };
        let ours = sdp::Format {
            pt: events.our_pt,
            ..events.format.clone()
        };
        let known = formats.iter().any(sdp::Format::is_telephone_event);
        if !known && formats.iter().all(|format| format.pt != ours.pt) {
            formats.push(ours);
        }
    }

    /// A party whose speech is converted goes on in the formats it has: it would refuse those of
    /// the leg across once more.
    fn keep_converted(&self, audio: &mut Audio, policy: &Policy) {
        let ours = || self.negotiated.formats.iter().map(|common| &common.format);
        let mut voices = audio.formats.iter().filter(|format| format.is_voice());
        let shared = voices.any(|theirs| ours().any(|format| format.same_encoding(theirs)));
        let converted = audio.formats.iter().any(sdp::Format::is_convertible);
        if shared || !converted || policy.convert.is_empty() {
            return;
        }
        let mut kept: Vec<_> = ours()
            .filter(|format| format.is_convertible())
            .cloned()
            .collect();
        if !kept.is_empty() {
            kept.extend(audio.formats.drain(..).filter(|format| !format.is_voice()));
            audio.formats = kept;
        }
    }

    /// Takes the party's answer to an offer of ours that said `conveying`.
    pub(crate) fn take_answer(
        &mut self,
        pending: PendingOffer,
        told: Bytes,
        answer: &SessionDescription,
        heard: Heard,
        conveying: Direction,
    ) -> Result<(), AnswerError> {
        let offered = pending.direction();
        let negotiated = pending.answered(answer)?;
        let answered = negotiated.remote.direction;
        // The party could only narrow what it was offered; for the rest it has not spoken.
        let sends = if offered.receives() {
            answered.sends()
        } else {
            self.intends.sends()
        };
        let receives = if offered.sends() {
            answered.receives()
        } else {
            self.intends.receives()
        };
        self.intends = Direction::new(sends, receives);
        self.conveyed = conveying;
        self.told = told;
        self.heard = heard;
        self.negotiated = negotiated;
        Ok(())
    }
}

impl Session {
    /// The description the party was told last, as an offer once more: it refreshes the session
    /// and changes nothing.
    pub(crate) fn offer_again(&self, policy: &Policy) -> Option<(Bytes, PendingOffer)> {
        let told = SessionDescription::parse(&self.told).ok()?;
        let pending = PendingOffer::again(&told, &self.negotiated, policy)?;
        Some((self.told.clone(), pending))
    }
}

/// The codecs of an offer that nobody asked for in particular.
pub(crate) fn default_codecs() -> Vec<Codec> {
    Codec::defaults()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_known_again_after_a_restart_and_from_earlier_checkpoints() {
        let description = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n";
        let heard = Heard::of(description);
        assert_eq!(Heard::restore(&heard.to_vec()), heard);
        assert_eq!(Heard::restore(description), heard);
        assert_ne!(Heard::of(b"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\n"), heard);
    }
}
