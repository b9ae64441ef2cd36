use std::borrow::Cow;

use bytes::Bytes;

use crate::text::Digits;
use crate::{HeaderName, Headers, Method, NameAddr, StatusCode, Uri};

/// A request, RFC 3261 §7.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The Request-URI.
    pub uri: Uri,
    /// The header fields; Content-Length is corrected when the request is printed.
    pub headers: Headers,
    /// The body, empty if there is none.
    pub body: Bytes,
}

/// A response, RFC 3261 §7.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase, in whatever encoding it came; it may be empty.
    pub reason: Bytes,
    /// The header fields; Content-Length is corrected when the response is printed.
    pub headers: Headers,
    /// The body, empty if there is none.
    pub body: Bytes,
}

/// A message of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Request {
    /// A request without header fields.
    pub fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    /// Gives the request a body and sets Content-Type and Content-Length.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Bytes>) {
        self.body = body.into();
        describe_body(&mut self.headers, content_type, &self.body);
    }

    /// Removes the body and what describes it.
    pub fn clear_body(&mut self) {
        self.body = Bytes::new();
        forget_body(&mut self.headers);
    }

    /// The request as on the wire, with the right Content-Length.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = buffer(&self.headers, &self.body, self.uri.as_str().len());
        self.put_first_line(&mut out);
        out.extend_from_slice(b"\r\n");
        finish(out, &self.headers, &self.body)
    }

    fn put_first_line(&self, out: &mut Vec<u8>) {
        put_neutral(out, self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.uri.as_str().as_bytes());
        out.extend_from_slice(b" SIP/2.0");
    }
}

/// What every response takes over from its request, To apart (RFC 3261 §8.2.6.2).
const COPIED: [HeaderName; 4] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::CallId,
    HeaderName::CSeq,
];

impl Response {
    /// A response without header fields, with the default reason phrase.
    pub fn new(status: StatusCode) -> Self {
        let reason = Bytes::from_static(status.default_reason().as_bytes());
        Self {
            status,
            reason,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    /// The skeleton of the response to `request`, RFC 3261 §8.2.6: Via, From, To, Call-ID and CSeq
    /// copied, Timestamp into a 100, Record-Route into 18x and 2xx (§12.1.1).
    ///
    /// `to_tag` is added to To unless To has a tag. Give none for a 100.
    pub fn to_request(request: &Request, status: StatusCode, to_tag: Option<&str>) -> Self {
        let mut response = Self::new(status);
        let also = if status == StatusCode::TRYING {
            Some(HeaderName::Timestamp)
        } else if matches!(status.code(), 101..=299) {
            Some(HeaderName::RecordRoute)
        } else {
            None
        };
        for field in request.headers.iter() {
            if field.is(&HeaderName::To) {
                response
                    .headers
                    .push(HeaderName::To, tagged(field.value(), to_tag));
            } else if COPIED.iter().chain(&also).any(|name| field.is(name)) {
                response.headers.push_field(field);
            }
        }
        response
    }

    /// This response with another reason phrase; CR, LF and NUL become spaces.
    #[must_use]
    pub fn with_reason(mut self, reason: impl AsRef<[u8]>) -> Self {
        let neutral = |&byte: &u8| {
            if matches!(byte, b'\r' | b'\n' | 0) {
                b' '
            } else {
                byte
            }
        };
        self.reason = reason
            .as_ref()
            .iter()
            .map(neutral)
            .collect::<Vec<_>>()
            .into();
        self
    }

    /// Gives the response a body and sets Content-Type and Content-Length.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Bytes>) {
        self.body = body.into();
        describe_body(&mut self.headers, content_type, &self.body);
    }

    /// Removes the body and what describes it.
    pub fn clear_body(&mut self) {
        self.body = Bytes::new();
        forget_body(&mut self.headers);
    }

    /// The response as on the wire, with the right Content-Length.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = buffer(&self.headers, &self.body, self.reason.len());
        self.put_first_line(&mut out);
        out.extend_from_slice(b"\r\n");
        finish(out, &self.headers, &self.body)
    }

    fn put_first_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SIP/2.0 ");
        put_number(out, usize::from(self.status.code()));
        out.push(b' ');
        put_neutral(out, &self.reason);
    }
}

impl Message {
    /// The header fields.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The header fields, to be changed.
    pub fn headers_mut(&mut self) -> &mut Headers {
        match self {
            Self::Request(request) => &mut request.headers,
            Self::Response(response) => &mut response.headers,
        }
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }

    /// The message as on the wire, with the right Content-Length.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }

    /// The message as it was received, octet by octet, whatever was changed in it since; as on the
    /// wire, if it is one of our own.
    pub fn as_received(&self) -> Bytes {
        let received = self.headers().received();
        if received.is_empty() {
            return self.to_bytes();
        }
        received.clone()
    }

    /// The request line or status line, for people.
    pub fn first_line(&self) -> String {
        let mut line = Vec::new();
        match self {
            Self::Request(request) => request.put_first_line(&mut line),
            Self::Response(response) => response.put_first_line(&mut line),
        }
        String::from_utf8_lossy(&line).into_owned()
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

/// A To value with a tag; left as it is if it has one or cannot be read.
fn tagged<'t>(to: &'t [u8], tag: Option<&str>) -> Cow<'t, [u8]> {
    let Some(tag) = tag.filter(|tag| crate::lex::token(tag.as_bytes()).is_some()) else {
        return to.into();
    };
    let has_one = match NameAddr::tag_in(to) {
        Some(found) => found.is_some() || NameAddr::check(to).is_err(),
        None => !NameAddr::parse(to.to_vec()).is_ok_and(|to| to.tag().is_none()),
    };
    match has_one {
        true => to.into(),
        false => [to, b";tag=", tag.as_bytes()].concat().into(),
    }
}

fn describe_body(headers: &mut Headers, content_type: &str, body: &Bytes) {
    headers.set(HeaderName::ContentType, content_type);
    headers.set(HeaderName::ContentLength, body.len().to_string());
}

fn forget_body(headers: &mut Headers) {
    for name in [
        HeaderName::ContentType,
        HeaderName::ContentEncoding,
        HeaderName::ContentDisposition,
        HeaderName::ContentLanguage,
    ] {
        headers.remove(&name);
    }
    headers.set(HeaderName::ContentLength, "0");
}

fn buffer(headers: &Headers, body: &Bytes, first_line: usize) -> Vec<u8> {
    let fields: usize = headers
        .iter()
        .map(|field| field.raw_name().len() + field.value().len() + 4)
        .sum();
    Vec::with_capacity(first_line + fields + body.len() + 64)
}

/// Writes the header fields, one Content-Length where the first was or at the end, and the body.
fn finish(mut out: Vec<u8>, headers: &Headers, body: &Bytes) -> Bytes {
    let mut has_length = false;
    for field in headers.iter() {
        let is_length = field.is(&HeaderName::ContentLength);
        if is_length && std::mem::replace(&mut has_length, true) {
            continue;
        }
        out.extend_from_slice(field.raw_name());
        out.extend_from_slice(b": ");
        if is_length {
            put_number(&mut out, body.len());
        } else {
            out.extend_from_slice(field.value());
        }
        out.extend_from_slice(b"\r\n");
    }
    if !has_length {
        out.extend_from_slice(b"Content-Length: ");
        put_number(&mut out, body.len());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    Bytes::from(out)
}

fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(Digits::of(number).as_str().as_bytes());
}

/// Method and reason phrase are public fields; nothing in them may end the line.
fn put_neutral(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    for byte in &mut out[start..] {
        if matches!(*byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}
