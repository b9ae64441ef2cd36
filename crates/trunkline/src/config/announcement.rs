//! Announcements: sound files, read and judged.

use std::ops::Range;
use std::path::{Path, PathBuf};

use media_relay::{Cadence, Clip, Law};

/// Samples of a second.
const RATE: usize = 8000;

/// Longest announcement, in samples: two minutes.
const LONGEST: usize = 120 * RATE;

/// Largest file that is read: two minutes of 16 bits, and room for what editors write beside it.
const LARGEST: u64 = 4 << 20;

/// Milliseconds of each of the special information tones, and their frequencies (ITU-T E.180 §4.4).
const TONE: (u16, [u16; 3]) = (330, [950, 1400, 1800]);

/// One announcement of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its name.
    pub name: String,
    /// Where its sound is; `None` for the special information tones.
    pub file: Option<PathBuf>,
    /// How often it is played, 1 to 10.
    pub times: u8,
    /// Where it stands in the configuration.
    pub span: Range<usize>,
}

impl Announcement {
    /// Its sound, as often as it is played.
    ///
    /// # Errors
    /// A sentence naming the file and what is wrong with it.
    pub fn load(&self) -> Result<Clip, String> {
        let once = match &self.file {
            None => information_tones(),
            Some(path) => read(path).map_err(|fault| format!("{}: {fault}", path.display()))?,
        };
        let mut samples = once.clone();
        for _ in 1..self.times {
            samples.extend([0; RATE]);
            samples.extend(&once);
        }
        Clip::new(samples, false).ok_or_else(|| "there is no sound in it".to_owned())
    }
}

fn information_tones() -> Vec<i16> {
    let (millis, frequencies) = TONE;
    let count = u64::from(millis) * RATE as u64 / 1000;
    let tone = |hertz| Cadence {
        frequencies: [hertz, 0],
        rhythm: [millis, 0, 0, 0],
    };
    let tones = frequencies.into_iter().map(tone);
    tones
        .flat_map(|tone| (0..count).map(move |at| tone.sample(at)))
        .collect()
}

fn read(path: &Path) -> Result<Vec<i16>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if size.len() > LARGEST {
        return Err("longer than two minutes".to_owned());
    }
    wave(&std::fs::read(path).map_err(|error| error.to_string())?)
}

/// How the samples of a WAV file are written.
#[derive(Clone, Copy)]
enum Form {
    Linear,
    Companded(Law),
}

/// Reads a RIFF file of the kind WAVE.
fn wave(bytes: &[u8]) -> Result<Vec<i16>, String> {
    let not_wave = || "not a WAV file".to_owned();
    let (head, mut rest) = bytes.split_at_checked(12).ok_or_else(not_wave)?;
    if !head.starts_with(b"RIFF") || !head.ends_with(b"WAVE") {
        return Err(not_wave());
    }
    let mut found = None;
    while let Some((chunk, after)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]) as usize;
        // What was cut short or never closed holds as much as there is.
        let (body, after) = after.split_at(length.min(after.len()));
        match &chunk[..4] {
            b"fmt " => found = Some(form(body)?),
            b"data" => {
                let form = found.ok_or_else(not_wave)?;
                return samples(form, body);
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = after.get(length % 2..).unwrap_or_default();
    }
    Err("there is no sound in it".to_owned())
}

fn form(body: &[u8]) -> Result<Form, String> {
    let word = |at: usize| {
        let octets = body.get(at..at + 2)?;
        Some(u16::from_le_bytes([octets[0], octets[1]]))
    };
    let rate = word(4)
        .zip(word(6))
        .map(|(low, high)| u32::from(low) | u32::from(high) << 16);
    match (word(2), rate) {
        (Some(1), Some(8000)) => {}
        (Some(1), Some(rate)) => return Err(format!("{rate} samples a second; 8000 are wanted")),
        (Some(channels), _) => return Err(format!("{channels} channels; one is wanted")),
        (None, _) => return Err("not a WAV file".to_owned()),
    }
    match (word(0), word(14)) {
        (Some(1), Some(16)) => Ok(Form::Linear),
        (Some(6), Some(8)) => Ok(Form::Companded(Law::Alaw)),
        (Some(7), Some(8)) => Ok(Form::Companded(Law::Ulaw)),
        _ => Err("neither 16 bits a sample nor G.711".to_owned()),
    }
}

fn samples(form: Form, body: &[u8]) -> Result<Vec<i16>, String> {
    let samples: Vec<i16> = match form {
        Form::Linear => body
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect(),
        Form::Companded(law) => body.iter().map(|octet| law.decode(*octet)).collect(),
    };
    match samples.len() {
        0 => Err("there is no sound in it".to_owned()),
        length if length > LONGEST => Err("longer than two minutes".to_owned()),
        _ => Ok(samples),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut body = b"WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        body.extend(kind.to_le_bytes());
        body.extend(channels.to_le_bytes());
        body.extend(rate.to_le_bytes());
        body.extend([0; 6]);
        body.extend(bits.to_le_bytes());
        body.extend(b"data");
        body.extend(u32::try_from(data.len()).expect("short").to_le_bytes());
        body.extend(data);
        let mut whole = b"RIFF\0\0\0\0".to_vec();
        whole.extend(body);
        whole
    }

    #[test]
    fn sound_of_one_channel_and_8000_samples_is_read() {
        assert_eq!(
            wave(&file(1, 1, 8000, 16, &[1, 0, 0xff, 0xff])),
            Ok(vec![1, -1])
        );
        let quiet = wave(&file(6, 1, 8000, 8, &[0xd5; 4])).expect("A-law");
        assert!(quiet.len() == 4 && quiet.iter().all(|sample| sample.abs() <= 8));
        let quiet = wave(&file(7, 1, 8000, 8, &[0xff; 3])).expect("µ-law");
        assert!(quiet.len() == 3 && quiet.iter().all(|sample| sample.abs() <= 8));
    }

    #[test]
    fn what_cannot_be_played_is_told() {
        let sound = [0; 320];
        for (file, says) in [
            (b"OggS".to_vec(), "not a WAV file"),
            (b"RIFF\0\0\0\0WAVE".to_vec(), "no sound"),
            (file(1, 2, 8000, 16, &sound), "2 channels"),
            (file(1, 1, 44_100, 16, &sound), "44100 samples a second"),
            (file(1, 1, 8000, 8, &sound), "neither 16 bits"),
            (file(3, 1, 8000, 32, &sound), "neither 16 bits"),
            (file(1, 1, 8000, 16, &[]), "no sound"),
            (
                file(1, 1, 8000, 16, &vec![0; 2 * LONGEST + 2]),
                "two minutes",
            ),
        ] {
            let fault = wave(&file).expect_err(says);
            assert!(fault.contains(says), "{fault}");
        }
    }

    #[test]
    fn tones_are_played_as_often_as_asked() {
        let announcement = |times| Announcement {
            name: "away".to_owned(),
            file: None,
            times,
            span: 0..0,
        };
        assert_eq!(announcement(1).load().map(|clip| clip.millis()), Ok(990));
        assert_eq!(announcement(3).load().map(|clip| clip.millis()), Ok(4970));
        let missing = Announcement {
            file: Some("nothing.wav".into()),
            ..announcement(1)
        };
        assert!(
            missing
                .load()
                .is_err_and(|fault| fault.contains("nothing.wav"))
        );
    }
}
