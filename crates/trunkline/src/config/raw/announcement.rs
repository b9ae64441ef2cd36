//! `[[announcement]]`: what callers hear when nobody takes their call.

use serde::Deserialize;
use toml::Spanned;

/// `[[announcement]]`: what callers of a route hear when none of its targets takes their call,
/// before they are refused. It is played as early media, so nobody pays for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// The name routes use.
    pub name: Spanned<String>,
    /// WAV file: one channel, 8000 samples a second, 16 bits or G.711, at most two minutes.
    /// Default: the three rising tones of ITU-T E.180 that come before every such announcement.
    pub file: Option<Spanned<String>>,
    /// How often it is played, 1 to 10, with a second of silence between. Default: 1.
    pub times: Option<Spanned<u8>>,
}
