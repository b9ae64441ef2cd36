//! Session descriptions as parties write and read them: one audio stream, just enough of RFC 8866
//! and RFC 4568, and nothing shared with what the gateway uses.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The payload type of telephone events, which are no speech.
pub(crate) const EVENTS: u8 = 101;

/// `a=sendrecv` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// From the describer only.
    SendOnly,
    /// To the describer only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The direction that answers this one without restricting it further (RFC 3264 §6.1).
    #[must_use]
    pub fn answered(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::SendRecv | Self::Inactive => self,
        }
    }
}

/// One audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The version in the origin line.
    pub version: u64,
    /// Where RTP is received.
    pub rtp: SocketAddr,
    /// Whether the profile is `RTP/SAVP`.
    pub savp: bool,
    /// Every crypto attribute: tag, suite and base64 key with its salt.
    pub crypto: Vec<(u32, String, String)>,
    /// Payload types in order of preference.
    pub formats: Vec<u8>,
    /// Whether RTP and RTCP share a port.
    pub rtcp_mux: bool,
    /// Who sends.
    pub direction: Direction,
}

impl Description {
    /// The description as text.
    #[must_use]
    pub fn render(&self) -> String {
        let family = if self.rtp.is_ipv4() { "IP4" } else { "IP6" };
        let (address, port) = (self.rtp.ip(), self.rtp.port());
        let profile = if self.savp { "RTP/SAVP" } else { "RTP/AVP" };
        let mut text = format!(
            "v=0\r\no=- 7 {} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\n\
             t=0 0\r\nm=audio {port} {profile}",
            self.version
        );
        for format in &self.formats {
            let _ = write!(text, " {format}");
        }
        text.push_str("\r\n");
        for (tag, suite, key) in &self.crypto {
            let _ = write!(text, "a=crypto:{tag} {suite} inline:{key}|2^31\r\n");
        }
        for format in &self.formats {
            let _ = match format {
                0 => write!(text, "a=rtpmap:0 PCMU/8000\r\n"),
                8 => write!(text, "a=rtpmap:8 PCMA/8000\r\n"),
                9 => write!(text, "a=rtpmap:9 G722/8000\r\n"),
                101 => write!(
                    text,
                    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
                ),
                other => write!(text, "a=rtpmap:{other} X{other}/8000\r\n"),
            };
        }
        if self.rtcp_mux {
            text.push_str("a=rtcp-mux\r\n");
        }
        let _ = write!(text, "a=ptime:20\r\na={}\r\n", self.direction.as_str());
        text
    }

    /// Reads the first audio stream; `None` if there is none that can be understood.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut session_address: Option<IpAddr> = None;
        let mut audio: Option<Self> = None;
        let mut in_audio = false;
        let mut version = 0;
        for line in text.lines() {
            let (kind, value) = line.split_once('=')?;
            match kind {
                "o" => version = value.split(' ').nth(2)?.parse().ok()?,
                "m" if audio.is_none() && value.starts_with("audio ") => {
                    audio = Some(Self::of_media_line(value, version)?);
                    in_audio = true;
                }
                "m" => in_audio = false,
                "c" => {
                    let address: IpAddr = value.split(' ').nth(2)?.parse().ok()?;
                    match audio.as_mut().filter(|_| in_audio) {
                        Some(audio) => audio.rtp.set_ip(address),
                        None => session_address = Some(address),
                    }
                }
                "a" if in_audio => audio.as_mut()?.attribute(value),
                _ => {}
            }
            if let (Some(audio), Some(address)) = (&mut audio, session_address)
                && audio.rtp.ip().is_unspecified()
                && !text.contains("c=IN IP4 0.0.0.0")
            {
                audio.rtp.set_ip(address);
            }
        }
        audio
    }

    fn of_media_line(value: &str, version: u64) -> Option<Self> {
        let mut words = value.split(' ').skip(1);
        let port = words.next()?.parse().ok()?;
        let savp = words.next()? == "RTP/SAVP";
        let formats = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self {
            version,
            rtp: ([0, 0, 0, 0], port).into(),
            savp,
            crypto: Vec::new(),
            formats,
            rtcp_mux: false,
            direction: Direction::SendRecv,
        })
    }

    fn attribute(&mut self, value: &str) {
        match value {
            "sendrecv" => self.direction = Direction::SendRecv,
            "sendonly" => self.direction = Direction::SendOnly,
            "recvonly" => self.direction = Direction::RecvOnly,
            "inactive" => self.direction = Direction::Inactive,
            "rtcp-mux" => self.rtcp_mux = true,
            other => {
                if let Some(crypto) = other.strip_prefix("crypto:").and_then(read_crypto) {
                    self.crypto.push(crypto);
                }
            }
        }
    }
}

fn read_crypto(value: &str) -> Option<(u32, String, String)> {
    let mut words = value.split_ascii_whitespace();
    let tag = words.next()?.parse().ok()?;
    let suite = words.next()?.to_owned();
    let key = words
        .next()?
        .strip_prefix("inline:")?
        .split('|')
        .next()?
        .to_owned();
    Some((tag, suite, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let description = Description {
            version: 3,
            rtp: "203.0.113.5:4000".parse().unwrap(),
            savp: true,
            crypto: vec![(1, "AES_CM_128_HMAC_SHA1_80".to_owned(), "a2V5".to_owned())],
            formats: vec![8, 0, 101],
            rtcp_mux: true,
            direction: Direction::Inactive,
        };
        assert_eq!(
            Description::read(description.render().as_bytes()),
            Some(description)
        );
    }

    #[test]
    fn a_media_level_address_wins() {
        let text = "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                    m=audio 5000 RTP/AVP 0\r\nc=IN IP4 192.0.2.9\r\nm=video 6000 RTP/AVP 96\r\n";
        let read = Description::read(text.as_bytes()).unwrap();
        assert_eq!(read.rtp, "192.0.2.9:5000".parse().unwrap());
    }
}
