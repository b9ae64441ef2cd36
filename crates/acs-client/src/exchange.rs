//! One request as a value, and its signature.

use std::fmt;
use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;

use crate::connection::AccessKey;

/// What is done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read it.
    Get,
    /// Have something done.
    Post,
    /// Change a part of it (RFC 7396).
    Patch,
    /// Give it up.
    Delete,
}

impl Method {
    /// As it stands in a request line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A random UUID (RFC 9562 §5.4): names a request in Azure's logs and in ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// From sixteen random octets.
    #[must_use]
    pub fn from_random(mut octets: [u8; 16]) -> Self {
        octets[6] = (octets[6] & 0x0f) | 0x40;
        octets[8] = (octets[8] & 0x3f) | 0x80;
        Self(octets)
    }

    /// Reads what its `Display` wrote; `None` where that is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.split('-').collect();
        let octets = u128::from_str_radix(&digits, 16).ok()?.to_be_bytes();
        let id = Self(octets);
        (id.to_string() == text.to_ascii_lowercase()).then_some(id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_char('-')?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// What Azure recognises a repetition by: however often a request is sent with it, in whatever
/// process, it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeatability {
    /// `Repeatability-Request-ID`.
    pub id: RequestId,
    /// `Repeatability-First-Sent`, which has whole seconds.
    pub first_sent: Timestamp,
}

/// What differs from one sending of a request to the next, and what must not.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// When it is sent.
    pub now: Timestamp,
    /// Its name in logs, the same at each sending.
    pub request: RequestId,
    /// What Azure recognises a repetition by, the same at each sending.
    pub repeatability: Repeatability,
}

/// One request, not yet signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What is done.
    pub method: Method,
    /// Path and query, percent-encoded: what is signed is what is sent.
    pub target: String,
    /// The media type of the body.
    pub content_type: Option<&'static str>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Whether doing it twice would create two: it then says which repetition it is.
    pub creates: bool,
}

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

impl Exchange {
    /// Reads `target`.
    #[must_use]
    pub fn get(target: String) -> Self {
        Self::bare(Method::Get, target)
    }

    /// Gives up `target`.
    #[must_use]
    pub fn delete(target: String) -> Self {
        Self::bare(Method::Delete, target)
    }

    /// Has something created.
    #[must_use]
    pub fn post(target: String, body: &impl Serialize) -> Self {
        Self {
            content_type: Some(JSON),
            body: text(body),
            creates: true,
            ..Self::bare(Method::Post, target)
        }
    }

    /// Has something done that needs no words.
    #[must_use]
    pub fn command(target: String) -> Self {
        Self {
            creates: true,
            ..Self::bare(Method::Post, target)
        }
    }

    /// Changes a part of `target`.
    #[must_use]
    pub fn patch(target: String, body: &impl Serialize) -> Self {
        Self {
            content_type: Some(MERGE_PATCH),
            body: text(body),
            ..Self::bare(Method::Patch, target)
        }
    }

    fn bare(method: Method, target: String) -> Self {
        Self {
            method,
            target,
            content_type: None,
            body: Vec::new(),
            creates: false,
        }
    }

    /// Every header field of this sending but `Host`, which is `host`, and what HTTP itself adds.
    #[must_use]
    pub fn headers(
        &self,
        host: &str,
        key: &AccessKey,
        stamp: &Stamp,
    ) -> Vec<(&'static str, String)> {
        let date = http_date(stamp.now);
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, &self.body));
        let signed = format!("{}\n{}\n{date};{host};{hash}", self.method, self.target);
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.octets());
        let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        let mut headers = vec![("Accept", JSON.to_owned())];
        if let Some(media_type) = self.content_type {
            headers.push(("Content-Type", media_type.to_owned()));
        }
        headers.push(("x-ms-client-request-id", stamp.request.to_string()));
        headers.push(("x-ms-return-client-request-id", "true".to_owned()));
        if self.creates {
            headers.push((
                "Repeatability-Request-ID",
                stamp.repeatability.id.to_string(),
            ));
            headers.push((
                "Repeatability-First-Sent",
                http_date(stamp.repeatability.first_sent),
            ));
        }
        headers.push(("x-ms-date", date));
        headers.push(("x-ms-content-sha256", hash));
        headers.push((
            "Authorization",
            format!(
                "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
            ),
        ));
        headers
    }
}

/// Bodies can hold telephone numbers.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({} {} octets)", self.method, self.body.len())
    }
}

fn text(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("bodies are structs and maps with text as keys")
}

/// The preferred form of HTTP dates (RFC 9110 §5.6.7).
fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `text` as one segment of a path or one value of a query (RFC 3986 §2.3): all but unreserved
/// characters encoded.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        let now = "2026-11-21T07:41:17Z".parse().expect("a time");
        Stamp {
            now,
            request: RequestId::from_random([0; 16]),
            repeatability: Repeatability {
                id: RequestId::from_random([0xff; 16]),
                first_sent: "2026-11-21T07:41:09Z".parse().expect("a time"),
            },
        }
    }

    fn field<'a>(headers: &'a [(&str, String)], name: &str) -> Option<&'a str> {
        let mut found = headers.iter().filter(|(known, _)| *known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The signatures were worked out with another implementation of HMAC.
    #[test]
    fn a_request_is_signed_over_target_date_host_and_body() {
        let key = AccessKey::parse("c2VjcmV0").expect("base64");
        let read = Exchange::get("/sip?api-version=2023-03-01".to_owned());
        let headers = read.headers("localhost:8943", &key, &stamp());
        assert_eq!(
            field(&headers, "x-ms-date"),
            Some("Sat, 21 Nov 2026 07:41:17 GMT")
        );
        assert_eq!(
            field(&headers, "x-ms-content-sha256"),
            Some("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
        );
        assert_eq!(field(&headers, "Authorization"), Some(READ));
        assert_eq!(field(&headers, "Repeatability-Request-ID"), None);
        let clear = serde_json::json!({"routes": []});
        let write = Exchange::patch("/sip?api-version=2023-03-01".to_owned(), &clear);
        let headers = write.headers("localhost:8943", &key, &stamp());
        assert_eq!(field(&headers, "Authorization"), Some(WRITE));
    }

    const READ: &str = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=z7Fiijnkt8SENBLg0imunLY3Ylgtw+B7Q8fyVRVEWpg=";
    const WRITE: &str = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=f3qni6VfHFRzjbLDhKNdlwEcblk1p/a0dahZpSgrOLY=";

    #[test]
    fn what_creates_says_which_repetition_it_is() {
        let key = AccessKey::parse("c2VjcmV0").expect("base64");
        let buy = Exchange::post("/x".to_owned(), &serde_json::json!({}));
        let headers = buy.headers("a.example", &key, &stamp());
        assert_eq!(
            field(&headers, "Repeatability-Request-ID"),
            Some("ffffffff-ffff-4fff-bfff-ffffffffffff")
        );
        assert_eq!(
            field(&headers, "Repeatability-First-Sent"),
            Some("Sat, 21 Nov 2026 07:41:09 GMT")
        );
    }

    #[test]
    fn numbers_are_encoded_as_the_sdks_encode_them() {
        assert_eq!(encoded("+12065550100"), "%2B12065550100");
        assert_eq!(encoded("New York/é"), "New%20York%2F%C3%A9");
    }
}
