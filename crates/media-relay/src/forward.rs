//! A packet's walk: demux · unprotect · latch · rewrite · protect.

use std::net::SocketAddr;

use ambient::{Moment, Now};
use rtp::rtcp::Compound;
use rtp::{Header, HeaderEdit, PacketKind, SrtpError};

use crate::dtmf::rescale;
use crate::leg::Leg;
use crate::outbound::{Speaker, sequence_of};
use crate::relay::{Arrival, Relay, Transmit, Verdict};
use crate::streams::Spares;
use crate::{DropReason, MediaError, Source, Ticket};

/// An RTP packet that was accepted from a leg, in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) header: Header,
    pub(crate) len: usize,
    pub(crate) payload: usize,
    speaker: Speaker,
    extended: u64,
}

impl Relay {
    /// Carries the datagram in `buf[..len]` to the leg joined with the one it came from.
    ///
    /// The packet is rewritten where it lies; [`TAILROOM`](crate::TAILROOM) octets behind it must be
    /// free. Nothing is allocated.
    pub fn forward(&mut self, now: Now, arrival: &Arrival, buf: &mut [u8], len: usize) -> Verdict {
        let slot = self.by_ports.get(arrival.ports);
        let Some(slot) = slot.filter(|slot| self.legs[*slot as usize].is_some()) else {
            self.dropped[DropReason::NoLeg] += 1;
            return Verdict::Drop(DropReason::NoLeg);
        };
        let result = if len > buf.len() {
            Err(DropReason::TooLong)
        } else {
            self.walk(now.moment, slot, arrival, buf, len)
        };
        let leg = self
            .leg_at_slot(slot)
            .expect("the leg was there before the walk");
        let verdict = match result {
            Ok(verdict) => verdict,
            Err(reason) => {
                leg.count_drop(reason);
                Verdict::Drop(reason)
            }
        };
        let peer = leg.peer;
        self.list_news(slot);
        if let Some(peer) = peer {
            self.list_news(peer);
        }
        verdict
    }

    fn walk(
        &mut self,
        now: Moment,
        slot: u32,
        arrival: &Arrival,
        buf: &mut [u8],
        len: usize,
    ) -> Result<Verdict, DropReason> {
        self.working = self.leg_at_slot(slot).map(|leg| leg.id);
        let leg = self.legs.get_mut(slot as usize);
        let leg = leg.and_then(Option::as_deref_mut);
        let leg = leg.ok_or(DropReason::NoLeg)?;
        #[cfg(feature = "planted-fault")]
        assert_ne!(
            &buf[..len],
            crate::PLANTED_FAULT,
            "the fault that a test planted"
        );
        if !leg.params.reaches(arrival.source.ip()) {
            return Err(DropReason::Network);
        }
        match PacketKind::of(&buf[..len]) {
            PacketKind::Rtp if arrival.rtcp => Err(DropReason::WrongPort),
            PacketKind::Rtp => {
                let spares = &mut self.spares;
                let accepted = leg.accept_rtp(now, arrival.source, buf, len, spares)?;
                let (leg, peer) = self.pair(slot)?;
                leg.carry_to(peer, now, &accepted, buf)
            }
            PacketKind::Rtcp if !arrival.rtcp && !leg.params.rtcp_mux => Err(DropReason::WrongPort),
            PacketKind::Rtcp => {
                let len = leg.accept_rtcp(now, arrival.source, buf, len)?;
                let (leg, peer) = self.pair(slot).map_err(|_| DropReason::RtcpAbsorbed)?;
                let to = peer.rtcp_destination().ok_or(DropReason::RtcpAbsorbed)?;
                let len = peer.carry_rtcp(now, leg, buf, len)?;
                let len = peer.outbound.seal_rtcp(buf, len)?;
                peer.stats.sent_rtcp += 1;
                Ok(Verdict::Send(Transmit {
                    ports: peer.ports.id,
                    rtcp: !peer.params.rtcp_mux,
                    to,
                    len,
                }))
            }
            PacketKind::Dtls | PacketKind::Other | PacketKind::Stun => Err(DropReason::NotRtp),
        }
    }

    /// A leg and the one it is joined to.
    pub(crate) fn pair(&mut self, slot: u32) -> Result<(&Leg, &mut Leg), DropReason> {
        let peer = self
            .leg_at_slot(slot)
            .and_then(|leg| leg.peer)
            .ok_or(DropReason::NotJoined)?;
        match self.legs.get_disjoint_mut([slot as usize, peer as usize]) {
            Ok([Some(leg), Some(peer)]) => Ok((leg, peer)),
            Ok(_) | Err(_) => Err(DropReason::NotJoined),
        }
    }
}

impl Leg {
    fn accept_rtp(
        &mut self,
        now: Moment,
        source: SocketAddr,
        buf: &mut [u8],
        len: usize,
        spares: &mut Spares,
    ) -> Result<Accepted, DropReason> {
        let header = Header::read(&buf[..len]).map_err(|_| DropReason::Malformed)?;
        let secure = self.is_secure();
        let (candidate, len, index) = if secure {
            let (candidate, unprotected) = self.authenticate(&mut buf[..len])?;
            (candidate, unprotected.0, Some(unprotected.1))
        } else {
            (self.admit(now, source, &header)?, len, None)
        };
        let payload = header.payload(&buf[..len]);
        let payload = payload.map_err(|_| DropReason::Malformed)?;
        let clock = self.params.clock;
        let from = candidate as u8;
        let heard = self
            .streams
            .hear(now, clock, from, &header, index, spares)?;
        if secure && self.remotes[candidate].note_authentic(source, &header) {
            self.stats.moves += 1;
        }
        self.speaking = from;
        self.stats.received_octets += payload.len() as u64;
        self.on_heard(source, heard.extended);
        self.news.state |= heard.new_stream;
        self.detect(now, &header, &buf[payload.clone()]);
        self.listen(header.payload_type, &mut buf[payload.clone()]);
        if !self.params.receive {
            return Err(DropReason::Direction);
        }
        let speaker = Speaker {
            leg: self.id,
            ssrc: header.ssrc,
            epoch: heard.epoch,
        };
        Ok(Accepted {
            header,
            len,
            payload: payload.len(),
            speaker,
            extended: heard.extended,
        })
    }

    /// The remote ends in turn, the one heard last first.
    fn candidate(&self, turn: usize) -> usize {
        let candidate = usize::from(self.speaking) + turn;
        let all = self.remotes.len();
        if candidate < all {
            candidate
        } else {
            candidate - all
        }
    }

    /// Finds the remote end whose key authenticates the packet, the one heard last first.
    fn authenticate(&mut self, packet: &mut [u8]) -> Result<(usize, (usize, u64)), DropReason> {
        if self.remotes.is_empty() {
            return Err(DropReason::BeforeKey);
        }
        let mut refusal = None;
        for turn in 0..self.remotes.len() {
            let candidate = self.candidate(turn);
            match self.remotes[candidate].unprotect_rtp(packet) {
                Ok(unprotected) => return Ok((candidate, (unprotected.len, unprotected.index))),
                Err(error) => refusal = refusal.max(Some(refused(error))),
            }
        }
        Err(self.note_refusal(refusal))
    }

    fn authenticate_rtcp(&mut self, packet: &mut [u8]) -> Result<(usize, usize), DropReason> {
        if self.remotes.is_empty() {
            return Err(DropReason::BeforeKey);
        }
        let mut refusal = None;
        for turn in 0..self.remotes.len() {
            let candidate = self.candidate(turn);
            match self.remotes[candidate].unprotect_rtcp(packet) {
                Ok(unprotected) => return Ok((candidate, unprotected.len)),
                Err(error) => refusal = refusal.max(Some(refused(error))),
            }
        }
        Err(self.note_refusal(refusal))
    }

    fn note_refusal(&mut self, refusal: Option<DropReason>) -> DropReason {
        let reason = refusal.unwrap_or(DropReason::BadTag);
        if reason == DropReason::TooManyStreams && self.stats.dropped(reason) == 0 {
            self.news.failed = Some(MediaError::TooManyStreams);
        }
        reason
    }

    /// Finds the remote end that a plain packet may be from.
    fn admit(
        &mut self,
        now: Moment,
        source: SocketAddr,
        header: &Header,
    ) -> Result<usize, DropReason> {
        for turn in 0..self.remotes.len() {
            let candidate = self.candidate(turn);
            let stream = self
                .streams
                .current()
                .filter(|stream| usize::from(stream.candidate) == candidate);
            let remote = &mut self.remotes[candidate];
            let Ok(moved) = remote.admits(now, self.params.latch, source, header, stream) else {
                continue;
            };
            self.stats.moves += u32::from(moved);
            return Ok(candidate);
        }
        Err(DropReason::Stranger)
    }

    fn accept_rtcp(
        &mut self,
        now: Moment,
        source: SocketAddr,
        buf: &mut [u8],
        len: usize,
    ) -> Result<usize, DropReason> {
        let len = if self.is_secure() {
            self.reporting.admit(now)?;
            let (candidate, len) = self.authenticate_rtcp(&mut buf[..len])?;
            if !self.params.rtcp_mux {
                self.remotes[candidate].note_authentic_rtcp(source);
            }
            len
        } else {
            let mux = self.params.rtcp_mux;
            if !self
                .remotes
                .iter()
                .any(|remote| remote.admits_rtcp(source, mux))
            {
                return Err(DropReason::Stranger);
            }
            self.reporting.admit(now)?;
            len
        };
        let compound = Compound::parse(&buf[..len]).map_err(|_| DropReason::MalformedRtcp)?;
        self.stats.received_rtcp += 1;
        self.read_rtcp(now, &compound);
        Ok(len)
    }

    fn detect(&mut self, now: Moment, header: &Header, payload: &[u8]) {
        let event = self.params.telephone_event;
        let held = match event.filter(|event| event.heard == header.payload_type) {
            Some(event) => {
                let beginning = (header.ssrc, header.timestamp);
                self.detector.on_event(now, beginning, payload, event.clock)
            }
            None => self.detector.on_end(),
        };
        if let Some(held) = held {
            self.push_digit(held);
        }
    }

    /// Rewrites an accepted packet for `peer` and makes it ready for the wire, or finds that its
    /// sound must be converted first.
    fn carry_to(
        &self,
        peer: &mut Self,
        now: Moment,
        accepted: &Accepted,
        buf: &mut [u8],
    ) -> Result<Verdict, DropReason> {
        let header = &accepted.header;
        let to = peer.admits_sound()?;
        let event = self.params.telephone_event;
        let event = event.filter(|event| event.heard == header.payload_type);
        let mapped = peer.params.pt_map.map(header.payload_type);
        let (payload_type, later) = match (mapped, event, peer.params.telephone_event) {
            (Some(payload_type), ..) => (payload_type, 0),
            (None, Some(from), Some(to)) => {
                let start = accepted.len.min(accepted.header.len);
                let payload = &mut buf[start..accepted.len];
                let later = rescale(payload, (from.clock, to.clock), peer.outbound.clock);
                (to.sent, later.ok_or(DropReason::Malformed)?)
            }
            (None, ..) => {
                let conversion = peer.conversion_of(header.payload_type);
                let (codecs, payload_type) = conversion.ok_or(DropReason::PayloadType)?;
                let slot = self.peer.ok_or(DropReason::NotJoined)?;
                return Ok(Verdict::Convert(Ticket {
                    from: self.id,
                    to: peer.id,
                    accepted: *accepted,
                    codecs,
                    payload_type,
                    slot,
                    epoch: peer.conversion_epoch,
                }));
            }
        };
        let timestamp = header.timestamp.wrapping_add(later);
        let carried = (payload_type, timestamp, event.is_some());
        let transmit = self.hand_over(peer, now, accepted, carried, (buf, to))?;
        Ok(Verdict::Send(transmit))
    }

    /// Where sound of the joined leg goes, if the leg is to hear it.
    pub(crate) fn admits_sound(&self) -> Result<SocketAddr, DropReason> {
        if !self.params.send {
            return Err(DropReason::Direction);
        }
        if self.source.source != Source::Off || self.digits.is_active() {
            return Err(DropReason::Replaced);
        }
        self.destination().ok_or(DropReason::NoDestination)
    }

    /// Gives an accepted packet its place in what `peer` is sent, under this payload type and
    /// timestamp, and seals it.
    pub(crate) fn hand_over(
        &self,
        peer: &mut Self,
        now: Moment,
        accepted: &Accepted,
        (payload_type, timestamp, is_event): (u8, u32, bool),
        (buf, to): (&mut [u8], SocketAddr),
    ) -> Result<Transmit, DropReason> {
        let place = peer
            .outbound
            .place(now, accepted.speaker, accepted.extended, timestamp)?;
        let edit = HeaderEdit {
            // The marker of an event says that it begins, not that the speaker is another.
            marker: accepted.header.marker || place.switched && !is_event,
            payload_type,
            sequence: sequence_of(place.index),
            timestamp: place.timestamp,
            ssrc: peer.outbound.ssrc,
        };
        edit.apply(&mut buf[..accepted.len])
            .map_err(|_| DropReason::Malformed)?;
        let len = peer.outbound.seal_rtp(buf, accepted.len, place.index)?;
        peer.count_sent(place.index, accepted.payload as u64);
        peer.news.state |= place.switched;
        Ok(Transmit {
            ports: peer.ports.id,
            rtcp: false,
            to,
            len,
        })
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        let count = self.stats.drop(reason);
        if reason == DropReason::KeyExhausted && count == 1 {
            self.news.failed = Some(MediaError::KeyExhausted);
        }
    }
}

/// Why a key refused a packet. Where several keys did, the largest says most.
fn refused(error: SrtpError) -> DropReason {
    match error {
        SrtpError::BadTag => DropReason::BadTag,
        SrtpError::Replayed | SrtpError::TooOld => DropReason::Replay,
        SrtpError::TooManyStreams => DropReason::TooManyStreams,
        SrtpError::IndexMismatch
        | SrtpError::IndexUsed
        | SrtpError::KeyExhausted
        | SrtpError::Malformed
        | SrtpError::NoRoom => DropReason::Malformed,
    }
}
