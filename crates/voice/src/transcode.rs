//! Speech from one codec to another.

use crate::Law;
use crate::g722;

/// A codec that is converted here. Each is 8 octets a millisecond and has an RTP clock of 8000 Hz
/// (RFC 3551 §4.5.2 for G.722), so a payload keeps its length and a packet its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speech {
    /// G.711, in either law.
    G711(Law),
    /// G.722 at 64 kbit/s.
    G722,
}

/// Converts one stream of speech, packet by packet in the order of its sound.
///
/// G.722 is adaptive: the state of both directions is here, and a lost packet is heard as a click
/// that passes.
#[derive(Clone, Debug, Default)]
pub struct Transcoder {
    decoder: g722::Decoder,
    encoder: g722::Encoder,
}

impl Transcoder {
    /// Turns a payload of `from` into one of `to`, where it lies.
    pub fn convert(&mut self, from: Speech, to: Speech, payload: &mut [u8]) {
        for octet in payload {
            let sample = match from {
                Speech::G711(law) => law.decode(*octet),
                Speech::G722 => self.decoder.decode(*octet),
            };
            *octet = match to {
                Speech::G711(law) => law.encode(sample),
                Speech::G722 => self.encoder.encode(sample),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Speech; 3] = [
        Speech::G711(Law::Alaw),
        Speech::G711(Law::Ulaw),
        Speech::G722,
    ];

    fn sine(codec: Speech) -> (Vec<u8>, Vec<i16>) {
        let sample = |n: u32| {
            let phase = std::f64::consts::TAU * 440.0 * f64::from(n) / 8000.0;
            (8000.0 * phase.sin()) as i16
        };
        let samples: Vec<i16> = (0..4000).map(sample).collect();
        let mut octets: Vec<u8> = samples.iter().map(|s| Law::Alaw.encode(*s)).collect();
        Transcoder::default().convert(Speech::G711(Law::Alaw), codec, &mut octets);
        (octets, samples)
    }

    #[test]
    fn every_codec_becomes_every_other_and_sounds_the_same() {
        for from in CODECS {
            for to in CODECS {
                let (mut octets, samples) = sine(from);
                let mut there = Transcoder::default();
                for packet in octets.chunks_mut(160) {
                    there.convert(from, to, packet);
                }
                let law = Law::Alaw;
                Transcoder::default().convert(to, Speech::G711(law), &mut octets);
                let heard = octets.iter().map(|octet| law.decode(*octet));
                let (mut power, mut error) = (0.0, 0.0);
                for (heard, sample) in heard.zip(samples).skip(400) {
                    power += f64::from(sample).powi(2);
                    error += (f64::from(heard) - f64::from(sample)).powi(2);
                }
                let ratio = 10.0 * (power / error).log10();
                assert!(ratio > 28.0, "{from:?} to {to:?}: {ratio:.1} dB");
            }
        }
    }
}
