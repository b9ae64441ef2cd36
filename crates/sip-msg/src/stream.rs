use bytes::{Buf, Bytes, BytesMut};

use crate::head::Lines;
use crate::parse::{Limits, ParseError, Rejected, reject};
use crate::{HeaderName, lex};

/// Cuts a TCP or TLS stream into messages by Content-Length, RFC 3261 §18.3.
///
/// The frames are the same however the bytes arrive. Each is a buffer of its own, so that a
/// message that is kept keeps nothing else alive. It never holds more than the longest message and
/// what was pushed last.
#[derive(Debug)]
pub struct StreamFramer {
    limits: Limits,
    buffer: BytesMut,
    /// Octets of the buffer in which no head ends.
    scanned: usize,
    /// The length of the message the buffer begins with, once its head is known.
    length: Option<usize>,
    broken: Option<FrameError>,
}

/// One thing in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message, to be parsed.
    Message(Bytes),
    /// CRLF CRLF between messages: the peer wants a CRLF back (RFC 5626 §3.5.1). A single CRLF,
    /// the answer to our own, is skipped.
    Ping,
}

/// Why a stream cannot be read any further; it is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct FrameError {
    /// The rule the stream breaks.
    pub error: ParseError,
    /// What there is of the message that breaks it.
    pub head: Bytes,
}

impl FrameError {
    /// The message that broke the stream, for the answer before it is closed.
    pub fn into_rejected(self, limits: &Limits) -> Box<Rejected> {
        reject(&self.head, limits, self.error)
    }
}

impl StreamFramer {
    /// A framer at the begin of a stream.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: BytesMut::new(),
            scanned: 0,
            length: None,
            broken: None,
        }
    }

    /// Takes the next bytes of the stream. Call [`Self::next`] until it returns `None` before the
    /// next push.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Octets of a message that is not complete yet.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame, `None` until more bytes are there.
    ///
    /// # Errors
    /// If the stream cannot be read any further; every later call returns the same.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would not end at None"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        if self.length.is_none() {
            match self.skip_line_ends() {
                Skipped::Ping => return Ok(Some(Frame::Ping)),
                Skipped::Undecided => return Ok(None),
                Skipped::Nothing => {}
            }
            self.length = self.find_length().map_err(|error| self.break_off(error))?;
        }
        let Some(length) = self.length.filter(|&length| length <= self.buffer.len()) else {
            return Ok(None);
        };
        let message = Bytes::copy_from_slice(&self.buffer[..length]);
        self.consume(length);
        Ok(Some(Frame::Message(message)))
    }

    fn consume(&mut self, length: usize) {
        self.buffer.advance(length);
        self.scanned = 0;
        self.length = None;
    }

    fn skip_line_ends(&mut self) -> Skipped {
        loop {
            match &*self.buffer {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.consume(4);
                    return Skipped::Ping;
                }
                [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Skipped::Undecided,
                [b'\r', b'\n', ..] => self.consume(2),
                _ => return Skipped::Nothing,
            }
        }
    }

    /// The length of the message the buffer begins with; `None` until its head is complete.
    fn find_length(&mut self) -> Result<Option<usize>, ParseError> {
        while let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
            let line_feed = self.scanned + at;
            if line_feed == 0 || self.buffer[line_feed - 1] != b'\r' {
                return Err(ParseError::LineEnd);
            }
            self.scanned = line_feed + 1;
            if self.buffer[..line_feed].ends_with(b"\r\n\r") {
                if self.scanned > self.limits.message_bytes {
                    return Err(ParseError::MessageTooLarge);
                }
                return message_length(&self.buffer[..self.scanned], &self.limits).map(Some);
            }
        }
        self.scanned = self.buffer.len();
        if self.scanned > self.limits.message_bytes {
            return Err(ParseError::MessageTooLarge);
        }
        Ok(None)
    }

    fn break_off(&mut self, error: ParseError) -> FrameError {
        let head = match self.scanned {
            0 => self.buffer.len(),
            scanned => scanned,
        };
        let head = Bytes::copy_from_slice(&self.buffer[..head.min(self.limits.message_bytes)]);
        let error = FrameError { error, head };
        self.buffer = BytesMut::new();
        self.broken = Some(error.clone());
        error
    }
}

enum Skipped {
    Ping,
    Nothing,
    /// It takes more bytes to tell.
    Undecided,
}

/// Head and body together, by the one Content-Length; without one there is no body.
fn message_length(head: &[u8], limits: &Limits) -> Result<usize, ParseError> {
    let mut length = None;
    let mut lines = Lines { text: head, at: 0 };
    lines.next();
    let wrong = |rule| {
        ParseError::Header(crate::HeaderError {
            name: HeaderName::ContentLength,
            rule,
        })
    };
    while let Some(line) = lines.next() {
        let field = &head[line.text];
        let Some(colon) = memchr::memchr(b':', field) else {
            continue;
        };
        let name = lex::trim_end(&field[..colon]);
        if HeaderName::lookup(name) != Some(HeaderName::ContentLength.index()) {
            continue;
        }
        let mut value = lex::trim(&field[colon + 1..]).to_vec();
        while lines.is_folded() {
            let Some(line) = lines.next() else { break };
            if !value.is_empty() {
                value.push(b' ');
            }
            value.extend_from_slice(lex::trim(&head[line.text]));
        }
        let value: u64 =
            lex::number(lex::trim(&value)).ok_or_else(|| wrong(crate::Rule::Number))?;
        if length.replace(value).is_some() {
            return Err(wrong(crate::Rule::Repeated));
        }
    }
    let body = usize::try_from(length.unwrap_or(0)).map_err(|_| ParseError::BodyTooLarge)?;
    match head.len().checked_add(body) {
        Some(length) if length <= limits.message_bytes => Ok(length),
        _ => Err(ParseError::BodyTooLarge),
    }
}
