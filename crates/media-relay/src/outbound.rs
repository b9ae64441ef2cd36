//! What one leg is sent: one SSRC for life, one unbroken sequence, whoever speaks.

use ambient::Moment;
use rtp::srtp::{ReplayWindow, StreamState, WindowError};
use rtp::{ExtendedSequence, SrtpError, SrtpOutbound, SrtpState};

use crate::event::LegCheckpoint;
use crate::foresee::Fetch;
use crate::{DropReason, LegId, SrtpParams};

/// How far a restored sender leaps ahead before it makes packets under a new offset: as many as may
/// have been sent since the checkpoint, and less than half the sequence space, so that the receiver
/// keeps the right rollover counter.
const RESTORE_LEAP: u64 = 2 * CHECKPOINT_EVERY;
/// A checkpoint is offered each time so many packets have passed.
pub(crate) const CHECKPOINT_EVERY: u64 = 1 << 13;
/// The same for SRTCP, of which a few go out in a second at most.
const RESTORE_LEAP_RTCP: u32 = 1 << 16;
/// One past the last packet index (RFC 3711 §9.2).
const END_OF_INDEXES: u64 = 1 << 48;

/// Who speaks to a leg: a stream of the joined leg, or a source of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speaker {
    pub(crate) leg: LegId,
    pub(crate) ssrc: u32,
    /// Tells apart streams of one SSRC whose sequence numbers do not go on from each other.
    pub(crate) epoch: u32,
}

/// From a speaker's numbers to the leg's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    /// `None` after a restore: the first speaker with this SSRC goes on.
    leg_epoch: Option<(LegId, u32)>,
    pub(crate) ssrc: u32,
    /// Added to the extended sequence number, modulo 2^64.
    pub(crate) sequence_offset: u64,
    /// Added to the timestamp, modulo 2^32.
    pub(crate) timestamp_offset: u32,
    /// The lowest index of this mapping; below it another speaker's packets were sent.
    base: u64,
}

impl Mapping {
    pub(crate) fn is_for(&self, speaker: &Speaker) -> bool {
        self.ssrc == speaker.ssrc
            && self
                .leg_epoch
                .is_none_or(|known| known == (speaker.leg, speaker.epoch))
    }

    pub(crate) fn comes_from(&self, leg: LegId) -> bool {
        self.leg_epoch.is_some_and(|(known, _)| known == leg)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) window: ReplayWindow,
    pub(crate) timestamp: u32,
    pub(crate) at: Moment,
}

/// Where a packet stands in what the leg is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    /// The first packet of another speaker.
    pub(crate) switched: bool,
}

/// The sending side of a leg.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) ssrc: u32,
    pub(crate) clock: u32,
    pub(crate) ptime_ms: u32,
    pub(crate) sent: Option<Sent>,
    pub(crate) mapping: Option<Mapping>,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    srtp: Option<Box<Secure>>,
    leap: u64,
}

struct Secure(SrtpOutbound);

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SrtpOutbound(redacted)")
    }
}

impl Outbound {
    pub(crate) fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            clock: 8000,
            ptime_ms: 20,
            sent: None,
            mapping: None,
            packets: 0,
            octets: 0,
            srtp: None,
            leap: 0,
        }
    }

    /// Takes the key that holds now. The same key keeps its indexes; a new one starts at ROC 0,
    /// while the 16 bits on the wire go on (RFC 3711 §3.3.1).
    pub(crate) fn set_key(&mut self, params: Option<&SrtpParams>) {
        let same = match (params, &self.srtp) {
            (Some(params), Some(secure)) => secure.0.is_keyed_by(&params.key),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same {
            return;
        }
        self.srtp = params.map(|params| Box::new(Secure(SrtpOutbound::new(&params.key))));
        let Some(sent) = &mut self.sent else { return };
        let highest = sent.window.highest();
        let wraps = highest & !0xffff;
        sent.window = ReplayWindow::from_parts(highest - wraps, sent.window.seen());
        if let Some(mapping) = &mut self.mapping {
            mapping.sequence_offset = mapping.sequence_offset.wrapping_sub(wraps);
            mapping.base = mapping.base.saturating_sub(wraps);
        }
    }

    /// The place of a speaker's packet, which is thereby taken. A new speaker goes on where the
    /// last one stopped: the next sequence number, and as much later in timestamps as it is later.
    pub(crate) fn place(
        &mut self,
        now: Moment,
        speaker: Speaker,
        extended: u64,
        timestamp: u32,
    ) -> Result<Place, DropReason> {
        let goes_on =
            |mapping: Mapping| mapping.is_for(&speaker) && !self.is_behind(&mapping, extended);
        let switched = !self.mapping.is_some_and(goes_on);
        let mut mapping = match self.mapping {
            Some(mapping) if !switched => mapping,
            Some(_) | None => self.mapping_for(now, speaker, extended, timestamp),
        };
        mapping.leg_epoch = Some((speaker.leg, speaker.epoch));
        let index = extended.wrapping_add(mapping.sequence_offset);
        let timestamp = timestamp.wrapping_add(mapping.timestamp_offset);
        if index >= END_OF_INDEXES {
            let ahead = index < END_OF_INDEXES << 1;
            return Err(if ahead {
                DropReason::KeyExhausted
            } else {
                DropReason::TooLate
            });
        }
        if index < mapping.base {
            return Err(DropReason::TooLate);
        }
        let fresh = Sent {
            window: ReplayWindow::starting_at(index),
            timestamp,
            at: now,
        };
        match &mut self.sent {
            None => self.sent = Some(fresh),
            Some(sent) => {
                sent.window.check(index).map_err(|error| match error {
                    WindowError::TooOld => DropReason::TooLate,
                    WindowError::Used => DropReason::Duplicate,
                })?;
                sent.window.insert(index);
                // An event keeps the timestamp of its beginning for as long as it lasts.
                if sent.window.highest() == index && sent.timestamp != timestamp {
                    (sent.timestamp, sent.at) = (timestamp, now);
                }
            }
        }
        self.mapping = Some(mapping);
        Ok(Place {
            index,
            timestamp,
            switched,
        })
    }

    /// Whether the numbers of the speaker that was restored began anew before it was heard again, as
    /// they do with another key: by its old offset it would repeat what was sent.
    fn is_behind(&self, mapping: &Mapping, extended: u64) -> bool {
        let index = extended.wrapping_add(mapping.sequence_offset);
        let sent = self.sent.as_ref().map_or(0, |sent| sent.window.highest());
        let restored = mapping.leg_epoch.is_none();
        restored && (index >= END_OF_INDEXES || index + ReplayWindow::WIDTH < sent)
    }

    fn mapping_for(
        &mut self,
        now: Moment,
        speaker: Speaker,
        extended: u64,
        timestamp: u32,
    ) -> Mapping {
        let mut mapping = Mapping {
            leg_epoch: None,
            ssrc: speaker.ssrc,
            sequence_offset: 0,
            timestamp_offset: 0,
            base: 0,
        };
        if let Some(sent) = &self.sent {
            mapping.base = sent.window.highest() + 1 + std::mem::take(&mut self.leap);
            mapping.sequence_offset = mapping.base.wrapping_sub(extended);
            let least = self.clock / 1000 * self.ptime_ms;
            let elapsed =
                clock_units(now, self.clock).wrapping_sub(clock_units(sent.at, self.clock));
            let next = sent.timestamp.wrapping_add(elapsed.max(least));
            mapping.timestamp_offset = next.wrapping_sub(timestamp);
        }
        mapping
    }

    /// Names what a packet will be sealed with.
    pub(crate) fn foresee_sealing(&self, fetch: &mut impl Fetch) {
        if let Some(secure) = &self.srtp {
            let (key, stream) = secure.0.hot();
            fetch.fetch(key);
            fetch.fetch(stream);
        }
    }

    /// Makes the RTP packet in `buf[..len]` ready for the wire.
    pub(crate) fn seal_rtp(
        &mut self,
        buf: &mut [u8],
        len: usize,
        index: u64,
    ) -> Result<usize, DropReason> {
        match &mut self.srtp {
            None => Ok(len),
            Some(secure) => secure.0.protect_rtp(buf, len, index).map_err(refusal),
        }
    }

    /// Makes the RTCP packet in `buf[..len]` ready for the wire.
    pub(crate) fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, DropReason> {
        match &mut self.srtp {
            None => Ok(len),
            Some(secure) => secure.0.protect_rtcp(buf, len).map_err(refusal),
        }
    }

    pub(crate) fn is_keyed(&self) -> bool {
        self.srtp.is_some()
    }

    /// The RTP timestamp that belongs to `now` (RFC 3550 §6.4.1).
    pub(crate) fn timestamp_at(&self, now: Moment) -> u32 {
        self.sent.as_ref().map_or(0, |sent| {
            let elapsed =
                clock_units(now, self.clock).wrapping_sub(clock_units(sent.at, self.clock));
            sent.timestamp.wrapping_add(elapsed)
        })
    }

    pub(crate) fn checkpoint(&self, state: &mut LegCheckpoint) {
        state.sent_index = self.sent.as_ref().map(|sent| sent.window.highest());
        state.sent_timestamp = self.sent.as_ref().map_or(0, |sent| sent.timestamp);
        state.srtcp_index = self
            .srtp
            .as_ref()
            .map_or(0, |secure| secure.0.next_rtcp_index());
        // What was made here is made anew after a restore, and leaps ahead.
        if let Some(mapping) = self.mapping.filter(|mapping| mapping.ssrc != self.ssrc) {
            state.source_ssrc = Some(mapping.ssrc);
            state.sequence_offset = mapping.sequence_offset;
            state.timestamp_offset = mapping.timestamp_offset;
        }
    }

    /// Goes on from a checkpoint of a leg with the same key. The known speaker keeps its offset, so
    /// that packets which went out before come again, if at all, as they were; any other speaker,
    /// and RTCP, leap over what may have been sent since.
    pub(crate) fn restore(&mut self, now: Moment, state: &LegCheckpoint) {
        let Some(highest) = state.sent_index.filter(|highest| *highest < END_OF_INDEXES) else {
            return;
        };
        let window = ReplayWindow::from_parts(highest, u128::MAX);
        self.sent = Some(Sent {
            window,
            timestamp: state.sent_timestamp,
            at: now,
        });
        self.leap = RESTORE_LEAP;
        self.mapping = state.source_ssrc.map(|ssrc| Mapping {
            leg_epoch: None,
            ssrc,
            sequence_offset: state.sequence_offset,
            timestamp_offset: state.timestamp_offset,
            base: 0,
        });
        if let Some(secure) = &mut self.srtp {
            let stream = StreamState {
                ssrc: self.ssrc,
                highest,
                seen: u128::MAX,
            };
            let rtcp = state.srtcp_index.saturating_add(RESTORE_LEAP_RTCP);
            secure.0 = SrtpOutbound::import(&SrtpState {
                rtp: vec![stream],
                ..secure.0.export()
            });
            secure.0.skip_rtcp(rtcp);
        }
    }
}

/// `at` on a clock of `rate` Hz with an arbitrary origin, modulo 2^32.
pub(crate) fn clock_units(at: Moment, rate: u32) -> u32 {
    const SECOND: u64 = 1_000_000_000;
    let nanos = at.as_nanos();
    let (seconds, rest) = (nanos / SECOND, nanos % SECOND);
    let within = rest * u64::from(rate) / SECOND;
    (seconds as u32)
        .wrapping_mul(rate)
        .wrapping_add(within as u32)
}

pub(crate) fn sequence_of(index: u64) -> u16 {
    ExtendedSequence(index).sequence()
}

fn refusal(error: SrtpError) -> DropReason {
    match error {
        SrtpError::IndexUsed => DropReason::Duplicate,
        SrtpError::KeyExhausted => DropReason::KeyExhausted,
        SrtpError::NoRoom => DropReason::TooLong,
        SrtpError::TooManyStreams => DropReason::TooManyStreams,
        SrtpError::TooOld => DropReason::TooLate,
        SrtpError::BadTag
        | SrtpError::IndexMismatch
        | SrtpError::Malformed
        | SrtpError::Replayed => DropReason::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_clock_is_the_product_of_time_and_rate(nanos: u64, rate: u32) {
            let right = u128::from(nanos) * u128::from(rate) / 1_000_000_000;
            prop_assert_eq!(clock_units(Moment::from_nanos(nanos), rate), right as u32);
        }
    }
}
