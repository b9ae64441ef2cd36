//! `[trunk.media]`: codecs, SRTP and RTP towards this trunk.

use serde::Deserialize;

/// `[trunk.media]`: codecs, SRTP and RTP towards this trunk.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkMedia {}
