//! What hold looks and sounds like to the party of a trunk.

use sdp::HoldDialect;

/// What a party hears while the one across holds it and sends nothing itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HoldMusic {
    /// Nothing is sent: the hold is passed on as it was meant.
    #[default]
    None,
    /// Packets of silence, for peers that drop calls without media.
    Silence,
    /// A short tone now and then, so that the party knows it was not cut off.
    Tone,
}

/// Hold towards one trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoldPolicy {
    /// How hold is written in session descriptions.
    pub dialect: HoldDialect,
    /// What a held party of this trunk hears. A dialect that knows only `inactive` leaves no room
    /// for it.
    pub music: HoldMusic,
}

impl HoldPolicy {
    /// Hold as `dialect` writes it, without music.
    #[must_use]
    pub const fn new(dialect: HoldDialect) -> Self {
        Self {
            dialect,
            music: HoldMusic::None,
        }
    }
}
