//! What holds for the media of a trunk beside its codecs' order.

use std::sync::Arc;
use std::time::Duration;

use sdp::Suite;

/// How a trunk sends and takes digits during a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtmfMode {
    /// Events of RFC 4733 where they were negotiated, else the digit's tones; Microsoft hears
    /// nothing else (D-09).
    #[default]
    Events,
    /// The digit's tones in the sound. They are heard, taken out, and told to the other side in its
    /// own way.
    InBand,
    /// INFO requests.
    Info,
}

impl DtmfMode {
    /// The mode's name in configuration files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::InBand => "in-band",
            Self::Info => "info",
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Events, Self::InBand, Self::Info];
}

/// Media of one trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPolicy {
    /// Encoding names never used towards the trunk, events and comfort noise included.
    pub deny: Vec<Arc<str>>,
    /// Whether G.711 and G.722 are converted into each other where the trunk shares no codec with
    /// the other side.
    pub transcode: bool,
    /// Cryptographic suites offered and accepted on an SRTP trunk, best first; never empty. Each
    /// has a key of its own.
    pub suites: Vec<Suite>,
    /// How digits are sent and taken.
    pub dtmf: DtmfMode,
    /// A held call of which neither RTP nor RTCP was heard for this long is ended.
    pub hold_inactivity: Option<Duration>,
}

impl Default for MediaPolicy {
    /// Nothing denied, transcoding where nothing else helps, the one suite every peer speaks
    /// (D-01, D-03), events, an hour of silence on hold.
    fn default() -> Self {
        Self {
            deny: Vec::new(),
            transcode: true,
            suites: vec![Suite::AesCm128HmacSha1_80],
            dtmf: DtmfMode::Events,
            hold_inactivity: Some(Duration::from_secs(3600)),
        }
    }
}
