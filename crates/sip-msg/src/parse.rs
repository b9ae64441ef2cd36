use bytes::Bytes;

use crate::head::{Flaw, Line, Lines};
use crate::lex;
use crate::{
    HeaderError, HeaderName, Headers, Message, Method, Request, Response, StatusCode, Uri,
    UriError, Via,
};

mod validate;

/// What one message may take. Values above 2 GiB make no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole message. Default 64 KiB.
    pub message_bytes: usize,
    /// Header fields. Default 256.
    pub headers: usize,
    /// Octets of one header field's value. Default 8 KiB.
    pub header_bytes: usize,
    /// Via values: a request takes no more hops than Max-Forwards starts with. Default 70.
    pub vias: usize,
    /// Octets of the Request-URI. Default 2 KiB.
    pub uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 << 10,
            headers: 256,
            header_bytes: 8 << 10,
            vias: 70,
            uri_bytes: 2 << 10,
        }
    }
}

/// What the end of a message is told by, RFC 3261 §18.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Framing {
    /// The datagram: octets behind Content-Length are dropped, a missing Content-Length means all.
    Datagram,
    /// Content-Length, by which [`StreamFramer`](crate::StreamFramer) cut the message out.
    Stream,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The message is longer than the limit.
    #[error("message too large")]
    MessageTooLarge,
    /// The body Content-Length announces is longer than the limit.
    #[error("body too large")]
    BodyTooLarge,
    /// More header fields than the limit.
    #[error("too many header fields")]
    TooManyHeaders,
    /// A header field longer than the limit.
    #[error("header field too large")]
    HeaderTooLarge,
    /// More Via values than the limit.
    #[error("too many Via values")]
    TooManyVias,
    /// The Request-URI is longer than the limit.
    #[error("Request-URI too long")]
    UriTooLong,
    /// Neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// Another version than SIP/2.0.
    #[error("version not supported")]
    Version,
    /// The Request-URI is malformed.
    #[error("malformed Request-URI: {0}")]
    RequestUri(#[from] UriError),
    /// The message ends within its head.
    #[error("head does not end")]
    Truncated,
    /// CR or LF alone in the head.
    #[error("line does not end with CRLF")]
    LineEnd,
    /// NUL in the head.
    #[error("NUL in the head")]
    Nul,
    /// A line without a header field's name and colon.
    #[error("malformed header field")]
    HeaderLine,
    /// A header field that must be there is missing, repeated or malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The datagram ends before the body does.
    #[error("body shorter than Content-Length")]
    BodyTooShort,
}

impl ParseError {
    /// The status a request with this error is answered with.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::MessageTooLarge | Self::TooManyHeaders | Self::HeaderTooLarge => {
                StatusCode::MESSAGE_TOO_LARGE
            }
            Self::BodyTooLarge => StatusCode::REQUEST_ENTITY_TOO_LARGE,
            Self::TooManyVias => StatusCode::TOO_MANY_HOPS,
            Self::UriTooLong => StatusCode::REQUEST_URI_TOO_LONG,
            Self::Version => StatusCode::VERSION_NOT_SUPPORTED,
            Self::StartLine
            | Self::RequestUri(_)
            | Self::Truncated
            | Self::LineEnd
            | Self::Nul
            | Self::HeaderLine
            | Self::Header(_)
            | Self::BodyTooShort => StatusCode::BAD_REQUEST,
        }
    }
}

/// A message that was not taken, and what can be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Rejected {
    /// The first rule the message breaks.
    pub error: ParseError,
    /// The request, as far as it could be read, if a response to it can be built: it has a Via to
    /// send it to and is no ACK. Its URI may be a stand-in, its body is empty, and of a malformed
    /// topmost Via only what could be read is left.
    pub request: Option<Request>,
    /// The status to answer with.
    pub status: StatusCode,
}

/// Reads one message.
///
/// Nothing is decoded and nothing is lost: unknown header fields, their order, the case of names
/// and all octets of values are kept, only folds become single spaces. A message that comes back
/// has one readable Via at least, From, To, Call-ID and CSeq; a request's Contact, Route and
/// Record-Route can be read as well. All else is read when asked for.
///
/// # Errors
/// The first rule the message breaks, with what is needed to answer it. What cannot be answered,
/// responses among it, is to be dropped.
pub fn parse(input: Bytes, limits: &Limits, framing: Framing) -> Result<Message, Box<Rejected>> {
    let mut draft = Draft::read(&input, limits);
    let body = draft.body(&input, limits, framing);
    draft.finish(body, limits.vias)
}

/// Reads the head of a message that is refused for `error`.
pub(crate) fn reject(head: &Bytes, limits: &Limits, error: ParseError) -> Box<Rejected> {
    let mut draft = Draft::read(head, limits);
    draft.error = Some(error);
    match draft.finish(Bytes::new(), limits.vias) {
        Err(rejected) => rejected,
        Ok(_) => unreachable!("a draft with an error does not become a message"),
    }
}

/// A message in the making. The first error is kept and reading goes on, for the sake of the
/// header fields a response needs.
struct Draft {
    start: Start,
    headers: Headers,
    /// Where the body begins, if the head has an end.
    body: Option<usize>,
    error: Option<ParseError>,
}

enum Start {
    Request(Option<Method>, Option<Uri>),
    Response(Option<(StatusCode, Bytes)>),
}

impl Draft {
    fn read(input: &Bytes, limits: &Limits) -> Self {
        let mut draft = Self {
            start: Start::Request(None, None),
            headers: Headers::of(input.clone()),
            body: None,
            error: None,
        };
        let usable = limits.message_bytes.min(i32::MAX as usize);
        if input.len() > usable {
            draft.fail(ParseError::MessageTooLarge);
        }
        let mut lines = Lines {
            text: &input[..input.len().min(usable)],
            at: 0,
        };
        // RFC 3261 §7.5: empty lines before the start line are skipped.
        while lines.text[lines.at..].starts_with(b"\r\n") {
            lines.at += 2;
        }
        match lines.next() {
            Some(line) => draft.read_start(input, &line, limits),
            None => draft.fail(ParseError::Truncated),
        }
        if lines.is_folded() {
            draft.fail(ParseError::StartLine);
        }
        draft.read_headers(&mut lines, limits);
        draft
    }

    fn fail(&mut self, error: ParseError) {
        self.error.get_or_insert(error);
    }

    fn note(&mut self, flaw: Option<Flaw>) {
        match flaw {
            Some(Flaw::LineEnd) => self.fail(ParseError::LineEnd),
            Some(Flaw::Nul) => self.fail(ParseError::Nul),
            None => {}
        }
    }

    fn read_start(&mut self, input: &Bytes, line: &Line, limits: &Limits) {
        let text = &input[line.text.clone()];
        let is_response = text.len() >= 4 && text[..4].eq_ignore_ascii_case(b"SIP/");
        self.start = if is_response {
            Start::Response(self.status_line(input, line))
        } else {
            self.request_line(input, line, limits)
        };
        self.note(line.flaw);
    }

    /// `SIP/2.0 200 OK`; the space before an empty reason phrase may be missing.
    fn status_line(&mut self, input: &Bytes, line: &Line) -> Option<(StatusCode, Bytes)> {
        let text = &input[line.text.clone()];
        let Some(rest) = strip_version(text).and_then(|rest| rest.strip_prefix(b" ")) else {
            self.fail(ParseError::Version);
            return None;
        };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let status = lex::number(&rest[..digits]).and_then(StatusCode::new);
        let reason = match &rest[digits..] {
            [b' ', reason @ ..] => Some(input.slice_ref(reason)),
            [] => Some(Bytes::new()),
            _ => None,
        };
        let line = status.filter(|_| digits == 3).zip(reason);
        if line.is_none() {
            self.fail(ParseError::StartLine);
        }
        line
    }

    /// `INVITE sip:joe@example.org SIP/2.0`, single spaces.
    fn request_line(&mut self, input: &Bytes, line: &Line, limits: &Limits) -> Start {
        let text = &input[line.text.clone()];
        let end = memchr::memchr(b' ', text).unwrap_or(text.len());
        let method = Method::parse(&text[..end]);
        let rest = text.get(end + 1..).unwrap_or_default();
        let Some(space) = memchr::memrchr(b' ', rest).filter(|_| method.is_some()) else {
            self.fail(ParseError::StartLine);
            return Start::Request(method, None);
        };
        let (uri, version) = (&rest[..space], &rest[space + 1..]);
        if strip_version(version) != Some(b"") {
            let is_version = version.len() > 4 && version[..4].eq_ignore_ascii_case(b"SIP/");
            self.fail(if is_version {
                ParseError::Version
            } else {
                ParseError::StartLine
            });
        }
        if uri.len() > limits.uri_bytes {
            self.fail(ParseError::UriTooLong);
            return Start::Request(method, None);
        }
        match Uri::parse(input.slice_ref(uri)) {
            // RFC 3261 §19.1.1, table 1: a Request-URI has no headers part.
            Ok(uri) if uri.headers().is_some() => {
                self.fail(UriError::Headers.into());
                Start::Request(method, Some(uri))
            }
            Ok(uri) => Start::Request(method, Some(uri)),
            Err(error) => {
                self.fail(error.into());
                Start::Request(method, None)
            }
        }
    }

    fn read_headers(&mut self, lines: &mut Lines<'_>, limits: &Limits) {
        while let Some(line) = lines.next() {
            self.note(line.flaw);
            if line.text.is_empty() {
                self.body = Some(lines.at);
                return;
            }
            if self.headers.len() == limits.headers {
                return self.fail(ParseError::TooManyHeaders);
            }
            self.read_field(lines, &line, limits);
        }
        self.fail(ParseError::Truncated);
    }

    fn read_field(&mut self, lines: &mut Lines<'_>, line: &Line, limits: &Limits) {
        let text = lines.text;
        let (start, end) = (line.text.start, line.text.end);
        let unfolded = lines.is_folded().then(|| self.unfold(lines, line));
        let Some(colon) = memchr::memchr(b':', &text[start..end]) else {
            return self.fail(ParseError::HeaderLine);
        };
        // HCOLON allows blanks before the colon; the name is known without them and printed so.
        let name = start..start + lex::trim_end(&text[start..start + colon]).len();
        let Some(index) = HeaderName::lookup(&text[name.clone()]) else {
            return self.fail(ParseError::HeaderLine);
        };
        let raw = match &unfolded {
            Some(unfolded) => &unfolded[colon + 1..],
            None => &text[start + colon + 1..end],
        };
        let value = lex::trim(raw);
        if value.len() > limits.header_bytes {
            return self.fail(ParseError::HeaderTooLarge);
        }
        if unfolded.is_some() {
            return self.headers.push_unfolded(index, name, value);
        }
        let value_start = end - lex::trim_start(raw).len();
        self.headers
            .push_received(index, name, value_start..value_start + value.len());
    }

    /// The field that begins with `first`, its folds with the blanks around them replaced by one
    /// space each.
    fn unfold(&mut self, lines: &mut Lines<'_>, first: &Line) -> Vec<u8> {
        let mut unfolded = lex::trim_end(&lines.text[first.text.clone()]).to_vec();
        while lines.is_folded() {
            let Some(line) = lines.next() else { break };
            self.note(line.flaw);
            unfolded.push(b' ');
            unfolded.extend_from_slice(lex::trim(&lines.text[line.text]));
        }
        unfolded
    }

    /// The body by RFC 3261 §18.3.
    fn body(&mut self, input: &Bytes, limits: &Limits, framing: Framing) -> Bytes {
        let Some(start) = self.body else {
            return Bytes::new();
        };
        let length = match self.headers.content_length() {
            Ok(length) => length,
            Err(error) => {
                self.fail(error.into());
                return Bytes::new();
            }
        };
        let rest = input.len() - start;
        let length = length.unwrap_or(rest);
        if length > limits.message_bytes {
            self.fail(ParseError::BodyTooLarge);
        } else if length > rest || (length < rest && framing == Framing::Stream) {
            self.fail(ParseError::BodyTooShort);
        } else if length > 0 {
            return input.slice(start..start + length);
        }
        Bytes::new()
    }

    fn finish(mut self, body: Bytes, vias: usize) -> Result<Message, Box<Rejected>> {
        if self.error.is_none() {
            self.error = self.validate(vias).err();
        }
        let Self {
            start,
            headers,
            error,
            ..
        } = self;
        match (start, error) {
            (Start::Request(Some(method), Some(uri)), None) => Ok(Message::Request(Request {
                method,
                uri,
                headers,
                body,
            })),
            (Start::Response(Some((status, reason))), None) => Ok(Message::Response(Response {
                status,
                reason,
                headers,
                body,
            })),
            (start, error) => {
                let error = error.unwrap_or(ParseError::StartLine);
                let status = error.status();
                let request = answerable(start, headers);
                Err(Box::new(Rejected {
                    error,
                    request,
                    status,
                }))
            }
        }
    }
}

fn answerable(start: Start, mut headers: Headers) -> Option<Request> {
    let Start::Request(Some(method), uri) = start else {
        return None;
    };
    if method == Method::Ack {
        return None;
    }
    if headers.top_via().is_err() {
        let via = Via::repair(headers.get(&HeaderName::Via)?)?;
        headers.replace_nth(&HeaderName::Via, 0, via.to_string());
    }
    let uri = uri.unwrap_or_else(|| Uri::sip(None, "invalid", None));
    Some(Request {
        method,
        uri,
        headers,
        body: Bytes::new(),
    })
}

/// What follows `SIP/2.0`, which is written in any case (RFC 3261 §7.1).
fn strip_version(text: &[u8]) -> Option<&[u8]> {
    let (version, rest) = text.split_at_checked(7)?;
    version.eq_ignore_ascii_case(b"SIP/2.0").then_some(rest)
}
