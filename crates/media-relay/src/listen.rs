//! What is heard in the sound of a leg, where somebody asked.

use voice::dtmf::{Heard, ToneDetector};

use crate::dtmf::Held;
use crate::leg::Leg;
use crate::{Law, Listen};

/// Packets louder than [`AUDIBLE`] until a leg counts as audible: a click is none.
const AUDIBLE_PACKETS: u8 = 3;
/// The mean square of a sample at −45 dBm0: above the comfort noise of a silent line.
const AUDIBLE: u64 = 16_000;

/// One leg's listener.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    audible: u8,
    told: bool,
    tones: Option<Box<ToneDetector>>,
}

impl Ear {
    /// Takes what is to be listened for now.
    pub(crate) fn attend(&mut self, listen: &Listen) {
        if !listen.digits {
            self.tones = None;
        } else if self.tones.is_none() {
            self.tones = Some(Box::default());
        }
    }

    fn is_idle(&self, listen: &Listen) -> bool {
        self.tones.is_none() && (self.told || !listen.first_audio)
    }

    /// Counts a packet of sound; whether the leg has just become audible.
    fn becomes_audible(&mut self, listen: &Listen, law: Option<Law>, payload: &[u8]) -> bool {
        if self.told || !listen.first_audio {
            return false;
        }
        let loud = law.is_none_or(|law| is_audible(law, payload));
        self.audible += u8::from(loud);
        self.told = self.audible >= AUDIBLE_PACKETS;
        self.told
    }
}

impl Leg {
    /// Listens to a packet's sound, and takes out of it the tones of a digit.
    pub(crate) fn listen(&mut self, payload_type: u8, payload: &mut [u8]) {
        let listen = &self.params.listen;
        if self.ear.is_idle(listen) {
            return;
        }
        let is = |known: Option<u8>| known == Some(payload_type);
        let event = self.params.telephone_event.map(|event| event.heard);
        if is(listen.comfort_noise) || is(event) || payload.is_empty() {
            return;
        }
        let law = match payload_type {
            _ if is(listen.ulaw) => Some(Law::Ulaw),
            _ if is(listen.alaw) => Some(Law::Alaw),
            _ => None,
        };
        self.news.first_audio |= self.ear.becomes_audible(listen, law, payload);
        let (Some(law), Some(tones)) = (law, &mut self.ear.tones) else {
            return;
        };
        let mut over = None;
        for octet in payload.iter() {
            if let Some(Heard { digit, duration_ms }) = tones.hear(law.decode(*octet)) {
                over = Some(Held {
                    digit,
                    duration_ms,
                    in_band: true,
                });
            }
        }
        if tones.is_sounding() {
            payload.fill(law.quiet());
        }
        if let Some(held) = over {
            self.push_digit(held);
        }
    }
}

fn is_audible(law: Law, payload: &[u8]) -> bool {
    let square = |octet: &u8| u64::from(law.decode(*octet).unsigned_abs()).pow(2);
    payload.iter().map(square).sum::<u64>() > AUDIBLE * payload.len() as u64
}
