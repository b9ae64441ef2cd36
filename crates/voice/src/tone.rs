//! Call progress tones, digits and prepared sound, as samples.

use crate::{Digit, RATE};

/// Two frequencies and the rhythm in which they sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Frequencies in Hz, 0 for none.
    pub frequencies: [u16; 2],
    /// Milliseconds on, off, on, off, …; the first 0 ends the cycle. All 0 is silence.
    pub rhythm: [u16; 4],
}

impl Cadence {
    /// Nothing at all.
    pub const SILENCE: Self = Self::of([0, 0], [0; 4]);
    /// North America's busy tone: 480 and 620 Hz, half a second on and off.
    pub const BUSY: Self = Self::of([480, 620], [500, 500, 0, 0]);
    /// North America's congestion tone: 480 and 620 Hz, a quarter of a second on and off.
    pub const CONGESTION: Self = Self::of([480, 620], [250, 250, 0, 0]);
    /// North America's ringback tone: 440 and 480 Hz, two seconds on, four off.
    pub const RINGBACK: Self = Self::of([440, 480], [2000, 4000, 0, 0]);
    /// Most of Europe's ringback tone: 425 Hz, one second on, four off.
    pub const RINGBACK_EUROPE: Self = Self::of([425, 0], [1000, 4000, 0, 0]);
    /// The ringback tone of the United Kingdom and Australia: 400 and 450 Hz, twice in a row.
    pub const RINGBACK_UK: Self = Self::of([400, 450], [400, 200, 400, 2000]);

    /// What a held party hears now and then, so that it knows it is not forgotten: 440 Hz, 0.3 s of
    /// every ten.
    pub const HELD: Self = Self::of([440, 0], [300, 9700, 0, 0]);

    const fn of(frequencies: [u16; 2], rhythm: [u16; 4]) -> Self {
        Self {
            frequencies,
            rhythm,
        }
    }

    /// The ringback tone heard in a country (ISO 3166-1 alpha-2); Europe's where none is known.
    #[must_use]
    pub fn ringback_of(country: &str) -> Self {
        match country.to_ascii_uppercase().as_str() {
            "US" | "CA" => Self::RINGBACK,
            "GB" | "IE" | "AU" | "NZ" => Self::RINGBACK_UK,
            _ => Self::RINGBACK_EUROPE,
        }
    }

    /// The sample at `position`, counted from the beginning of the first cycle.
    #[must_use]
    pub fn sample(&self, position: u64) -> i16 {
        let cycle = samples(self.rhythm.iter().map(|part| u64::from(*part)).sum());
        let Some(mut at) = position.checked_rem(cycle) else {
            return 0;
        };
        for (part, sounds) in self.rhythm.iter().zip([true, false, true, false]) {
            let length = samples((*part).into());
            if at < length {
                return if sounds {
                    chord(self.frequencies, at)
                } else {
                    0
                };
            }
            at -= length;
        }
        0
    }
}

fn samples(millis: u64) -> u64 {
    millis * u64::from(RATE / 1000)
}

/// The sample at `position` of the two tones of a digit; 0 for a flash.
///
/// Each tone has −9 dBm0, within what ITU-T Q.24 has receivers of every country accept.
#[must_use]
pub fn of_digit(digit: Digit, position: u64) -> i16 {
    digit
        .frequencies()
        .map_or(0, |frequencies| 2 * chord(frequencies, position))
}

/// The sum of two tones of −15 dBm0 each.
fn chord(frequencies: [u16; 2], at: u64) -> i16 {
    frequencies.iter().map(|hertz| wave(*hertz, at)).sum()
}

fn wave(hertz: u16, at: u64) -> i16 {
    let phase = (u64::from(hertz) * at * 256 / u64::from(RATE)) % 256;
    SINE[phase as usize]
}

/// One period of a sine with an amplitude of one eighth of full scale.
const SINE: [i16; 256] = sine();

const fn sine() -> [i16; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        // The first quarter by its Taylor series, the others by symmetry.
        let quarter = n % 128;
        let quarter = if quarter > 64 { 128 - quarter } else { quarter };
        let x = quarter as f64 * std::f64::consts::PI / 128.0;
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while k < 14.0 {
            term *= -x * x / ((k + 1.0) * (k + 2.0));
            sum += term;
            k += 2.0;
        }
        let value = (sum * 4095.0) as i16;
        table[n] = if n < 128 { value } else { -value };
        n += 1;
    }
    table
}

/// Sound prepared ahead, such as music or an announcement.
#[derive(Clone, PartialEq, Eq)]
pub struct Clip {
    samples: Box<[i16]>,
    repeats: bool,
}

impl Clip {
    /// Sound of 8000 samples a second, played once or over and over. `None` without a sample.
    #[must_use]
    pub fn new(samples: impl Into<Box<[i16]>>, repeats: bool) -> Option<Self> {
        let samples = samples.into();
        (!samples.is_empty()).then_some(Self { samples, repeats })
    }

    /// The sample at `position`; silence after the end of what does not repeat.
    #[must_use]
    pub fn sample(&self, position: u64) -> i16 {
        let length = self.samples.len() as u64;
        let at = if self.repeats {
            position % length
        } else {
            position
        };
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.samples.get(at).copied().unwrap_or(0)
    }

    /// Milliseconds of sound.
    #[must_use]
    pub fn millis(&self) -> u64 {
        self.samples.len() as u64 * 1000 / u64::from(RATE)
    }

    /// Whether it is played over and over.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.repeats
    }
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clip({} ms)", self.millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(source: impl Fn(u64) -> i16, from: u64, count: u64) -> Vec<f64> {
        (from..from + count)
            .map(|at| f64::from(source(at)))
            .collect()
    }

    fn energy(samples: &[f64]) -> f64 {
        samples.iter().map(|sample| sample * sample).sum()
    }

    /// The amplitude at one frequency.
    fn amplitude(samples: &[f64], hertz: f64) -> f64 {
        let step = std::f64::consts::TAU * hertz / f64::from(RATE);
        let (mut re, mut im) = (0.0, 0.0);
        for (n, value) in samples.iter().enumerate() {
            re += value * (step * n as f64).cos();
            im += value * (step * n as f64).sin();
        }
        re.hypot(im)
    }

    #[test]
    fn ringback_keeps_the_rhythm_of_its_country() {
        let loud = |cadence: Cadence, millis| {
            energy(&sound(|at| cadence.sample(at), samples(millis), 160)) > 1e6
        };
        for second in 0..12 {
            let at = second * 1000 + 100;
            assert_eq!(
                loud(Cadence::ringback_of("us"), at),
                second % 6 < 2,
                "{second}"
            );
            assert_eq!(
                loud(Cadence::ringback_of("DE"), at),
                second % 5 < 1,
                "{second}"
            );
        }
        let british = Cadence::ringback_of("GB");
        let heard = [100, 500, 700, 1100, 3100].map(|at| loud(british, at));
        assert_eq!(heard, [true, false, true, false, true]);
        assert_eq!(
            energy(&sound(|at| Cadence::SILENCE.sample(at), 0, 100)),
            0.0
        );
    }

    #[test]
    fn tones_have_their_frequencies() {
        for cadence in [Cadence::RINGBACK, Cadence::BUSY] {
            let heard = sound(|at| cadence.sample(at), 0, 1600);
            for hertz in cadence.frequencies.map(f64::from) {
                assert!(amplitude(&heard, hertz) > 20.0 * amplitude(&heard, hertz + 70.0));
            }
        }
        let nine = Digit::from_char('9').unwrap();
        let heard = sound(|at| of_digit(nine, at), 0, 800);
        for hertz in [852.0, 1477.0] {
            assert!(amplitude(&heard, hertz) > 20.0 * amplitude(&heard, hertz + 100.0));
        }
        assert_eq!(of_digit(Digit::FLASH, 3), 0);
    }

    #[test]
    fn clips_end_or_begin_again() {
        let once = Clip::new([1, 2, 3], false).unwrap();
        assert_eq!([0, 2, 3, u64::MAX].map(|at| once.sample(at)), [1, 3, 0, 0]);
        let over = Clip::new([1, 2, 3], true).unwrap();
        assert_eq!([0, 2, 3, 7].map(|at| over.sample(at)), [1, 3, 1, 2]);
        assert_eq!(Clip::new([], true), None);
    }
}
