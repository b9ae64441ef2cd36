//! RTCP of a leg: carried over from the joined leg, or our own (RFC 3550 §6).

use std::time::Duration;

use ambient::{Moment, Now};
use rtp::rtcp::{
    Compound, Packet, Report, ReportBlock, ReportEdit, SenderInfo, Writer, bye_sources,
};

use crate::leg::Leg;
use crate::{DropReason, LegId};

/// How often a leg is sent RTCP at least, also on hold: the minimum interval of RFC 3550 §6.2.
const EVERY: Duration = Duration::from_secs(5);
/// RTCP that is carried over suffices if it came not longer ago than this.
const RECENT: Duration = Duration::from_millis(4500);
/// RTCP packets a leg may send in a second. A sound sender needs one in five seconds.
const PER_SECOND: u32 = 50;
/// Octets of canonical name that are sent.
const MAX_CNAME: usize = 63;

/// What RTCP needs to remember of a leg.
#[derive(Debug)]
pub(crate) struct Reporting {
    /// When the next report of our own is to be considered.
    pub(crate) next: Moment,
    /// A report of our own is due.
    pub(crate) due: bool,
    last_sent: Option<Moment>,
    /// When the leg was last heard by RTCP.
    pub(crate) last_heard: Option<Moment>,
    /// Compact NTP time of the last SR that the leg was sent, and when: a report that names it tells
    /// the round trip.
    sent_sr: Option<(u32, Moment)>,
    /// Compact NTP time of the leg's last SR, and when it came.
    heard_sr: Option<(u32, Moment)>,
    /// Compact NTP time of the last SR of the joined leg that was carried to this one.
    relayed_sr: Option<u32>,
    second: Moment,
    in_second: u32,
    /// Packets that had been sent when the last report was made.
    packets_reported: u64,
}

impl Reporting {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            next: now + EVERY,
            due: false,
            last_sent: None,
            last_heard: None,
            sent_sr: None,
            heard_sr: None,
            relayed_sr: None,
            second: now,
            in_second: 0,
            packets_reported: 0,
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Moment) {
        if self.next > now {
            return;
        }
        let recent = self
            .last_sent
            .filter(|sent| now.saturating_since(*sent) < RECENT);
        self.next = recent.unwrap_or(now) + EVERY;
        self.due = recent.is_none();
    }

    pub(crate) fn admit(&mut self, now: Moment) -> Result<(), DropReason> {
        if now.saturating_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.in_second) = (now, 0);
        }
        self.in_second += 1;
        if self.in_second > PER_SECOND {
            Err(DropReason::RtcpRate)
        } else {
            Ok(())
        }
    }

    pub(crate) fn on_sent(&mut self, now: Moment) {
        self.last_sent = Some(now);
        self.due = false;
    }
}

impl Leg {
    /// Learns what the leg's RTCP, in the clear, says about it and about us.
    pub(crate) fn read_rtcp(&mut self, now: Moment, compound: &Compound<'_>) {
        self.reporting.last_heard = Some(now);
        if std::mem::take(&mut self.timers.silence_told) {
            self.news.resumed = true;
        }
        for packet in compound.packets() {
            match packet {
                Packet::SenderReport(info, report) => {
                    self.reporting.heard_sr = Some((info.compact_ntp(), now));
                    self.read_blocks(now, &report);
                }
                Packet::ReceiverReport(report) => self.read_blocks(now, &report),
                Packet::Bye(bye) => bye_sources(bye).for_each(|ssrc| self.streams.end(ssrc)),
                Packet::Other(_) => {}
            }
        }
    }

    fn read_blocks(&mut self, now: Moment, report: &Report<'_>) {
        let Some(about_us) = report
            .blocks()
            .find(|block| block.ssrc == self.outbound.ssrc)
        else {
            return;
        };
        self.stats.remote_fraction_lost = about_us.fraction_lost;
        self.stats.remote_lost = about_us.lost;
        self.stats.remote_jitter = about_us.jitter;
        // RFC 3550 §6.4.1: the time since that SR less what the peer held it.
        if let Some((named, sent)) = self.reporting.sent_sr
            && named == about_us.last_sr
        {
            let held = u64::from(about_us.delay) * 1_000_000 / 65_536;
            let since = now.saturating_since(sent).as_micros() as u64;
            let trip = since.saturating_sub(held);
            self.stats.round_trip_us = Some(u32::try_from(trip).unwrap_or(u32::MAX));
        }
    }

    /// Writes a report of our own with our canonical name, and a BYE if this is the last one, in
    /// the clear.
    pub(crate) fn write_report(&mut self, now: Now, buf: &mut [u8], bye: bool) -> Option<usize> {
        let ssrc = self.outbound.ssrc;
        let sending = self.outbound.packets > self.reporting.packets_reported;
        self.reporting.packets_reported = self.outbound.packets;
        let sender = sending.then(|| SenderInfo {
            ntp: now.wall.ntp(),
            rtp_timestamp: self.outbound.timestamp_at(now.moment),
            packets: self.outbound.packets as u32,
            octets: self.outbound.octets as u32,
        });
        if let Some(info) = &sender {
            self.reporting.relayed_sr = None;
            self.reporting.sent_sr = Some((info.compact_ntp(), now.moment));
        }
        let block = self.report_block(now.moment);
        let blocks = block.as_slice();
        let name = self.params.cname.as_bytes();
        let name = &name[..name.len().min(MAX_CNAME)];
        let writer = Writer::new(buf, 0)
            .report(ssrc, sender.as_ref(), blocks)?
            .cname(ssrc, name)?;
        let writer = if bye { writer.bye(ssrc)? } else { writer };
        Some(writer.finish())
    }

    fn report_block(&mut self, now: Moment) -> Option<ReportBlock> {
        let (last_sr, delay) = self.reporting.heard_sr.map_or((0, 0), |(sr, at)| {
            let delay = now.saturating_since(at).as_nanos() * 65_536 / 1_000_000_000;
            (sr, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        let stream = self.streams.current_mut()?;
        Some(ReportBlock {
            ssrc: stream.ssrc,
            fraction_lost: stream.stats.take_fraction_lost(),
            lost: u32::try_from(stream.stats.lost()).unwrap_or(u32::MAX),
            highest: stream.stats.highest().0 as u32,
            jitter: stream.stats.jitter(),
            last_sr,
            delay,
        })
    }

    /// Rewrites RTCP that came from `from` into what this leg, its peer, may be told, where it lies;
    /// returns the length in the clear.
    ///
    /// The SR or RR passes with the numbers of this side; the sender's names do not, ours stands in
    /// their place. A report on a stream that is not the one being carried says nothing here.
    pub(crate) fn carry_rtcp(
        &mut self,
        now: Moment,
        from: &Self,
        buf: &mut [u8],
        len: usize,
    ) -> Result<usize, DropReason> {
        let absorbed = DropReason::RtcpAbsorbed;
        let compound = Compound::parse(&buf[..len]).map_err(|_| DropReason::MalformedRtcp)?;
        let (sender, info) = match compound.packets().next() {
            Some(Packet::SenderReport(info, report)) => (report.ssrc, Some(info)),
            Some(Packet::ReceiverReport(report)) => (report.ssrc, None),
            Some(Packet::Bye(_) | Packet::Other(_)) | None => return Err(absorbed),
        };
        let timestamp_offset = match (info, self.mapping_from(from.id)) {
            (None, _) => 0,
            (Some(_), Some((ssrc, _, offset))) if ssrc == sender => offset,
            (Some(_), _) => return Err(absorbed),
        };
        let back = from.mapping_from(self.id);
        let edit = ReportEdit {
            sender_ssrc: self.outbound.ssrc,
            timestamp_offset,
            counts: (self.outbound.packets as u32, self.outbound.octets as u32),
            reported_ssrc: from.outbound.ssrc,
            source_ssrc: back.map_or(0, |(ssrc, ..)| ssrc),
            sequence_offset: back.map_or(0, |(_, offset, _)| offset),
            relayed_sr: from.reporting.relayed_sr,
        };
        // Without a stream of ours that they could be about, reports on it mean nothing here.
        let edit = if back.is_some() {
            edit
        } else {
            ReportEdit {
                reported_ssrc: 0,
                ..edit
            }
        };
        let end = rtp::rtcp::edit_report(&mut buf[..len], &edit).ok_or(absorbed)?;
        if info.is_none() && buf[0] & 0x1f == 0 {
            return Err(absorbed);
        }
        if let Some(info) = info {
            self.reporting.relayed_sr = Some(info.compact_ntp());
            self.reporting.sent_sr = Some((info.compact_ntp(), now));
        }
        let name = self.params.cname.as_bytes();
        let name = &name[..name.len().min(MAX_CNAME)];
        let writer = Writer::new(buf, end).cname(self.outbound.ssrc, name);
        let end = writer.ok_or(DropReason::TooLong)?.finish();
        self.reporting.on_sent(now);
        Ok(end)
    }

    /// SSRC and offsets of the stream of `leg` that this leg is being sent.
    fn mapping_from(&self, leg: LegId) -> Option<(u32, u32, u32)> {
        let mapping = self.outbound.mapping?;
        mapping.comes_from(leg).then_some((
            mapping.ssrc,
            mapping.sequence_offset as u32,
            mapping.timestamp_offset,
        ))
    }
}
