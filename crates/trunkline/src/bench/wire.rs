//! What the processes of a bench say to each other: one JSON value a line, on standard input and
//! output.

use std::fmt;
use std::io::BufRead as _;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, anyhow};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::output;

/// What the two legs of a call speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Plain on both legs.
    RtpRtp,
    /// Plain on the A leg, SRTP on the B leg.
    RtpSrtp,
    /// SRTP on both legs, with keys of their own.
    SrtpSrtp,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub(crate) const ALL: [Self; 3] = [Self::RtpRtp, Self::RtpSrtp, Self::SrtpSrtp];

    /// Whether the legs A and B speak SRTP.
    pub(crate) fn secure(self) -> [bool; 2] {
        match self {
            Self::RtpRtp => [false, false],
            Self::RtpSrtp => [false, true],
            Self::SrtpSrtp => [true, true],
        }
    }

    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RtpRtp => "rtp-rtp",
            Self::RtpSrtp => "rtp-srtp",
            Self::SrtpSrtp => "srtp-srtp",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RtpRtp => "RTP⇄RTP",
            Self::RtpSrtp => "RTP⇄SRTP",
            Self::SrtpSrtp => "SRTP⇄SRTP",
        })
    }
}

/// Master key and salt of `AES_CM_128_HMAC_SHA1_80` (RFC 4568 §6.2), as 60 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) [u8; 30]);

impl Key {
    /// A fresh one from the operating system.
    pub(crate) fn random() -> Result<Self> {
        let mut key = [0; 30];
        getrandom::fill(&mut key).map_err(|error| anyhow!("no randomness: {error}"))?;
        Ok(Self(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut key = [0; 30];
        let fits = text.len() == 2 * key.len() && text.is_ascii();
        for (n, byte) in key.iter_mut().enumerate() {
            let digits = fits.then(|| &text[2 * n..2 * n + 2]);
            let digits = digits.ok_or_else(|| D::Error::custom("a key has 60 digits"))?;
            *byte = u8::from_str_radix(digits, 16).map_err(D::Error::custom)?;
        }
        Ok(Self(key))
    }
}

/// The generator's ends, which every call has in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ends {
    /// Where it hears, and where from it sends, the RTP of A legs.
    pub(crate) a: SocketAddr,
    /// The same of B legs.
    pub(crate) b: SocketAddr,
    /// Where RTCP goes; nobody reads it.
    pub(crate) rtcp: SocketAddr,
    /// What it encrypts with on A legs, where they are SRTP.
    pub(crate) key_a: Key,
    /// The same on B legs.
    pub(crate) key_b: Key,
}

/// One call as the relay has set it up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    /// The relay's RTP address on the A leg.
    pub(crate) a: SocketAddr,
    /// The same on the B leg.
    pub(crate) b: SocketAddr,
    /// What the relay encrypts with towards A, where that leg is SRTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_a: Option<Key>,
    /// The same towards B.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_b: Option<Key>,
}

/// What the generator is told first: who is to be driven.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// What the legs speak.
    pub(crate) kind: Kind,
    /// The calls.
    pub(crate) calls: Vec<Call>,
}

/// What the device says once all calls are open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// The path that packets take.
    pub(crate) path: String,
    /// Why this one.
    pub(crate) reason: String,
    /// Seconds that binding, opening and joining took.
    pub(crate) seconds: f64,
    /// The calls.
    pub(crate) calls: Vec<Call>,
}

/// One run of the generator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Order {
    /// Packets a second over all calls and both directions; without it 50 for each flow.
    pub(crate) rate: Option<f64>,
    /// Seconds before anything is counted.
    pub(crate) warm: f64,
    /// Seconds that are counted.
    pub(crate) seconds: f64,
    /// Every how many packets one is verified whole.
    pub(crate) verify: u64,
    /// Every how many packets one is not sent though it counts as sent; 0: all are sent. The
    /// bench's own test, that a loss is seen.
    pub(crate) plant: u64,
    /// Processes whose CPU time is read where counting begins and ends.
    pub(crate) pids: Vec<u32>,
    /// The core those run on, to see what else it did.
    pub(crate) core: Option<usize>,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            rate: None,
            warm: 1.0,
            seconds: 3.0,
            verify: 127,
            plant: 0,
            pids: Vec::new(),
            core: None,
        }
    }
}

/// What a run came to. Only packets sent while counting are counted, whenever they arrived.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Measured {
    /// Packets sent.
    pub(crate) sent: u64,
    /// Of these, how many came back, each once.
    pub(crate) received: u64,
    /// Of these, how many did not.
    pub(crate) lost: u64,
    /// Packets that came again.
    pub(crate) duplicates: u64,
    /// Packets that were not what was sent, or came from a port of no call.
    pub(crate) wrong: u64,
    /// Packets that were verified whole: origin, authentication, every octet.
    pub(crate) verified: u64,
    /// Seconds from the first packet counted to the last.
    pub(crate) seconds: f64,
    /// Packets sent a second.
    pub(crate) rate: f64,
    /// Packets a second that were asked for.
    pub(crate) asked: f64,
    /// From sending to having received, in µs: the relay, both ways through the kernel, and the
    /// generator's own turn.
    pub(crate) delay: Delay,
    /// How late a packet was sent at most, in µs.
    pub(crate) late_us: f64,
    /// CPU time of each process asked about, in µs.
    pub(crate) cpu_us: Vec<f64>,
    /// What their core did beside them, as a share of the time.
    pub(crate) beside: f64,
    /// The share of the time that the generator, which never waits, did not run.
    pub(crate) robbed: f64,
}

impl Measured {
    /// The share of packets that were lost.
    pub(crate) fn loss(&self) -> f64 {
        self.lost as f64 / self.sent.max(1) as f64
    }

    /// The share of either core's time that went to others.
    pub(crate) fn disturbance(&self) -> f64 {
        self.beside.max(self.robbed).max(0.0)
    }

    /// CPU time of all processes asked about, in µs for a packet that came through.
    pub(crate) fn cpu_per_packet(&self) -> f64 {
        self.cpu_us.iter().sum::<f64>() / self.received.max(1) as f64
    }

    /// Whether the generator sent what it was asked to.
    pub(crate) fn kept_pace(&self) -> bool {
        self.rate >= 0.98 * self.asked
    }
}

/// Points of a distribution, in µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delay {
    /// Half were not above.
    pub(crate) p50: f64,
    /// 99 of 100 were not above.
    pub(crate) p99: f64,
    /// None was above.
    pub(crate) max: f64,
}

/// How the device is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// CPU time of all its threads so far, in µs.
    pub(crate) cpu_us: f64,
    /// Octets of memory that are resident.
    pub(crate) rss: u64,
    /// Datagrams received, sent, dropped, and sends the kernel refused.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) refused: u64,
}

/// Says a value.
pub(crate) fn say(value: &impl Serialize) -> Result<()> {
    output::line(serde_json::to_string(value)?);
    Ok(())
}

/// Hears the next value; `None` once the other side has hung up.
pub(crate) fn hear<T: DeserializeOwned>() -> Result<Option<T>> {
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    serde_json::from_str(&line)
        .map(Some)
        .with_context(|| format!("not understood: {}", line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_said_in_hexadecimal_and_never_printed() {
        let key = Key(std::array::from_fn(|n| 7 * n as u8));
        let text = serde_json::to_string(&key).unwrap();
        assert!(text.starts_with("\"00070e15"), "{text}");
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
        assert_eq!(format!("{key:?}"), "Key(redacted)");
        for wrong in ["\"00\"", "\"zz\"", "7", "\"é\""] {
            assert!(serde_json::from_str::<Key>(wrong).is_err(), "{wrong}");
        }
    }
}
