//! One HTTP request as a value.

use axum::http::request::Parts;
use serde_json::Value;

/// A request as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query, as written.
    pub target: String,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A request and what it was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The request.
    pub request: Request,
    /// The status it was given; `None` for no answer.
    pub status: Option<u16>,
}

impl Request {
    pub(super) fn new(head: &Parts, body: Vec<u8>) -> Self {
        let target = head.uri.path_and_query();
        let target = target.map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned());
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Self {
            method: head.method.as_str().to_owned(),
            target,
            headers: headers.collect(),
            body,
        }
    }

    /// The first field with this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let (_, value) = fields.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The path, as written.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or(&self.target)
    }

    /// The query, as written; empty where there is none.
    pub(super) fn query_text(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The segments of the path, decoded. Python's clients write a double slash now and then.
    pub(super) fn segments(&self) -> Vec<String> {
        let parts = self.path().split('/').filter(|part| !part.is_empty());
        parts.map(|part| decoded(part, false)).collect()
    }

    /// A value of the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        pairs(self.query_text())
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(super) fn media_type(&self) -> &str {
        let whole = self.header("content-type").unwrap_or("");
        whole.split(';').next().unwrap_or("").trim()
    }
}

/// The names and values of a query, decoded.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name, true), decoded(value, true))
        })
        .collect()
}

/// Percent-decoded; with `form`, `+` is a space.
fn decoded(text: &str, form: bool) -> String {
    let octets = text.as_bytes();
    let mut out = Vec::with_capacity(octets.len());
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|_| octet == b'%');
        match hex.map(|hex| u8::from_str_radix(hex, 16)) {
            Some(Ok(value)) => {
                out.push(value);
                at += 3;
            }
            Some(Err(_)) | None => {
                out.push(if form && octet == b'+' { b' ' } else { octet });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
