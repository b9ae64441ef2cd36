//! The SSRCs of a context: where each stands, and what of it was used.

use super::{ReplayWindow, StreamState, WindowError};

/// One SSRC with its replay list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    ssrc: u32,
    /// The ROC is known, because a packet was authenticated since the context was made or imported.
    pub(super) settled: bool,
    window: ReplayWindow,
}

/// What is kept of an SSRC that others have spoken after: its highest index, of 48 bits.
#[derive(Clone, Copy, Debug)]
struct End {
    ssrc: u32,
    low: u32,
    high: u16,
    settled: bool,
}

/// The streams of a context, never more than it was made for, so that adding one never allocates.
///
/// The [`Streams::FULL`] heard last keep their replay lists. Of the others only the end is kept:
/// every index up to the highest counts as used, so none is accepted twice, and whoever is heard
/// again goes on from there.
#[derive(Clone, Debug)]
#[repr(C)] // what each packet asks for side by side
pub(super) struct Streams {
    filled: u8,
    limit: u8,
    /// The first `filled` count, the one heard last first: packets come in runs of one SSRC.
    full: [Stream; Self::FULL],
    ends: Vec<End>,
}

impl Stream {
    const NONE: Self = Self {
        ssrc: 0,
        settled: false,
        window: ReplayWindow::NOTHING,
    };

    fn state(&self) -> StreamState {
        StreamState {
            ssrc: self.ssrc,
            highest: self.window.highest(),
            seen: self.window.seen(),
        }
    }

    fn from_state(state: &StreamState) -> Self {
        Self {
            ssrc: state.ssrc,
            settled: false,
            window: ReplayWindow::from_parts(state.highest, state.seen),
        }
    }

    /// The highest index that was used.
    pub(super) fn highest(&self) -> u64 {
        self.window.highest()
    }

    /// Whether `index` may still be used.
    pub(super) fn check(&self, index: u64) -> Result<(), WindowError> {
        self.window.check(index)
    }
}

impl End {
    fn of(stream: &Stream) -> Self {
        let highest = stream.highest();
        Self {
            ssrc: stream.ssrc,
            low: highest as u32,
            high: (highest >> 32) as u16,
            settled: stream.settled,
        }
    }

    fn highest(&self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }

    /// The stream with all that its list may have held counted as used.
    fn stream(&self) -> Stream {
        Stream {
            ssrc: self.ssrc,
            settled: self.settled,
            window: ReplayWindow::from_parts(self.highest(), u128::MAX),
        }
    }
}

impl Streams {
    /// How many replay lists are kept.
    pub(super) const FULL: usize = 4;

    /// Room for `limit` streams, at most 255.
    pub(super) fn new(limit: u8) -> Self {
        Self {
            full: [Stream::NONE; Self::FULL],
            filled: 0,
            ends: Vec::with_capacity(usize::from(limit).saturating_sub(Self::FULL)),
            limit,
        }
    }

    pub(super) fn import(limit: u8, states: &[StreamState]) -> Self {
        let mut streams = Self::new(limit);
        let mut states = states.iter().take(limit.into()).map(Stream::from_state);
        for (place, stream) in streams.full.iter_mut().zip(&mut states) {
            *place = stream;
            streams.filled += 1;
        }
        streams.ends.extend(states.map(|stream| End::of(&stream)));
        streams
    }

    pub(super) fn export(&self) -> Vec<StreamState> {
        let ends = self.ends.iter().map(|end| end.stream().state());
        self.listed()
            .iter()
            .map(Stream::state)
            .chain(ends)
            .collect()
    }

    /// The stream heard last.
    pub(super) fn last(&self) -> &Stream {
        &self.full[0]
    }

    fn listed(&self) -> &[Stream] {
        &self.full[..usize::from(self.filled)]
    }

    /// Where an SSRC stands. Changes nothing, so that it can be asked before authentication.
    pub(super) fn find(&self, ssrc: u32) -> Option<Stream> {
        let listed = self.listed().iter().find(|stream| stream.ssrc == ssrc);
        listed.copied().or_else(|| {
            let end = self.ends.iter().find(|end| end.ssrc == ssrc);
            end.map(End::stream)
        })
    }

    pub(super) fn is_full(&self) -> bool {
        usize::from(self.filled) + self.ends.len() >= usize::from(self.limit)
    }

    /// The highest index of any stream.
    pub(super) fn highest(&self) -> Option<u64> {
        let ends = self.ends.iter().map(End::highest);
        self.listed().iter().map(Stream::highest).chain(ends).max()
    }

    /// Marks `index` as used on a stream that is there, or that there is room for.
    pub(super) fn insert(&mut self, ssrc: u32, index: u64) {
        match self.listed().iter().position(|stream| stream.ssrc == ssrc) {
            Some(0) => {}
            Some(at) => self.full[..=at].rotate_right(1),
            None => match self.ends.iter().position(|end| end.ssrc == ssrc) {
                Some(at) => {
                    let end = self.ends.swap_remove(at);
                    self.put_first(end.stream());
                }
                None if self.is_full() => return,
                None => {
                    let window = ReplayWindow::starting_at(index);
                    self.put_first(Stream {
                        ssrc,
                        settled: true,
                        window,
                    });
                }
            },
        }
        let stream = &mut self.full[0];
        stream.window.insert(index);
        stream.settled = true;
    }

    /// Puts a stream before the others, of which the last is cut to its end if there are too many.
    fn put_first(&mut self, stream: Stream) {
        if usize::from(self.filled) == Self::FULL {
            self.ends.push(End::of(&self.full[Self::FULL - 1]));
        } else {
            self.filled += 1;
        }
        self.full.rotate_right(1);
        self.full[0] = stream;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// What a receiver does with a packet whose tag is right; whether it is taken.
    fn take(streams: &mut Streams, ssrc: u32, index: u64) -> bool {
        let known = streams.find(ssrc);
        let fresh = known.map_or(!streams.is_full(), |stream| stream.check(index).is_ok());
        if fresh {
            streams.insert(ssrc, index);
        }
        fresh
    }

    #[test]
    fn the_four_heard_last_keep_their_lists_and_the_others_their_ends() {
        let mut streams = Streams::new(32);
        for ssrc in 0..6 {
            assert!(take(&mut streams, ssrc, 1_000));
            assert!(take(&mut streams, ssrc, 1_002));
        }
        for ssrc in [5, 4, 3, 2] {
            assert!(take(&mut streams, ssrc, 1_001), "late, but on the list");
            assert!(!take(&mut streams, ssrc, 1_001));
        }
        for ssrc in [0, 1] {
            assert!(!take(&mut streams, ssrc, 1_001), "below the end");
            assert!(take(&mut streams, ssrc, 1_004), "heard again");
            assert!(take(&mut streams, ssrc, 1_003), "and with a list again");
        }
        assert!(!take(&mut streams, 5, 1_001) && take(&mut streams, 5, 1_003));
        assert_eq!(streams.highest(), Some(1_004));
        assert_eq!(streams.export().len(), 6);
    }

    #[test]
    fn ends_keep_all_48_bits() {
        let mut streams = Streams::new(32);
        let last = (1 << 48) - 1;
        assert!(take(&mut streams, 7, last - 1));
        for ssrc in 0..5 {
            assert!(take(&mut streams, ssrc, 0));
        }
        assert_eq!(
            streams.find(7).map(|stream| stream.highest()),
            Some(last - 1)
        );
        assert!(!take(&mut streams, 7, last - 1) && take(&mut streams, 7, last));
    }

    #[test]
    fn a_context_takes_no_memory_after_it_was_made() {
        let mut streams = Streams::new(32);
        let room = streams.ends.capacity();
        for round in 0..3 {
            for ssrc in 0..32 {
                assert!(take(&mut streams, ssrc, round));
            }
        }
        assert!(streams.is_full() && !take(&mut streams, 32, 9));
        assert_eq!(streams.ends.len() + Streams::FULL, 32);
        assert_eq!(streams.ends.capacity(), room);
        assert_eq!(Streams::new(4).ends.capacity(), 0);
    }

    proptest! {
        /// Between lists and ends, whatever the order of packets: no index is taken twice, the next
        /// one of a stream is always taken, and an export stands where the original stood.
        #[test]
        fn no_index_is_taken_twice_and_whoever_comes_back_is_heard(
            steps in prop::collection::vec((0u32..12, 0u64..160, any::<bool>()), 1..600),
        ) {
            let mut streams = Streams::new(8);
            let mut taken: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
            for (ssrc, back, restored) in steps {
                if restored && back == 0 {
                    streams = Streams::import(8, &streams.export());
                }
                let highest = taken.get(&ssrc).and_then(|taken| taken.last().copied());
                let index = match highest {
                    Some(highest) => (highest + 20).saturating_sub(back),
                    None => 500,
                };
                let room = highest.is_some() || taken.len() < 8;
                let fresh = take(&mut streams, ssrc, index);
                if fresh {
                    prop_assert!(taken.entry(ssrc).or_default().insert(index), "{} twice", index);
                }
                let next = highest.is_none_or(|highest| index > highest);
                prop_assert!(fresh || !next || !room, "{} of {} is new", index, ssrc);
                prop_assert_eq!(
                    streams.find(ssrc).map(|stream| stream.highest()),
                    taken.get(&ssrc).and_then(|taken| taken.last().copied())
                );
            }
            let exported = streams.export();
            prop_assert_eq!(Streams::import(8, &exported).export(), exported);
        }
    }
}
