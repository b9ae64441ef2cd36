//! How often the signalling loop looks at what has come in.
//!
//! Going to sleep and being woken costs as much here as handling several messages: what a core has
//! in its own caches does not outlive a sleep of milliseconds, and a line of memory then costs 26 to
//! 77 ns in the place of 1 to 8. Where little comes in, the loop waits for each thing and handles it at once. Where much comes in, it rests
//! after each turn until about `WORTH` inputs should have come, and in between nobody has to
//! wake it.

use std::time::{Duration, Instant};

/// Inputs that a turn is to find under load.
const WORTH: f64 = 80.0;
/// The longest turn under load: what a message waits at most before it is read. A call is five
/// messages one after the other, and nobody hears a twentieth of a second; twice as long would save
/// half as much again, with timers up to 20 ms late.
const LONGEST: Duration = Duration::from_millis(10);
/// The shortest: the kernel's buffers would hold more, its memory caches would not.
const LEAST: Duration = Duration::from_micros(500);
/// A rest shorter than this is not worth its system call.
const SHORTEST: Duration = Duration::from_micros(100);
/// Inputs a second from which on things are let gather: fewer would make most turns empty.
const BUSY: u32 = 800;
/// And below which they no longer are.
const QUIET: u32 = 400;
/// How long inputs are counted before it is judged anew.
const WINDOW: Duration = Duration::from_millis(20);
/// How long media shards may be left asleep under load. A packet that needs what they were told
/// wakes them, and they read what they were told before they look at it.
const ROUSE: Duration = Duration::from_millis(18);

/// What the loop knows of its load.
#[derive(Debug)]
pub struct Pace {
    /// The length of a turn; none while little comes in.
    busy: Option<Duration>,
    window: Instant,
    inputs: u32,
    turn: Instant,
    /// Since when shards have been left asleep over commands.
    untold: Option<Instant>,
    /// Turns begun by waiting for something, and by resting.
    turns: [u64; 2],
}

impl Pace {
    /// At first nothing comes in.
    pub fn new(now: Instant) -> Self {
        Self {
            busy: None,
            window: now,
            inputs: 0,
            turn: now,
            untold: None,
            turns: [0; 2],
        }
    }

    /// A turn begins, after waiting or after resting.
    pub fn begin(&mut self, now: Instant, rested: bool) {
        self.turn = now;
        self.turns[usize::from(rested)] += 1;
    }

    /// A turn has handled so many inputs. How long to rest before the next one; `None` to wait
    /// until something comes.
    pub fn end(&mut self, now: Instant, inputs: usize) -> Option<Duration> {
        let inputs = u32::try_from(inputs).unwrap_or(u32::MAX);
        self.inputs = self.inputs.saturating_add(inputs);
        let counted = now.saturating_duration_since(self.window);
        if counted >= WINDOW {
            let limit = if self.busy.is_some() { QUIET } else { BUSY };
            let rate = f64::from(self.inputs) / counted.as_secs_f64();
            let busy = self.inputs > 1 && rate >= f64::from(limit);
            let turn = || Duration::from_secs_f64(WORTH / rate).clamp(LEAST, LONGEST);
            self.busy = busy.then(turn);
            self.window = now;
            self.inputs = 0;
        }
        let rest = self
            .busy?
            .saturating_sub(now.saturating_duration_since(self.turn));
        Some(if rest < SHORTEST {
            Duration::ZERO
        } else {
            rest
        })
    }

    /// Whether shards that were told something, `now` or earlier, are to be woken.
    pub fn rouses(&mut self, now: Instant, told: bool, urgent: bool) -> bool {
        if told && self.untold.is_none() {
            self.untold = Some(now);
        }
        let Some(since) = self.untold else {
            return false;
        };
        let rouses = urgent || self.busy.is_none() || now.saturating_duration_since(since) >= ROUSE;
        if rouses {
            self.untold = None;
        }
        rouses
    }

    /// Turns since the start: those before which the loop waited, and those before which it
    /// rested.
    pub fn turns(&self) -> [u64; 2] {
        self.turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs turns of one input each, `apart`; gives the last rest.
    fn turns(pace: &mut Pace, from: Instant, apart: Duration, times: u32) -> Option<Duration> {
        let mut last = None;
        for turn in 1..=times {
            let now = from + apart * turn;
            pace.begin(now, false);
            last = pace.end(now, 1);
        }
        last
    }

    #[test]
    fn few_inputs_are_handled_as_they_come() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(turns(&mut pace, start, Duration::from_millis(3), 100), None);
        // A single message long after the last one is no load, however short the turn.
        let mut pace = Pace::new(start);
        let later = start + Duration::from_secs(9);
        assert_eq!(turns(&mut pace, later, Duration::from_micros(10), 1), None);
    }

    #[test]
    fn many_inputs_are_let_gather_until_there_are_few_again() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        // Two thousand a second: a turn as long as may be. Its own time counts.
        let apart = Duration::from_micros(500);
        assert_eq!(turns(&mut pace, start, apart, 100), Some(LONGEST));
        let now = start + Duration::from_millis(51);
        pace.begin(now, true);
        let used = Duration::from_micros(300);
        assert_eq!(pace.end(now + used, 1), Some(LONGEST - used));
        assert_eq!(pace.end(now + LONGEST, 1), Some(Duration::ZERO));
        let now = now + LONGEST;
        // Fewer than before, yet not few: it does not flutter.
        let apart = Duration::from_millis(2);
        assert!(turns(&mut pace, now, apart, 50).is_some());
        let now = now + Duration::from_millis(100);
        assert_eq!(turns(&mut pace, now, Duration::from_millis(5), 20), None);
        assert_eq!(pace.turns(), [170, 1]);
    }

    #[test]
    fn the_more_comes_in_the_shorter_is_a_turn() {
        for (apart, expected) in [(250, LONGEST), (50, Duration::from_millis(4)), (5, LEAST)] {
            let start = Instant::now();
            let mut pace = Pace::new(start);
            let apart = Duration::from_micros(apart);
            let times = (WINDOW.as_micros() / apart.as_micros()) as u32;
            let rest = turns(&mut pace, start, apart, times).expect("there is load");
            assert!(
                rest.abs_diff(expected) < Duration::from_micros(1),
                "{rest:?}"
            );
        }
    }

    #[test]
    fn shards_sleep_a_little_under_load_and_never_otherwise() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!(!pace.rouses(start, false, false));
        assert!(pace.rouses(start, true, false));
        turns(&mut pace, start, Duration::from_micros(500), 100);
        let now = start + Duration::from_millis(60);
        assert!(!pace.rouses(now, true, false));
        assert!(!pace.rouses(now + ROUSE / 2, true, false));
        assert!(pace.rouses(now + ROUSE, false, false));
        assert!(!pace.rouses(now + ROUSE, false, false));
        assert!(pace.rouses(now + ROUSE, true, true));
    }
}
