//! Packets of our own making: tones, digits and reports.

use std::time::Duration;

use ambient::Now;
use voice::tone;

use crate::dtmf::{SEGMENT, Step};
use crate::leg::Leg;
use crate::outbound::{Speaker, sequence_of};
use crate::relay::Transmit;
use crate::source::fill;
use crate::{TelephoneEvent, ToneCodec};

/// Octets of the largest packet made here: 60 ms of G.711 with its header and a tag.
const LARGEST: usize = 12 + 480 + 16;
/// A source that is further behind than this skips what it missed.
const BACKLOG: Duration = Duration::from_millis(200);
/// The power of an event, in −dBm0 (RFC 4733 §2.3.4).
const VOLUME: u8 = 10;
/// What sets the epochs of digits apart from those of tones.
const DIGITS: u32 = 1 << 31;

/// A packet of our own: where it stands among those of its source, and what it carries.
struct Piece {
    epoch: u32,
    number: u64,
    timestamp: u32,
    payload_type: u8,
    marker: bool,
    octets: usize,
}

impl Leg {
    /// The next packet of our own that is due.
    pub(crate) fn make_packet(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        if std::mem::take(&mut self.reporting.due)
            && let Some(transmit) = self.make_report(now, buf, false)
        {
            return Some(transmit);
        }
        while let Some(due) = self.digits.next.filter(|due| *due <= now.moment) {
            if now.moment.saturating_since(due) > BACKLOG {
                self.digits.skip_to(now.moment);
            }
            if let Some(transmit) = self.make_digit(now, buf) {
                return Some(transmit);
            }
        }
        while let Some(due) = self.source.next.filter(|due| *due <= now.moment) {
            let ptime = Duration::from_millis(self.outbound.ptime_ms.into());
            let behind = now.moment.saturating_since(due) > BACKLOG;
            self.source.next = Some(if behind {
                now.moment + ptime
            } else {
                due + ptime
            });
            if !self.digits.is_active()
                && let Some(transmit) = self.make_tone(now, buf)
            {
                return Some(transmit);
            }
        }
        None
    }

    fn make_tone(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        let codec = self.params.tone?;
        let octets = self.octets_of_sound();
        let number = self.source.packets;
        let position = number * octets as u64;
        let piece = Piece {
            epoch: self.source.epoch,
            number,
            timestamp: position as u32,
            payload_type: codec.payload_type,
            marker: true,
            octets,
        };
        self.source.packets += 1;
        // Lent out so that the packet can be written; given back below.
        let source = std::mem::replace(&mut self.source.source, crate::Source::Silence);
        let made = self.write(now, buf, &piece, |payload| {
            source.fill(codec.law, position, payload);
        });
        self.source.source = source;
        made
    }

    fn make_digit(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        let event = self.params.telephone_event;
        let step = self.digits.step(self.outbound.ptime_ms, event.is_some())?;
        if step.number == 0 {
            self.source.digit_epoch = self.source.digit_epoch.wrapping_add(1);
        }
        match (event, self.params.tone) {
            (Some(event), _) => self.make_event(now, buf, event, step),
            (None, Some(codec)) => self.make_digit_tone(now, buf, codec, step),
            (None, None) => None,
        }
    }

    fn make_event(
        &mut self,
        now: Now,
        buf: &mut [u8],
        event: TelephoneEvent,
        step: Step,
    ) -> Option<Transmit> {
        let units = u64::from(step.elapsed_ms) * u64::from(event.clock) / 1000;
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let segment = units.saturating_sub(1) / SEGMENT;
        let duration = (units - segment * SEGMENT) as u16;
        let begins = u64::from(segment * SEGMENT) * u64::from(self.outbound.clock);
        let piece = Piece {
            epoch: DIGITS | self.source.digit_epoch,
            number: step.number.into(),
            timestamp: (begins / u64::from(event.clock.max(1))) as u32,
            payload_type: event.sent,
            marker: step.number == 0,
            octets: 4,
        };
        let [high, low] = duration.to_be_bytes();
        let flags = u8::from(step.ended) << 7 | VOLUME;
        self.write(now, buf, &piece, |payload| {
            payload.copy_from_slice(&[step.digit.code(), flags, high, low]);
        })
    }

    fn make_digit_tone(
        &mut self,
        now: Now,
        buf: &mut [u8],
        codec: ToneCodec,
        step: Step,
    ) -> Option<Transmit> {
        let octets = self.octets_of_sound();
        let position = u64::from(step.number) * octets as u64;
        let piece = Piece {
            epoch: DIGITS | self.source.digit_epoch,
            number: step.number.into(),
            timestamp: position as u32,
            payload_type: codec.payload_type,
            marker: true,
            octets,
        };
        self.write(now, buf, &piece, |payload| {
            fill(codec.law, position, payload, |at| {
                tone::of_digit(step.digit, at)
            });
        })
    }

    fn octets_of_sound(&self) -> usize {
        (self.outbound.ptime_ms * (voice::RATE / 1000)).min(480) as usize
    }

    /// Writes a packet whose payload `fill` makes, and makes it ready for the wire.
    fn write(
        &mut self,
        now: Now,
        buf: &mut [u8],
        piece: &Piece,
        fill: impl FnOnce(&mut [u8]),
    ) -> Option<Transmit> {
        let to = self.destination().filter(|_| self.params.send)?;
        let ssrc = self.outbound.ssrc;
        // Sequence numbers begin at an arbitrary place below 2^15 (RFC 3711 §3.3.1).
        let extended = piece.number + u64::from(ssrc & 0x7fff);
        let speaker = Speaker {
            leg: self.id,
            ssrc,
            epoch: piece.epoch,
        };
        let place = self
            .outbound
            .place(now.moment, speaker, extended, piece.timestamp)
            .ok()?;
        let fields = rtp::HeaderEdit {
            marker: piece.marker && place.switched,
            payload_type: piece.payload_type,
            sequence: sequence_of(place.index),
            timestamp: place.timestamp,
            ssrc,
        };
        let packet = buf.get_mut(..LARGEST)?;
        let header = rtp::header::write(packet, &fields)?;
        let end = header + piece.octets;
        fill(packet.get_mut(header..end)?);
        let len = self.outbound.seal_rtp(packet, end, place.index).ok()?;
        self.count_sent(place.index, piece.octets as u64);
        Some(Transmit {
            ports: self.ports.id,
            rtcp: false,
            to,
            len,
        })
    }

    pub(crate) fn make_report(&mut self, now: Now, buf: &mut [u8], bye: bool) -> Option<Transmit> {
        let to = self.rtcp_destination()?;
        let len = self.write_report(now, buf, bye)?;
        let len = self.outbound.seal_rtcp(buf, len).ok()?;
        self.reporting.on_sent(now.moment);
        self.stats.sent_rtcp += 1;
        Some(Transmit {
            ports: self.ports.id,
            rtcp: !self.params.rtcp_mux,
            to,
            len,
        })
    }

    /// Counts an RTP packet that was sent to the leg.
    pub(crate) fn count_sent(&mut self, index: u64, octets: u64) {
        self.outbound.packets += 1;
        self.outbound.octets += octets;
        self.offer_checkpoint(index);
    }
}
