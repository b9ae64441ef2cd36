//! What is heard of one leg: one state for each SSRC (RFC 3550 §8, A.1).

use std::time::Duration;

use ambient::Moment;
use rtp::srtp::{ReplayWindow, WindowError};
use rtp::{ExtendedSequence, Header, ReceptionStats};

use crate::foresee::Fetch;
use crate::outbound::clock_units;
use crate::quality::{Impairment, LossRuns};
use crate::{DropReason, LegParams, LegStats};

/// Streams a leg remembers; a further one takes the place of the one longest silent. What SRTP
/// must not forget is kept with the key, not here.
const MAX_STREAMS: usize = 4;
/// A gap larger than this is a restart of the sender, not loss (RFC 3550 A.1).
const MAX_DROPOUT: u64 = 3000;
/// A packet that is so many behind the newest counts as lost.
const SETTLED: u64 = 64;
/// An older stream is heard again only once the newer one has been silent for so long.
const TAKE_BACK: Duration = Duration::from_millis(100);

/// One SSRC of one remote end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// One of at most [`LegParams::MAX_REMOTES`].
    pub(crate) candidate: u8,
    pub(crate) ssrc: u32,
    pub(crate) epoch: u32,
    pub(crate) stats: ReceptionStats,
    window: ReplayWindow,
    /// The sequence number that would confirm a restart of the sender.
    restart: Option<u16>,
    /// Restored and not heard since: any number of packets may be missing.
    resumed: bool,
    last: Moment,
}

/// Which packets of the present stream were lost, as far as is settled. Another stream's begin anew.
#[derive(Debug, Default)]
struct Losses {
    /// The epoch of the stream.
    epoch: u32,
    runs: LossRuns,
    /// The first extended sequence number that is not settled yet: it may still come.
    unsettled: u64,
}

/// The streams of a leg but the first.
pub(crate) type Others = [Option<Stream>; MAX_STREAMS - 1];

/// Room for streams, taken before it is needed: none may be asked for while a packet waits.
#[derive(Debug, Default)]
#[allow(
    clippy::vec_box,
    reason = "a leg takes one as it is: another box would be an allocation on the packet path"
)]
pub(crate) struct Spares(Vec<Box<Others>>);

impl Spares {
    /// Takes as much room as `legs` of them may want before this is called again. Where that was
    /// too little, a leg remembers one stream only.
    pub(crate) fn provide(&mut self, legs: usize) {
        let wanted = 16 + legs / 16;
        while self.0.len() < wanted {
            self.0.push(Box::default());
        }
    }
}

/// The streams of a leg.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// Nearly every leg sends one stream, which lies in the leg.
    first: Option<Stream>,
    others: Option<Box<Others>>,
    current: Option<u8>,
    losses: Losses,
    epochs: u32,
    count: u32,
    retired_lost: u64,
    duplicates: u64,
    reordered: u64,
}

/// A packet that goes on in its stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) extended: u64,
    pub(crate) epoch: u32,
    pub(crate) new_stream: bool,
}

impl Streams {
    pub(crate) fn current(&self) -> Option<&Stream> {
        self.at(self.current?)
    }

    pub(crate) fn current_mut(&mut self) -> Option<&mut Stream> {
        self.at_mut(self.current?)?.as_mut()
    }

    fn at(&self, slot: u8) -> Option<&Stream> {
        let Some(other) = slot.checked_sub(1) else {
            return self.first.as_ref();
        };
        self.others.as_ref()?.get(usize::from(other))?.as_ref()
    }

    fn at_mut(&mut self, slot: u8) -> Option<&mut Option<Stream>> {
        let Some(other) = slot.checked_sub(1) else {
            return Some(&mut self.first);
        };
        self.others.as_mut()?.get_mut(usize::from(other))
    }

    /// Every stream with its slot.
    fn all(&self) -> impl Iterator<Item = (u8, &Stream)> {
        let others = self.others.iter().flat_map(|others| others.iter());
        let slots = (0..).zip(std::iter::once(&self.first).chain(others));
        slots.filter_map(|(slot, stream)| Some((slot, stream.as_ref()?)))
    }

    /// Names what counting a packet of the present stream will touch.
    pub(crate) fn foresee_hearing(&self, fetch: &mut impl Fetch) {
        fetch.fetch(&self.current);
        fetch.fetch(&self.first);
        fetch.fetch(&self.losses);
        fetch.fetch(&self.count);
    }

    /// When the leg was heard last.
    pub(crate) fn last_heard(&self) -> Option<Moment> {
        self.all().map(|(_, stream)| stream.last).max()
    }

    /// Counts a packet and finds its extended sequence number: `index` where SRTP vouches for it,
    /// else the nearest to what was heard.
    pub(crate) fn hear(
        &mut self,
        now: Moment,
        clock: u32,
        candidate: u8,
        header: &Header,
        index: Option<u64>,
        spares: &mut Spares,
    ) -> Result<Heard, DropReason> {
        let is_it = |stream: &Stream| (stream.ssrc, stream.candidate) == (header.ssrc, candidate);
        let Some((slot, _)) = self.all().find(|(_, stream)| is_it(stream)) else {
            return Ok(self.begin(now, clock, candidate, header, index, spares));
        };
        if self.current != Some(slot) {
            let busy = self
                .current()
                .is_some_and(|stream| now.saturating_since(stream.last) < TAKE_BACK);
            if busy {
                return Err(DropReason::StaleSource);
            }
            self.current = Some(slot);
        }
        // By the fields, of which others are changed beside it.
        let stream = match slot.checked_sub(1) {
            None => self.first.as_mut(),
            Some(other) => {
                let others = self.others.as_mut();
                others.and_then(|others| others[usize::from(other)].as_mut())
            }
        };
        let stream = stream.expect("the slot was found filled");
        let extended = match stream.extend(header.sequence, index) {
            Ok(extended) => extended,
            Err(DropReason::TooLate) if stream.confirms_restart(header.sequence) => {
                self.retired_lost += stream.stats.lost();
                if let Some(begun_anew) = self.at_mut(slot) {
                    *begun_anew = None;
                }
                return Ok(self.begin(now, clock, candidate, header, index, spares));
            }
            Err(reason) => {
                self.duplicates += u64::from(reason == DropReason::Duplicate);
                return Err(reason);
            }
        };
        self.reordered += u64::from(extended < stream.window.highest());
        self.losses.settle(stream, extended);
        stream.count(now, clock, extended, header.timestamp);
        Ok(Heard {
            extended,
            epoch: stream.epoch,
            new_stream: false,
        })
    }

    fn begin(
        &mut self,
        now: Moment,
        clock: u32,
        candidate: u8,
        header: &Header,
        index: Option<u64>,
        spares: &mut Spares,
    ) -> Heard {
        let extended = index.unwrap_or(header.sequence.into());
        self.epochs = self.epochs.wrapping_add(1);
        self.count = self.count.saturating_add(1);
        let mut stream = Stream {
            candidate,
            ssrc: header.ssrc,
            epoch: self.epochs,
            stats: ReceptionStats::new(ExtendedSequence(extended)),
            window: ReplayWindow::starting_at(extended),
            restart: None,
            resumed: false,
            last: now,
        };
        self.losses = Losses {
            epoch: self.epochs,
            runs: LossRuns::default(),
            unsettled: extended,
        };
        stream.count(now, clock, extended, header.timestamp);
        if self.first.is_some() && self.others.is_none() {
            self.others = spares.0.pop();
        }
        self.place(stream);
        Heard {
            extended,
            epoch: stream.epoch,
            new_stream: true,
        }
    }

    fn place(&mut self, stream: Stream) {
        let room = 1 + self.others.as_ref().map_or(0, |others| others.len() as u8);
        let free = (0..room).find(|slot| self.at(*slot).is_none());
        let longest_silent = || self.all().min_by_key(|(_, stream)| stream.last);
        let slot = free.or_else(|| longest_silent().map(|(slot, _)| slot));
        let slot = slot.unwrap_or(0);
        let old = self.at_mut(slot).and_then(|place| place.replace(stream));
        self.retired_lost += old.map_or(0, |old| old.stats.lost());
        self.current = Some(slot);
    }

    /// A BYE named this SSRC: whoever speaks next is heard at once (RFC 3550 §6.6).
    pub(crate) fn end(&mut self, ssrc: u32) {
        if self.current().is_some_and(|stream| stream.ssrc == ssrc) {
            self.current = None;
        }
    }

    /// The keys or the remote end changed: sequence numbers may begin anew.
    pub(crate) fn forget(&mut self, candidate: impl Fn(usize) -> Option<u8>) {
        let others = self.others.iter_mut().flat_map(|others| others.iter_mut());
        for slot in std::iter::once(&mut self.first).chain(others) {
            let Some(stream) = slot else { continue };
            match candidate(stream.candidate.into()) {
                Some(candidate) => stream.candidate = candidate,
                None => {
                    self.retired_lost += stream.stats.lost();
                    *slot = None;
                }
            }
        }
        if self.current().is_none() {
            self.current = None;
        }
    }

    /// Goes on with a stream of the first candidate.
    pub(crate) fn restore(&mut self, now: Moment, ssrc: u32, highest: u64) {
        self.epochs = self.epochs.wrapping_add(1);
        self.place(Stream {
            candidate: 0,
            ssrc,
            epoch: self.epochs,
            stats: ReceptionStats::new(ExtendedSequence(highest + 1)),
            window: ReplayWindow::from_parts(highest, u128::MAX),
            restart: None,
            resumed: true,
            last: now,
        });
    }

    pub(crate) fn write_stats(&self, params: &LegParams, stats: &mut LegStats) {
        let clock = params.clock;
        let lost: u64 = self.all().map(|(_, stream)| stream.stats.lost()).sum();
        stats.lost = self.retired_lost + lost;
        stats.duplicates = self.duplicates;
        stats.reordered = self.reordered;
        stats.streams = self.count;
        stats.ssrc = self.current().map(|stream| stream.ssrc).or(stats.ssrc);
        let jitter = self
            .current()
            .map_or(0, |stream| u64::from(stream.stats.jitter()));
        if let Some(stream) = self.current() {
            let runs = self.losses.of(stream);
            stats.bursts = runs.bursts();
            let timing = (clock, u32::from(params.ptime_ms));
            let trip = stats.round_trip_us.unwrap_or(0);
            stats.mos_centi = params
                .impairment
                .map(|codec| stream.opinion(&runs, codec, timing, trip));
        }
        stats.jitter_us = (jitter * 1_000_000 / u64::from(clock.max(1))) as u32;
    }
}

impl Losses {
    /// Settles what `extended`, about to be noted, leaves too far behind to still come.
    fn settle(&mut self, stream: &Stream, extended: u64) {
        let highest = stream.window.highest();
        if self.epoch != stream.epoch {
            *self = Self {
                epoch: stream.epoch,
                runs: LossRuns::default(),
                unsettled: highest + 1,
            };
        }
        if extended <= highest {
            return;
        }
        let until = (extended + 1).saturating_sub(SETTLED);
        let seen = stream.window.seen();
        while self.unsettled < until.min(highest + 1) {
            let age = highest - self.unsettled;
            if age >= ReplayWindow::WIDTH || seen >> age & 1 == 0 {
                self.runs.lose(1);
            } else {
                self.runs.receive();
            }
            self.unsettled += 1;
        }
        if until > self.unsettled {
            self.runs.lose(until - self.unsettled);
            self.unsettled = until;
        }
    }

    fn of(&self, stream: &Stream) -> LossRuns {
        if self.epoch == stream.epoch {
            self.runs
        } else {
            LossRuns::default()
        }
    }
}

impl Stream {
    pub(crate) fn last(&self) -> Moment {
        self.last
    }

    pub(crate) fn highest(&self) -> u64 {
        self.window.highest()
    }

    fn extend(&self, sequence: u16, index: Option<u64>) -> Result<u64, DropReason> {
        let highest = self.window.highest();
        let extended = match index {
            Some(index) => index,
            None => {
                let near = ExtendedSequence(highest)
                    .near(sequence)
                    .ok_or(DropReason::TooLate)?;
                if near.0 > highest + MAX_DROPOUT && !self.resumed {
                    return Err(DropReason::TooLate);
                }
                near.0
            }
        };
        match self.window.check(extended) {
            Ok(()) => Ok(extended),
            Err(WindowError::TooOld) => Err(DropReason::TooLate),
            Err(WindowError::Used) => Err(DropReason::Duplicate),
        }
    }

    /// The opinion score of what was heard.
    fn opinion(
        &self,
        runs: &LossRuns,
        codec: Impairment,
        (clock, ptime_ms): (u32, u32),
        trip_us: u32,
    ) -> u16 {
        let jitter_ms = self.stats.jitter() as f32 * 1000.0 / clock.max(1) as f32;
        let delay = trip_us as f32 / 2000.0 + 2.0 * jitter_ms + ptime_ms as f32;
        let expected = self.stats.expected().max(1) as f32;
        let loss = (self.stats.lost() as f32 / expected).min(1.0);
        runs.opinion(codec, loss, delay)
    }

    /// Two packets in sequence far from where the stream was: the sender began anew.
    fn confirms_restart(&mut self, sequence: u16) -> bool {
        let confirmed = self.restart == Some(sequence);
        self.restart = Some(sequence.wrapping_add(1));
        confirmed
    }

    fn count(&mut self, now: Moment, clock: u32, extended: u64, timestamp: u32) {
        self.restart = None;
        self.resumed = false;
        self.last = now;
        self.window.insert(extended);
        let extended = ExtendedSequence(extended);
        self.stats
            .on_packet(extended, timestamp, clock_units(now, clock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(streams: &mut Streams, spares: &mut Spares, (ssrc, sequence): (u32, u16)) -> bool {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp: 0,
            ssrc,
            len: Header::MIN_LEN,
        };
        // Later each time than a speaker that has gone may be.
        let now = Moment::from_nanos(u64::from(sequence) << 30);
        let heard = streams.hear(now, 8000, 0, &header, None, spares);
        heard.unwrap().new_stream
    }

    #[test]
    fn where_no_room_was_provided_a_leg_knows_one_stream() {
        let (mut spares, mut streams) = (Spares::default(), Streams::default());
        let turns = |streams: &mut Streams, spares: &mut Spares| {
            [(1, 1), (2, 2), (1, 3), (1, 4)].map(|packet| hear(streams, spares, packet))
        };
        assert_eq!(turns(&mut streams, &mut spares), [true, true, true, false]);
        spares.provide(1);
        let mut streams = Streams::default();
        assert_eq!(turns(&mut streams, &mut spares), [true, true, false, false]);
    }
}
