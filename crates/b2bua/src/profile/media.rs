//! What holds for the media of a trunk beside its codecs' order.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use sdp::Suite;

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
    /// A held call of which neither RTP nor RTCP was heard for this long is ended.
    pub hold_inactivity: Option<Duration>,
    /// Networks that the trunk's media comes from and is sent to; empty for any. Packets from
    /// elsewhere are dropped, and a description that names an address elsewhere is refused (N-08).
    pub networks: Arc<[IpNet]>,
}

impl Default for MediaPolicy {
    /// Nothing denied, transcoding where nothing else helps, the one suite every peer speaks
    /// (D-01, D-03), an hour of silence on hold, media from anywhere.
    fn default() -> Self {
        Self {
            deny: Vec::new(),
            transcode: true,
            suites: vec![Suite::AesCm128HmacSha1_80],
            hold_inactivity: Some(Duration::from_secs(3600)),
            networks: Arc::default(),
        }
    }
}
