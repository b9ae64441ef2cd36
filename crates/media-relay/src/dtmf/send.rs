//! Digits of our own making, one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use ambient::Moment;

use crate::Digit;

/// Digits that may wait for a leg; further ones are refused.
const MAX_WAITING: usize = 32;
/// The end of an event is sent so many times (RFC 4733 §2.5.1.4).
const ENDS: u32 = 3;
/// Between two digits, so that a receiver tells a repeated one from one that is held (Q.24).
const PAUSE: Duration = Duration::from_millis(60);
/// What a digit may last.
const LENGTHS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(40)..=Duration::from_secs(5);

/// The digits that a leg is to hear. Most legs never hear one.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    digits: Option<Box<Digits>>,
    /// When the next packet, or the next digit, is due.
    pub(crate) next: Option<Moment>,
}

#[derive(Debug, Default)]
struct Digits {
    waiting: VecDeque<(Digit, u32)>,
    current: Option<Sending>,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    digit: Digit,
    total_ms: u32,
    packets: u32,
    ends: u32,
}

/// What one packet of a digit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) digit: Digit,
    /// Packets of this digit before.
    pub(crate) number: u32,
    /// How long the digit has lasted with this packet, in milliseconds.
    pub(crate) elapsed_ms: u32,
    /// It is over.
    pub(crate) ended: bool,
}

impl Sender {
    /// Takes a digit; `false` where too many wait.
    pub(crate) fn push(&mut self, now: Moment, digit: Digit, duration: Duration) -> bool {
        let digits = self.digits.get_or_insert_default();
        if digits.waiting.len() >= MAX_WAITING {
            return false;
        }
        let duration = duration.clamp(*LENGTHS.start(), *LENGTHS.end());
        let waits = (digit, duration.as_millis() as u32);
        digits.waiting.push_back(waits);
        self.next.get_or_insert(now);
        true
    }

    /// A digit is being sent, so nothing else is.
    pub(crate) fn is_active(&self) -> bool {
        let digits = self.digits.as_ref();
        digits.is_some_and(|digits| digits.current.is_some())
    }

    /// The packet that is due, made of `ptime_ms` milliseconds; `repeats` asks for the end three
    /// times, as events want it.
    pub(crate) fn step(&mut self, ptime_ms: u32, repeats: bool) -> Option<Step> {
        let due = self.next?;
        let digits = self.digits.as_mut()?;
        let ptime_ms = ptime_ms.max(1);
        if digits.current.is_none() {
            let Some((digit, total_ms)) = digits.waiting.pop_front() else {
                self.next = None;
                return None;
            };
            digits.current = Some(Sending {
                digit,
                total_ms,
                packets: 0,
                ends: 0,
            });
        }
        let current = digits.current.as_mut()?;
        let elapsed_ms = ((current.packets + 1) * ptime_ms).min(current.total_ms);
        let ended = elapsed_ms == current.total_ms;
        let step = Step {
            digit: current.digit,
            number: current.packets + current.ends,
            elapsed_ms,
            ended,
        };
        let mut gap = Duration::from_millis(ptime_ms.into());
        if ended {
            current.ends += 1;
            if !repeats || current.ends == ENDS {
                digits.current = None;
                gap = gap.max(PAUSE);
            }
        } else {
            current.packets += 1;
        }
        self.next = Some(due + gap);
        Some(step)
    }

    /// Too far behind to make up for: goes on from `now`.
    pub(crate) fn skip_to(&mut self, now: Moment) {
        if self.next.is_some() {
            self.next = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_nanos(0);

    #[test]
    fn digits_wait_for_each_other_and_end_three_times() {
        let mut sender = Sender::default();
        let digit = |c| Digit::from_char(c).unwrap();
        assert!(sender.push(NOW, digit('1'), Duration::from_millis(60)));
        assert!(sender.push(NOW, digit('2'), Duration::from_millis(1)));
        let steps: Vec<_> = std::iter::from_fn(|| sender.step(20, true)).collect();
        let told = |step: &Step| {
            (
                step.digit.as_char(),
                step.number,
                step.elapsed_ms,
                step.ended,
            )
        };
        let told: Vec<_> = steps.iter().map(told).collect();
        let right = [
            ('1', 0, 20, false),
            ('1', 1, 40, false),
            ('1', 2, 60, true),
            ('1', 3, 60, true),
            ('1', 4, 60, true),
            ('2', 0, 20, false),
            ('2', 1, 40, true),
            ('2', 2, 40, true),
            ('2', 3, 40, true),
        ];
        assert_eq!(told, right);
        assert!(!sender.is_active() && sender.next.is_none());
    }

    #[test]
    fn no_more_wait_than_may() {
        let mut sender = Sender::default();
        let mut push = || sender.push(NOW, Digit::FLASH, Duration::from_millis(100));
        assert!((0..MAX_WAITING).all(|_| push()));
        assert!(!push());
    }
}
