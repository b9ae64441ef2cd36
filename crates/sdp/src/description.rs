//! A session description as a value.

use std::fmt;
use std::sync::OnceLock;

use zeroize::Zeroize as _;

use crate::audio::Audio;
use crate::error::{SdpError, Unusable};
use crate::grammar::Lines;
use crate::local::{Layout, RefusedMedia};

/// Bounds of a body we are willing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole body.
    pub octets: usize,
    /// Lines of the whole body.
    pub lines: usize,
    /// Media descriptions.
    pub media: usize,
}

impl Default for Limits {
    /// 32 KiB, 1024 lines, 32 media descriptions: several times what a browser writes.
    fn default() -> Self {
        Self {
            octets: 32 * 1024,
            lines: 1024,
            media: 32,
        }
    }
}

/// A session description (RFC 8866), received or written by us.
#[derive(Clone)]
pub struct SessionDescription {
    /// As it was read; of our own, which are asked for nothing as a rule, read when it is asked for.
    lines: OnceLock<Lines>,
    /// As it is written, where we wrote it.
    text: Option<Vec<u8>>,
    /// It has keys in it.
    secret: bool,
    /// What of it can be carried, found when it is asked for: of our own it seldom is.
    carried: OnceLock<Carried>,
}

#[derive(Clone)]
struct Carried {
    audios: Vec<Audio>,
    unusable: Unusable,
}

impl Carried {
    fn find(lines: &Lines) -> Self {
        let mut audios = Vec::new();
        let mut unusable = Unusable::NoAudio;
        for media in lines.medias() {
            match Audio::read(lines, media) {
                Ok(audio) => audios.push(audio),
                // The reason reported is that of the line that came nearest to being used.
                Err(reason) => unusable = unusable.max(reason),
            }
        }
        Self { audios, unusable }
    }
}

impl PartialEq for SessionDescription {
    fn eq(&self, other: &Self) -> bool {
        self.lines().text() == other.lines().text()
    }
}

impl Eq for SessionDescription {}

impl SessionDescription {
    /// Reads a body within the default [`Limits`].
    ///
    /// Tolerated: bare LF, Latin-1 octets, spaces in the user name of `o=`, a huge version, missing
    /// `o=`, `s=` and `t=`, malformed `b=`, lines out of order.
    ///
    /// # Errors
    /// [`SdpError`] when a bound is passed or a line that matters cannot be read.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        Self::parse_within(body, &Limits::default())
    }

    /// Reads a body within the given bounds.
    ///
    /// # Errors
    /// As [`SessionDescription::parse`].
    pub fn parse_within(body: &[u8], limits: &Limits) -> Result<Self, SdpError> {
        let lines = Lines::read(body, limits)?;
        Ok(Self {
            secret: lines.holds_keys(),
            lines: lines.into(),
            text: None,
            carried: OnceLock::new(),
        })
    }

    /// One of ours as it is written; whether there are keys in it.
    pub(crate) fn of_ours(text: Vec<u8>, secret: bool) -> Self {
        Self {
            lines: OnceLock::new(),
            text: Some(text),
            secret,
            carried: OnceLock::new(),
        }
    }

    fn lines(&self) -> &Lines {
        self.lines.get_or_init(|| {
            let text = self.text.as_deref().unwrap_or_default();
            // What we write can be read, or it would be no description: of no media at all.
            let unbounded = Limits {
                octets: text.len(),
                lines: text.len(),
                media: text.len(),
            };
            Lines::read(text, &unbounded).unwrap_or_else(|_| Lines::none())
        })
    }

    fn carried(&self) -> &Carried {
        self.carried.get_or_init(|| Carried::find(self.lines()))
    }

    /// The body as written on the wire, CRLF line ends.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.text {
            Some(text) => text.clone(),
            None => self.lines().text().as_bytes().to_vec(),
        }
    }

    /// The first audio media description that can be carried.
    #[must_use]
    pub fn audio(&self) -> Option<&Audio> {
        self.carried().audios.first()
    }

    /// The first audio media description that can be carried, or why there is none.
    ///
    /// # Errors
    /// [`Unusable`], the reason of the line that came nearest.
    pub fn usable_audio(&self) -> Result<&Audio, Unusable> {
        let carried = self.carried();
        carried.audios.first().ok_or(carried.unusable)
    }

    /// The audio media description that a leg answers which is `secure` (SRTP), or is not: the first
    /// usable one of its kind. An offer may have one of each.
    #[must_use]
    pub fn audio_for(&self, secure: bool) -> Option<&Audio> {
        self.carried()
            .audios
            .iter()
            .find(|audio| audio.profile.is_secure() == secure)
    }

    pub(crate) fn audio_at(&self, index: usize) -> Option<&Audio> {
        self.carried()
            .audios
            .iter()
            .find(|audio| audio.index == index)
    }

    /// How many media descriptions there are.
    #[must_use]
    pub fn media_count(&self) -> usize {
        self.lines().media_count()
    }

    /// Whether the media description at `index` has port 0 (RFC 3264 §6: refused or disabled).
    #[must_use]
    pub fn is_disabled(&self, index: usize) -> bool {
        self.lines()
            .media(index)
            .is_none_or(|media| media.port() == 0)
    }

    /// The version of `o=`.
    #[must_use]
    pub fn origin_version(&self) -> u64 {
        self.lines().version()
    }

    /// The order of media descriptions that all later descriptions of the session keep
    /// (RFC 3264 §8), with `carried` as the audio that goes on.
    pub(crate) fn layout(&self, carried: usize) -> Layout {
        let others = self.lines().medias().enumerate();
        let others = others
            .filter(|(index, _)| *index != carried)
            .map(|(_, media)| RefusedMedia {
                media: media.media().to_owned(),
                proto: media.proto().to_owned(),
                fmt: media.fmt().to_owned(),
            });
        Layout {
            audio: carried,
            refused: others.collect(),
        }
    }
}

impl fmt::Debug for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionDescription")
            .field("media", &self.lines().media_count())
            .field("audio", &self.carried().audios)
            .finish_non_exhaustive()
    }
}

impl Drop for SessionDescription {
    fn drop(&mut self) {
        if !self.secret {
            return;
        }
        self.text.zeroize();
        if let Some(lines) = self.lines.get_mut() {
            lines.zeroize();
        }
    }
}
