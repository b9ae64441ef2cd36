//! Packets of our own making: tones and reports.

use std::time::Duration;

use ambient::Now;

use crate::leg::Leg;
use crate::outbound::{Speaker, sequence_of};
use crate::relay::Transmit;
use crate::tone;

/// Octets of the largest tone packet: 60 ms of G.711 with its header and a tag.
const TONE_PACKET: usize = 12 + 480 + 16;
/// A tone that is further behind than this skips what it missed.
const TONE_BACKLOG: Duration = Duration::from_millis(200);

impl Leg {
    /// The next packet of our own that is due.
    pub(crate) fn make_packet(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        if std::mem::take(&mut self.reporting.due)
            && let Some(transmit) = self.make_report(now, buf, false)
        {
            return Some(transmit);
        }
        while let Some(due) = self.source.next.filter(|due| *due <= now.moment) {
            let ptime = Duration::from_millis(self.outbound.ptime_ms.into());
            let behind = now.moment.saturating_since(due) > TONE_BACKLOG;
            self.source.next = Some(if behind {
                now.moment + ptime
            } else {
                due + ptime
            });
            if let Some(transmit) = self.make_tone(now, buf) {
                return Some(transmit);
            }
        }
        None
    }

    fn make_tone(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        let codec = self.params.tone?;
        let to = self.destination().filter(|_| self.params.send)?;
        let samples = (self.outbound.ptime_ms * (tone::RATE / 1000)).min(480);
        let number = self.source.packets;
        self.source.packets += 1;
        let position = number * u64::from(samples);
        // Sequence numbers begin at an arbitrary place below 2^15 (RFC 3711 §3.3.1).
        let extended = number + u64::from(self.outbound.ssrc & 0x7fff);
        let epoch = self.source.epoch;
        let speaker = Speaker {
            leg: self.id,
            ssrc: self.outbound.ssrc,
            epoch,
        };
        let place = self
            .outbound
            .place(now.moment, speaker, extended, position as u32)
            .ok()?;
        let fields = rtp::HeaderEdit {
            marker: place.switched,
            payload_type: codec.payload_type,
            sequence: sequence_of(place.index),
            timestamp: place.timestamp,
            ssrc: self.outbound.ssrc,
        };
        let packet = buf.get_mut(..TONE_PACKET)?;
        let header = rtp::header::write(packet, &fields)?;
        let end = header + samples as usize;
        tone::fill(
            self.source.source,
            codec.law,
            position,
            &mut packet[header..end],
        );
        let len = self.outbound.seal_rtp(packet, end, place.index).ok()?;
        self.count_sent(place.index, u64::from(samples));
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
        self.stats.sent += 1;
        self.stats.sent_octets += octets;
        self.offer_checkpoint(index);
    }
}
