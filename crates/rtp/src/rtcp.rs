//! RTCP compound packets: checked, walked, edited in place and built (RFC 3550 §6).
//!
//! [`Compound`] checks a packet once and walks it. [`edit_report`] changes the sender or receiver
//! report at its head where it lies. [`Writer`] builds compounds in a caller's buffer.

use std::ops::Range;

use rtcp_types::{Bye, ReceiverReport, ReportBlock as ReadBlock, RtcpPacketParser, SenderReport};

/// Packet types (RFC 3550 §12.1).
const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;

/// Octets of one report block.
const BLOCK_LEN: usize = 24;
/// Octets of a packet's header with the sender's SSRC.
const HEADER_LEN: usize = 8;
/// Octets of the sender's information in an SR.
const SENDER_LEN: usize = 20;

/// Why a datagram is not an RTCP compound packet (RFC 3550 §A.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// A packet is shorter than its own count says.
    #[error("a packet is shorter than its count says")]
    Count,
    /// The lengths of the packets do not add up to the datagram.
    #[error("the lengths of the packets do not add up")]
    Length,
    /// Padding on another packet than the last, or more of it than there is room.
    #[error("padding where none may be")]
    Padding,
    /// The first packet is neither SR nor RR.
    #[error("the first packet is no report")]
    Report,
    /// A version other than 2.
    #[error("the RTCP version is not 2")]
    Version,
}

/// A compound packet that was found well formed: it begins with an SR or RR, and every packet in it
/// is as long as its count demands.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    data: &'a [u8],
}

/// One packet of a compound, as far as a relay of audio reads it.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// Sources that left.
    Bye(&'a [u8]),
    /// Anything else: SDES, APP, XR, feedback.
    Other(u8),
    /// A receiver report.
    ReceiverReport(Report<'a>),
    /// A sender report with what it says of its sender.
    SenderReport(SenderInfo, Report<'a>),
}

/// Sender's SSRC and report blocks of an SR or RR.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The SSRC that sent the report.
    pub ssrc: u32,
    blocks: &'a [u8],
}

/// The sender's information of an SR (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP timestamp, 32.32 bits.
    pub ntp: u64,
    /// The RTP timestamp of that instant.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Octets of payload sent.
    pub octets: u32,
}

impl SenderInfo {
    /// The middle 32 bits of the NTP timestamp, as `last_sr` of a report block quotes them.
    pub const fn compact_ntp(&self) -> u32 {
        (self.ntp >> 16) as u32
    }
}

/// What one end reports of a stream it receives (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The SSRC reported on.
    pub ssrc: u32,
    /// Fraction lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; 24 bits on the wire.
    pub lost: u32,
    /// The highest sequence number, extended to 32 bits.
    pub highest: u32,
    /// Interarrival jitter in units of the RTP clock.
    pub jitter: u32,
    /// [`SenderInfo::compact_ntp`] of the last SR heard, 0 for none.
    pub last_sr: u32,
    /// Delay since then in 1/65536 s.
    pub delay: u32,
}

impl<'a> Compound<'a> {
    /// Checks that `data` is one compound packet in the clear.
    pub fn parse(data: &'a [u8]) -> Result<Self, RtcpError> {
        if !matches!(data, [_, SR | RR, ..]) {
            return Err(RtcpError::Report);
        }
        let mut rest = data;
        while !rest.is_empty() {
            let (packet, tail) = split_packet(rest)?;
            if packet[0] & 0x20 != 0 && !tail.is_empty() {
                return Err(RtcpError::Padding);
            }
            rest = tail;
        }
        Ok(Self { data })
    }

    /// The packets in their order.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'a>> + use<'a> {
        let mut rest = self.data;
        std::iter::from_fn(move || {
            let (packet, tail) = split_packet(rest).ok()?;
            rest = tail;
            Some(Packet::read(packet))
        })
    }

    /// Octets of the report that stands first.
    pub fn report_len(&self) -> usize {
        split_packet(self.data).map_or(0, |(packet, _)| packet.len())
    }
}

impl<'a> Packet<'a> {
    fn read(packet: &'a [u8]) -> Self {
        let blocks = |offset: usize| {
            let count = usize::from(packet[0] & 0x1f);
            packet
                .get(offset..offset + BLOCK_LEN * count)
                .unwrap_or_default()
        };
        match packet[1] {
            SR => SenderReport::parse(packet).map_or(Self::Other(SR), |sr| {
                let info = SenderInfo {
                    ntp: sr.ntp_timestamp(),
                    rtp_timestamp: sr.rtp_timestamp(),
                    packets: sr.packet_count(),
                    octets: sr.octet_count(),
                };
                let blocks = blocks(HEADER_LEN + SENDER_LEN);
                Self::SenderReport(
                    info,
                    Report {
                        ssrc: sr.ssrc(),
                        blocks,
                    },
                )
            }),
            RR => ReceiverReport::parse(packet).map_or(Self::Other(RR), |rr| {
                Self::ReceiverReport(Report {
                    ssrc: rr.ssrc(),
                    blocks: blocks(HEADER_LEN),
                })
            }),
            BYE => Self::Bye(packet),
            other => Self::Other(other),
        }
    }
}

impl Report<'_> {
    /// The report blocks, at most 31.
    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + '_ {
        self.blocks.chunks_exact(BLOCK_LEN).filter_map(|bytes| {
            let block = ReadBlock::parse(bytes).ok()?;
            Some(ReportBlock {
                ssrc: block.ssrc(),
                fraction_lost: block.fraction_lost(),
                lost: block.cumulative_lost(),
                highest: block.extended_sequence_number(),
                jitter: block.interarrival_jitter(),
                last_sr: block.last_sender_report_timestamp(),
                delay: block.delay_since_last_sender_report_timestamp(),
            })
        })
    }
}

/// The SSRCs that a [`Packet::Bye`] names.
pub fn bye_sources(packet: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let count = Bye::parse(packet).map_or(0, |_| usize::from(packet[0] & 0x1f));
    let words = packet.get(4..).unwrap_or_default().as_chunks::<4>().0;
    words
        .iter()
        .take(count)
        .map(|word| u32::from_be_bytes(*word))
}

/// How a report changes when it crosses from the leg that sent it to the joined leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportEdit {
    /// The SSRC under which the sender is known on the other leg.
    pub sender_ssrc: u32,
    /// Added to the RTP timestamp of an SR, modulo 2^32.
    pub timestamp_offset: u32,
    /// Replaces the packet and octet counts of an SR.
    pub counts: (u32, u32),
    /// The SSRC that report blocks quote on the first leg; blocks on others are left out.
    pub reported_ssrc: u32,
    /// What stands in its place on the other leg.
    pub source_ssrc: u32,
    /// Subtracted from the extended highest sequence number of report blocks, modulo 2^32.
    pub sequence_offset: u32,
    /// Keep `last_sr` and `delay` of blocks quoting this compact NTP time; zero those of others,
    /// which quote a report that the other leg did not send.
    pub relayed_sr: Option<u32>,
}

/// Rewrites the SR or RR at the head of `packet`, which [`Compound::parse`] accepted, where it lies,
/// and returns its length; what followed it is no longer part of it. `None`: not a report.
pub fn edit_report(packet: &mut [u8], edit: &ReportEdit) -> Option<usize> {
    let blocks_at = match packet {
        [_, SR, ..] => HEADER_LEN + SENDER_LEN,
        [_, RR, ..] => HEADER_LEN,
        _ => return None,
    };
    let count = usize::from(packet[0] & 0x1f);
    let report = packet.get_mut(..blocks_at + BLOCK_LEN * count)?;
    report[4..8].copy_from_slice(&edit.sender_ssrc.to_be_bytes());
    if blocks_at > HEADER_LEN {
        let timestamp = read_u32(report, 16).wrapping_add(edit.timestamp_offset);
        report[16..20].copy_from_slice(&timestamp.to_be_bytes());
        report[20..24].copy_from_slice(&edit.counts.0.to_be_bytes());
        report[24..28].copy_from_slice(&edit.counts.1.to_be_bytes());
    }
    let mut end = blocks_at;
    for n in 0..count {
        let at = blocks_at + BLOCK_LEN * n;
        if read_u32(report, at) != edit.reported_ssrc {
            continue;
        }
        edit_block(&mut report[at..at + BLOCK_LEN], edit);
        report.copy_within(at..at + BLOCK_LEN, end);
        end += BLOCK_LEN;
    }
    report[0] = 0x80 | ((end - blocks_at) / BLOCK_LEN) as u8;
    set_length(report, 0..end);
    Some(end)
}

fn edit_block(block: &mut [u8], edit: &ReportEdit) {
    block[..4].copy_from_slice(&edit.source_ssrc.to_be_bytes());
    let highest = read_u32(block, 8).wrapping_sub(edit.sequence_offset);
    block[8..12].copy_from_slice(&highest.to_be_bytes());
    if edit.relayed_sr != Some(read_u32(block, 16)) {
        block[16..24].fill(0);
    }
}

/// Builds a compound packet in a caller's buffer; nothing is written past its end.
///
/// Each method returns `None`, with the buffer's content undefined, where there is no room.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// A compound that goes on behind the `len` octets that `buf` holds already.
    pub fn new(buf: &'a mut [u8], len: usize) -> Self {
        Self { buf, len }
    }

    /// An SR if there is something to say as a sender, else an RR (RFC 3550 §6.4).
    pub fn report(
        mut self,
        ssrc: u32,
        sender: Option<&SenderInfo>,
        blocks: &[ReportBlock],
    ) -> Option<Self> {
        let start = self.len;
        let blocks = &blocks[..blocks.len().min(31)];
        let kind = if sender.is_some() { SR } else { RR };
        self.put(&[0x80 | blocks.len() as u8, kind, 0, 0])?;
        self.put(&ssrc.to_be_bytes())?;
        if let Some(sender) = sender {
            self.put(&sender.ntp.to_be_bytes())?;
            for word in [sender.rtp_timestamp, sender.packets, sender.octets] {
                self.put(&word.to_be_bytes())?;
            }
        }
        for block in blocks {
            let lost = u32::from(block.fraction_lost) << 24 | block.lost.min(0x7f_ffff);
            for word in [
                block.ssrc,
                lost,
                block.highest,
                block.jitter,
                block.last_sr,
                block.delay,
            ] {
                self.put(&word.to_be_bytes())?;
            }
        }
        set_length(self.buf, start..self.len);
        Some(self)
    }

    /// An SDES with nothing but the canonical name (§6.5.1), cut at 255 octets.
    pub fn cname(mut self, ssrc: u32, cname: &[u8]) -> Option<Self> {
        let start = self.len;
        let cname = &cname[..cname.len().min(255)];
        self.put(&[0x81, SDES, 0, 0])?;
        self.put(&ssrc.to_be_bytes())?;
        self.put(&[1, cname.len() as u8])?;
        self.put(cname)?;
        // One null octet at least ends the list, then the chunk is filled up to a word.
        let fill = 4 - (self.len - start) % 4;
        self.put(&[0; 4][..fill])?;
        set_length(self.buf, start..self.len);
        Some(self)
    }

    /// A BYE without a reason (§6.6).
    pub fn bye(mut self, ssrc: u32) -> Option<Self> {
        let start = self.len;
        self.put(&[0x81, BYE, 0, 0])?;
        self.put(&ssrc.to_be_bytes())?;
        set_length(self.buf, start..self.len);
        Some(self)
    }

    /// Octets of the compound.
    pub fn finish(self) -> usize {
        self.len
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.buf
            .get_mut(self.len..self.len + bytes.len())?
            .copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }
}

/// The first packet of `data`, long enough for what its count says, and the rest.
fn split_packet(data: &[u8]) -> Result<(&[u8], &[u8]), RtcpError> {
    let &[first, kind, high, low, ..] = data else {
        return Err(RtcpError::Length);
    };
    if first >> 6 != 2 {
        return Err(RtcpError::Version);
    }
    let len = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
    let (packet, rest) = data.split_at_checked(len).ok_or(RtcpError::Length)?;
    let padding = if first & 0x20 == 0 {
        0
    } else {
        usize::from(packet[len - 1])
    };
    if first & 0x20 != 0 && (padding == 0 || padding % 4 != 0) {
        return Err(RtcpError::Padding);
    }
    let count = usize::from(first & 0x1f);
    let least = match kind {
        SR => HEADER_LEN + SENDER_LEN + BLOCK_LEN * count,
        RR => HEADER_LEN + BLOCK_LEN * count,
        BYE | SDES => 4 + 4 * count,
        _ => 4,
    };
    if len < least + padding {
        Err(RtcpError::Count)
    } else {
        Ok((packet, rest))
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |word| u32::from_be_bytes(*word))
}

/// Writes the length field of the packet that lies at `range`.
fn set_length(buf: &mut [u8], range: Range<usize>) {
    let words = ((range.end - range.start) / 4 - 1) as u16;
    buf[range.start + 2..range.start + 4].copy_from_slice(&words.to_be_bytes());
}

#[cfg(test)]
mod tests;
