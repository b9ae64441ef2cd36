//! `[trunk.transfer]`: REFER, Replaces and redirection.

use serde::Deserialize;
use toml::Spanned;

use super::scalars::Span;

/// `[trunk.transfer]`: REFER, Replaces and redirection. Whoever asks for a transfer, it is carried
/// out here: neither REFER nor Replaces is ever sent to a trunk.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Whether parties of the trunk may transfer their calls with REFER, which `Allow` says.
    /// Microsoft decides by that how it transfers. Default `true`; `false` for the preset
    /// `carrier`, whose callers could else place calls at your expense.
    pub refer: Option<bool>,
    /// Whether parties of the trunk may take a call of the trunk over by an INVITE with Replaces,
    /// which `Supported` says. Default `true`; `false` for the preset `carrier`.
    pub replaces: Option<bool>,
    /// From the REFER until the new party must have answered; the old call goes on then.
    /// At least `"1s"`, at most `"10m"`. Default `"60s"`.
    pub timeout: Option<Spanned<Span>>,
    /// How long a party whose transfer went through has for its BYE, before it gets one.
    /// At most `"1m"`. Default `"10s"`.
    pub departure: Option<Spanned<Span>>,
    /// Whether the party that stays hears ringing while the new one is alerted. Default `true`.
    pub ringback: Option<bool>,
}
