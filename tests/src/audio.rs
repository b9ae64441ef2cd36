//! G.711 in RTP as a telephone sends and hears it, and tones as a way to recognise what was said.

use std::f64::consts::TAU;
use std::net::UdpSocket;

/// Samples of one packet: 20 ms at 8 kHz.
pub const PACKET: usize = 160;

/// Takes `packets` packets off a socket and plays one packet of a tone for each, so that the far
/// end's clock paces both. Gives what was heard, 16 bit linear at 8 kHz.
///
/// # Panics
/// A packet is missing, out of order, not 20 ms of PCMU, or none comes.
#[must_use]
pub fn converse(socket: &UdpSocket, hertz: u32, packets: usize) -> Vec<i16> {
    let mut heard = Vec::with_capacity(packets * PACKET);
    let mut last: Option<(u16, u32)> = None;
    let mut buffer = [0; 2048];
    for index in 0..packets {
        let (length, from) = socket
            .recv_from(&mut buffer)
            .unwrap_or_else(|error| panic!("after {index} packets: {error}"));
        let packet = &buffer[..length];
        assert_eq!(packet[0], 0x80, "plain RTP of one source");
        assert_eq!(packet[1] & 0x7f, 0, "PCMU");
        assert_eq!(length, 12 + PACKET, "20 ms");
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        if let Some((before, then)) = last.replace((number, time)) {
            assert_eq!(number, before.wrapping_add(1), "packet {index}");
            assert_eq!(time, then.wrapping_add(PACKET as u32), "packet {index}");
        }
        heard.extend(packet[12..].iter().map(|byte| linear(*byte)));
        socket
            .send_to(&tone_packet(hertz, index), from)
            .expect("loopback takes datagrams");
    }
    heard
}

fn tone_packet(hertz: u32, index: usize) -> Vec<u8> {
    let number = u16::try_from(index).expect("a short conversation");
    let first = index * PACKET;
    let mut packet = vec![0x80, if index == 0 { 0x80 } else { 0 }];
    packet.extend(number.to_be_bytes());
    packet.extend(u32::try_from(first).expect("short").to_be_bytes());
    packet.extend(0x0042_4242_u32.to_be_bytes());
    packet.extend((first..first + PACKET).map(|sample| mu_law(tone(hertz, sample as f64))));
    packet
}

fn tone(hertz: u32, sample: f64) -> i16 {
    ((TAU * f64::from(hertz) * sample / 8000.0).sin() * 8000.0) as i16
}

/// One sample of G.711 µ-law as linear.
#[must_use]
pub fn linear(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = (byte >> 4) & 7;
    let magnitude = ((i16::from(byte & 0x0f) << 3) + 0x84) << exponent;
    if byte & 0x80 == 0 {
        magnitude - 0x84
    } else {
        0x84 - magnitude
    }
}

/// A linear sample as G.711 µ-law.
#[must_use]
pub fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(32_635) + 0x84;
    // The highest bit of a biased magnitude is 7 to 14.
    let exponent = 15 - magnitude.leading_zeros() as u16 - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent << 4 | mantissa) as u8)
}

/// How much of a sound is one tone.
#[derive(Clone, Copy, Debug)]
pub struct Tone {
    /// Share of the sound's energy, 0 to 1.
    pub share: f64,
    /// Energy per sample.
    pub energy: f64,
}

impl Tone {
    /// Measures a tone of `hertz` at 8 kHz.
    #[must_use]
    pub fn of(samples: &[i16], hertz: u32) -> Self {
        let (mut real, mut imaginary, mut total) = (0.0, 0.0, 0.0);
        for (index, sample) in samples.iter().enumerate() {
            let value = f64::from(*sample);
            let phase = TAU * f64::from(hertz) * index as f64 / 8000.0;
            real += value * phase.cos();
            imaginary += value * phase.sin();
            total += value * value;
        }
        let count = samples.len().max(1) as f64;
        Self {
            share: 2.0 * (real * real + imaginary * imaginary) / count / total.max(1.0),
            energy: total / count,
        }
    }
}

/// A WAVE file of one channel, 16 bit, 8 kHz: `seconds` of a tone.
#[must_use]
pub fn wave(hertz: u32, seconds: u32) -> Vec<u8> {
    let length = seconds * 16_000;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(8000_u32.to_le_bytes());
    file.extend(16_000_u32.to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend((0..length / 2).flat_map(|index| tone(hertz, f64::from(index)).to_le_bytes()));
    file
}

/// The samples of a WAVE file of one channel, 16 bit.
///
/// # Panics
/// It is none.
#[must_use]
pub fn wave_samples(file: &[u8]) -> Vec<i16> {
    let start = file
        .windows(4)
        .position(|four| four == b"data")
        .expect("a WAVE file has data")
        + 8;
    file[start..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_loses_little() {
        for sample in (-32_000..32_000).step_by(7) {
            let again = linear(mu_law(sample));
            let off = (i32::from(again) - i32::from(sample)).abs();
            assert!(off <= i32::from(sample).abs() / 16 + 8, "{sample} {again}");
        }
    }

    #[test]
    fn a_tone_is_told_from_another() {
        let samples: Vec<i16> = (0..8000)
            .map(|index| ((TAU * 1000.0 * f64::from(index) / 8000.0).sin() * 9000.0) as i16)
            .collect();
        assert!(Tone::of(&samples, 1000).share > 0.99);
        assert!(Tone::of(&samples, 400).share < 0.01);
    }
}
