//! Sounds that are not coded: what a party plays on purpose, and what a packet of G.711 sounds
//! like to its receiver.

use crate::sdp::Codec;

/// Samples a packet: 20 ms at 8,000 Hz.
const SAMPLES: usize = 160;
const RATE: f64 = 8000.0;
/// Peak of a tone that is played, of 32,767.
const LOUD: f64 = 8000.0;
/// Root mean square below which a packet is silence (G.711's own noise is below it).
const QUIET: f64 = 40.0;

/// Row and column frequencies of the telephone keypad (ITU-T Q.23), in Hz.
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [&str; 4] = ["123A", "456B", "789C", "*0#D"];

/// What a party plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Digital silence in the codec agreed.
    Silence,
    /// A tone of that many Hz.
    Tone(u16),
    /// The two tones of a key of the telephone keypad, in the audio itself.
    Key(char),
    /// One comfort noise packet (RFC 3389) of payload type 13 every 20 ms.
    ComfortNoise,
}

impl Sound {
    /// The payload of packet `index`.
    pub(crate) fn payload(self, codec: Codec, index: u32) -> Vec<u8> {
        if self == Self::ComfortNoise {
            return vec![0x40];
        }
        let (one, other) = match self {
            Self::Tone(hertz) => (f64::from(hertz), 0.0),
            Self::Key(key) => frequencies(key).unwrap_or((0.0, 0.0)),
            Self::Silence | Self::ComfortNoise => (0.0, 0.0),
        };
        let first = index as usize * SAMPLES;
        (first..first + SAMPLES)
            .map(|n| {
                let at = n as f64 / RATE * std::f64::consts::TAU;
                let sample = ((one * at).sin() + (other * at).sin()) * LOUD;
                encode(codec, sample as i16)
            })
            .collect()
    }

    /// The payload type, where it is not the codec's own.
    pub(crate) fn payload_type(self) -> Option<u8> {
        (self == Self::ComfortNoise).then_some(13)
    }
}

/// What a packet of G.711 sounds like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Impression {
    Silence,
    Key(char),
    Sound,
}

/// Listens to a packet of PCMU (0) or PCMA (8).
pub(crate) fn impression(payload_type: u8, payload: &[u8]) -> Option<Impression> {
    let decode = match payload_type {
        0 => mu_law,
        8 => a_law,
        _ => return None,
    };
    let samples: Vec<f64> = payload
        .iter()
        .map(|octet| f64::from(decode(*octet)))
        .collect();
    let power: f64 = samples.iter().map(|s| s * s).sum::<f64>() / samples.len().max(1) as f64;
    if power.sqrt() < QUIET {
        return Some(Impression::Silence);
    }
    let loudest = |list: &[f64; 4]| {
        let mut powers: Vec<_> = list
            .iter()
            .enumerate()
            .map(|(place, hertz)| (strength(&samples, *hertz), place))
            .collect();
        powers.sort_by(|one, other| other.0.total_cmp(&one.0));
        powers[0]
    };
    let (row, column) = (loudest(&ROWS), loudest(&COLUMNS));
    // Both tones together must be nearly all there is, and neither much louder than the other.
    let (low, high) = (row.0 / power, column.0 / power);
    if low > 0.25 && high > 0.25 && low + high > 0.8 {
        let key = KEYS[row.1].chars().nth(column.1);
        return key.map(Impression::Key);
    }
    Some(Impression::Sound)
}

/// The mean power at one frequency (Goertzel).
fn strength(samples: &[f64], hertz: f64) -> f64 {
    let turn = 2.0 * (std::f64::consts::TAU * hertz / RATE).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (sample + turn * last - before, last);
    }
    let count = samples.len() as f64;
    (last * last + before * before - turn * last * before) * 2.0 / (count * count)
}

fn frequencies(key: char) -> Option<(f64, f64)> {
    KEYS.iter().zip(ROWS).find_map(|(keys, row)| {
        let column = keys.chars().position(|known| known == key)?;
        Some((row, COLUMNS[column]))
    })
}

fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcma => nearest(a_law, sample),
        Codec::Pcmu => nearest(mu_law, sample),
        // A stand-in: no tone is told apart in G.722 here.
        Codec::G722 => 0xfa,
    }
}

/// The octet whose sample is nearest: slow, and right by construction.
fn nearest(decode: fn(u8) -> i16, sample: i16) -> u8 {
    (0..=u8::MAX)
        .min_by_key(|octet| (i32::from(decode(*octet)) - i32::from(sample)).abs())
        .unwrap_or_default()
}

/// ITU-T G.711 µ-law.
fn mu_law(octet: u8) -> i16 {
    let bits = !octet;
    let exponent = (bits >> 4) & 7;
    let magnitude = (((i16::from(bits & 15) << 3) + 0x84) << exponent) - 0x84;
    if bits & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// ITU-T G.711 A-law.
fn a_law(octet: u8) -> i16 {
    let bits = octet ^ 0x55;
    let exponent = (bits >> 4) & 7;
    let mantissa = i16::from(bits & 15) << 4;
    let magnitude = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    if bits & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_played_is_what_is_heard() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            let heard = |sound: Sound, index| {
                impression(codec.payload_type(), &sound.payload(codec, index)).unwrap()
            };
            for index in [0, 1, 50] {
                assert_eq!(heard(Sound::Silence, index), Impression::Silence);
                assert_eq!(heard(Sound::Tone(425), index), Impression::Sound);
                for key in "0123456789*#ABCD".chars() {
                    assert_eq!(heard(Sound::Key(key), index), Impression::Key(key));
                }
            }
        }
    }
}
