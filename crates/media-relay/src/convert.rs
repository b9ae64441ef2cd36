//! Speech that must be converted because two joined legs share no codec.
//!
//! The relay converts nothing itself: [`Relay::forward`] hands such a packet back in the clear with
//! a [`Ticket`], the shell has its payload converted by a thread of its own, and
//! [`Relay::handle_converted`] goes on where the walk stopped. Every codec converted here has one
//! octet a sample and an RTP clock of 8000 Hz, so lengths and timestamps stay as they are, and the
//! place of a packet in what the leg is sent follows from where it stood in its own stream: packets
//! that overtake each other on the way stay in order.

#![expect(
    clippy::disallowed_types,
    reason = "state of a conversion is taken by the one thread that converts, never by the relay"
)]

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

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

/// What converts the speech towards one leg. Clones share their state; it lives as long as the
/// longest of them.
#[derive(Clone, Debug, Default)]
pub struct Converter(Arc<Mutex<Transcoder>>);

impl Converter {
    /// Converts the payload of the packet in `buf` where it lies. Waits for another conversion for
    /// the same leg, so it belongs to the one thread that converts for that leg, and to no other.
    pub fn convert(&self, ticket: &Ticket, buf: &mut [u8]) {
        let mut transcoder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(payload) = buf.get_mut(ticket.payload()) {
            let (from, to) = ticket.codecs;
            transcoder.convert(from, to, payload);
        }
    }
}

impl Relay {
    /// What converts the packet of `ticket`; `None` if its legs are no longer joined.
    #[must_use]
    pub fn converter(&self, ticket: &Ticket) -> Option<Converter> {
        self.leg(ticket.to)?.converter.clone()
    }

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
