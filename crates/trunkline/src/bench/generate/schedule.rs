//! Which packets of a round are sent when.

use std::ops::Range;
use std::time::Duration;

/// Packets of one moment are sent together; moments are at least so far apart.
const SLOT: Duration = Duration::from_micros(100);

/// A round: one packet of each direction of each call, spread over slots evenly.
///
/// The directions of a call are half a round apart. Two telephones do not speak in step, and a
/// relay that found both packets of a call at once would be woken half as often as by calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    calls: usize,
    slots: usize,
}

impl Schedule {
    /// Of so many calls, at least one, a packet of each direction every `period`.
    pub(super) fn new(calls: usize, period: Duration) -> Self {
        let flows = 2 * calls as u128;
        let slots = (period.as_nanos() / SLOT.as_nanos()).clamp(1, flows) as usize;
        Self { calls, slots }
    }

    /// Slots of a round.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// The calls whose packet of a side (0 or 1) is sent in a slot.
    pub(super) fn calls(&self, side: usize, slot: usize) -> Range<usize> {
        let slot = (slot + self.slots - self.phase(side)) % self.slots;
        let from = |slot: usize| (self.calls * slot).div_ceil(self.slots);
        from(slot)..from(slot + 1)
    }

    /// The slot in which a call's packet of a side is sent.
    pub(super) fn slot(&self, side: usize, call: usize) -> usize {
        (call * self.slots / self.calls + self.phase(side)) % self.slots
    }

    /// How many slots later a side sends than the first: half a round, and an odd number, so that
    /// where each side has a packet for every other slot they take turns.
    fn phase(&self, side: usize) -> usize {
        side * ((self.slots / 2) | 1) % self.slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(20);

    #[test]
    fn each_packet_has_one_slot_of_each_round() {
        for (calls, period) in [
            (1, ROUND),
            (2, ROUND),
            (7, ROUND),
            (100, ROUND),
            (150, ROUND),
            (500, ROUND),
            (2_001, ROUND),
            (500, Duration::from_nanos(5_263_157)),
            (3, Duration::from_micros(40)),
        ] {
            let schedule = Schedule::new(calls, period);
            for side in [0, 1] {
                let mut sent = vec![0; calls];
                for slot in 0..schedule.slots() {
                    for call in schedule.calls(side, slot) {
                        sent[call] += 1;
                        assert_eq!(schedule.slot(side, call), slot, "{schedule:?}");
                    }
                }
                assert_eq!(sent, vec![1; calls], "{schedule:?}");
            }
        }
    }

    #[test]
    fn packets_are_as_far_apart_as_they_can_be() {
        for (calls, period) in [(1, ROUND), (100, ROUND), (500, ROUND), (1_000, ROUND / 3)] {
            let schedule = Schedule::new(calls, period);
            let even = (2 * calls).div_ceil(schedule.slots());
            for slot in 0..schedule.slots() {
                let together: usize = [0, 1]
                    .map(|side| schedule.calls(side, slot).len())
                    .iter()
                    .sum();
                assert!(together <= even + 1, "{together} of {schedule:?}");
                assert!(calls > 100 || together == 1, "{together} of {schedule:?}");
            }
        }
    }

    #[test]
    fn the_directions_of_a_call_are_apart() {
        for calls in [1, 100, 500, 5_000] {
            let schedule = Schedule::new(calls, ROUND);
            for call in 0..calls {
                let [a, b] = [0, 1].map(|side| schedule.slot(side, call));
                let apart = (b + schedule.slots() - a) % schedule.slots();
                assert!(
                    apart.abs_diff(schedule.slots() / 2) <= 1,
                    "{call} of {schedule:?}"
                );
            }
        }
    }
}
