//! G.722 at 64 kbit/s (ITU-T G.722), as far as a telephone line reaches.
//!
//! A G.722 octet carries two bands of a 16 kHz signal, each with its own ADPCM: 6 bits for what lies
//! below 4 kHz, 2 for what lies above. Sound that comes from G.711, or goes there, has nothing in
//! the upper band, so here a sample of 8 kHz *is* the lower band: one octet a sample, no filter
//! bank and no resampling. What is written has silence in the upper band; of what is read the upper
//! band is not looked at.

/// Where the lower band's quantiser has its steps (table 12).
const Q6: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
    1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// What the four upper bits of the lower band's six stand for (table 15).
const QM4: [i32; 16] = [
    0, -20_456, -12_896, -8968, -6288, -4240, -2584, -1200, 20_456, 12_896, 8968, 6288, 4240, 2584,
    1200, 0,
];
/// What all six stand for, for positive differences from the largest down (table 18).
const QM6: [i32; 30] = [
    24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9360, 8576, 7856, 7192,
    6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432,
    136,
];
/// What the upper band's two bits stand for (table 20).
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// How the lower band's scale follows (table 13), by the four upper bits.
const WL: [i32; 16] = [
    -60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60,
];
/// How the upper band's scale follows (table 21).
const WH: [i32; 4] = [798, -214, 798, -214];
/// The mantissas of scale factors (table 14): powers of two in steps of a 32nd.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// One band's adaptive predictor and scale (§3.3 to §3.6).
#[derive(Clone, Debug)]
struct Band {
    /// The scale of the quantiser.
    scale: i32,
    /// Its logarithm.
    log_scale: i32,
    /// What the next sample is predicted to be, and the part of it that the zeros contribute.
    prediction: i32,
    from_zeros: i32,
    /// The last two reconstructed samples, partially reconstructed ones, and poles.
    reconstructed: [i32; 2],
    partial: [i32; 2],
    poles: [i32; 2],
    /// The last six quantised differences, and zeros.
    differences: [i32; 6],
    zeros: [i32; 6],
}

impl Band {
    fn new(scale: i32) -> Self {
        Self {
            scale,
            log_scale: 0,
            prediction: 0,
            from_zeros: 0,
            reconstructed: [0; 2],
            partial: [0; 2],
            poles: [0; 2],
            differences: [0; 6],
            zeros: [0; 6],
        }
    }

    /// Lets the scale follow: `step` by what was quantised, up to `most`; `shift` sets the bands
    /// apart (LOGSCL and SCALEL, LOGSCH and SCALEH).
    fn rescale(&mut self, step: i32, most: i32, shift: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + step).clamp(0, most);
        let mantissa = ILB[(self.log_scale >> 6 & 31) as usize];
        let down = shift - (self.log_scale >> 11);
        self.scale = if down < 0 {
            mantissa << -down
        } else {
            mantissa >> down
        } << 2;
    }

    /// Takes a quantised difference and predicts the next sample (block 4).
    fn follow(&mut self, difference: i32) {
        let reconstructed = saturate(self.prediction + difference);
        let partial = saturate(self.from_zeros + difference);
        self.move_poles(partial);
        let gain = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(&self.differences) {
            let towards = if same_sign(difference, *before) {
                gain
            } else {
                -gain
            };
            *zero = saturate(towards + ((*zero * 32_640) >> 15));
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.partial = [partial, self.partial[0]];
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        let product = |factor: &i32, value: &i32| (*factor * saturate(2 * *value)) >> 15;
        let sum = |factors: &[i32], values: &[i32]| -> i32 {
            let products = factors.iter().zip(values);
            saturate(products.map(|(factor, value)| product(factor, value)).sum())
        };
        self.from_zeros = sum(&self.zeros, &self.differences);
        self.prediction = saturate(sum(&self.poles, &self.reconstructed) + self.from_zeros);
    }

    /// UPPOL1 and UPPOL2.
    fn move_poles(&mut self, partial: i32) {
        let [first, second] = self.poles;
        let against = |other: i32, by: i32| {
            if same_sign(partial, other) { by } else { -by }
        };
        let coupling = -against(self.partial[0], saturate(4 * first));
        let second =
            (coupling.min(32_767) >> 7) + against(self.partial[1], 128) + ((second * 32_512) >> 15);
        let second = second.clamp(-12_288, 12_288);
        let stable = saturate(15_360 - second);
        let first = saturate(against(self.partial[0], 192) + ((first * 32_640) >> 15));
        self.poles = [first.clamp(-stable, stable), second];
    }

    /// The lower band goes on by the four upper bits of its six, which every rate has.
    fn follow_lower(&mut self, code: u8) {
        let code = usize::from(code >> 2 & 15);
        let difference = (self.scale * QM4[code]) >> 15;
        self.rescale(WL[code], 18_432, 8);
        self.follow(difference);
    }
}

/// Samples of 8 kHz to octets.
#[derive(Clone, Debug)]
pub struct Encoder {
    lower: Band,
    upper: Band,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            lower: Band::new(32),
            upper: Band::new(8),
        }
    }
}

impl Encoder {
    /// One sample of 16 bits.
    #[must_use]
    pub fn encode(&mut self, sample: i16) -> u8 {
        // Two bits less are left for each band than the signal has.
        let lower = self.encode_lower(i32::from(sample) >> 1);
        self.encode_nothing_above() << 6 | lower
    }

    fn encode_lower(&mut self, sample: i32) -> u8 {
        let difference = saturate(sample - self.lower.prediction);
        let magnitude = if difference < 0 {
            -(difference + 1)
        } else {
            difference
        };
        let scale = self.lower.scale;
        let steps = Q6[1..].iter();
        let step = 1 + steps
            .take_while(|step| magnitude >= (**step * scale) >> 12)
            .count() as u8;
        let code = match (difference < 0, step) {
            (false, _) => 62 - step,
            (true, 1 | 2) => 64 - step,
            (true, _) => 34 - step,
        };
        self.lower.follow_lower(code);
        code
    }

    fn encode_nothing_above(&mut self) -> u8 {
        let band = &mut self.upper;
        let difference = saturate(-band.prediction);
        let magnitude = if difference < 0 {
            -(difference + 1)
        } else {
            difference
        };
        let large = magnitude >= (564 * band.scale) >> 12;
        let code = match (difference < 0, large) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        let quantised = (band.scale * QM2[usize::from(code)]) >> 15;
        band.rescale(WH[usize::from(code)], 22_528, 10);
        band.follow(quantised);
        code
    }
}

/// Octets to samples of 8 kHz.
#[derive(Clone, Debug)]
pub struct Decoder {
    lower: Band,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            lower: Band::new(32),
        }
    }
}

impl Decoder {
    /// The sample of 16 bits that an octet stands for where the stream has come to.
    #[must_use]
    pub fn decode(&mut self, octet: u8) -> i16 {
        let code = octet & 0x3f;
        let sample = self.lower.prediction + ((self.lower.scale * level(code)) >> 15);
        self.lower.follow_lower(code);
        (sample.clamp(-16_384, 16_383) << 1) as i16
    }
}

/// What the six bits of the lower band stand for.
fn level(code: u8) -> i32 {
    match code {
        0..=3 | 63 => -QM6[29],
        4..=31 => -QM6[usize::from(code - 4)],
        62 => -QM6[28],
        _ => QM6[usize::from(code - 32).min(29)],
    }
}

fn same_sign(a: i32, b: i32) -> bool {
    (a < 0) == (b < 0)
}

fn saturate(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a second of a signal that has tones, steps and noise in it.
    fn signal() -> Vec<i16> {
        let mut noise = 12_345_u32;
        let sample = |n: u32| {
            noise = noise.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let hiss = (noise >> 16 & 0x3ff) as i32 - 512;
            let ramp = (n * 37 % 400) as i32 * 40 - 8000;
            let loud = if (n / 500).is_multiple_of(2) { 3 } else { 1 };
            (ramp * loud / 3 + hiss) as i16
        };
        (0..4000).map(sample).collect()
    }

    fn checksum(values: impl Iterator<Item = u32>) -> u32 {
        values.fold(1, |sum, value| sum.wrapping_mul(31).wrapping_add(value))
    }

    /// Signal to noise in decibels of a sine of `frequency` Hz and `amplitude`.
    fn ratio(frequency: f64, amplitude: f64) -> f64 {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let (mut power, mut error) = (0.0, 0.0);
        for n in 0..8000 {
            let phase = std::f64::consts::TAU * frequency * f64::from(n) / 8000.0;
            let sample = (amplitude * phase.sin()) as i16;
            let heard = decoder.decode(encoder.encode(sample));
            if n >= 800 {
                power += f64::from(sample).powi(2);
                error += (f64::from(heard) - f64::from(sample)).powi(2);
            }
        }
        10.0 * (power / error).log10()
    }

    /// What libg722 1.2.8 makes of the same at 8 kHz, which leaves the upper band's bits at rest.
    #[test]
    fn octets_and_samples_are_those_of_another_implementation() {
        let mut encoder = Encoder::default();
        let octets: Vec<u8> = signal().into_iter().map(|s| encoder.encode(s)).collect();
        let lower: Vec<u8> = octets.iter().map(|octet| octet & 0x3f).collect();
        assert_eq!(lower[..8], [4, 4, 4, 4, 6, 30, 53, 41]);
        assert_eq!(checksum(lower.into_iter().map(u32::from)), 2_847_288_629);
        let decoded = |octets: &[u8]| {
            let mut decoder = Decoder::default();
            let samples = octets.iter().map(|octet| decoder.decode(*octet));
            checksum(samples.map(|sample| u32::from(sample as u16)))
        };
        assert_eq!(decoded(&octets), 1_136_025_809);
        // Any octets: each code, also those that no encoder writes.
        let mut state = 7_u32;
        let any = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (state >> 16) as u8
        });
        assert_eq!(decoded(&any.take(4000).collect::<Vec<_>>()), 3_171_323_327);
    }

    #[test]
    fn the_upper_band_stays_silent() {
        let mut encoder = Encoder::default();
        for sample in signal() {
            let _ = encoder.encode(sample);
        }
        // The quietest scale there is: differences of ±1 about nothing.
        assert_eq!(encoder.upper.scale, Band::new(8).scale);
        assert!(encoder.upper.prediction.abs() <= 2, "{:?}", encoder.upper);
    }

    #[test]
    fn a_sine_comes_through_with_toll_quality() {
        for (frequency, amplitude, least) in [
            (400.0, 16_000.0, 35.0),
            (1000.0, 16_000.0, 35.0),
            (1000.0, 1000.0, 35.0),
            (3000.0, 16_000.0, 30.0),
        ] {
            let ratio = ratio(frequency, amplitude);
            assert!(
                ratio > least,
                "{frequency} Hz at {amplitude}: {ratio:.1} dB"
            );
        }
    }
}
