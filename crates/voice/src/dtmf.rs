//! Digits heard in sound: Goertzel's algorithm at the eight frequencies, a decision every block.

use crate::digit::{COLUMNS, ROWS};
use crate::{Digit, RATE};

/// Samples of a block, 12.75 ms: short enough that two of them lie within the 40 ms that a digit
/// lasts at least (ITU-T Q.24 table 1), long enough to tell neighbouring rows apart.
const BLOCK: u32 = 102;
/// Blocks in a row that begin a digit, and that end it.
const CONFIRM: u8 = 2;
/// The mean square of a sample below which nothing is a digit: about −33 dBm0.
const FAINTEST: f32 = 250_000.0;
/// The two tones must hold this part of all power: speech spreads over other frequencies.
const PURITY: f32 = 0.65;
/// How much stronger a tone is than each other of its group: 8 dB.
const PEAK: f32 = 6.3;
/// How much stronger the column may be than the row (4 dB), and the row than the column (8 dB).
const TWIST: (f32, f32) = (2.51, 6.3);

/// A digit that was held and let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The digit.
    pub digit: Digit,
    /// For how long, in milliseconds; to within a block.
    pub duration_ms: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Filter {
    coefficient: f32,
    s1: f32,
    s2: f32,
}

impl Filter {
    fn at(hertz: u16) -> Self {
        let step = std::f32::consts::TAU * f32::from(hertz) / RATE as f32;
        Self {
            coefficient: 2.0 * step.cos(),
            ..Self::default()
        }
    }

    fn hear(&mut self, sample: f32) {
        let s0 = sample + self.coefficient * self.s1 - self.s2;
        (self.s2, self.s1) = (self.s1, s0);
    }

    fn take_power(&mut self) -> f32 {
        let power = self.s1 * self.s1 + self.s2 * self.s2 - self.coefficient * self.s1 * self.s2;
        (self.s1, self.s2) = (0.0, 0.0);
        power
    }
}

/// Listens to one talker.
#[derive(Clone, Debug)]
pub struct ToneDetector {
    rows: [Filter; 4],
    columns: [Filter; 4],
    energy: f32,
    samples: u32,
    /// What the last block held.
    last: Option<Digit>,
    /// The digit that is held, and for how many blocks.
    held: Option<(Digit, u32)>,
    /// Blocks in a row that say something else than `held`.
    other: u8,
}

impl Default for ToneDetector {
    fn default() -> Self {
        Self {
            rows: ROWS.map(Filter::at),
            columns: COLUMNS.map(Filter::at),
            energy: 0.0,
            samples: 0,
            last: None,
            held: None,
            other: 0,
        }
    }
}

impl ToneDetector {
    /// Takes the next sample; returns a digit when it was let go.
    pub fn hear(&mut self, sample: i16) -> Option<Heard> {
        let sample = f32::from(sample);
        for filter in self.rows.iter_mut().chain(&mut self.columns) {
            filter.hear(sample);
        }
        self.energy += sample * sample;
        self.samples += 1;
        if self.samples < BLOCK {
            return None;
        }
        let found = self.judge();
        self.samples = 0;
        self.energy = 0.0;
        self.follow(found)
    }

    /// Whether a digit sounds now, as far as the last whole block tells.
    #[must_use]
    pub fn is_sounding(&self) -> bool {
        self.held.is_some() || self.last.is_some()
    }

    fn judge(&mut self) -> Option<Digit> {
        let rows = self.rows.each_mut().map(Filter::take_power);
        let columns = self.columns.each_mut().map(Filter::take_power);
        let block = BLOCK as f32;
        if self.energy < FAINTEST * block {
            return None;
        }
        let (row, low) = peak(&rows)?;
        let (column, high) = peak(&columns)?;
        let balanced = high <= low * TWIST.0 && low <= high * TWIST.1;
        // A tone of power p alone gives p · N / 2 for its energy over N samples.
        let pure = low + high >= PURITY * self.energy * block / 2.0;
        if balanced && pure {
            Digit::at(row, column)
        } else {
            None
        }
    }

    fn follow(&mut self, found: Option<Digit>) -> Option<Heard> {
        let again = found.is_some() && found == self.last;
        self.last = found;
        let Some((digit, blocks)) = &mut self.held else {
            if again {
                self.held = found.map(|digit| (digit, u32::from(CONFIRM)));
                self.other = 0;
            }
            return None;
        };
        if found == Some(*digit) {
            // A block that was drowned out in between belongs to the digit.
            *blocks += 1 + u32::from(std::mem::take(&mut self.other));
            return None;
        }
        self.other += 1;
        if self.other < CONFIRM {
            return None;
        }
        let over = Heard {
            digit: *digit,
            duration_ms: *blocks * BLOCK * 1000 / RATE,
        };
        self.held = if again {
            found.map(|digit| (digit, u32::from(CONFIRM)))
        } else {
            None
        };
        self.other = 0;
        Some(over)
    }
}

/// The strongest of a group, if it stands out.
fn peak(powers: &[f32; 4]) -> Option<(usize, f32)> {
    let strongest = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1);
    let (at, power) = powers.iter().enumerate().max_by(strongest)?;
    let mut others = powers.iter().enumerate().filter(|(other, _)| *other != at);
    others
        .all(|(_, other)| *other * PEAK <= *power)
        .then_some((at, *power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Law, tone};

    fn digits(samples: impl IntoIterator<Item = i16>) -> Vec<(char, u32)> {
        let mut detector = ToneDetector::default();
        let heard = samples
            .into_iter()
            .filter_map(|sample| detector.hear(sample));
        heard
            .map(|heard| (heard.digit.as_char(), heard.duration_ms))
            .collect()
    }

    fn dialled(digit: char, millis: u64, law: Law) -> Vec<i16> {
        let digit = Digit::from_char(digit).unwrap();
        let sample = |at| {
            let sample = if at < millis * 8 {
                tone::of_digit(digit, at)
            } else {
                0
            };
            law.decode(law.encode(sample))
        };
        (0..millis * 8 + 480).map(sample).collect()
    }

    #[test]
    fn every_digit_is_heard_once_through_either_law() {
        for law in [Law::Ulaw, Law::Alaw] {
            let all = "0123456789*#ABCD";
            let heard = digits(all.chars().flat_map(|digit| dialled(digit, 60, law)));
            assert_eq!(
                heard.iter().map(|(digit, _)| *digit).collect::<String>(),
                all
            );
            assert!(
                heard.iter().all(|(_, millis)| (35..=75).contains(millis)),
                "{heard:?}"
            );
            let twice = digits((0..2).flat_map(|_| dialled('7', 80, law)));
            assert_eq!(twice.len(), 2);
        }
    }

    #[test]
    fn forty_milliseconds_suffice_and_fifteen_do_not() {
        for shift in 0..102 {
            let lead = || std::iter::repeat_n(0, shift);
            assert_eq!(
                digits(lead().chain(dialled('5', 40, Law::Ulaw))).len(),
                1,
                "{shift}"
            );
            assert_eq!(
                digits(lead().chain(dialled('5', 15, Law::Ulaw))),
                [],
                "{shift}"
            );
        }
    }

    fn two_tones(low: (f64, f64), high: (f64, f64)) -> Vec<i16> {
        let part = |(hertz, level): (f64, f64), n: u32| {
            level * (std::f64::consts::TAU * hertz * f64::from(n) / 8000.0).sin()
        };
        (0..1600)
            .map(|n| (part(low, n) + part(high, n)) as i16)
            .chain([0; 480])
            .collect()
    }

    #[test]
    fn frequencies_and_levels_may_be_off_by_as_much_as_q24_says() {
        for off in [0.985, 0.99, 1.0, 1.01, 1.015] {
            let heard = digits(two_tones((770.0 * off, 4000.0), (1336.0 * off, 4000.0)));
            assert_eq!(heard.len(), 1, "{off}");
        }
        // Four decibels of twist one way, eight the other; a digit of −25 dBm0.
        assert_eq!(
            digits(two_tones((941.0, 4000.0), (1209.0, 6000.0))).len(),
            1
        );
        assert_eq!(
            digits(two_tones((941.0, 6000.0), (1209.0, 2600.0))).len(),
            1
        );
        assert_eq!(
            digits(two_tones((697.0, 1000.0), (1633.0, 1000.0))).len(),
            1
        );
        assert_eq!(digits(two_tones((941.0, 1000.0), (1209.0, 8000.0))), []);
        // Neither one tone alone nor a progress tone is a digit.
        assert_eq!(digits(two_tones((770.0, 8000.0), (0.0, 0.0))), []);
        assert_eq!(digits(two_tones((440.0, 8000.0), (480.0, 8000.0))), []);
    }

    #[test]
    fn noise_and_vowels_are_no_digits() {
        let mut state = 1u32;
        let noise = std::iter::from_fn(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((state >> 16) as i16 / 2)
        });
        assert_eq!(digits(noise.take(8000 * 60)), []);
        // Harmonics of a voice that glides over two octaves.
        let mut phase = 0.0_f64;
        let voice = (0..8000 * 60).map(|n| {
            let hertz = 90.0 + 270.0 * (f64::from(n) / 40_000.0).sin().abs();
            phase += std::f64::consts::TAU * hertz / 8000.0;
            let harmonics = (1..=10).map(|k| (phase * f64::from(k)).sin() / f64::from(k));
            (harmonics.sum::<f64>() * 6000.0) as i16
        });
        assert_eq!(digits(voice), []);
    }
}
