//! One leg: its remote ends, what it hears, what it is sent.

use std::net::SocketAddr;
use std::time::Duration;

use ambient::Moment;
use smallvec::SmallVec;

use crate::dtmf::{Detector, Held, Sender};
use crate::event::LegCheckpoint;
use crate::listen::Ear;
use crate::outbound::{CHECKPOINT_EVERY, Outbound};
use crate::remote::Remote;
use crate::report::Reporting;
use crate::stats::Counters;
use crate::streams::Streams;
use crate::{LegId, LegParams, LegStats, MediaError, MediaEvent, PortPair, Source};

/// Digits that wait to be reported; more are counted and forgotten.
const MAX_DIGITS: usize = 8;

/// One leg.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) ports: PortPair,
    pub(crate) params: LegParams,
    /// One but where a call was forked; it lies in the leg.
    pub(crate) remotes: SmallVec<[Remote; 1]>,
    /// The remote end that was heard last, and is sent to.
    pub(crate) speaking: u8,
    pub(crate) streams: Streams,
    pub(crate) outbound: Outbound,
    pub(crate) reporting: Reporting,
    pub(crate) detector: Detector,
    pub(crate) ear: Ear,
    pub(crate) digits: Sender,
    /// Tells one conversion of the joined leg's speech from the next.
    pub(crate) conversion_epoch: u32,
    /// The slot of the joined leg.
    pub(crate) peer: Option<u32>,
    pub(crate) source: OwnSource,
    pub(crate) stats: Counters,
    pub(crate) news: News,
    pub(crate) timers: Timers,
}

/// A source of our own that the leg hears.
#[derive(Clone, Debug)]
pub(crate) struct OwnSource {
    pub(crate) source: Source,
    /// Tells one use from the next.
    pub(crate) epoch: u32,
    /// The same for digits, whose epochs have the top bit.
    pub(crate) digit_epoch: u32,
    /// Packets made.
    pub(crate) packets: u64,
    /// When the next one is due; `None` while off.
    pub(crate) next: Option<Moment>,
}

/// What waits to be told, each thing once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    pub(crate) first_packet: Option<SocketAddr>,
    pub(crate) silence: Option<Duration>,
    pub(crate) resumed: bool,
    pub(crate) stats: bool,
    pub(crate) state: bool,
    pub(crate) failed: Option<MediaError>,
    digits: [Option<Held>; MAX_DIGITS],
    pub(crate) first_audio: bool,
    /// The leg stands in the relay's list of legs with news.
    pub(crate) listed: bool,
}

/// When something is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timers {
    /// The relay's timer that counts; others of this leg are stale.
    pub(crate) armed: Option<Moment>,
    pub(crate) stats: Moment,
    /// Since when the leg should be heard.
    pub(crate) listening_since: Moment,
    pub(crate) silence_told: bool,
    /// The leg stands in the relay's list of legs with something to send.
    pub(crate) sending: bool,
}

impl Leg {
    pub(crate) fn new(
        now: Moment,
        id: LegId,
        ports: PortPair,
        params: LegParams,
        stats_every: Duration,
    ) -> Self {
        let outbound = Outbound::new(params.ssrc);
        let mut leg = Self {
            id,
            ports,
            params: LegParams::new(params.ssrc),
            remotes: SmallVec::new(),
            speaking: 0,
            streams: Streams::default(),
            outbound,
            reporting: Reporting::new(now),
            detector: Detector::default(),
            ear: Ear::default(),
            digits: Sender::default(),
            conversion_epoch: 0,
            peer: None,
            source: OwnSource {
                source: Source::Off,
                epoch: 0,
                digit_epoch: 0,
                packets: 0,
                next: None,
            },
            stats: Counters::default(),
            news: News::default(),
            timers: Timers {
                armed: None,
                stats: now + stats_every,
                listening_since: now,
                silence_told: false,
                sending: false,
            },
        };
        leg.update(now, params);
        leg
    }

    /// Takes what is signalled now.
    pub(crate) fn update(&mut self, now: Moment, mut params: LegParams) {
        params.remotes.truncate(LegParams::MAX_REMOTES);
        if params.clock == 0 {
            params.clock = 8000;
        }
        params.ptime_ms = if params.ptime_ms == 0 {
            20
        } else {
            params.ptime_ms.clamp(10, 60)
        };
        let spoke = self
            .remotes
            .get(usize::from(self.speaking))
            .map(|remote| remote.rtp);
        let mut old: Vec<Option<Remote>> = std::mem::take(&mut self.remotes)
            .into_iter()
            .map(Some)
            .collect();
        let mut moved: Vec<Option<u8>> = vec![None; old.len()];
        self.remotes.reserve_exact(params.remotes.len());
        for (to, candidate) in (0..).zip(&params.remotes) {
            let same = old
                .iter()
                .position(|r| r.as_ref().is_some_and(|r| r.is(candidate)));
            if let Some(from) = same {
                moved[from] = Some(to);
                self.remotes.extend(old[from].take());
                continue;
            }
            let mut remote = Remote::new(candidate);
            for (from, old) in old.iter_mut().enumerate() {
                if old.as_mut().is_some_and(|old| remote.adopt(candidate, old)) {
                    moved[from] = Some(to);
                    *old = None;
                    break;
                }
            }
            self.remotes.push(remote);
        }
        self.streams
            .forget(|candidate| moved.get(candidate).copied().flatten());
        self.speaking = moved
            .get(usize::from(self.speaking))
            .copied()
            .flatten()
            .unwrap_or_else(|| {
                let mut remotes = (0..).zip(&self.remotes);
                let same = remotes.find(|(_, remote)| Some(remote.rtp) == spoke);
                same.map_or(0, |(at, _)| at)
            });
        self.outbound.ssrc = params.ssrc;
        self.outbound.clock = params.clock;
        self.outbound.ptime_ms = params.ptime_ms.into();
        self.outbound.set_key(params.outbound.as_deref());
        // Nobody owes a sound before it is known where it comes from.
        let begins = params.silence_after.is_some() && self.params.silence_after.is_none();
        if begins || params.receive != self.params.receive {
            self.timers.listening_since = now;
            self.timers.silence_told = false;
        }
        self.ear.attend(&params.listen);
        if params.conversion != self.params.conversion {
            self.conversion_epoch = self.conversion_epoch.wrapping_add(1);
        }
        params.remotes = Vec::new(); // `self.remotes` holds what is needed, the keys once
        params.outbound = None;
        self.params = params;
    }

    /// Nothing plain passes: a key was signalled for either direction.
    pub(crate) fn is_secure(&self) -> bool {
        self.outbound.is_keyed() || self.remotes.iter().any(Remote::has_key)
    }

    /// Where RTP for the leg goes.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.reachable()
            .map(Remote::destination)
            .filter(|to| self.is_destination(to))
    }

    /// Where RTCP for the leg goes.
    pub(crate) fn rtcp_destination(&self) -> Option<SocketAddr> {
        let mux = self.params.rtcp_mux;
        self.reachable()
            .map(|remote| remote.rtcp_destination(mux))
            .filter(|to| self.is_destination(to))
    }

    /// An old way of holding a call signals 0.0.0.0 (RFC 2543 §B.5), a refused stream port 0.
    fn is_destination(&self, addr: &SocketAddr) -> bool {
        !addr.ip().is_unspecified() && addr.port() != 0 && self.params.reaches(addr.ip())
    }

    /// The remote end that is sent to, if the keys of both directions are known or neither is.
    fn reachable(&self) -> Option<&Remote> {
        let remote = self.remotes.get(usize::from(self.speaking))?;
        (remote.has_key() == self.outbound.is_keyed()).then_some(remote)
    }

    /// The counters as they stand.
    pub(crate) fn stats(&self) -> LegStats {
        let mut stats = LegStats::default();
        self.stats.write(&mut stats);
        (stats.sent, stats.sent_octets) = (self.outbound.packets, self.outbound.octets);
        self.streams.write_stats(&self.params, &mut stats);
        stats.destination = self.destination();
        stats
    }

    /// The streams as they stand.
    pub(crate) fn checkpoint(&self) -> LegCheckpoint {
        let mut state = LegCheckpoint {
            version: LegCheckpoint::VERSION,
            ..Default::default()
        };
        self.outbound.checkpoint(&mut state);
        if let Some(remote) = self.remotes.get(usize::from(self.speaking)) {
            remote.checkpoint(&mut state);
        }
        if let Some(stream) = self.streams.current() {
            state.heard_ssrc = Some(stream.ssrc);
            state.heard_index = stream.highest();
        }
        state
    }

    /// Goes on from a checkpoint. Its destination is the first remote's.
    pub(crate) fn restore(&mut self, now: Moment, state: &LegCheckpoint) {
        self.outbound.restore(now, state);
        if let Some(remote) = self.remotes.first_mut() {
            remote.restore(state);
        }
        if let Some(ssrc) = state.heard_ssrc.filter(|_| state.heard_index < 1 << 48) {
            self.streams.restore(now, ssrc, state.heard_index);
        }
    }

    /// When `handle_timeout` is wanted next.
    pub(crate) fn deadline(&self) -> Moment {
        let mut next = self.timers.stats.min(self.reporting.next);
        for own in [self.source.next, self.digits.next, self.detector.deadline()] {
            next = own.map_or(next, |own| next.min(own));
        }
        self.silence_deadline()
            .map_or(next, |silence| next.min(silence))
    }

    fn silence_deadline(&self) -> Option<Moment> {
        let after = if self.params.receive {
            self.params.silence_after?
        } else {
            self.params.silence_on_hold?
        };
        if self.timers.silence_told {
            return None;
        }
        Some(self.heard_or_listening() + after)
    }

    fn heard_or_listening(&self) -> Moment {
        let since = self.timers.listening_since;
        let heard = self.streams.last_heard().max(self.reporting.last_heard);
        heard.map_or(since, |heard| heard.max(since))
    }

    /// Notes what is due at `now`. Packets are made by the relay as they are asked for.
    pub(crate) fn on_timeout(&mut self, now: Moment, stats_every: Duration) {
        if self.timers.stats <= now {
            self.timers.stats = now + stats_every;
            self.news.stats = true;
        }
        self.reporting.on_timeout(now);
        if self.detector.deadline().is_some_and(|lost| lost <= now)
            && let Some(held) = self.detector.on_end()
        {
            self.push_digit(held);
        }
        if self
            .silence_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.timers.silence_told = true;
            self.news.silence = Some(now.saturating_since(self.heard_or_listening()));
        }
    }

    /// Notes that an RTP packet was accepted.
    pub(crate) fn on_heard(&mut self, source: SocketAddr, extended: u64) {
        self.stats.received += 1;
        if self.stats.received == 1 {
            self.news.first_packet = Some(source);
        }
        if std::mem::take(&mut self.timers.silence_told) {
            self.news.resumed = true;
        }
        self.offer_checkpoint(extended);
    }

    /// Offers a checkpoint each time the index reaches another multiple.
    pub(crate) fn offer_checkpoint(&mut self, index: u64) {
        self.news.state |= index.is_multiple_of(CHECKPOINT_EVERY);
    }

    pub(crate) fn push_digit(&mut self, digit: Held) {
        self.stats.dtmf += 1;
        if let Some(free) = self.news.digits.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(digit);
        }
    }

    pub(crate) fn has_news(&self) -> bool {
        let news = &self.news;
        news.first_packet.is_some()
            || news.first_audio
            || news.silence.is_some()
            || news.resumed
            || news.stats
            || news.state
            || news.failed.is_some()
            || news.digits[0].is_some()
    }

    /// The next piece of news.
    pub(crate) fn take_news(&mut self) -> Option<MediaEvent> {
        let leg = self.id;
        let news = &mut self.news;
        if let Some(error) = news.failed.take() {
            return Some(MediaEvent::Failed { leg, error });
        }
        if let Some(source) = news.first_packet.take() {
            return Some(MediaEvent::FirstPacket { leg, source });
        }
        if std::mem::take(&mut news.first_audio) {
            return Some(MediaEvent::FirstAudio { leg });
        }
        if let Some(held) = news.digits[0].take() {
            news.digits.rotate_left(1);
            return Some(MediaEvent::Dtmf {
                leg,
                digit: held.digit,
                duration_ms: held.duration_ms,
                in_band: held.in_band,
            });
        }
        if let Some(duration) = news.silence.take() {
            return Some(MediaEvent::Silence { leg, duration });
        }
        if std::mem::take(&mut news.resumed) {
            return Some(MediaEvent::Resumed { leg });
        }
        if std::mem::take(&mut news.state) {
            return Some(MediaEvent::LegState {
                leg,
                state: self.checkpoint(),
            });
        }
        if std::mem::take(&mut self.news.stats) {
            return Some(MediaEvent::Stats {
                leg,
                stats: self.stats(),
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leg touches this much memory for a packet, besides keys: what it costs when thousands
    /// take turns.
    #[test]
    fn legs_are_small() {
        let (leg, remote) = (size_of::<Leg>(), size_of::<Remote>());
        // One remote end lies in the leg. One octet more and an allocator gives it 1,536.
        assert!(leg <= 1280 && remote <= 184, "{leg}, {remote}");
    }
}
