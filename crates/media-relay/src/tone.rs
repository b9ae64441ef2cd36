//! Call progress tones and silence in G.711 (ITU-T E.180, G.711).

use crate::{G711, Source, ToneKind};

/// Samples a second, and the RTP clock, of G.711.
pub(crate) const RATE: u32 = 8000;

/// One period of a sine with an amplitude of one eighth of full scale for each of two tones.
const SINE: [i16; 256] = sine();

impl ToneKind {
    /// Frequencies in Hz and cadence in milliseconds.
    const fn shape(self) -> ([u32; 2], u32, u32) {
        match self {
            Self::Busy => ([480, 620], 500, 500),
            Self::Congestion => ([480, 620], 250, 250),
            Self::Ringback => ([440, 480], 2000, 4000),
            Self::Held => ([440, 440], 300, 9700),
        }
    }
}

/// Encodes the samples of `source` from `position` on into `out`.
pub(crate) fn fill(source: Source, law: G711, position: u64, out: &mut [u8]) {
    let quiet = encode(law, 0);
    let Source::Tone(kind) = source else {
        return out.fill(quiet);
    };
    let ([low, high], on_ms, off_ms) = kind.shape();
    let on = u64::from(on_ms * (RATE / 1000));
    let cycle = on + u64::from(off_ms * (RATE / 1000));
    for (at, byte) in (position..).zip(out) {
        let at = at % cycle;
        *byte = if at < on {
            encode(law, wave(low, at) + wave(high, at))
        } else {
            quiet
        };
    }
}

fn wave(frequency: u32, at: u64) -> i16 {
    let phase = (u64::from(frequency) * at * 256 / u64::from(RATE)) % 256;
    SINE[phase as usize]
}

/// One sample of 16 bits by either law.
pub(crate) fn encode(law: G711, sample: i16) -> u8 {
    match law {
        G711::Alaw => encode_alaw(sample),
        G711::Ulaw => encode_ulaw(sample),
    }
}

fn encode_ulaw(sample: i16) -> u8 {
    let magnitude = (i32::from(sample).abs() + 132).min(32_767) as u32;
    let segment = magnitude.ilog2() - 7;
    let step = magnitude >> (segment + 3) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment << 4) as u8 | step as u8)
}

fn encode_alaw(sample: i16) -> u8 {
    // Thirteen bits; negative values are one's complement, so that both signs have a zero.
    let (magnitude, sign) = if sample < 0 {
        ((!sample) as u32 >> 3, 0)
    } else {
        (sample as u32 >> 3, 0x80)
    };
    let segment = if magnitude < 32 {
        0
    } else {
        magnitude.ilog2() - 4
    };
    let step = magnitude >> segment.max(1) & 0x0f;
    (sign | (segment << 4) as u8 | step as u8) ^ 0x55
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The decision values of ITU-T G.711 by the textbook formula, for comparison.
    fn decode_ulaw(byte: u8) -> i32 {
        let byte = !byte;
        let value = ((i32::from(byte & 0x0f) << 3) + 132) << (byte >> 4 & 7);
        if byte & 0x80 != 0 {
            132 - value
        } else {
            value - 132
        }
    }

    fn decode_alaw(byte: u8) -> i32 {
        let byte = byte ^ 0x55;
        let segment = i32::from(byte >> 4 & 7);
        let step = (i32::from(byte & 0x0f) << 4) + 8;
        let value = if segment == 0 {
            step
        } else {
            (step + 256) << (segment - 1)
        };
        if byte & 0x80 != 0 { value } else { -value }
    }

    #[test]
    fn encoded_samples_decode_within_half_a_step() {
        for sample in (i16::MIN..=i16::MAX).step_by(7) {
            let wide = i32::from(sample);
            let bound = 16 + wide.abs() / 16;
            let ulaw = decode_ulaw(encode(G711::Ulaw, sample));
            assert!((ulaw - wide).abs() <= bound + 620, "{sample} µ {ulaw}");
            let alaw = decode_alaw(encode(G711::Alaw, sample));
            assert!((alaw - wide).abs() <= bound, "{sample} A {alaw}");
        }
        assert_eq!((encode(G711::Ulaw, 0), encode(G711::Alaw, 0)), (0xff, 0xd5));
        assert_eq!(
            (encode(G711::Ulaw, i16::MAX), encode(G711::Alaw, i16::MAX)),
            (0x80, 0xaa)
        );
        assert_eq!(
            (encode(G711::Ulaw, i16::MIN), encode(G711::Alaw, i16::MIN)),
            (0x00, 0x2a)
        );
        for byte in 0..=255u8 {
            let [ulaw, alaw] = [decode_ulaw(byte), decode_alaw(byte)].map(|v| v as i16);
            assert_eq!(encode(G711::Alaw, alaw), byte);
            assert!(
                encode(G711::Ulaw, ulaw) == byte || byte == 0x7f,
                "{byte:#x}"
            );
        }
    }

    #[test]
    fn ringback_sounds_for_two_seconds_of_six() {
        let energy = |source, position| {
            let mut out = [0; 160];
            fill(source, G711::Ulaw, position, &mut out);
            out.iter()
                .map(|byte| i64::from(decode_ulaw(*byte)).pow(2))
                .sum::<i64>()
        };
        let ringback = Source::Tone(ToneKind::Ringback);
        for second in 0..12u64 {
            let loud = energy(ringback, second * 8000 + 800) > 1_000_000;
            assert_eq!(loud, second % 6 < 2, "second {second}");
        }
        assert_eq!(energy(Source::Silence, 0), 0);
    }

    #[test]
    fn tones_have_their_frequencies() {
        // Goertzel: the energy at a tone's frequency against one beside it.
        let power = |kind, frequency: f64| {
            let mut out = [0; 1600];
            fill(Source::Tone(kind), G711::Ulaw, 0, &mut out);
            let step = std::f64::consts::TAU * frequency / f64::from(RATE);
            let (mut re, mut im) = (0.0, 0.0);
            for (n, byte) in (0u32..).zip(out) {
                let value = f64::from(decode_ulaw(byte));
                re += value * (step * f64::from(n)).cos();
                im += value * (step * f64::from(n)).sin();
            }
            re.hypot(im)
        };
        for (kind, frequencies) in [
            (ToneKind::Ringback, [440.0, 480.0]),
            (ToneKind::Busy, [480.0, 620.0]),
        ] {
            for frequency in frequencies {
                assert!(power(kind, frequency) > 20.0 * power(kind, frequency + 70.0));
            }
        }
    }
}
