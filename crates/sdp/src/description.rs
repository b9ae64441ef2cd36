//! A session description as a value.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::OnceLock;

use sdp_types::{Attribute, Origin, Session};
use zeroize::Zeroize as _;

use crate::audio::Audio;
use crate::error::{SdpError, Unusable};
use crate::local::{Layout, RefusedMedia};
use crate::normalise::normalise;

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
    session: OnceLock<Session>,
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
    fn find(session: &Session) -> Self {
        let mut audios = Vec::new();
        let mut unusable = Unusable::NoAudio;
        for index in 0..session.medias.len() {
            match Audio::read(session, index) {
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
        self.session() == other.session()
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
        if body.len() > limits.octets {
            return Err(SdpError::TooLong);
        }
        let mut text = normalise(body, limits.lines)?;
        let media = text
            .split(|&byte| byte == b'\n')
            .filter(|line| line.starts_with(b"m="));
        let parsed = if media.count() > limits.media {
            Err(SdpError::TooManyMedia)
        } else {
            Session::parse(&text).map_err(|error| grammar_error(&error))
        };
        let secret = parsed.as_ref().map_or(true, holds_keys);
        if secret {
            text.zeroize();
        }
        Ok(Self {
            session: parsed?.into(),
            text: None,
            secret,
            carried: OnceLock::new(),
        })
    }

    /// One of ours as it is written; whether there are keys in it.
    pub(crate) fn of_ours(text: Vec<u8>, secret: bool) -> Self {
        Self {
            session: OnceLock::new(),
            text: Some(text),
            secret,
            carried: OnceLock::new(),
        }
    }

    fn session(&self) -> &Session {
        self.session.get_or_init(|| {
            let text = self.text.as_deref().unwrap_or_default();
            // What we write can be read, or it would be no description: of no media at all.
            let nothing = |_| Session::new(Origin::with_ip_addr(0, 0, Ipv4Addr::UNSPECIFIED), "-");
            Session::parse(text).unwrap_or_else(nothing)
        })
    }

    fn carried(&self) -> &Carried {
        self.carried.get_or_init(|| Carried::find(self.session()))
    }

    /// The body as written on the wire, CRLF line ends.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if let Some(text) = &self.text {
            return text.clone();
        }
        let mut out = Vec::new();
        let written = self.session().write(&mut out);
        written.expect("writing to a vector cannot fail");
        // It is kept for as long as the call lasts.
        out.shrink_to_fit();
        out
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
        self.session().medias.len()
    }

    /// Whether the media description at `index` has port 0 (RFC 3264 §6: refused or disabled).
    #[must_use]
    pub fn is_disabled(&self, index: usize) -> bool {
        self.session()
            .medias
            .get(index)
            .is_none_or(|media| media.port == 0)
    }

    /// The version of `o=`.
    #[must_use]
    pub fn origin_version(&self) -> u64 {
        self.session().origin.sess_version
    }

    /// The order of media descriptions that all later descriptions of the session keep
    /// (RFC 3264 §8), with `carried` as the audio that goes on.
    pub(crate) fn layout(&self, carried: usize) -> Layout {
        let others = self.session().medias.iter().enumerate();
        let others = others
            .filter(|(index, _)| *index != carried)
            .map(|(_, media)| RefusedMedia {
                media: media.media.clone(),
                proto: media.proto.clone(),
                fmt: media.fmt.clone(),
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
            .field("media", &self.session().medias.len())
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
        let Some(session) = self.session.get_mut() else {
            return;
        };
        let medias = session.medias.iter_mut();
        let attributes = medias.flat_map(|media| &mut media.attributes);
        for attribute in attributes.chain(&mut session.attributes) {
            if is_key(attribute) {
                attribute.value.zeroize();
            }
        }
    }
}

/// Whether anything of it is a key, or may be (RFC 4566 §5.12, RFC 4567, RFC 4568).
fn holds_keys(session: &Session) -> bool {
    let medias = session.medias.iter();
    let attributes = medias.flat_map(|media| &media.attributes);
    session.key.is_some()
        || session.medias.iter().any(|media| media.key.is_some())
        || attributes.chain(&session.attributes).any(is_key)
}

fn is_key(attribute: &Attribute) -> bool {
    let named = |name| attribute.attribute.eq_ignore_ascii_case(name);
    named("crypto") || named("key-mgmt")
}

fn grammar_error(error: &sdp_types::ParserError) -> SdpError {
    use sdp_types::ParserError as E;
    // The library may add variants; whatever they are, the line cannot be read.
    #[allow(clippy::wildcard_enum_match_arm)]
    let (line, rule) = match *error {
        E::InvalidLineFormat(line, rule)
        | E::InvalidFieldEncoding(line, rule)
        | E::InvalidFieldFormat(line, rule)
        | E::MissingField(line, rule)
        | E::FieldTrailingData(line, rule) => (line, rule),
        E::InvalidVersion(line, _) => (line, "version is not 0"),
        E::NoVersion => (0, "no v= line"),
        E::MultipleVersions(line)
        | E::MultipleOrigins(line)
        | E::MultipleSessionNames(line)
        | E::MultipleSessionDescription(line)
        | E::MultipleUris(line)
        | E::MultipleConnections(line)
        | E::MultipleTimeZones(line)
        | E::MultipleMediaTitles(line)
        | E::MultipleKeys(line) => (line, "line appears twice"),
        E::RepeatWithoutTime(line) => (line, "r= without t="),
        _ => (0, "line"),
    };
    SdpError::Grammar { line, rule }
}
