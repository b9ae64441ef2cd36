//! `[trunk.media]`: codecs, SRTP and RTP towards this trunk.

use serde::Deserialize;
use toml::Spanned;

use super::{OneOrMany, Span};

/// `[trunk.media]`: codecs, SRTP and RTP towards this trunk.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkMedia {
    /// Codecs never used: `["G729"]`. Default: none.
    #[serde(default)]
    pub deny: OneOrMany,
    /// Whether G.711 and G.722 are converted into each other where this trunk and the other side
    /// of a call share no codec. Default: `true`.
    pub transcode: Option<Spanned<bool>>,
    /// SRTP suites offered and accepted, best first: `"AES_CM_128_HMAC_SHA1_80"`,
    /// `"AES_CM_128_HMAC_SHA1_32"`, `"AES_256_CM_HMAC_SHA1_80"`, `"AEAD_AES_128_GCM"`,
    /// `"AEAD_AES_256_GCM"`. Default: `["AES_CM_128_HMAC_SHA1_80"]`; `acs` and `teams` take no
    /// other.
    #[serde(default)]
    pub srtp_suites: OneOrMany,
    /// A held call of which neither RTP nor RTCP was heard for this long is ended; `"0s"` never
    /// ends one. Default: `"1h"`.
    pub hold_inactivity: Option<Span>,
    /// Whether RTP and RTCP on one port are offered (RFC 5761); where the peer offers it, it is
    /// taken. Default: `true` for `acs` and `teams`, else `false`.
    pub rtcp_mux: Option<bool>,
    /// Whose media is heard: `"authenticated"`, who has the key, and plain RTP from its signalled
    /// address alone; `"signalled"`, the signalled address, and another port of its host that
    /// carries on a stream fallen silent; `"same-host"`, the signalled host from any port, for
    /// peers behind a NAT that maps ports. Default: `"authenticated"` for `acs` and `teams`, else
    /// `"signalled"`.
    pub latch: Option<Spanned<String>>,
    /// Networks that media comes from and is sent to, whoever has the key: packets from elsewhere
    /// are dropped and counted, session descriptions that name an address elsewhere are refused
    /// with 488. Default: for `acs` and `teams` those of `allow`, else any.
    #[serde(default)]
    pub networks: OneOrMany,
}
