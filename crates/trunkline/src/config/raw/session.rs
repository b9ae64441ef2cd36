//! `[trunk.session]`: session timers.

use serde::Deserialize;
use toml::Spanned;

use super::Span;

/// `[trunk.session]`: session timers (RFC 4028). Each side has its own; none is passed on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The session interval asked for in calls to and from this trunk. Default: none is asked for;
    /// what the peer asks for is kept.
    pub expires: Option<Spanned<Span>>,
    /// The shortest interval that is accepted; shorter ones are answered 422. Default: `"90s"`.
    pub min_se: Option<Spanned<Span>>,
    /// Who refreshes where the peer leaves it open: `"peer"`, `"us"` or `"auto"`. Default:
    /// `"auto"`, which is the peer if it can.
    pub refresher: Option<Spanned<String>>,
    /// How refreshes of ours are sent: `"reinvite"`, or `"update"` where the peer allows it.
    /// Default: `"reinvite"`.
    pub method: Option<Spanned<String>>,
}
