//! Speech that must be converted because two joined legs share no codec.
//!
//! The relay converts nothing itself: [`Relay::forward`] hands such a packet back in the clear with
//! a [`Ticket`], the shell has its payload converted by a thread of its own, and
//! [`Relay::handle_converted`] goes on where the walk stopped. Every codec converted here has one
//! octet a sample and an RTP clock of 8000 Hz, so lengths and timestamps stay as they are, and the
//! place of a packet in what the leg is sent follows from where it stood in its own stream: packets
//! that overtake each other on the way stay in order.
//!
//! The state of the streams of speech is no part of the relay: it is the [`Converter`], one value
//! for a shard, owned by the thread that converts. The relay gives each stream a number and a place
//! in it, which travel with the ticket.

use std::ops::Range;

use ambient::Now;
use voice::{Speech, Transcoder};

use crate::forward::Accepted;
use crate::leg::Leg;
use crate::relay::{Relay, Verdict};
use crate::{DropReason, LegId};

/// Speech of the joined leg that is converted for a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The payload types the joined leg sends that are converted, at most
    /// [`Conversion::MAX_FROM`]; a payload type that [`PtMap`](crate::PtMap) carries is not.
    pub from: Vec<(u8, Speech)>,
    /// What this leg is sent instead.
    pub to: Speech,
    /// Its payload type on this leg.
    pub payload_type: u8,
}

impl Conversion {
    /// The most payload types that are converted for one leg; further ones are ignored.
    pub const MAX_FROM: usize = 4;
}

/// A packet on its way through a conversion. It belongs to the relay that gave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) from: LegId,
    pub(crate) to: LegId,
    pub(crate) accepted: Accepted,
    pub(crate) codecs: (Speech, Speech),
    pub(crate) payload_type: u8,
    /// The slot of the leg that is sent the packet.
    pub(crate) slot: u32,
    /// Which of that leg's conversions this is: another one is another stream.
    pub(crate) epoch: u32,
}

impl Ticket {
    /// Octets of the packet, in the clear, from the beginning of the buffer.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        self.accepted.len
    }

    /// Where in the packet the payload is that is to be converted.
    #[must_use]
    pub fn payload(&self) -> Range<usize> {
        let start = self.accepted.header.len.min(self.accepted.len);
        start..(start + self.accepted.payload).min(self.accepted.len)
    }

    /// The leg the packet came from. Packets of one leg are converted one after the other, in the
    /// order in which they were given out.
    #[must_use]
    pub fn leg(&self) -> LegId {
        self.from
    }
}

/// What converts the speech of one relay, and the state of each stream of it.
///
/// A stream stands where its leg stands in the relay, so there are never more than the relay has
/// had legs at a time, of about 300 octets each, and a stream is forgotten when the next leg in its
/// place has speech to convert. Memory is taken when a place is used for the first time.
///
/// A leg that moves to another shard begins anew there, which is heard like a lost packet.
#[derive(Debug, Default)]
pub struct Converter {
    streams: Vec<Option<Box<Stream>>>,
}

/// Speech towards one leg, for as long as what is signalled for it stays the same.
#[derive(Debug)]
struct Stream {
    to: LegId,
    epoch: u32,
    transcoder: Transcoder,
}

impl Converter {
    /// Converts the payload of the packet in `buf` where it lies. The packets of one leg are to
    /// come in the order in which [`Relay::forward`] gave out their tickets.
    pub fn convert(&mut self, ticket: &Ticket, buf: &mut [u8]) {
        if let Some(payload) = buf.get_mut(ticket.payload()) {
            let (from, to) = ticket.codecs;
            self.stream(ticket).transcoder.convert(from, to, payload);
        }
    }

    fn stream(&mut self, ticket: &Ticket) -> &mut Stream {
        let place = ticket.slot as usize;
        if self.streams.len() <= place {
            self.streams.resize_with(place + 1, || None);
        }
        let begin = || Stream {
            to: ticket.to,
            epoch: ticket.epoch,
            transcoder: Transcoder::default(),
        };
        let stream = self.streams[place].get_or_insert_with(|| Box::new(begin()));
        if (stream.to, stream.epoch) != (ticket.to, ticket.epoch) {
            **stream = begin();
        }
        stream
    }
}

impl Relay {
    /// Carries on with a converted packet, which lies in `buf` in the clear with
    /// [`TAILROOM`](crate::TAILROOM) octets behind it. Never asks for another conversion.
    pub fn handle_converted(&mut self, now: Now, ticket: &Ticket, buf: &mut [u8]) -> Verdict {
        let result = self.carry_converted(now, ticket, buf);
        let verdict = match result {
            Ok(transmit) => Verdict::Send(transmit),
            Err(reason) => return self.refuse_converted(ticket, reason),
        };
        for leg in [ticket.from, ticket.to] {
            if let Ok(slot) = self.slot(leg) {
                self.list_news(slot);
            }
        }
        verdict
    }

    /// The packet could not be converted: as many as may wait for it already.
    pub fn refuse_conversion(&mut self, ticket: &Ticket) -> Verdict {
        self.refuse_converted(ticket, DropReason::ConverterBusy)
    }

    fn refuse_converted(&mut self, ticket: &Ticket, reason: DropReason) -> Verdict {
        match self.slot(ticket.from).ok() {
            Some(slot) => {
                if let Some(leg) = self.leg_at_slot(slot) {
                    leg.count_drop(reason);
                }
                self.list_news(slot);
            }
            None => self.dropped[reason] += 1,
        }
        Verdict::Drop(reason)
    }

    fn carry_converted(
        &mut self,
        now: Now,
        ticket: &Ticket,
        buf: &mut [u8],
    ) -> Result<crate::Transmit, DropReason> {
        self.working = Some(ticket.from);
        let slot = self.slot(ticket.from).map_err(|_| DropReason::NoLeg)?;
        let (leg, peer) = self.pair(slot)?;
        if peer.id != ticket.to {
            return Err(DropReason::NotJoined);
        }
        let accepted = &ticket.accepted;
        // Meanwhile something else may have been agreed on.
        let arriving = accepted.header.payload_type;
        if peer.conversion_of(arriving) != Some((ticket.codecs, ticket.payload_type)) {
            return Err(DropReason::PayloadType);
        }
        let to = peer.admits_sound()?;
        let timestamp = accepted.header.timestamp;
        let carried = (ticket.payload_type, timestamp, false);
        leg.hand_over(peer, now.moment, accepted, carried, (buf, to))
    }
}

impl Leg {
    /// What speech of this payload type of the joined leg becomes, and its payload type.
    pub(crate) fn conversion_of(&self, arriving: u8) -> Option<((Speech, Speech), u8)> {
        let conversion = self.params.conversion.as_ref()?;
        let mut from = conversion.from.iter().take(Conversion::MAX_FROM);
        let (_, from) = from.find(|(payload_type, _)| *payload_type == arriving)?;
        Some(((*from, conversion.to), conversion.payload_type))
    }
}
