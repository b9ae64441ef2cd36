//! The lines of a description (RFC 8866 §9), found in one pass and kept as they stand in its text.

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroize as _;

use crate::description::Limits;
use crate::error::SdpError;
use crate::normalise::{Kept, put_line};

mod fields;

/// Where a part of a line stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// `part` of a text that begins at `text`; texts are shorter than 4 GiB.
    fn of(part: &str, text: &str) -> Self {
        let start = part.as_ptr().addr() - text.as_ptr().addr();
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: offset(start),
            end: offset(start + part.len()),
        }
    }
}

/// The attributes that a gateway asks for by their names, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Rtpmap,
    Fmtp,
    Ptime,
    Maxptime,
    Rtcp,
    RtcpMux,
    Crypto,
    KeyMgmt,
    /// Directions among them.
    Other,
}

impl Name {
    const SPELT: [(&'static str, Self); 8] = [
        ("rtpmap", Self::Rtpmap),
        ("fmtp", Self::Fmtp),
        ("ptime", Self::Ptime),
        ("maxptime", Self::Maxptime),
        ("rtcp", Self::Rtcp),
        ("rtcp-mux", Self::RtcpMux),
        ("crypto", Self::Crypto),
        ("key-mgmt", Self::KeyMgmt),
    ];

    fn of(name: &str) -> Self {
        let mut spelt = Self::SPELT.into_iter();
        let found = spelt.find(|(spelt, _)| spelt.eq_ignore_ascii_case(name));
        found.map_or(Self::Other, |(_, found)| found)
    }
}

/// An `a=` line.
#[derive(Debug, Clone)]
struct AttributeLine {
    known: Name,
    name: Span,
    value: Option<Span>,
}

/// An `m=` line and what follows it.
#[derive(Debug, Clone)]
struct MediaLine {
    media: Span,
    port: u16,
    proto: Span,
    fmt: Span,
    /// The address of its first `c=`.
    address: Option<Span>,
    /// Its first attribute among all; they end where those of the next media begin.
    attributes: usize,
}

/// A description that was read: its normalised text, and where in it everything is that a gateway
/// asks for.
#[derive(Clone)]
pub(crate) struct Lines {
    text: String,
    version: u64,
    /// The address of the session's `c=`.
    address: Option<Span>,
    attributes: Vec<AttributeLine>,
    medias: Vec<MediaLine>,
    secret: bool,
}

/// One media description.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MediaView<'a> {
    lines: &'a Lines,
    index: usize,
    line: &'a MediaLine,
}

impl Lines {
    /// A description of nothing.
    pub(crate) fn none() -> Self {
        Self {
            text: String::new(),
            version: 0,
            address: None,
            attributes: Vec::new(),
            medias: Vec::new(),
            secret: false,
        }
    }

    /// Reads a body. Other than the grammar has it, lines may be in any order behind `v=`, `o=`,
    /// `s=` and `t=` may be missing, and lines with a letter of no meaning are passed over.
    ///
    /// # Errors
    /// [`SdpError`] when a bound is passed or a line that matters cannot be read.
    pub(crate) fn read(body: &[u8], limits: &Limits) -> Result<Self, SdpError> {
        if body.len() > limits.octets {
            return Err(SdpError::TooLong);
        }
        let mut lines = Self::none();
        // Room for all of it, even if each of the shortest lines gets a CR: no key is left behind
        // where it did not fit.
        lines.text = String::with_capacity(body.len() / 3 * 4 + 64);
        let mut body = decoded(body);
        let read = lines.take(&body, limits);
        if let Cow::Owned(copy) = &mut body {
            copy.zeroize();
        }
        if read.is_err() {
            lines.text.zeroize();
        }
        read.map(|()| lines)
    }

    fn take(&mut self, body: &str, limits: &Limits) -> Result<(), SdpError> {
        let mut begun = false;
        let mut seen = fields::Seen::default();
        for (index, raw) in body.split('\n').enumerate() {
            if index > limits.lines {
                return Err(SdpError::TooManyLines);
            }
            let start = self.text.len();
            if put_line(&mut self.text, raw) == Kept::Nothing {
                continue;
            }
            let line = index + 1;
            let refuse = |rule| SdpError::Grammar { line, rule };
            let (key, value) = fields::split(&self.text[start..]).map_err(refuse)?;
            if !begun {
                begun = match (key, value) {
                    (b'v', "0") => true,
                    (b'v', _) => return Err(refuse("version is not 0")),
                    _ => break,
                };
            } else {
                let value = Span::of(value, &self.text);
                if key == b'm' {
                    if self.medias.len() == limits.media {
                        return Err(SdpError::TooManyMedia);
                    }
                    seen = fields::Seen::default();
                }
                self.field(key, value, &mut seen).map_err(refuse)?;
            }
            self.text.push_str("\r\n");
        }
        if begun {
            return Ok(());
        }
        Err(SdpError::Grammar {
            line: 0,
            rule: "no v= line",
        })
    }

    fn field(&mut self, key: u8, value: Span, seen: &mut fields::Seen) -> Result<(), &'static str> {
        let text = self.part(value);
        let in_media = !self.medias.is_empty();
        if seen.refuses(key, in_media) {
            return Err("line appears twice");
        }
        match key {
            b'm' => {
                let line = fields::media(text)?;
                let span = |part| Span::of(part, &self.text);
                let line = MediaLine {
                    media: span(line.media),
                    port: line.port,
                    proto: span(line.proto),
                    fmt: span(line.fmt),
                    address: None,
                    attributes: self.attributes.len(),
                };
                self.medias.push(line);
            }
            b'c' => {
                let address = Span::of(fields::connection(text)?, &self.text);
                let place = match self.medias.last_mut() {
                    Some(media) => &mut media.address,
                    None => &mut self.address,
                };
                place.get_or_insert(address);
            }
            b'a' => {
                let (name, of) = match text.split_once(':') {
                    Some((name, of)) => (name, Some(of)),
                    None => (text, None),
                };
                let known = Name::of(name);
                let secret = matches!(known, Name::Crypto | Name::KeyMgmt);
                let line = AttributeLine {
                    known,
                    name: Span::of(name, &self.text),
                    value: of.map(|of| Span::of(of, &self.text)),
                };
                self.secret |= secret;
                self.attributes.push(line);
            }
            b'k' => self.secret = true,
            b'o' if !in_media => self.version = fields::version(text),
            b't' if !in_media => fields::time(text)?,
            b'r' if !in_media && !seen.has(b't') => return Err("r= without t="),
            b'r' if !in_media => fields::repeat(text)?,
            b'z' if !in_media => fields::zones(text)?,
            _ => {}
        }
        Ok(())
    }

    fn part(&self, span: Span) -> &str {
        let range = span.start as usize..span.end as usize;
        self.text.get(range).unwrap_or_default()
    }

    /// The whole of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The version of `o=`, 0 where there is none.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Whether anything of it is a key, or may be (RFC 4566 §5.12, RFC 4567, RFC 4568).
    pub(crate) fn holds_keys(&self) -> bool {
        self.secret
    }

    pub(crate) fn zeroize(&mut self) {
        self.text.zeroize();
    }

    pub(crate) fn media_count(&self) -> usize {
        self.medias.len()
    }

    pub(crate) fn media(&self, index: usize) -> Option<MediaView<'_>> {
        let line = self.medias.get(index)?;
        Some(MediaView {
            lines: self,
            index,
            line,
        })
    }

    pub(crate) fn medias(&self) -> impl Iterator<Item = MediaView<'_>> {
        (0..self.medias.len()).filter_map(|index| self.media(index))
    }

    fn attributes(&self, start: usize, end: Option<usize>) -> &[AttributeLine] {
        let range = start..end.unwrap_or(self.attributes.len());
        self.attributes.get(range).unwrap_or_default()
    }

    /// The attributes of the session.
    fn own(&self) -> &[AttributeLine] {
        let end = self.medias.first().map(|media| media.attributes);
        self.attributes(0, end)
    }

    fn others<'a>(&'a self, lines: &'a [AttributeLine]) -> impl Iterator<Item = &'a str> {
        let others = lines.iter().filter(|line| line.known == Name::Other);
        others.map(|line| self.part(line.name))
    }

    /// The names of the session's attributes that have none of their own here.
    pub(crate) fn others_of_session(&self) -> impl Iterator<Item = &str> {
        self.others(self.own())
    }
}

impl fmt::Debug for Lines {
    // Keys are in the text, so that it does not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({} octets)", self.text.len())
    }
}

impl<'a> MediaView<'a> {
    /// Which of the media descriptions it is, from 0.
    pub(crate) fn index(self) -> usize {
        self.index
    }

    pub(crate) fn media(self) -> &'a str {
        self.lines.part(self.line.media)
    }

    pub(crate) fn port(self) -> u16 {
        self.line.port
    }

    pub(crate) fn proto(self) -> &'a str {
        self.lines.part(self.line.proto)
    }

    pub(crate) fn fmt(self) -> &'a str {
        self.lines.part(self.line.fmt)
    }

    /// The address of its own `c=`, or that of the session.
    pub(crate) fn address(self) -> Option<&'a str> {
        let span = self.line.address.or(self.lines.address)?;
        Some(self.lines.part(span))
    }

    fn attributes(self) -> &'a [AttributeLine] {
        let next = self.lines.medias.get(self.index + 1);
        let end = next.map(|media| media.attributes);
        self.lines.attributes(self.line.attributes, end)
    }

    /// The values of its attributes of that name.
    pub(crate) fn values(self, name: Name) -> impl Iterator<Item = &'a str> {
        let named = self.attributes().iter().filter(move |a| a.known == name);
        named.filter_map(move |line| line.value.map(|span| self.lines.part(span)))
    }

    /// Whether it has an attribute of that name.
    pub(crate) fn has(self, name: Name) -> bool {
        self.attributes().iter().any(|line| line.known == name)
    }

    /// The names of its attributes that have none of their own here.
    pub(crate) fn others(self) -> impl Iterator<Item = &'a str> {
        self.lines.others(self.attributes())
    }
}

/// The body as text: a line that is not UTF-8 is read as Latin-1, which old peers still send.
fn decoded(body: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(body) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(body.len() * 2);
    for (at, line) in body.split(|&byte| byte == b'\n').enumerate() {
        if at > 0 {
            text.push('\n');
        }
        match str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_) => text.extend(line.iter().map(|&byte| char::from(byte))),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests;
